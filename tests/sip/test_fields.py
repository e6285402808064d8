import pytest

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.fields import header
from haproxy_voip.sip.headers import CSeq
from haproxy_voip.sip.message import Request, Response, parse
from tests.sip.samples import INVITE, OK


def make(*lines: str) -> Request:
    headers = [header(*line.split(": ", 1)) for line in lines]
    return Request("OPTIONS", "sip:voip.test", headers)


def lines(message: Request) -> list[str]:
    return [line for _, _, line in message.headers]


def test_our_own_lines_are_spelled_as_the_rfcs_do() -> None:
    assert header("call-id", "a") == ("call-id", "a", "Call-ID: a")
    assert header("X-new-THING", "a") == ("x-new-thing", "a", "X-New-Thing: a")


@pytest.mark.parametrize("value", ["a\r\nVia: b", "a\nb", "a\rb"])
def test_a_value_cannot_smuggle_in_a_line(value: str) -> None:
    with pytest.raises(AssertionError):
        header("subject", value)


def test_headers_are_found_by_name() -> None:
    message = make("Route: <sip:a>", "Route: <sip:b>,<sip:c>", "Supported: 100rel, Timer,", "Supported: ")
    assert (message.get("route"), message.get("via")) == ("<sip:a>", None)
    assert message.all("route") == ["<sip:a>", "<sip:b>,<sip:c>"]
    assert message.values("route") == ["<sip:a>", "<sip:b>", "<sip:c>"]
    assert message.has("route") and not message.has("via")
    assert message.option_tags("supported") == ("100rel", "timer")
    assert [str(route) for route in message.routes] == ["<sip:a>", "<sip:b>", "<sip:c>"]


@pytest.mark.parametrize("indexed", [False, True])
def test_changes_are_seen_at_once(indexed: bool) -> None:
    message = make("Via: SIP/2.0/UDP a", "CSeq: 1 OPTIONS", "Via: SIP/2.0/UDP b", "Route: <sip:a>")
    if indexed:
        message.index()
    assert (message.cseq, message.top_via.host, len(message.routes)) == (CSeq(1, "OPTIONS"), "a", 1)
    message.set("cseq", "2 OPTIONS")
    message.prepend("via", "SIP/2.0/UDP c")
    message.add("route", "<sip:b>")
    assert (message.cseq.number, message.top_via.host, len(message.routes)) == (2, "c", 2)
    message.set("via", "SIP/2.0/UDP d")
    message.remove("route")
    assert (message.top_via.host, message.routes, message.get("route")) == ("d", [], None)
    message.extend([header("route", "<sip:e>"), header("subject", "x")])
    assert (len(message.routes), message.get("subject")) == (1, "x")
    assert lines(message) == ["Via: SIP/2.0/UDP d", "CSeq: 2 OPTIONS", "Route: <sip:e>", "Subject: x"]


def test_a_line_is_replaced_where_the_first_stood() -> None:
    message = make("Route: <sip:a>", "Subject: s", "Route: <sip:b>", "Via: x")
    message.set("route", "<sip:c>")
    message.set("date", "today")
    assert lines(message) == ["Route: <sip:c>", "Subject: s", "Via: x", "Date: today"]


def test_a_prepended_line_comes_before_its_like_or_before_all() -> None:
    message = make("Subject: s", "Via: a")
    message.prepend("via", "b")
    message.prepend("record-route", "<sip:c>")
    assert lines(message) == ["Record-Route: <sip:c>", "Subject: s", "Via: b", "Via: a"]


def test_the_first_element_is_changed_alone() -> None:
    message = make("Via: SIP/2.0/UDP a, SIP/2.0/UDP b", "Via: SIP/2.0/UDP c", "Route: <sip:a>")
    message.set_first("via", "SIP/2.0/UDP x;received=1")
    assert message.values("via") == ["SIP/2.0/UDP x;received=1", "SIP/2.0/UDP b", "SIP/2.0/UDP c"]
    message.remove_first("via")
    assert message.top_via.host == "b"
    message.remove_first("via")
    message.remove_first("via")
    message.remove_first("route")
    message.remove_first("route")
    assert lines(message) == []
    message.set_first("route", "<sip:z>")
    assert lines(message) == ["Route: <sip:z>"]


def test_typed_values_of_a_request() -> None:
    request = parse(INVITE)
    assert request.top_via.branch == "z9hG4bK-524287-1---abcdef"
    assert (request.from_.display, request.from_.tag) == ('Ann "A" Lee', "5f3a9b")
    assert (request.to.tag, request.to.uri.user) == (None, "1002")
    assert (request.call_id, request.cseq.number, request.max_forwards) == ("843748734-aasdf@192.0.2.7", 1, 70)
    assert (request.content_type, request.content_length, request.expires) == ("application/sdp", 5, None)
    assert [str(contact.uri) for contact in request.contacts] == ["sip:1001@192.0.2.7:5062"]
    assert (
        request.top_via is request.top_via and request.from_ is request.from_ and request.contacts is request.contacts
    )


def test_the_first_of_several_vias_is_the_top() -> None:
    assert parse(OK).top_via.host == "192.0.2.1"


@pytest.mark.parametrize("name", ["top_via", "from_", "to", "call_id", "cseq"])
def test_a_missing_header_is_a_bad_request_when_asked_for(name: str) -> None:
    for message in (make(), make("Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: ")):
        with pytest.raises(MessageError):
            getattr(message, name)


def test_numbers_out_of_range_are_refused() -> None:
    message = make("Max-Forwards: 256", "Expires: 4294967296", "Content-Length: -1")
    for name in ("max_forwards", "expires", "content_length"):
        with pytest.raises(MessageError):
            getattr(message, name)
    assert make("Max-Forwards: 0068", "Expires: 4294967295").max_forwards == 68


def test_content_length_is_made_right_where_it_stands() -> None:
    message = make("Content-Length: 7", "Subject: s", "Content-Length: 8")
    message.body = b"four"
    assert message.encode() == b"OPTIONS sip:voip.test SIP/2.0\r\nContent-Length: 4\r\nSubject: s\r\n\r\nfour"


def test_content_length_is_added_when_missing() -> None:
    assert Response(180).encode() == b"SIP/2.0 180 Ringing\r\nContent-Length: 0\r\n\r\n"


def test_a_message_shows_its_first_line() -> None:
    assert repr(Response(486)) == "<SIP/2.0 486 Busy Here>"
