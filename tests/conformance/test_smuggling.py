"""Nothing that one side writes becomes a line, a message or an address of its own on the other side."""

from __future__ import annotations

import re

import pytest

from haproxy_voip.core.address import Flow
from haproxy_voip.core.events import StreamData
from haproxy_voip.proxy.facts import MessageRefused
from haproxy_voip.sip.message import Request
from tests.conformance.exchanges import answered, called
from tests.proxy.stage import DOMAIN, PROXY, Peer, Stage

PLACE = b"here-it-stands"
# What ends a line for somebody: RFC 3261's CRLF, and what parsers take for it that are kinder.
LINE_ENDS = re.compile(rb"\r\n|\r|\n")

# Instead of a header's value. A whole line more is no smuggling: anybody may write as many headers as they like.
VALUES = [
    pytest.param(b"a\nX-Evil: 1", id="LF"),
    pytest.param(b"a\rX-Evil: 1", id="CR"),
    pytest.param(b"a\r\n\r\nX-Evil: 1", id="the end of the headers"),
    pytest.param(b"a\n\nX-Evil: 1", id="its end for kind parsers"),
    pytest.param(b"a\r\n X-Evil: 1", id="a fold"),
    pytest.param(b"a\r\n\tX-Evil: 1\r\n X-Evil: 2", id="folds"),
    pytest.param(b"a\0\r\nX-Evil: 1", id="NUL"),
    pytest.param(b"a\\\0X-Evil: 1", id="quoted NUL"),
    pytest.param(b"a%0d%0aX-Evil: 1", id="escapes"),
    pytest.param("a\u2028X-Evil: 1\u0085X-Evil: 1".encode(), id="Unicode's line ends"),
    pytest.param(b"a\xc0\x8d\xc0\x8aX-Evil: 1", id="overlong UTF-8"),
]
# Users whose escapes, undone in the wrong place, would be lines.
USERS = ["1002%0d%0aX-Evil:1", "1002%0aX-Evil:1", "%00", "1002%3E%0D%0ARoute:%20%3Csip:x", "1002%22%3e,%3csip:x"]


class Tapped(Stage):
    """Keeps the bytes that are sent to backends and to clients."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        super().__init__()
        self.backend_hosts = {peer.host for peer in self.backends.values()}

    def _deliver(self, flow: Flow, data: bytes) -> None:
        self.sent.append((flow.remote.host, data))
        super()._deliver(flow, data)

    def heard_by(self, host: str) -> list[bytes]:
        return [data for to, data in self.sent if to == host]


def lines_of(data: bytes) -> list[bytes]:
    """What may be taken for a line of the headers."""
    return LINE_ENDS.split(data.partition(b"\r\n\r\n")[0])


def assert_nothing_smuggled(messages: list[bytes]) -> None:
    for data in messages:
        assert not [line for line in lines_of(data) if line.lstrip().lower().startswith((b"x-evil", b"route:"))], data
        # RFC 4475 section 3.1.1.2 has a NUL in a quoted pair, which must be taken.
        assert b"\0" not in data.partition(b"\r\n\r\n")[0].replace(b"\\\0", b"")


def sends(peer: Peer, request: Request, value: bytes) -> None:
    """This request with `value` where PLACE stands."""
    assert PLACE in request.encode()
    peer.send(request.encode().replace(PLACE, value))


def still_well(stage: Stage, alice: Peer) -> None:
    """The next message crosses as ever."""
    stage.alpha.inbox.clear()
    called(stage, alice)


@pytest.mark.parametrize("name", ["subject", "x_note", "call_info", "user_agent", "contact", "from_"])
@pytest.mark.parametrize("value", VALUES)
def test_a_clients_value_is_no_line_for_a_backend(value: bytes, name: str) -> None:
    stage = Tapped()
    alice = stage.phone("1001")
    shape = {"contact": "<sip:1001@127.0.1.1>;x={}", "from_": '"{}" <sip:1001@' + DOMAIN + ">;tag=f"}
    text = shape.get(name, "{}").format(PLACE.decode())
    message = alice.new("MESSAGE", f"sip:1002@{DOMAIN}", **{name: text})
    alice.send(message)
    proved = alice.authorized(message, alice.take_response(407))
    before = len(stage.sent)
    sends(alice, proved, value)
    assert_nothing_smuggled([data for _, data in stage.sent[before:]])
    still_well(stage, alice)


@pytest.mark.parametrize("value", VALUES)
def test_a_backends_value_is_no_line_for_a_client(value: bytes) -> None:
    stage = Tapped()
    bob = stage.phone("1002")
    uri = f"sip:{stage.token_of('1002')}@{PROXY}"
    sends(stage.alpha, stage.alpha.new("MESSAGE", uri, subject=PLACE.decode()), value)
    alice = stage.phone("1001")
    _, at_alpha = called(stage, alice)
    answer = stage.alpha.answer(at_alpha, 183, subject=PLACE.decode())
    stage.alpha.send(answer.encode().replace(PLACE, value))
    assert_nothing_smuggled(stage.heard_by(bob.host) + stage.heard_by(alice.host))


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE"])
def test_escapes_are_undone_nowhere_where_they_would_be_lines(user: str, method: str) -> None:
    stage = Tapped()
    alice = stage.phone("1001")
    alice.request(
        method, f"sip:{user}@{DOMAIN}", contact=f"<sip:{user}@{alice.host}>", refer_to=f"<sip:{user}@{DOMAIN}>",
        event="presence", diversion=f"<sip:{user}@{DOMAIN}>",
    )  # fmt: skip
    assert_nothing_smuggled([data for _, data in stage.sent])
    still_well(stage, alice)


@pytest.mark.parametrize("user", USERS)
def test_a_user_is_who_registered_whatever_its_name_unescapes_to(user: str) -> None:
    stage = Tapped()
    alice = stage.client("1001")
    alice.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:{user}@{DOMAIN}>", expires="600")
    assert stage.command("status")["contacts"] == 0
    alice.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1001@{DOMAIN}>", contact=f"<sip:{user}@{alice.host}>")
    assert_nothing_smuggled([data for _, data in stage.sent])


@pytest.mark.parametrize(
    "lengths", ["Content-Length: 0\r\nl: 99", "l: 0\r\nContent-Length: 0", "Content-Length: 0, 99"]
)
def test_two_lengths_are_none(lengths: str) -> None:
    """Whoever believes the other one sees another message begin elsewhere."""
    stage = Tapped()
    alice = stage.connected("1001", 1)
    data = alice.new("OPTIONS", f"sip:{DOMAIN}").encode().replace(b"Content-Length: 0", lengths.encode())
    alice.send(data + alice.new("MESSAGE", f"sip:1002@{DOMAIN}").encode())
    assert [fact.status for fact in stage.facts if isinstance(fact, MessageRefused)] == [400]
    assert not stage.alpha.inbox and len(alice.inbox) == 1  # and what followed was not read


def test_a_message_in_a_body_stays_a_body() -> None:
    """On a connection and in a datagram, on both sides."""
    stage = Tapped()
    alice = stage.connected("1001", 1)
    inner = b"BYE sip:alpha SIP/2.0\r\nX-Evil: 1\r\nContent-Length: 0\r\n\r\n"
    alice.request("MESSAGE", f"sip:1002@{DOMAIN}", body=inner, content_type="message/sip")
    crossed = stage.alpha.take_request("MESSAGE")
    assert crossed.body == inner and crossed.content_length == len(inner)
    assert_nothing_smuggled(stage.heard_by(stage.alpha.host))


def test_what_follows_a_datagrams_message_does_not_cross() -> None:
    stage = Tapped()
    alice = stage.phone("1001")
    invite, ok, _, _ = answered(stage, alice)
    info = alice.within(invite, ok, "INFO", 10)
    alice.send(info.encode() + b"BYE sip:x SIP/2.0\r\nX-Evil: 1\r\n\r\n")
    assert stage.alpha.take_request("INFO").body == b""
    assert not [data for data in stage.heard_by(stage.alpha.host) if b"Evil" in data]


def test_one_connections_pieces_are_not_anothers() -> None:
    """Half a message on one connection, the other half on another: two halves."""
    stage = Tapped()
    first, second = stage.connected("1001", 1), stage.connected("1002", 3)
    data = first.new("OPTIONS", f"sip:{DOMAIN}").encode()
    stage.feed(StreamData(data[:40], first.flow))
    stage.feed(StreamData(data[40:], second.flow))
    assert not first.inbox and not second.inbox
