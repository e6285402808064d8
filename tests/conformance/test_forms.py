"""The same message in other forms: compact, folded, many values to a line or one to each, long, in pieces. All of
them work end to end, and what is not ours to change arrives unharmed (RFC 3261 sections 7.3, 7.5 and 18.3)."""

import pytest

from haproxy_voip.sip.message import Request, Response, header, parse
from haproxy_voip.sip.names import COMPACT
from tests.proxy.stage import DOMAIN, Peer, Stage

CROSSING = {
    "Subject": "a lunch, perhaps",
    "Supported": "timer, replaces",
    "Allow-Events": "presence, dialog",
    "Refer-To": f"<sip:1003@{DOMAIN}?Subject=hello>",
    "Referred-By": f"<sip:1001@{DOMAIN}>",
    "Content-Encoding": "identity",
    "X-Unknown": "unknown;value=\"with, comma\"",
}  # fmt: skip


def message(client: Peer, body: bytes = b"hello", **more: str) -> Request:
    """A MESSAGE that the node accepts."""
    client.send(client.new("MESSAGE", f"sip:1002@{DOMAIN}"))
    challenge = client.take_response(407)
    request = client.new("MESSAGE", f"sip:1002@{DOMAIN}", content_type="text/plain", body=body, **more)
    return client.authorized(request, challenge)


def in_form(request: Request, lines: list[str]) -> bytes:
    """The request with these header lines, Content-Length among them."""
    return "\r\n".join([request.start_line, *lines, "", ""]).encode() + request.body


def crossed(stage: Stage, client: Peer, data: bytes) -> Request:
    client.send(data)
    return stage.alpha.take_request("MESSAGE")


def assert_arrives(stage: Stage, client: Peer, request: Request, data: bytes) -> None:
    """It crosses with all its values and its body, and the answer comes back."""
    received = crossed(stage, client, data)
    for name, value in CROSSING.items():
        assert " ".join(received.all(name.lower())[0].split()) == value, name
    assert received.body == request.body
    stage.alpha.answer(received, 200, x_answer="kept")
    assert client.take_response(200).get("x-answer") == "kept"


def with_length(request: Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value, _ in request.headers] + [("content-length", str(len(request.body)))]


def crossing() -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in CROSSING.items()}


def test_compact_names() -> None:
    """7.3.3."""
    stage = Stage()
    alice = stage.phone("1001")
    request = message(alice, **crossing())
    short = {long: compact for compact, long in COMPACT.items()}
    assert_arrives(
        stage,
        alice,
        request,
        in_form(request, [f"{short.get(name, name)}:{value}" for name, value in with_length(request)]),
    )


@pytest.mark.parametrize("fold", ["\r\n ", "\r\n\t", "\r\n \t  "])
def test_folded_lines(fold: str) -> None:
    """7.3.1: a line goes on in the next, which begins with whitespace."""
    stage = Stage()
    alice = stage.phone("1001")
    request = message(alice, **crossing())
    lines = [f"{name}:{fold}{value.replace(', ', ',' + fold)}" for name, value in with_length(request)]
    assert_arrives(stage, alice, request, in_form(request, lines))


def test_odd_case_and_space_before_the_colon() -> None:
    """7.3.1: names are case-insensitive; whitespace may stand around the colon."""
    stage = Stage()
    alice = stage.phone("1001")
    request = message(alice, **crossing())
    lines = [f"{name.swapcase()} \t :   {value}  " for name, value in with_length(request)]
    assert_arrives(stage, alice, request, in_form(request, lines))


def test_the_order_of_lines_does_not_matter_to_us_and_is_kept() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    request = message(alice, **crossing())
    lines = [f"{name}: {value}" for name, value in reversed(with_length(request))]
    received = crossed(stage, alice, in_form(request, lines))
    ours = [name.lower() for name in CROSSING]
    assert [name for name, _, _ in received.headers if name in ours] == ours[::-1]


def test_several_values_in_one_line_or_in_lines_of_their_own() -> None:
    """7.3.1: both mean the same, and arrive as they were."""
    stage = Stage()
    alice = stage.phone("1001")
    for values in (["one, two, three"], ["one", "two, three"], ["one", "two", "three"]):
        request = message(alice)
        request.headers += [header("X-List", value) for value in values]
        received = crossed(stage, alice, request.encode())
        assert received.all("x-list") == values


def test_several_vias_in_one_line_come_back_in_every_response() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    request = message(alice)
    first = request.get("via")
    request.set("via", f"{first}, SIP/2.0/TCP other.test;branch=z9hG4bKa , SIP/2.0/UDP third.test;branch=z9hG4bKb")
    received = crossed(stage, alice, request.encode())
    assert len(received.values("via")) == 1
    stage.alpha.answer(received, 200)
    vias = alice.take_response(200).values("via")
    assert [via.partition(";")[0] for via in vias[1:]] == ["SIP/2.0/TCP other.test", "SIP/2.0/UDP third.test"]


def test_bytes_that_are_no_text_arrive_as_they_came() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    request = message(alice, body=bytes(range(256)))
    data = request.encode().replace(b"\r\nContent-Length", b"\r\nSubject: \xe9\xff \xf0\x9f\x93\x9e\r\nContent-Length")
    alice.send(data)
    assert b"\r\nSubject: \xe9\xff \xf0\x9f\x93\x9e\r\n" in stage.alpha.seen[-1].encode()
    assert stage.alpha.take_request("MESSAGE").body == bytes(range(256))


def test_names_of_people_arrive_as_they_are_written() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    for name in ('"Doe, J. \\"Jo\\" <x>"', "Plain Name", '"работающий"', '""'):
        request = message(alice)
        request.set("from", f"{name} <sip:1001@{DOMAIN}>;tag={alice.count}")
        request.remove("proxy-authorization")
        alice.send(request)
        request = alice.authorized(request, alice.take_response(407))
        received = crossed(stage, alice, request.encode())
        assert received.from_.display == request.from_.display


@pytest.mark.parametrize("size", [1301, 8_000, 60_000])
def test_a_long_body_arrives_whole(size: int) -> None:
    stage = Stage()
    alice = stage.phone("1001")
    request = message(alice, body=b"x" * size)
    assert crossed(stage, alice, request.encode()).body == request.body


def test_many_and_long_headers_arrive_whole() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    request = message(alice, subject="s" * 4000)
    lines = [header(f"X-Extension-{number}", f"value {number}") for number in range(150)]
    request.headers += lines
    received = crossed(stage, alice, request.encode())
    assert received.get("subject") == "s" * 4000
    assert [line for line in received.headers if line[0].startswith("x-extension")] == lines


def test_more_than_anybody_needs_is_refused() -> None:
    """21.5.7: 513, and nothing is sent on."""
    stage = Stage()
    alice = stage.phone("1001")
    request = message(alice)
    request.headers += [header(f"X-{number}", "x") for number in range(300)]
    alice.send(request)
    assert [answer.status for answer in alice.inbox if isinstance(answer, Response)] in ([513], [])
    assert not stage.alpha.inbox


def test_what_follows_the_body_of_a_datagram_is_dropped() -> None:
    """18.3."""
    stage = Stage()
    alice = stage.phone("1001")
    request = message(alice)
    assert crossed(stage, alice, request.encode() + b"INVITE sip:x@y SIP/2.0\r\n").body == b"hello"
    assert not stage.alpha.inbox


def test_a_datagram_without_content_length_is_all_body() -> None:
    """18.3: "the body is assumed to extend to the end of the transport packet"."""
    stage = Stage()
    alice = stage.phone("1001")
    request = message(alice)
    lines = [line for _, _, line in request.headers]
    assert crossed(stage, alice, in_form(request, lines)).body == b"hello"


@pytest.mark.parametrize("size", [1, 7, 50, 100_000])
def test_a_stream_may_deliver_any_pieces(size: int) -> None:
    """7.5, 18.3: neither one message to a piece nor one piece to a message; CRLFs between them are no message."""
    stage = Stage()
    alice = stage.connected("1001", 1)
    request = message(alice, body=b"first\r\n\r\n", **crossing())
    again = message(alice, body=b"second")
    data = request.encode() + b"\r\n\r\n" + again.encode()
    for start in range(0, len(data), size):
        alice.send(data[start : start + size])
    assert [stage.alpha.take_request("MESSAGE").body for _ in range(2)] == [b"first\r\n\r\n", b"second"]
    assert alice.pongs == 1
    assert not stage.alpha.inbox


def test_a_folded_compact_register_and_call() -> None:
    """All at once, for the requests that matter most."""
    stage = Stage()
    alice = stage.client("1001")
    register = (
        "REGISTER sip:{domain} SIP/2.0\r\nv:\r\n SIP/2.0/UDP {flow}\r\n ;branch=z9hG4bK{number};rport\r\n"
        "f: <sip:1001@{domain}>\r\n\t;tag=1\r\nt: sip:1001@{domain}\r\ni: compact\r\n"
        "CSEQ:\r\n  {number}\r\n REGISTER\r\n"
        "max-forwards:0070\r\nm: <sip:1001@{flow}>;expires=600,\r\n <sip:1001@{flow};line=2>\r\n ;expires=0600\r\n"
        "{credentials}l:0\r\n\r\n"
    )
    values = {"domain": DOMAIN, "flow": str(alice.flow.remote), "number": "1", "credentials": ""}
    alice.send(register.format(**values).encode())
    challenged = parse(register.format(**values).encode())
    assert isinstance(challenged, Request)
    authorization = alice.authorized(challenged, alice.take_response(401)).get("authorization") or ""
    folded = authorization.replace(", ", ",\r\n\t")
    values |= {"number": "2", "credentials": f"AUTHORIZATION: {folded}\r\n"}
    alice.send(register.format(**values).encode())
    assert len(alice.take_response(200).contacts) == 2
    assert len(stage.node.bindings.of("1001")) == 2
