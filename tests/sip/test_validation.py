import pytest

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, parse
from haproxy_voip.sip.validation import validate
from tests.sip.samples import INVITE, OK, request


def refused(data: bytes) -> MessageError:
    message = parse(data)
    assert isinstance(message, Request)
    with pytest.raises(MessageError) as caught:
        validate(message)
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        INVITE,
        request(),
        request("OPTIONS tel:+1234 SIP/2.0"),
        request("OPTIONS sips:a@h SIP/2.0", max_forwards="0", expires="0", contact="<sip:a>, sip:b;q=1"),
        request("REGISTER sip:h SIP/2.0", contact="*", expires="0"),
        request(route="<sip:a;lr>, <sip:b>", record_route="<sip:c>"),
        request(x_new=";;,,;;,;"),
        request("ACK sip:a SIP/2.0"),
    ],
)
def test_what_the_rfc_demands_is_enough(data: bytes) -> None:
    message = parse(data)
    assert isinstance(message, Request)
    validate(message)


@pytest.mark.parametrize("name", ["via", "from", "to", "call_id", "cseq"])
def test_a_mandatory_header_missing_is_400(name: str) -> None:
    """RFC 3261 8.1.1. Answered when there is a Via to answer along."""
    for data in (request(drop=name), request(**{name: ""})):
        error = refused(data)
        assert error.status == 400
        assert (error.partial is None) == (name == "via")


@pytest.mark.parametrize(
    "line",
    ["To: <sip:c@voip.test>", "f: <sip:c@voip.test>", "CALL-ID: c", "cseq: 1 OPTIONS",
     "Max-Forwards: 70\r\nMax-Forwards: 70", "Expires: 1\r\nexpires: 2"],
)  # fmt: skip
def test_a_header_of_one_value_comes_once(line: str) -> None:
    """RFC 4475 3.3.8."""
    assert refused(request(subject=f"x\r\n{line}")).status == 400


@pytest.mark.parametrize(
    "lines",
    [
        {"cseq": "1 INVITE"},
        {"cseq": "1 options"},
        {"cseq": "2147483648 OPTIONS"},
        {"via": "SIP/2.0/UDP 192.0.2.15;;,;,,"},
        {"to": '"b <sip:b@voip.test>'},
        {"from": "Bell, A <sip:b@voip.test>"},
        {"call_id": "a b"},
        {"contact": "sip:a?b=c"},
        {"contact": "<sip:a>,,<sip:b>"},
        {"contact": ""},
        {"contact": "*"},
        {"max_forwards": "256"},
        {"max_forwards": ""},
        {"expires": "soon"},
        {"route": "sip:"},
        {"record_route": "x"},
    ],
)
def test_what_cannot_be_read_is_400(lines: dict[str, str]) -> None:
    error = refused(request(**lines))
    assert error.status == 400 and error.partial is not None


def test_a_star_among_contacts_is_400() -> None:
    assert refused(request("REGISTER sip:h SIP/2.0", contact="*, <sip:a>")).status == 400


def test_an_unknown_scheme_is_416() -> None:
    """RFC 3261 8.2.2.1, RFC 4475 3.3.2."""
    assert refused(request("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0")).status == 416


@pytest.mark.parametrize("uri", ["<sip:a@h>", "sip:a@h?Route=%3Csip:b%3E", "voip.test", "sip:", "sip:a@h:0", "sip:%"])
def test_a_bad_request_uri_is_400(uri: str) -> None:
    assert refused(request(f"OPTIONS {uri} SIP/2.0")).status == 400


def test_an_address_of_record_is_a_sip_uri() -> None:
    """RFC 3261 10.2, RFC 4475 3.3.4; elsewhere a To may be anything."""
    assert refused(request("REGISTER sip:h SIP/2.0", to="isbn:2983792873")).status == 400
    validate(parse(request(to="isbn:2983792873")))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"CSeq: 1", b"CSeq: 9292394834772304023312"),
        (b"Via: SIP", b"Via: S"),
        (b"From", b"X-From"),
        (b"Call-ID: a", b"To: b"),
    ],
)
def test_a_bad_response_is_never_answered(old: bytes, new: bytes) -> None:
    """RFC 4475 3.1.2.5: it is dropped."""
    validate(parse(OK))
    with pytest.raises(MessageError) as caught:
        validate(parse(OK.replace(old, new)))
    assert caught.value.partial is None


def test_a_bad_ack_is_never_answered() -> None:
    assert refused(request("ACK sip:a SIP/2.0", cseq="1 INVITE")).partial is None
