"""A phone of the demonstration: the embedded phone on real sockets, with audio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TypeVar

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.embedded.audio import AudioEnd
from haproxy_voip.embedded.facts import Output, PhoneAnswered, PhoneEnded, PhoneMediaChanged, PhoneRegistered
from haproxy_voip.embedded.phone import Phone
from haproxy_voip.embedded.phone_call import PhoneCall
from haproxy_voip.embedded.settings import PhoneSettings
from haproxy_voip.embedded.sockets import Sockets

Fact = TypeVar("Fact")

RTP_PORT = 4000
EXPIRES = 120  # seconds


class DemoPhone:
    """See the module. Facts come with the time (monotonic seconds) at which they were told."""

    def __init__(self, account: Credential, address: Address, proxy: Address, tones: tuple[int, int]) -> None:
        """The account's realm is the proxy's domain; `tones` are what it sends and what it listens for, Hz."""
        settings = PhoneSettings(
            user=account.user,
            password=account.password or "",
            domain=account.realm,
            server=Endpoint(Transport.UDP, proxy),
            address=address,
            media=Address(address.host, RTP_PORT),
            expires=EXPIRES,
            answer_after=0.0,
        )
        chance = Chance.system()
        self.user = account.user
        self.phone = Phone(settings, chance)
        self.audio = AudioEnd(settings.audio, *tones, chance.below(1 << 32))
        self.facts: list[tuple[float, object]] = []
        self._told = asyncio.Event()
        self._sockets = Sockets(self.phone, [self._take])

    async def start(self) -> None:
        """Bind and register."""
        await self._sockets.start([self.phone.settings.listen])
        await self.audio.start()
        self._sockets.act(self.phone.register)

    async def stop(self) -> None:
        """Close everything."""
        self.audio.stop()
        await self._sockets.stop()

    def call(self, callee: str) -> None:
        """Call."""
        self._sockets.act(lambda now: self.phone.call(callee, now))

    def hang_up(self) -> None:
        """End every call."""
        self._each(self.phone.hang_up)

    def hold(self) -> None:
        """Put every call on hold."""
        self._each(self.phone.hold)

    def resume(self) -> None:
        """Take them off hold."""
        self._each(self.phone.resume)

    def unregister(self) -> None:
        """Take the registration back."""
        self._sockets.act(self.phone.unregister)

    async def told(self, kind: type[Fact], after: float, patience: float) -> tuple[float, Fact] | None:
        """The first such fact after a moment, waited for; None when it does not come in time."""
        try:
            async with asyncio.timeout(patience):
                while True:
                    for at, fact in self.facts:
                        if at >= after and isinstance(fact, kind):
                            return at, fact
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            return None

    async def registered(self, patience: float) -> bool:
        """Whether it is registered, waited for."""
        return await self.told(PhoneRegistered, 0.0, patience) is not None

    def heard_of(self, kinds: tuple[type, ...], after: float) -> bool:
        """Whether there was such a fact after a moment."""
        return any(at >= after and isinstance(fact, kinds) for at, fact in self.facts)

    def _each(self, action: Callable[[PhoneCall, float], Sequence[Output]]) -> None:
        def command(now: float) -> Sequence[Output]:
            return [output for call in list(self.phone.calls.values()) for output in action(call, now)]

        self._sockets.act(command)

    def _take(self, fact: object) -> None:
        self.facts.append((monotonic(), fact))
        match fact:
            case PhoneAnswered():
                self.audio.remote = fact.media
            case PhoneMediaChanged():
                self.audio.remote = fact.media if fact.sends else None
            case PhoneEnded():
                self.audio.remote = next((call.media.remote for call in self.phone.calls.values() if call.up), None)
        self._told.set()
