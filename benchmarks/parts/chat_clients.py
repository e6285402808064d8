"""Chat clients that cost little: they log in, say things to each other in pairs, and count what arrives."""

from __future__ import annotations

import asyncio
import base64
import secrets
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from haproxy_voip.xmpp.sasl.scram import ClientKey
from haproxy_voip.xmpp.sasl.scram_client import ScramClient, Secret

DOMAIN = "voip.example"
FIRST_USER = 1001
HEADER = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xml:lang='en' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
).encode()
AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{}'>{}</auth>"
RESPONSE = "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</response>"
BIND = "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{}</resource></bind></iq>"
ENABLE = b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
REQUEST = b"<r xmlns='urn:xmpp:sm:3'/>"
PRESENCE = b"<presence/>"
# As clients write it: 250 bytes and a little.
MESSAGE = (
    "<message to='{to}' type='chat' id='{id}'><body>Deny thy father and refuse thy name</body>"
    "<request xmlns='urn:xmpp:receipts'/><active xmlns='http://jabber.org/protocol/chatstates'/></message>"
)
LOGIN_SECONDS = 30.0
QUIET_SECONDS = 20.0  # a load that does not go on for so long is stuck
CLOSE_SECONDS = 5.0


class LoginFailed(Exception):
    """Not logged in; the text is what the other side said."""


class Stuck(Exception):
    """Messages do not arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How to log in, and where."""

    host: str
    port: int
    tls: bool = False
    mechanism: str = "PLAIN"
    managed: bool = False  # XEP-0198, with an acknowledgement asked for after every write
    resource: str = "bench"


class Keys:
    """SCRAM keys of users by mechanism, as clients keep them; deriving one takes milliseconds."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], ClientKey] = {}

    def scram(self, mechanism: str, user: str) -> ScramClient:
        """The next exchange of this user's."""
        kept = self._kept.get((mechanism, user))
        secret = Secret(password(user), () if kept is None else (kept,))
        return ScramClient(mechanism.removeprefix("SCRAM-"), user, secret, secrets.token_hex(12))

    def keep(self, mechanism: str, user: str, key: ClientKey | None) -> None:
        """For the next time."""
        if key is not None:
            self._kept[mechanism, user] = key


class ChatClient(asyncio.Protocol):
    """One connection. `heard` is told how many messages each piece of data brought."""

    transport: asyncio.Transport

    def __init__(self, user: str, way: Way) -> None:
        self.user = user
        self.jid = f"{user}@{DOMAIN}/{way.resource}"
        self.heard: Callable[[int], None] | None = None
        self.lost = False
        self._managed = way.managed
        self._held = b""
        self._count = 0  # stanzas received since XEP-0198 was enabled
        self._more: asyncio.Event = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._more.set()

    def data_received(self, data: bytes) -> None:
        held = self._held + data
        if self.heard is None or not held.endswith(b">"):
            self._held = held
            self._more.set()
            return
        self._held = b""
        messages = held.count(b"</message>")
        if self._managed:
            self._count += messages + held.count(b"<presence") + held.count(b"<iq")
            if b"<r " in held:
                self.transport.write(b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % self._count)
        if messages:
            self.heard(messages)

    def say(self, to: str, count: int, serial: int) -> None:
        """So many messages in one write."""
        said = [MESSAGE.format(to=to, id=f"m{serial + number}").encode() for number in range(count)]
        self.transport.write(b"".join([*said, REQUEST] if self._managed else said))

    async def expect(self, end: bytes) -> bytes:
        """What came up to and with this. Raises LoginFailed."""
        while (at := self._held.find(end)) < 0:
            if self.lost or b"<failure" in self._held or b"<stream:error" in self._held:
                raise LoginFailed(f"{self.user}: {self._held.decode()}")
            self._more.clear()
            await self._more.wait()
        came, self._held = self._held[: at + len(end)], self._held[at + len(end) :]
        return came

    async def log_in(self, way: Way, keys: Keys) -> None:
        """From the header to the first presence. Raises LoginFailed."""
        self.transport.write(HEADER)
        await self.expect(b"</stream:features>")
        await self._authenticate(way.mechanism, keys)
        self.transport.write(HEADER)
        await self.expect(b"</stream:features>")
        self.transport.write(BIND.format(way.resource).encode())
        if b"<jid>" not in (answer := await self.expect(b"</iq>")):
            raise LoginFailed(f"{self.user}: {answer.decode()}")
        if way.managed:
            self.transport.write(ENABLE)
            await self.expect(b"<enabled ")
            await self.expect(b">")
        self.transport.write(PRESENCE)
        self.heard = lambda count: None

    async def _authenticate(self, mechanism: str, keys: Keys) -> None:
        if mechanism == "PLAIN":
            self.transport.write(AUTH.format(mechanism, _plain(self.user)).encode())
            await self.expect(b"<success")
            await self.expect(b">")
            return
        scram = keys.scram(mechanism, self.user)
        self.transport.write(AUTH.format(mechanism, _base64(scram.first())).encode())
        challenge = _text(await self.expect(b"</challenge>"))
        self.transport.write(RESPONSE.format(_base64(scram.server_first(challenge))).encode())
        scram.server_final(_text(await self.expect(b"</success>")))
        keys.keep(mechanism, self.user, scram.client_key)

    async def leave(self) -> None:
        """End the stream, and wait for the other side's end."""
        self.transport.write(b"</stream:stream>")
        async with asyncio.timeout(CLOSE_SECONDS):
            while not self.lost:
                self._more.clear()
                await self._more.wait()


class Clients:
    """Those that are logged in, and how they get there."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.all: list[ChatClient] = []
        self._tls = ssl.create_default_context()
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        self._tls.set_alpn_protocols(["xmpp-client"])

    async def log_in(self, user: str, way: Way) -> ChatClient:
        """One more. Raises LoginFailed, OSError or TimeoutError."""
        client = ChatClient(user, way)
        context = self._tls if way.tls else None
        async with asyncio.timeout(LOGIN_SECONDS):
            await asyncio.get_running_loop().create_connection(
                lambda: client, way.host, way.port, ssl=context, server_hostname=DOMAIN if way.tls else None
            )
            self.all.append(client)
            await client.log_in(way, self.keys)
        return client

    async def log_in_many(self, users: list[str], way: Way, at_once: int = 8) -> list[ChatClient]:
        """All of them, so many at once; in the order of `users`."""
        places = asyncio.Semaphore(at_once)

        async def one(user: str) -> ChatClient:
            async with places:
                return await self.log_in(user, way)

        return await asyncio.gather(*(one(user) for user in users))

    def end(self) -> None:
        """Everybody's connection."""
        for client in self.all:
            client.transport.abort()
        self.all.clear()


@contextmanager
def clients() -> Iterator[Clients]:
    """Until the block ends."""
    made = Clients()
    try:
        yield made
    finally:
        made.end()


class Pairs:
    """Two and two talk: one says `burst` messages in one write, and the next when all of them have arrived."""

    def __init__(self, members: list[ChatClient]) -> None:
        self._pairs = list(zip(members[::2], members[1::2], strict=True))
        self._serial = 0

    async def talk(self, count: int, pairs: int, burst: int = 1) -> int:
        """So many messages in all, by so many pairs at once. Returns how many it were. Raises Stuck."""
        rounds = max(1, count // pairs // burst)
        done = asyncio.get_running_loop().create_future()
        left = pairs
        arrived = 0

        def over() -> None:
            nonlocal left
            left -= 1
            if not left and not done.done():
                done.set_result(None)

        for sender, listener in self._pairs[:pairs]:
            self._begin(sender, listener, rounds, burst, over)
        try:
            async with asyncio.timeout(QUIET_SECONDS + count / 100):
                await done
        except TimeoutError:
            raise Stuck(f"{left} of {pairs} pairs wait for {arrived} of {rounds * burst} messages") from None
        finally:
            for _, listener in self._pairs[:pairs]:
                listener.heard = lambda count: None
        return rounds * burst * pairs

    def _begin(
        self, sender: ChatClient, listener: ChatClient, rounds: int, burst: int, over: Callable[[], None]
    ) -> None:
        missing, said = burst, 1

        def heard(count: int) -> None:
            nonlocal missing, said
            missing -= count
            if missing:
                return
            if said == rounds:
                over()
                return
            missing, said = burst, said + 1
            self._serial += burst
            sender.say(listener.jid, burst, self._serial)

        listener.heard = heard
        self._serial += burst
        sender.say(listener.jid, burst, self._serial)


def user(number: int) -> str:
    """The users' names, from 0."""
    return str(FIRST_USER + number)


def password(name: str) -> str:
    """What this user's secret is."""
    return f"secret{name}"


def _plain(name: str) -> str:
    return _base64(f"\0{name}\0{password(name)}".encode())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _text(element: bytes) -> bytes:
    """The text of the last element in there, out of base64."""
    return base64.b64decode(element[: element.rindex(b"</")].rpartition(b">")[2])
