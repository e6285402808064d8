"""The demonstration's chat: two clients that write to each other all the time, over TLS, and count what arrives."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.embedded.chat_client import ChatClient
from haproxy_voip.embedded.chat_facts import ClientHeard, ClientOffline, ClientOnline, ClientRefused, ClientSaw
from haproxy_voip.embedded.settings import ChatClientSettings
from haproxy_voip.embedded.sockets import Sockets

WRITE_EVERY = 0.050  # seconds
RESOURCE = "demo"


@dataclass(frozen=True, slots=True)
class ChatFigures:
    """What became of the messages that were written in some time, both ways."""

    written: int
    longest_wait: float  # seconds from writing to hearing
    lost: int
    doubled: int


class _Writer:
    """One of the two."""

    def __init__(self, settings: ChatClientSettings, other: str, tls: ssl.SSLContext) -> None:
        self.user = settings.user
        self.client = ChatClient(settings, Chance.system())
        self.other = other  # full address
        self.written: list[float] = []  # when each message was, by number
        self.heard: dict[int, list[float]] = {}  # the other's messages: when each came, by number
        self.facts: list[object] = []  # all but messages
        self.told = asyncio.Event()
        self.sockets = Sockets(self.client, [self._take], tls)

    def write(self) -> None:
        """The next message."""
        number = len(self.written)
        self.written.append(monotonic())
        self.sockets.act(lambda now: self.client.say(self.other, str(number), now))

    def _take(self, fact: object) -> None:
        if isinstance(fact, ClientHeard):
            self.heard.setdefault(int(fact.text), []).append(monotonic())
        else:
            self.facts.append(fact)
        self.told.set()


class DemoChat:
    """See the module. To be made inside the loop it runs on."""

    def __init__(self, proxy: Address, certificate: Path, domain: str, passwords: Mapping[str, str]) -> None:
        """`certificate` is the proxy's, which both trust; `passwords` are those of the two."""
        tls = ssl.create_default_context(cafile=str(certificate))
        users = list(passwords)
        self._writers = [
            _Writer(
                ChatClientSettings(
                    user=user,
                    password=passwords[user],
                    domain=domain,
                    resource=RESOURCE,
                    server=Endpoint(Transport.TCP, proxy),
                ),
                f"{other}@{domain}/{RESOURCE}",
                tls,
            )
            for user, other in zip(users, reversed(users), strict=True)
        ]
        self._writing: asyncio.Task[None] | None = None

    async def start(self, patience: float) -> bool:
        """Log in and begin to write; whether both could within that many seconds."""
        for writer in self._writers:
            await writer.sockets.start(())
            writer.sockets.act(writer.client.connect)
        if not await self._until(lambda one: any(isinstance(fact, ClientOnline) for fact in one.facts), patience):
            return False
        # Each sees the other before anybody writes, so that nothing is kept for later.
        if not await self._until(lambda one: ClientSaw(one.client.jid, one.other, True) in one.facts, patience):
            return False
        self._writing = asyncio.get_running_loop().create_task(self._write())
        return True

    async def settle(self, patience: float) -> None:
        """Write no more, and wait until everything has come or will not."""
        if self._writing is not None:
            self._writing.cancel()
        one, other = self._writers
        await self._until(lambda each: len(each.heard) >= len((other if each is one else one).written), patience)

    async def stop(self) -> None:
        """Log out and close everything."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        for writer in self._writers:
            writer.sockets.act(writer.client.leave)
            await writer.sockets.stop()

    def figures(self, since: float, until: float) -> ChatFigures:
        """Of what was written between these moments (monotonic seconds); what has not come yet waits until now."""
        waits, lost, doubled = [], 0, 0
        one, other = self._writers
        for writer, hearer in ((one, other), (other, one)):
            for number, at in enumerate(writer.written):
                if since <= at <= until:
                    came = hearer.heard.get(number, [])
                    waits.append((came[0] if came else monotonic()) - at)
                    lost += not came
                    doubled += len(came) > 1
        return ChatFigures(len(waits), max(waits, default=0.0), lost, doubled)

    def complaint(self) -> str:
        """What either client has noticed of any trouble; nothing, if all is well."""
        for writer in self._writers:
            for fact in writer.facts:
                if isinstance(fact, ClientOffline):
                    return f"the chat client of {writer.user} was disconnected: {fact.reason}"
                if isinstance(fact, ClientRefused):
                    return f"a message of {writer.user} came back: {fact.condition}"
                if isinstance(fact, ClientSaw) and not fact.available:
                    return f"{writer.user} saw {fact.who} go offline"
        return ""

    async def _write(self) -> None:
        while True:
            for writer in self._writers:
                writer.write()
            await asyncio.sleep(WRITE_EVERY)

    async def _until(self, done: Callable[[_Writer], bool], patience: float) -> bool:
        try:
            async with asyncio.timeout(patience):
                for writer in self._writers:
                    while not done(writer):
                        writer.told.clear()
                        await writer.told.wait()
        except TimeoutError:
            return False
        return True
