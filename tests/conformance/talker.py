"""Somebody at the proxy who writes byte for byte what the test says, beside clients that behave."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path

from haproxy_voip.configuration.model import ProxyConfig, TlsConfig, XmppConfig
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.events import StreamClosed, StreamData, StreamOpened
from haproxy_voip.xmpp.element import Element, parse_element
from tests.proxy.chat.client import Client
from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import PROXY, Stage, config

SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
STREAMS = "http://etherx.jabber.org/streams"
HEADER = f"<stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='{STREAMS}'>"
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
SM = "xmlns='urn:xmpp:sm:3'"
CLOSING = b"</stream:stream>"
ABOUT_STREAMS = "urn:ietf:params:xml:ns:xmpp-streams"

_ID = re.compile(rb"<stream:stream [^>]*\bid='([^']*)'")


def stage_with_tls() -> Stage:
    """One that has certificates, so that STARTTLS is required and passwords may be shown."""
    tls = TlsConfig(certificate=Path("certificate"), key=Path("key"))
    xmpp = XmppConfig(listen=(Endpoint(Transport.TCP, PROXY),))
    return Stage(config(proxy=ProxyConfig(domain=DOMAIN, tls=tls, xmpp=xmpp)))


def auth(name: str, password: str, authzid: str = "") -> str:
    """A login with a password."""
    said = b64encode(f"{authzid}\0{name}\0{password}".encode()).decode()
    return f"<auth {SASL} mechanism='PLAIN'>{said}</auth>"


def bind(resource: str = "") -> str:
    inside = f"<resource>{resource}</resource>" if resource else ""
    return f"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{inside}</bind></iq>"


class Handshake:
    """What the stage tells of TLS; there is nothing to do."""

    def tls_started(self, *_: object) -> list[object]:
        return []


@dataclass(eq=False)
class Talker:
    """See the module. `says` returns what it was told since it last spoke."""

    stage: Stage
    said: bytearray = field(default_factory=bytearray)  # by the proxy, all of it
    header: str = HEADER
    name: str = "stranger"
    ended: bool = False
    cut: bool = False
    paused: bool = False
    inbox: list[object] = field(default_factory=list)  # the stage empties it
    stream: Handshake = field(default_factory=Handshake)

    def __post_init__(self) -> None:
        self.stage._numbers += 2
        number = self.stage._numbers
        self.flow = Flow(Transport.TCP, PROXY, Address("192.0.2.66", 40_000 + number), number)
        self.stage.clients[number] = self  # type: ignore[assignment]
        self.stage.feed(StreamOpened(self.flow))

    # -- as far as the test wants it ----------------------------------------------------------------

    @classmethod
    def secured(cls, stage: Stage, header: str = HEADER) -> Talker:
        """Encrypted, and told what there is to log in by."""
        talker = cls(stage, header=header)
        talker.says(header)
        talker.says(STARTTLS)
        talker.says(header)
        return talker

    @classmethod
    def logged_in(cls, stage: Stage, name: str, header: str = HEADER) -> Talker:
        """And has told who it is; it may bind."""
        talker = cls.secured(stage, header)
        assert b"<success" in talker.says(auth(name, stage.passwords[name])), talker.said
        talker.name = name
        talker.says(header)
        return talker

    @classmethod
    def bound(cls, stage: Stage, name: str, resource: str = "home", header: str = HEADER) -> Talker:
        """And has a session."""
        talker = cls.logged_in(stage, name, header)
        assert b"<jid>" in talker.says(bind(resource)), talker.said
        return talker

    # -----------------------------------------------------------------------------------------------

    def says(self, *words: str | bytes) -> bytes:
        """Each in one piece."""
        before = len(self.said)
        for word in words:
            if not self.ended:
                self.stage.feed(StreamData(word.encode() if isinstance(word, str) else word, self.flow))
        return bytes(self.said[before:])

    def hears(self, seconds: float = 0.0) -> bytes:
        """What it is told in that time."""
        before = len(self.said)
        self.stage.run(seconds)
        return bytes(self.said[before:])

    def breaks_off(self) -> None:
        """Its connection is lost."""
        self.cut = True
        self.stage.feed(StreamClosed(self.flow, "connection reset"))

    def receive(self, data: bytes) -> None:
        self.said += data

    def perform(self, outputs: list[object]) -> None:
        """What the stage tells of TLS came to nothing."""

    # -- what it was told ---------------------------------------------------------------------------

    @property
    def stream_ids(self) -> list[bytes]:
        """Of every header it got."""
        return _ID.findall(self.said)

    @property
    def error(self) -> Element | None:
        """The stream error that ended it, if one did: nothing may follow but the closing tag."""
        _, found, tail = bytes(self.said).rpartition(b"<stream:error>")
        if not found:
            return None
        assert self.ended and tail.endswith(b"</stream:error>" + CLOSING), tail
        assert self.flow.connection not in self.stage.chat.shared.legs
        return parse_element(found + tail.removesuffix(CLOSING))

    @property
    def condition(self) -> str:
        """Its condition (RFC 6120 section 4.9.3)."""
        error = self.error
        assert error is not None, self.said
        [condition] = [one.name for one in error.children if one.namespace == ABOUT_STREAMS and one.name != "text"]
        return condition


def unharmed(alice: Client, bob: Client) -> None:
    """They can still talk, whatever somebody else did."""
    bob.take()
    alice.say(bob.jid, "unharmed?")
    alice.stage.run(0.1)
    assert bob.said()[-1:] == ["unharmed?"] and not alice.ended


def tidy_up(stage: Stage) -> None:
    """Nothing is left of those who are not the good pair."""
    for talker in list(stage.clients.values()):
        if isinstance(talker, Talker) and not talker.ended and not talker.cut:
            talker.breaks_off()
    for name in ("carol", "dave"):
        for session in stage.chat.shared.sessions.of(f"{name}@{DOMAIN}"):
            stage.carry_out(stage.chat._step_over(session.end("the test is over", stage.now)))  # type: ignore[arg-type]
    stage.run(3.0)
    for server in stage.servers.values():
        server.offline.clear()
        server.handled.clear()
