import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import MAX_HEAD_BYTES, MAX_HEADERS, Request, Response, header, parse, response_to
from tests.sip.samples import INVITE, OK, request


def read(data: bytes) -> Request:
    message = parse(data)
    assert isinstance(message, Request)
    return message


def refused(data: bytes) -> MessageError:
    with pytest.raises(MessageError) as caught:
        parse(data)
    return caught.value


def test_a_request_is_read() -> None:
    message = read(INVITE)
    assert (message.method, message.uri, message.body) == ("INVITE", "sip:1002@voip.test", b"v=0\r\n")
    assert message.request_uri.host == "voip.test"
    assert message.headers[1] == ("max-forwards", "70", "Max-Forwards: 70")


def test_a_response_is_read() -> None:
    message = parse(OK)
    assert isinstance(message, Response)
    assert (message.status, message.reason, message.body) == (200, "OK", b"")


@pytest.mark.parametrize("data", [INVITE, OK])
def test_an_unchanged_message_goes_out_byte_for_byte(data: bytes) -> None:
    assert parse(data).encode() == data


def test_unchanged_lines_keep_their_spelling_and_undecodable_bytes() -> None:
    data = (
        INVITE.replace(b"Supported: ", b"k \t:\t")
        .replace(b"phone/1.0", b"\xff\xfe\xc3\xa4")
        .replace(b"Call-ID", b"CALL-id")
    )
    message = read(data)
    assert message.option_tags("supported") == ("replaces", "timer")
    message.set("max-forwards", "69")
    assert message.encode() == data.replace(b"Max-Forwards: 70", b"Max-Forwards: 69")


def test_folded_lines_are_unfolded() -> None:
    """RFC 3261 7.3.1: to one space."""
    data = request(to="<sip:b@voip.test>\r\n\t;tag=2\r\n  ", subject="\r\n I know you're there,\r\n    pick up")
    message = read(data)
    assert message.get("subject") == "I know you're there, pick up"
    assert message.to.tag == "2"
    assert b"\r\n " not in message.encode() and b"\r\n\t" not in message.encode()


def test_folds_and_spaces_cost_no_more_than_their_length() -> None:
    value = " " * 50_000 + "\r\n x" * 200
    assert read(request(subject=value)).get("subject") == " ".join(["x"] * 200)


def test_compact_names_are_known_by_their_long_ones() -> None:
    data = (
        b"OPTIONS sip:a SIP/2.0\r\nv:SIP/2.0/UDP h\r\nF:<sip:a>\r\nt: <sip:b>\r\ni: c\r\nCSeq: 1 OPTIONS\r\nl:0\r\n\r\n"
    )
    message = read(data)
    assert [name for name, _, _ in message.headers] == ["via", "from", "to", "call-id", "cseq", "content-length"]
    assert message.encode() == data


def test_bytes_after_the_body_are_dropped() -> None:
    """RFC 3261 18.3."""
    assert read(INVITE + b"INVITE sip:b SIP/2.0\r\n\r\n").body == b"v=0\r\n"


def test_without_content_length_the_body_is_the_rest_of_the_datagram() -> None:
    assert read(INVITE.replace(b"Content-Length: 5\r\n", b"")).body == b"v=0\r\n"


def test_empty_lines_before_a_message_are_skipped() -> None:
    assert read(b"\r\n\r\n" + INVITE).method == "INVITE"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5", b"Content-Length: -5"),
        (b"Content-Length: 5", b"Content-Length: five"),
        (b"Content-Length: 5", b"Content-Length:"),
        (b"Content-Length: 5", b"Content-Length: " + b"9" * 5000),
        (b"Content-Length: 5", b"Content-Length: 5\r\nl: 5"),
        (b"User-Agent:", b"User-Agent"),
        (b"User-Agent:", b"User Agent:"),
        (b"User-Agent:", b":"),
        (b"User-Agent", b"\xffAgent"),
        (b"phone/1.0", b"phone\x00"),
        (b"INVITE sip:1002@voip.test", b"INVITE  sip:1002@voip.test"),
        (b"INVITE sip:1002@voip.test", b"INVITE sip:1002@voip.test "),
        (b"INVITE sip:1002@voip.test", b"INVITE sip:1002@voip.test; lr"),
        (b"test SIP/2.0\r\n", b"test SIP/2.0 \r\n"),
        (b"INVITE sip:1002@voip.test", b"INVITE "),
    ],
)
def test_a_broken_request_is_refused_with_what_can_be_answered(old: bytes, new: bytes) -> None:
    error = refused(INVITE.replace(old, new))
    assert error.status == 400
    assert error.partial is not None
    answer = response_to(error.partial, error.status)
    assert answer.encode().startswith(b"SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP 192.0.2.7:5062;branch")


@pytest.mark.parametrize("version", ["SIP/7.0", "SIP/2.1", "sip/3.0", "SIP/22.0"])
def test_another_version_is_505(version: str) -> None:
    """RFC 4475 3.1.2.16."""
    error = refused(request(f"OPTIONS sip:a {version}"))
    assert error.status == 505 and error.partial is not None and error.partial.method == "OPTIONS"


def test_the_version_is_case_insensitive() -> None:
    """RFC 3261 7.1: and written in upper case."""
    assert read(request("OPTIONS sip:a sip/2.0")).encode().startswith(b"OPTIONS sip:a SIP/2.0\r\n")
    assert parse(OK.replace(b"SIP/2.0 200", b"sip/2.0 200")).encode() == OK


@pytest.mark.parametrize(
    "start",
    ["", "INVITE", "INVITE sip:a", "IN<ITE sip:a SIP/2.0", "GET / HTTP/1.1", "SIP/2.0", "SIP/2.0 ", "SIP/2.0 99 x",
     "SIP/2.0 700 x", "SIP/2.0 4294967301 x", "SIP/2.0  200 OK", "SIP/3.0 200 OK",
     "SIP/2.0 2OO OK", "\x00\x01\x00!\x12"],
)  # fmt: skip
def test_what_is_no_sip_is_not_answered(start: str) -> None:
    assert refused(OK.replace(b"SIP/2.0 200 OK", start.encode())).partial is None


def test_an_ack_is_never_answered() -> None:
    assert refused(request("ACK  sip:a SIP/2.0")).partial is None


def test_without_a_via_nothing_is_answered() -> None:
    assert refused(request("OPTIONS  sip:a SIP/2.0", drop="via")).partial is None


@pytest.mark.parametrize("broken", [b"\n", b"\r", b"\nX: y", b"\rX: y", b"\n\r"])
def test_only_crlf_ends_a_line_and_nothing_else_is_answered(broken: bytes) -> None:
    """Whoever reads the message next may see another header there than we do."""
    assert refused(INVITE.replace(b"phone/1.0", b"phone" + broken)).partial is None


def test_an_empty_reason_phrase_is_read_with_and_without_its_space() -> None:
    for start in (b"SIP/2.0 100 ", b"SIP/2.0 100"):
        message = parse(OK.replace(b"SIP/2.0 200 OK", start))
        assert isinstance(message, Response) and (message.status, message.reason) == (100, "")


def test_headers_have_limits() -> None:
    line = "a: b\r\n"
    start = "OPTIONS sip:a SIP/2.0\r\n"
    assert len(parse(f"{start}{line * MAX_HEADERS}\r\n".encode()).headers) == MAX_HEADERS
    assert refused(f"{start}{line * (MAX_HEADERS + 1)}\r\n".encode()).status == 513
    assert refused(f"{start}a: {'b' * MAX_HEAD_BYTES}\r\n\r\n".encode()).status == 513


@pytest.mark.parametrize("data", [INVITE, OK])
def test_every_prefix_is_refused(data: bytes) -> None:
    for end in range(len(data)):
        refused(data[:end])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_noise_is_read_or_refused(noise: bytes) -> None:
    for data in (noise, INVITE[:60] + noise + INVITE[60:], request(subject="x")[:-4] + noise + b"\r\n\r\n"):
        try:
            message = parse(data)
        except MessageError:
            continue
        assert parse(message.encode()).encode() == message.encode()


NAMES = st.sampled_from(["Via", "From", "Subject", "x-Odd", "m", "Call-ID"])
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=20).map(
    lambda text: text.strip(" \t")
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, TEXTS), max_size=8), st.binary(max_size=30))
def test_any_headers_and_body_survive_a_round_trip(lines: list[tuple[str, str]], body: bytes) -> None:
    text = "".join(f"{name}: {value}\r\n" for name, value in lines)
    data = f"INFO sip:a SIP/2.0\r\n{text}Content-Length: {len(body)}\r\n\r\n".encode() + body
    message = parse(data)
    assert message.encode() == data
    assert [value for _, value, _ in message.headers[:-1]] == [value for _, value in lines]


def test_a_response_copies_what_the_rfc_wants() -> None:
    """RFC 3261 8.2.6: Via, From, To, Call-ID and CSeq, the To with a tag of ours."""
    answer = response_to(read(INVITE), 486, to_tag="ours", headers=[header("retry-after", "5")])
    assert answer.encode() == (
        b"SIP/2.0 486 Busy Here\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK-524287-1---abcdef;rport\r\n"
        b"To: <sip:1002@voip.test>;tag=ours\r\n"
        b'From: "Ann \\"A\\" Lee" <sip:1001@voip.test>;tag=5f3a9b\r\n'
        b"Call-ID: 843748734-aasdf@192.0.2.7\r\n"
        b"CSeq: 1 INVITE\r\n"
        b"Retry-After: 5\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


def test_a_response_keeps_a_tag_there_is() -> None:
    assert response_to(read(request(to="<sip:b>;tag=theirs")), 200, to_tag="ours").to.tag == "theirs"


def test_a_response_to_what_has_no_readable_to_copies_it_as_it_is() -> None:
    assert response_to(read(request(to='"b <sip:b>')), 400, to_tag="ours").get("to") == '"b <sip:b>'


def test_timestamp_is_copied_into_100_only() -> None:
    message = read(request(timestamp="54"))
    assert response_to(message, 100).get("timestamp") == "54"
    assert response_to(message, 200).get("timestamp") is None


def test_a_reason_can_be_our_own() -> None:
    assert response_to(read(INVITE), 404, "Never heard of it").start_line == "SIP/2.0 404 Never heard of it"
    assert Response(299).start_line == "SIP/2.0 299 "


def test_a_copy_is_changed_apart() -> None:
    message, answer = read(INVITE), Response(200, headers=[header("to", "<sip:b>")])
    copy, other = message.copy(), answer.copy()
    copy.set("cseq", "2 INVITE")
    other.add("subject", "s")
    assert message.cseq.number == 1 and copy.cseq.number == 2
    assert len(answer.headers) == 1 and other.status == 200
