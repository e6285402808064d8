"""The demonstration's phone against a PBX in the same process: signalling and audio on real sockets."""

from __future__ import annotations

from time import monotonic

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.embedded import demo_place
from haproxy_voip.embedded.demo_phone import DemoPhone
from haproxy_voip.embedded.demo_place import Place
from haproxy_voip.embedded.facts import PhoneAnswered, PhoneEnded, PhoneMediaChanged
from haproxy_voip.embedded.pbx import Pbx
from haproxy_voip.embedded.settings import PbxSettings
from haproxy_voip.embedded.sockets import Sockets
from tests.embedded.conftest import Run


def phone(user: str, address: Address, proxy: Address, tones: tuple[int, int]) -> DemoPhone:
    return DemoPhone(Credential(user, "d.example", f"secret {user}"), address, proxy, tones)


def test_two_phones_hear_each_other_and_fall_silent_afterwards(run: Run) -> None:
    async def scene() -> None:
        place = Place.claim()
        server = place.address(demo_place.PROXY)
        listen = (Endpoint(Transport.UDP, server),)
        settings = PbxSettings(listen=listen, users={user: f"secret {user}" for user in ("1001", "1002")})
        pbx = Sockets(Pbx(settings, Chance.system()))
        await pbx.start(listen)
        caller = phone("1001", place.address(demo_place.CALLER), server, (450, 800))
        callee = phone("1002", place.address(demo_place.CALLEE), server, (800, 450))
        for each in (caller, callee):
            await each.start()
            assert await each.registered(5)
        began = monotonic()
        caller.call("1002")
        answered = await caller.told(PhoneAnswered, began, 5)
        assert answered is not None
        for each in (caller, callee):
            assert await each.audio.heard_after(answered[0], 5) is not None
        held_at = monotonic()
        caller.hold()
        assert await callee.told(PhoneMediaChanged, held_at, 5) is not None
        assert callee.audio.remote is None and caller.audio.remote is not None
        assert callee.heard_of((PhoneMediaChanged,), held_at) and not callee.heard_of((PhoneEnded,), held_at)
        resumed_at = monotonic()
        caller.resume()
        assert await callee.told(PhoneMediaChanged, resumed_at, 5) is not None
        assert await caller.audio.heard_after(resumed_at, 5) is not None
        caller.hang_up()
        assert await callee.told(PhoneEnded, answered[0], 5) is not None
        assert caller.audio.remote is None and callee.audio.remote is None
        assert await caller.told(PhoneAnswered, monotonic(), 0.01) is None
        for machine in (caller, callee, pbx):
            await machine.stop()
        place.give_back()

    run(scene)
