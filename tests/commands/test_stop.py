"""The proxy as a process that is told to stop while two people talk over it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import uvloop

from haproxy_voip.core.address import Endpoint, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.embedded import demo_place
from haproxy_voip.embedded.demo_phone import DemoPhone
from haproxy_voip.embedded.demo_place import Place
from haproxy_voip.embedded.facts import PhoneAnswered, PhoneEnded
from haproxy_voip.embedded.pbx import Pbx
from haproxy_voip.embedded.settings import PbxSettings
from haproxy_voip.embedded.sockets import Sockets
from tests.commands.conftest import Asked
from tests.commands.test_serve import Process

DOMAIN = "voip.example"
USERS = {"1001": "silver-otter", "1002": "quiet-maple"}
PATIENCE = 60.0  # seconds; nothing here is about speed


@asynccontextmanager
async def talking(folder: Path, stop_after: str) -> AsyncIterator[tuple[Process, DemoPhone, DemoPhone]]:
    """A proxy, and two phones that talk over it and a PBX."""
    place = Place.claim()
    addresses = [place.address(one) for one in (demo_place.PROXY, demo_place.FIRST_BACKEND)]
    listen = (Endpoint(Transport.UDP, addresses[1]),)
    pbx = Sockets(Pbx(PbxSettings(listen=listen, users=USERS), Chance.system()))
    await pbx.start(listen)
    config = write(folder, str(addresses[0]), str(addresses[1]), stop_after)
    places = (demo_place.CALLER, demo_place.CALLEE)
    phones = [
        DemoPhone(Credential(user, DOMAIN, password), place.address(at), addresses[0], (450, 800))
        for (user, password), at in zip(USERS.items(), places, strict=True)
    ]
    with await asyncio.to_thread(Process, config) as proxy:
        await asyncio.to_thread(proxy.until, "alpha is up")
        for phone in phones:
            await phone.start()
            assert await phone.registered(PATIENCE)
        await asyncio.to_thread(proxy.until, "registered")
        phones[0].call("1002")
        for phone in phones:
            assert await phone.told(PhoneAnswered, 0.0, PATIENCE) is not None
        yield proxy, phones[0], phones[1]
    for machine in (*phones, pbx):
        await machine.stop()
    place.give_back()


def write(folder: Path, proxy: str, alpha: str, stop_after: str) -> str:
    users = "\n".join(f'  "{user}": {{password: {password}}}' for user, password in USERS.items())
    (folder / "users.yaml").write_text(f"realm: {DOMAIN}\nusers:\n{users}\n")
    (folder / "proxy.yaml").write_text(
        f"proxy: {{domain: {DOMAIN}, sip: {{listen: ['udp:{proxy}']}}, stop_after: {stop_after}}}\n"
        f"users: users.yaml\nbackends: {{alpha: {{sip: 'udp:{alpha}'}}}}\ncontrol: {folder}/c.sock\n"
        "log: {level: debug}\n"
        # The PBX is in the test's own process, which may have to wait for its turn.
        "health: {inter: 1s, downinter: 50ms, timeout: 1s, rise: 1, fall: 20}\n"
    )
    return str(folder / "proxy.yaml")


async def ends(proxy: Process) -> int:
    return await asyncio.to_thread(proxy.process.wait, PATIENCE)


def test_it_ends_when_the_last_call_has(folder: Path, asked: Asked) -> None:
    async def scene() -> None:
        async with talking(folder, "10m") as (proxy, caller, callee):
            proxy.process.send_signal(signal.SIGTERM)
            line = await asyncio.to_thread(proxy.until, "stopping in 600 s")
            assert "2 calls have so long to end" in line  # one from the caller, one to the callee
            status, out, _ = await asyncio.to_thread(asked, "status", "--control", str(folder / "c.sock"), "--json")
            assert status == 0 and 0 < json.loads(out)["stops_in_seconds"] <= 600
            assert not callee.heard_of((PhoneEnded,), 0.0)
            caller.hang_up()
            assert await callee.told(PhoneEnded, 0.0, PATIENCE) is not None
            assert await ends(proxy) == 0

    uvloop.run(scene())


def test_it_hangs_up_what_does_not_end_in_time(folder: Path) -> None:
    async def scene() -> None:
        async with talking(folder, "100ms") as (proxy, caller, callee):
            began_at = monotonic()
            proxy.process.send_signal(signal.SIGTERM)
            for phone in (caller, callee):
                assert await phone.told(PhoneEnded, began_at, PATIENCE) is not None
            await asyncio.to_thread(proxy.until, "2 calls did not end in time and were hung up")
            assert await ends(proxy) == 0

    uvloop.run(scene())
