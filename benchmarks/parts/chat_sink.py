"""The least that a chat server can be: takes everybody, passes messages on, acknowledges. Nothing is checked or kept.

    python benchmarks/parts/chat_sink.py PORT HOST [HOST...]

A real server takes 60 us and more for a message and would hide what is before it. Every host is a server of its own
that knows nothing of the others. It understands only what the proxy and the benchmark's own clients write.
"""

from __future__ import annotations

import asyncio
import base64
import re
import sys

import uvloop

DOMAIN = "voip.example"
HEADER = (
    f"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    f"from='{DOMAIN}' id='sink' version='1.0'>"
).encode()
BEFORE = (
    b"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"
    b"</stream:features>"
)
AFTER = (
    b"<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>"
)
SUCCESS = b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
BOUND = "<iq type='result' id='{id}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{jid}</jid></bind></iq>"
ENABLED = b"<enabled xmlns='urn:xmpp:sm:3' id='sink' resume='true'/>"
REQUEST = b"<r xmlns='urn:xmpp:sm:3'/>"

# Everything that may be at the top of a stream. What does not match yet has not arrived as a whole.
ITEM = re.compile(
    rb"<(?:(message)\b.*?</message>|(r) [^>]*/>|(a) [^>]*/>|(iq)\b.*?</iq>|(presence)\b(?:[^>]*/>|.*?</presence>)"
    rb"|(enable)\b[^>]*/>|(auth)\b.*?</auth>|(stream:stream)\b[^>]*>)|</(stream:stream)>",
    re.DOTALL,
)
TO = re.compile(rb" to=['\"]([^'\"]*)")
ID = re.compile(rb" id=['\"]([^'\"]*)")
RESOURCE = re.compile(rb"<resource>([^<]*)")
STANZAS = frozenset({b"message", b"iq", b"presence"})

Sessions = dict[bytes, "Session"]


class Session(asyncio.Protocol):
    """One client, or the proxy for one."""

    transport: asyncio.Transport

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._held = b""
        self._user = ""
        self._jid = b""
        self._count = 0  # stanzas received
        self._managed = False  # XEP-0198 is enabled
        self._asked = False
        self._writes: list[bytes] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sessions.get(self._jid) is self:
            del self._sessions[self._jid]

    def data_received(self, data: bytes) -> None:
        held, at = self._held + data, 0
        reached: dict[Session, None] = {}
        for item in ITEM.finditer(held):
            at = item.end()
            name = item[item.lastindex or 0]
            if name == b"message":
                self._count += 1
                self._pass_on(item[0], reached)
            else:
                self._take(name, item[0])
        self._held = held[at:]
        for session in reached:
            session.flush(ask=True)
        self.flush(ask=False)

    def flush(self, *, ask: bool) -> None:
        """Write what has gathered; asked for an acknowledgement once behind all of it, as servers do."""
        if not self._writes:
            return
        if ask and self._managed and not self._asked:
            self._asked = True
            self._writes.append(REQUEST)
        self.transport.write(b"".join(self._writes))
        self._writes.clear()

    def _pass_on(self, raw: bytes, reached: dict[Session, None]) -> None:
        to = TO.search(raw)
        other = None if to is None else self._sessions.get(to[1])
        if other is not None:
            other._writes.append(b"<message from='%b'%b" % (self._jid, raw[len(b"<message") :]))
            reached[other] = None

    def _take(self, name: bytes, raw: bytes) -> None:
        write = self._writes.append
        self._count += name in STANZAS
        match name:
            case b"r":
                write(b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % self._count)
            case b"a":
                self._asked = False
            case b"iq":
                write(self._bind(raw))
            case b"enable":
                self._managed, self._count = True, 0
                write(ENABLED)
            case b"auth":
                secret = base64.b64decode(raw.partition(b">")[2].partition(b"<")[0])
                self._user = secret.split(b"\0")[1].decode()
                write(SUCCESS)
            case b"stream:stream" if raw.startswith(b"</"):
                self.transport.write(b"".join(self._writes) + b"</stream:stream>")
                self._writes.clear()
                self.transport.close()
            case b"stream:stream":
                write(HEADER + (AFTER if self._user else BEFORE))

    def _bind(self, raw: bytes) -> bytes:
        id = ID.search(raw)
        said = "" if id is None else id[1].decode()
        resource = RESOURCE.search(raw)
        if resource is None:
            return f"<iq type='result' id='{said}'/>".encode()
        jid = f"{self._user}@{DOMAIN}/{resource[1].decode()}"
        self._jid = jid.encode()
        self._sessions[self._jid] = self
        return BOUND.format(id=said, jid=jid).encode()


async def serve(port: int, hosts: list[str]) -> None:
    """For ever."""
    loop = asyncio.get_running_loop()
    for host in hosts:
        sessions: Sessions = {}
        await loop.create_server(lambda known=sessions: Session(known), host, port, backlog=1024)  # type: ignore[misc]
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2:]))
