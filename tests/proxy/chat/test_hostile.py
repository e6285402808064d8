"""Clients that mean harm: a stream error by the book, memory within bounds, and nobody else notices."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.events import StreamData, StreamOpened
from haproxy_voip.proxy.chat.captured import MAX_DIRECTED
from haproxy_voip.proxy.chat.outgoing import MAX_WAITING
from haproxy_voip.proxy.chat.rooms import MAX_ROOMS
from haproxy_voip.xmpp.framing import MAX_STANZA_BYTES
from haproxy_voip.xmpp.sasl.scram import to_base64
from tests.proxy.chat.server import DOMAIN, ROOMS
from tests.proxy.chat.stage import PROXY, Client, Stage

HEADER = (
    f"<stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
LAUGHS = (
    "<!DOCTYPE lolz [<!ENTITY lol 'lol'>"
    + "".join(f"<!ENTITY lol{n} '{f'&lol{n - 1 or str()};' * 10}'>" for n in range(1, 10))
    + "]>"
)
MANY_ATTRIBUTES = " ".join(f"a{n}=''" for n in range(1_000))
MEGABYTE = 2**20
# What one client may cost while it does its worst. Measured at half of it.
MOST_BYTES = 12 * MEGABYTE


@dataclass(eq=False)
class Intruder:
    """A connection on which anything is written. Stands among the stage's clients."""

    stage: Stage
    number: int
    said: bytearray = field(default_factory=bytearray)  # by the proxy
    ended: bool = False
    cut: bool = False
    paused: bool = False

    def __post_init__(self) -> None:
        self.flow = Flow(Transport.TCP, PROXY, Address("192.0.2.66", 666), self.number)
        self.stage.clients[self.number] = self  # type: ignore[assignment]
        self.stage.feed(StreamOpened(self.flow))

    def write(self, data: str | bytes) -> None:
        if not self.ended:
            self.stage.feed(StreamData(data.encode() if isinstance(data, str) else data, self.flow))

    def receive(self, data: bytes) -> None:
        self.said += data

    def told(self, condition: str) -> bool:
        """Whether the stream was ended with this error, and nothing is left of it."""
        element = f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>".encode()
        over = self.ended and self.said.endswith(b"</stream:stream>")
        return element in self.said and over and self.number not in self.stage.chat.shared.legs


@pytest.fixture
def stage() -> Iterator[Stage]:
    """In the end the others can still talk, whatever happened."""
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    yield stage
    alice.say(bob.jid, "unharmed?")
    stage.run(0.1)
    assert bob.said()[-1:] == ["unharmed?"] and not alice.ended


def grown(stage: Stage, act: object) -> int:
    """How many bytes more are held at the worst moment."""
    assert callable(act)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        act()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


# -- before the login ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        pytest.param(LAUGHS + HEADER, "restricted-xml", id="entities that multiply"),
        pytest.param(f"<?xml version='1.0'?>{LAUGHS}{HEADER}", "restricted-xml", id="the same behind a declaration"),
        pytest.param(f"{HEADER}<auth {SASL}>&xxe;</auth>", "restricted-xml", id="an entity nobody declared"),
        pytest.param(f"{HEADER}<!-- hello -->", "restricted-xml", id="a comment"),
        pytest.param(f"{HEADER}<?php hello?>", "restricted-xml", id="an instruction"),
        pytest.param(f"{HEADER}<a></b>", "not-well-formed", id="tags that do not match"),
        pytest.param(f"{HEADER}<a b='1' b='2'/>", "not-well-formed", id="an attribute twice"),
        pytest.param("GET / HTTP/1.1\r\n\r\n", "not-well-formed", id="another protocol"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", "not-well-formed", id="TLS where it was not asked for"),
        pytest.param(HEADER.encode() + b"<a>\xff\xfe</a>", "unsupported-encoding", id="no UTF-8"),
        pytest.param(HEADER.replace("jabber:client", "jabber:server"), "invalid-namespace", id="a server's namespace"),
        pytest.param(HEADER.replace("etherx", "ethery"), "invalid-namespace", id="a namespace nobody knows"),
        pytest.param(HEADER.replace(DOMAIN, "elsewhere.test"), "host-unknown", id="a domain that is not ours"),
        pytest.param(HEADER.replace(" version='1.0'", ""), "unsupported-version", id="no version"),
        pytest.param(f"{HEADER}<message to='bob@{DOMAIN}'><body>hi</body></message>", "not-authorized", id="no login"),
        pytest.param(f"{HEADER}{HEADER}", "bad-format", id="a second header without a login"),
        pytest.param(HEADER + "<a>" * 5_000, "policy-violation", id="a deep nest"),
        pytest.param(f"{HEADER}<a {MANY_ATTRIBUTES}/>", "policy-violation", id="attributes"),
        pytest.param(f"{HEADER}<auth {SASL}>{'A' * 20_000}", "policy-violation", id="a stanza that never ends"),
        pytest.param(f"<stream:stream to='{'a' * 20_000}", "policy-violation", id="a header that never ends"),
    ],
)
def test_who_breaks_the_rules_before_the_login_is_told_which_and_disconnected(
    stage: Stage, data: str | bytes, condition: str
) -> None:
    """RFC 6120 sections 4.9.3, 11 and 13.12."""
    whole, dribbled = Intruder(stage, 901), Intruder(stage, 903)
    whole.write(data)
    assert whole.told(condition), whole.said
    raw = data.encode() if isinstance(data, str) else data
    for at in range(0, len(raw), 7):
        dribbled.write(raw[at : at + 7])
    assert dribbled.told(condition), dribbled.said


def test_a_token_that_comes_byte_by_byte_is_looked_at_once_a_byte(stage: Stage) -> None:
    """expat 2.5 alone would begin the tag anew at each byte."""
    intruder = Intruder(stage, 901)
    intruder.write(HEADER)
    framer = stage.chat.shared.legs[901].stream._inbox.framer  # type: ignore[attr-defined]
    intruder.write(f"<auth {SASL} mechanism='")
    fed = framer._fed
    for _ in range(5_000):
        intruder.write("A")
    assert framer._fed == fed  # the parser has not seen one of them
    intruder.write("'/>")
    assert b"<invalid-mechanism" in intruder.said and not intruder.ended


@pytest.mark.parametrize("keeps_busy", [False, True])
def test_who_does_not_log_in_within_a_minute_is_disconnected(stage: Stage, keeps_busy: bool) -> None:
    intruder = Intruder(stage, 901)
    intruder.write(HEADER)
    for _ in range(61):
        stage.run(1.0)
        if keeps_busy:
            intruder.write(" ")
    assert intruder.told("connection-timeout")


def test_passwords_are_not_guessed_for_long(stage: Stage) -> None:
    """RFC 6120 section 6.4.5."""
    intruder = Intruder(stage, 901)
    intruder.write(HEADER)
    for _ in range(6):
        intruder.write(f"<auth {SASL} mechanism='SCRAM-SHA-1'>{to_base64(b'n,,n=alice,r=nonce')}</auth>")
        intruder.write(f"<response {SASL}>{to_base64(b'c=biws,r=guess,p=Z3Vlc3M=')}</response>")
    assert intruder.told("policy-violation")
    assert intruder.said.count(b"<failure") == 5


@pytest.mark.parametrize(
    "payload", ["=", "====", "\x00", "AAAA", "A" * 5_000, to_base64(b"\xff\xfe"), to_base64(b"n,,")]
)
def test_what_is_no_login_is_refused_as_one(stage: Stage, payload: str) -> None:
    intruder = Intruder(stage, 901)
    intruder.write(HEADER)
    intruder.write(f"<auth {SASL} mechanism='SCRAM-SHA-256'>{payload}</auth>")
    assert b"<failure" in intruder.said or intruder.ended


def test_many_who_never_finish_anything_cost_little(stage: Stage) -> None:
    def crowd() -> None:
        for number in range(1_001, 2_001, 2):
            intruder = Intruder(stage, number)
            intruder.write(HEADER)
            intruder.write(f"<auth {SASL} mechanism='{'A' * 9_000}")

    assert grown(stage, crowd) < 500 * 40_000
    stage.run(61.0)
    assert not [number for number in stage.chat.shared.legs if 1_000 < number < 3_000]


# -- after the login ----------------------------------------------------------------------------------


@pytest.fixture
def mallory(stage: Stage) -> Client:
    """A user like others."""
    return stage.client("dave")


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        pytest.param(f"<message from='alice@{DOMAIN}/home' to='bob@{DOMAIN}'/>", "invalid-from", id="a forged sender"),
        pytest.param(f"<iq from='{DOMAIN}' type='get' id='1'/>", "invalid-from", id="in the server's name"),
        pytest.param("<message from='@@' to='x'/>", "invalid-from", id="a sender that is no address"),
        pytest.param("<message xmlns='jabber:server'/>", "invalid-namespace", id="a server's stanza"),
        pytest.param("<unheard xmlns='urn:of'/>", "unsupported-stanza-type", id="an element nobody knows"),
        pytest.param("<a xmlns='urn:xmpp:sm:3' h='4000000000'/>", "undefined-condition", id="never so many were sent"),
        pytest.param("<a xmlns='urn:xmpp:sm:3' h='-1'/>", "bad-format", id="fewer than none"),
        pytest.param("text between stanzas", "bad-format", id="text between stanzas"),
        pytest.param(HEADER, "bad-format", id="a stream in the stream"),
        pytest.param("<message>" + "<a>" * 500, "policy-violation", id="a deep nest"),
        pytest.param("<message><body>" + "A" * MAX_STANZA_BYTES, "policy-violation", id="a stanza that never ends"),
        pytest.param(b"<message><body>\xc3\x28</body></message>", "unsupported-encoding", id="no UTF-8"),
    ],
)
def test_who_breaks_the_rules_after_the_login_loses_its_session(
    stage: Stage, mallory: Client, data: str | bytes, condition: str
) -> None:
    mallory.send(data)
    assert mallory.ended and mallory.error is not None and mallory.error.condition == condition
    assert mallory.jid not in stage.chat.shared.sessions.by_jid
    stage.run(3.0)
    assert mallory.jid not in stage.alpha.sessions


def test_somebody_elses_session_is_not_to_be_had(stage: Stage, mallory: Client) -> None:
    """Not even by who knows its name, XEP-0198 section 5."""
    alice = next(one for one in stage.clients.values() if one.name == "alice")
    mallory.resumable = alice.resumable
    again = stage.come_back(mallory)
    assert not again.resumed and again.jid.startswith("dave@") and not alice.ended


def test_a_flood_of_messages_stops_being_read_and_hinders_nobody(stage: Stage, mallory: Client) -> None:
    """A server that does not keep up is the worst case."""
    bob = next(one for one in stage.clients.values() if one.name == "bob")
    stage.freeze("alpha")

    def flood() -> None:
        for number in range(5_000):
            if not mallory.paused:
                mallory.say(f"bob@{DOMAIN}", f"{number} {'spam' * 500}")

    assert grown(stage, flood) < MOST_BYTES
    assert mallory.paused and mallory.count < 2 * MAX_WAITING
    stage.run(1.0)
    assert len(bob.said()) == mallory.count and not mallory.paused


@pytest.mark.parametrize(
    "stanza",
    [
        pytest.param("<message to='nobody{n}@chat.test' id='{n}'><body>{filling}</body></message>", id="messages"),
        pytest.param(
            "<iq to='bob@chat.test/home' type='get' id='{n}'><query xmlns='x'>{filling}</query></iq>", id="iqs"
        ),
        pytest.param("<presence to='nobody{n}@chat.test'><status>{filling}</status></presence>", id="presence"),
        pytest.param(
            "<presence to='room{n}@rooms.chat.test/x'><x xmlns='http://jabber.org/protocol/muc'/>"
            "<status>{filling}</status></presence>",
            id="rooms",
        ),
    ],
)
def test_large_stanzas_by_the_hundred_cost_no_more_than_a_few(stage: Stage, mallory: Client, stanza: str) -> None:
    """What is remembered of each is bounded by its number and by its bytes."""
    filling = "A" * 100_000
    stage.alpha.handled = Forgetful()

    def flood() -> None:
        for number in range(200):
            mallory.send(stanza.format(n=number, filling=filling))
            mallory.inbox.clear()
            mallory.sent.clear()
            stage.alpha.rooms.by_address.clear()
            for client in stage.clients.values():
                client.inbox.clear()

    assert grown(stage, flood) < MOST_BYTES


class Forgetful(list[object]):
    """The server of the test keeps everything; here it shall not count."""

    def append(self, item: object) -> None:
        pass


def test_what_is_captured_for_a_failover_has_its_limits(stage: Stage, mallory: Client) -> None:
    for number in range(2 * MAX_DIRECTED):
        mallory.send(f"<presence to='nobody{number}@{DOMAIN}'/>")
        mallory.join(f"room{number}")
    captured = stage.session(mallory).traffic.captured
    assert len(captured.directed) == MAX_DIRECTED and len(captured.rooms) == MAX_ROOMS
    stage.kill("alpha")
    stage.run(30.0)
    assert stage.backend_of(mallory) == "beta"
    assert f"room0@{ROOMS}" in stage.beta.rooms.by_address


def test_whoever_reads_nothing_is_given_up(stage: Stage, mallory: Client) -> None:
    alice = next(one for one in stage.clients.values() if one.name == "alice")
    mallory.acknowledges = False

    def flood() -> None:
        for number in range(600):
            alice.say(mallory.jid, f"{number} {'A' * 20_000}")
            alice.inbox.clear()
            mallory.inbox.clear()
            stage.alpha.handled.clear()

    assert grown(stage, flood) < 3 * MOST_BYTES  # the test's server keeps what it sent as well
    assert mallory.error is not None and mallory.error.condition == "policy-violation"


# -- a server that errs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"<a></b>", b"<message>" + b"<a>" * 500, LAUGHS.encode(), b"\xff", b"<a xmlns='urn:xmpp:sm:3' h='9999'/>"]
)
def test_a_server_that_breaks_the_rules_is_told_and_the_client_does_not_notice(
    stage: Stage, mallory: Client, data: bytes
) -> None:
    link = stage.alpha.sessions[mallory.jid].link
    assert link is not None
    link.write(data)
    stage.run(2.0)
    assert not mallory.ended and stage.session(mallory).residence.active is not None
