"""A client in a test: what it says to our stream, and what it is told."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field

from haproxy_voip.core.chance import Chance
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.outputs import Ended, TlsInfo, Write
from haproxy_voip.xmpp.sasl.scram import derive_keys
from haproxy_voip.xmpp.server_stream import ServerOutput, ServerPolicy, ServerStream, State

JULIET = Jid("juliet", "im.example.com")
CLIENT_KEY, KEYS = derive_keys("r0m30myr0m30", "SHA-256", b"0123456789abcdef", 4096)
AUTH = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='%b'>%b</auth>"
PLAIN = AUTH % (b"PLAIN", b64encode(b"\0juliet\0r0m30myr0m30"))
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
HEADER = (
    b"<?xml version='1.0'?><stream:stream from='juliet@im.example.com' to='im.example.com' version='1.0' "
    b"xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
CLOSING = b"</stream:stream>"
BIND = b"<iq id='tn281v37' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>%b</bind></iq>"


def policy(**changes: object) -> ServerPolicy:
    known = {"domains": frozenset({"im.example.com", "other.example"}), "fake_secret": b"node"}
    return ServerPolicy(**(known | changes))  # type: ignore[arg-type]


@dataclass
class Client:
    """Talks to a stream of its own, at time 0 unless told otherwise."""

    stream: ServerStream
    asked: list[ServerOutput] = field(default_factory=list)  # everything but Write, in order
    last: bytes = b""  # what the last step wrote

    @classmethod
    def connected(cls, tls: bool = False, endpoint_hash: bytes | None = None, **changes: object) -> Client:
        return cls(ServerStream(policy(**changes), Chance.seeded(1), 0.0, TlsInfo(endpoint_hash) if tls else None))

    @classmethod
    def authenticated(cls, **changes: object) -> Client:
        client = cls.connected(tls=True, **changes)
        client.says(HEADER + PLAIN)
        client.told(client.stream.accept())
        client.says(HEADER)
        return client

    @classmethod
    def established(cls, **changes: object) -> Client:
        client = cls.authenticated(**changes)
        client.says(BIND % b"")
        client.told(client.stream.bound(JULIET.with_resource("balcony")))
        client.asked.clear()
        return client

    def says(self, data: bytes, now: float = 0.0) -> bytes:
        return self.told(self.stream.received(data, now))

    def told(self, outputs: list[ServerOutput]) -> bytes:
        """The bytes among these outputs; the others are kept."""
        self.asked += [output for output in outputs if not isinstance(output, Write)]
        self.last = b"".join(output.data for output in outputs if isinstance(output, Write))
        return self.last


def ended(client: Client) -> Ended:
    assert isinstance(client.asked[-1], Ended) and client.stream.state is State.ENDED
    assert client.stream.deadline is None and client.says(b"<presence/>") == b""
    return client.asked[-1]


def condition(client: Client) -> str:
    """The stream error the client was told, which is also what the owner hears."""
    error = ended(client).error
    assert error is not None and client.asked
    return str(error.condition)
