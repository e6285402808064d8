"""What is negotiated on a connection to the embedded chat server."""

from __future__ import annotations

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.effects import Close, Send
from haproxy_voip.core.events import StreamData, StreamOpened
from haproxy_voip.embedded.chat_server import ChatServer
from haproxy_voip.embedded.settings import ChatServerSettings
from haproxy_voip.xmpp.sasl.scram import to_base64
from tests.embedded.chat_room import DOMAIN, USERS

HEADER = (
    f"<stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
FLOW = Flow(Transport.TCP, Address("192.0.2.20", 5222), Address("192.0.2.9", 4000), 1)
ENABLE = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
BIND = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>home</resource></bind></iq>"


class Wire:
    """A connection on which a test writes what it likes."""

    def __init__(self, **settings: object) -> None:
        wanted = ChatServerSettings(users=USERS, domain=DOMAIN, **settings)  # type: ignore[arg-type]
        self.server = ChatServer(wanted, Chance.seeded(1))
        self.closed = False
        self.server.receive(StreamOpened(FLOW), 0.0)

    def say(self, text: str) -> str:
        """What comes back."""
        outputs = self.server.receive(StreamData(text.encode(), FLOW), 0.0)
        self.closed = self.closed or Close(FLOW) in outputs
        return b"".join(output.data for output in outputs if isinstance(output, Send)).decode()

    def log_in(self, password: str = USERS["alice"]) -> str:
        """By PLAIN."""
        self.say(HEADER)
        plain = to_base64(f"\0alice\0{password}".encode())
        return self.say(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>")


def test_login_bind_and_stream_management() -> None:
    wire = Wire()
    assert "<success" in wire.log_in()
    features = wire.say(HEADER)
    assert "urn:xmpp:csi:0" in features and "urn:xmpp:sm:3" in features
    assert f"alice@{DOMAIN}/home" in wire.say(BIND)
    enabled = wire.say(ENABLE)
    assert "<enabled" in enabled and "resume='true'" in enabled
    wire.say("<presence/>")
    assert wire.say("<r xmlns='urn:xmpp:sm:3'/>") == "<a xmlns='urn:xmpp:sm:3' h='1'/>"
    assert wire.server.logins == 1


def test_a_wrong_password_is_refused() -> None:
    assert "<not-authorized" in Wire().log_in("wrong")


def test_a_session_that_is_not_known_is_not_resumed() -> None:
    wire = Wire()
    wire.log_in()
    wire.say(HEADER)
    assert "item-not-found" in wire.say("<resume xmlns='urn:xmpp:sm:3' previd='never heard of' h='0'/>")


def test_a_server_that_is_not_to_resume_does_not_promise_to() -> None:
    wire = Wire(resumable=0.0)
    wire.log_in()
    wire.say(HEADER)
    wire.say(BIND)
    assert "resume" not in wire.say(ENABLE)


def test_an_acknowledgement_of_what_was_never_sent_ends_the_stream() -> None:
    """XEP-0198 section 4."""
    wire = Wire()
    wire.log_in()
    wire.say(HEADER)
    wire.say(BIND)
    wire.say(ENABLE)
    assert "handled-count-too-high" in wire.say("<a xmlns='urn:xmpp:sm:3' h='5'/>")
    assert wire.closed and wire.server.sessions == {}


def test_who_speaks_for_somebody_else_is_disconnected() -> None:
    """RFC 6120 section 8.1.2.1."""
    wire = Wire()
    wire.log_in()
    wire.say(HEADER)
    wire.say(BIND)
    assert "invalid-from" in wire.say(
        f"<message from='bob@{DOMAIN}' to='carol@{DOMAIN}'><body>it is me</body></message>"
    )
    assert wire.closed


def test_the_closing_tag_is_answered_and_ends_the_session() -> None:
    wire = Wire()
    wire.log_in()
    wire.say(HEADER)
    wire.say(BIND)
    assert wire.say("</stream:stream>") == "</stream:stream>"
    assert wire.closed and wire.server.sessions == {} and wire.server.links == {}
