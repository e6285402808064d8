"""Chat leaves nothing to the garbage collector, which does not run in production (commands/serve.py).

Only the node is looked at: what it is told is written out beforehand, what it says is thrown away.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.events import StreamClosed, StreamData, StreamOpened
from haproxy_voip.proxy.chat.session import Session
from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import PROXY, Stage

TIMES = 50
# Objects of the interpreter's own, whatever is done and how often.
NOISE = 10
HEADER = (
    f"<stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
STRANGERS = [
    "</stream:stream>",
    "<a></b>",
    "<!DOCTYPE a>",
    "<message/>",
    "text",
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='UNHEARD-OF'/>",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biwsbj1hbGljZSxyPW4=</auth><a>",
]


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    gc.enable()


def garbage_of(act: Callable[[int], None]) -> int:
    """Objects that only the collector would find, after so many times."""
    act(0)
    gc.collect()
    gc.disable()
    for number in range(1, TIMES + 1):
        act(number)
    return gc.collect()


@pytest.mark.parametrize("said", STRANGERS)
def test_strangers_who_come_and_go_leave_nothing(stage: Stage, said: str) -> None:
    """Whatever they say, and wherever in it they are cut off."""

    def visit(number: int) -> None:
        flow = Flow(Transport.TCP, PROXY, Address("192.0.2.66", 666), 2 * number + 901)
        for event in (
            StreamOpened(flow),
            StreamData(HEADER.encode(), flow),
            StreamData(said.encode(), flow),
            StreamClosed(flow, "gone"),
        ):
            stage.node.receive(event, stage.now)

    assert garbage_of(visit) < NOISE
    assert stage.chat.shared.legs.keys().isdisjoint(range(901, 1101))


@pytest.mark.parametrize(
    "stanza",
    [
        "<presence><status>number {n}</status></presence>",
        "<presence to='bob@chat.test/x'/>",
        "<presence to='room@rooms.chat.test/x'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
        "<message to='bob@chat.test' id='{n}'><body>hi</body></message>",
        "<iq to='bob@chat.test/x' id='{n}' type='get'><query xmlns='x'/></iq>",
        "<iq id='{n}' type='get'><query xmlns='jabber:iq:roster'/></iq>",
    ],
)
def test_what_a_client_says_leaves_nothing(stage: Stage, stanza: str) -> None:
    alice = stage.client("alice")
    flow = alice.flow

    def say(number: int) -> None:
        stage.node.receive(StreamData(stanza.format(n=number).encode(), flow), stage.now)

    assert garbage_of(say) < NOISE


@pytest.mark.parametrize(
    "stanza",
    [
        "<presence from='bob@chat.test/{n}'/>",
        "<presence from='bob@chat.test/x' type='unavailable'/>",
        "<message from='bob@chat.test/x' id='{n}'><body>hi</body></message>",
        "<message from='alice@chat.test'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
        "<message xmlns='jabber:client' from='bob@chat.test/x' id='{n}'><body>hi</body></message></forwarded></sent>"
        "</message>",
        "<iq from='bob@chat.test/x' id='{n}' type='result'/>",
        "<r xmlns='urn:xmpp:sm:3'/>",
    ],
)
def test_what_a_server_says_leaves_nothing(stage: Stage, stanza: str) -> None:
    alice = stage.client("alice")
    leg = stage.session(alice).residence.active
    assert leg is not None
    flow = leg.flow

    def say(number: int) -> None:
        stage.node.receive(StreamData(stanza.format(n=number).encode(), flow), stage.now)

    assert garbage_of(say) < NOISE


@pytest.mark.parametrize("last_words", ["</stream:stream>", "<a></b>", "<message><body>"])
def test_a_session_that_ended_is_gone(stage: Stage, last_words: str) -> None:
    """By the closing tag, by an error, by a lost connection that nobody resumes."""
    gc.collect()
    gc.disable()
    before = [id(one) for one in gc.get_objects() if isinstance(one, Session)]
    client = stage.client("alice")
    stage.run(1.0)
    client.send(last_words)
    if not client.ended:
        client.break_off()
    stage.run(400.0)
    assert stage.chat.shared.sessions.by_jid == {}
    assert not [one for one in gc.get_objects() if isinstance(one, Session) and id(one) not in before]
