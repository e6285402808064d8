"""haproxy_voip.sip.sdp.body: SDP alone and among other parts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.sdp.body import MAX_NESTING, MAX_PARTS, locate_sdp, replace_sdp

SDP = b"v=0\r\ns=-\r\n"
MIXED = 'multipart/mixed; boundary="b 1"'
BODY = (
    b"preamble\r\n--b 1\r\nContent-Type: application/isup; version=x\r\n\r\n\x00\x01--b 1x\r\n\xff\r\n"
    b"--b 1  \r\nContent-Disposition: session\r\nContent-Length: 10\r\nCONTENT-type:\r\n application/SDP ;x=y\r\n\r\n"
    + SDP
    + b"\r\n--b 1--\r\nepilogue"
)


def found(content_type: str | None, body: bytes) -> bytes | None:
    where = locate_sdp(content_type, body)
    return None if where is None else body[where]


@pytest.mark.parametrize("content_type", ["application/sdp", "Application/SDP ; charset=utf-8"])
def test_a_body_that_is_sdp_is_it(content_type: str) -> None:
    assert found(content_type, SDP) == SDP
    assert replace_sdp(content_type, SDP, b"new") == b"new"


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/sdp-like", "application/dtmf-relay"])
def test_other_bodies_have_none(content_type: str | None) -> None:
    assert found(content_type, SDP) is None


def test_no_body_has_none() -> None:
    assert found("application/sdp", b"") is None


def test_sdp_is_found_among_parts_and_replaced_alone() -> None:
    assert found(MIXED, BODY) == SDP
    expected = BODY.replace(SDP, b"v=0\r\n").replace(b"Content-Length: 10", b"Content-Length: 5")
    assert replace_sdp(MIXED, BODY, b"v=0\r\n") == expected


def test_bare_line_feeds_and_a_missing_end_are_tolerated() -> None:
    body = b"--b\nContent-Type: application/sdp\n\nv=0\ns=-\n"
    assert found("multipart/mixed;boundary=b", body) == b"v=0\ns=-\n"
    assert found("multipart/mixed;boundary=b", body + b"--b--") == b"v=0\ns=-"


def test_parts_within_parts_are_searched() -> None:
    inner = (
        b"--in\r\nContent-Type: text/plain\r\n\r\nhello\r\n--in\r\nc: application/sdp\r\n\r\n" + SDP + b"\r\n--in--\r\n"
    )
    body = b"--b\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n" + inner + b"\r\n--b--\r\n"
    assert found("multipart/mixed; boundary=b", body) == SDP


def test_endless_nesting_ends() -> None:
    body = SDP
    content_type = "application/sdp"
    for depth in range(6):
        head = f"--b{depth}\r\nContent-Type: {content_type}\r\n\r\n".encode()
        body = head + body + f"\r\n--b{depth}--".encode()
        content_type = f"multipart/mixed; boundary=b{depth}"
        assert found(content_type, body) == (SDP if depth < MAX_NESTING else None)


def test_an_early_session_is_another_session() -> None:
    """RFC 3959 section 5."""
    head = b"--b\r\nContent-Type: application/sdp\r\nContent-Disposition: early-session\r\n\r\nearly\r\n"
    assert found("multipart/mixed; boundary=b", head + b"--b--") is None
    rest = b"--b\r\nContent-Type: application/sdp\r\n\r\nlate\r\n--b--"
    assert found("multipart/mixed; boundary=b", head + rest) == b"late"


def test_a_part_without_head_is_plain_text() -> None:
    assert found("multipart/mixed; boundary=b", b"--b\r\n\r\nv=0\r\n--b--") is None
    assert found("multipart/mixed; boundary=b", b"--b\r\n--b--") is None


def test_encoded_sdp_is_an_unsupported_media_type() -> None:
    body = b"--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\ndj0w\r\n--b--"
    with pytest.raises(MessageError) as caught:
        locate_sdp("multipart/mixed; boundary=b", body)
    assert caught.value.status == 415


@pytest.mark.parametrize(
    "content_type", ["multipart/mixed", "multipart/mixed; boundary=", "multipart/mixed; boundary=c" + "x" * 70]
)
def test_a_multipart_without_its_boundary_is_a_bad_request(content_type: str) -> None:
    with pytest.raises(MessageError):
        locate_sdp(content_type, BODY)
    with pytest.raises(MessageError):
        locate_sdp("multipart/mixed; boundary=other", BODY)


def test_the_number_of_parts_is_limited() -> None:
    with pytest.raises(MessageError):
        locate_sdp("multipart/mixed; boundary=b", b"--b\r\n\r\nx\r\n" * (MAX_PARTS + 2))


def test_every_prefix_is_searched_or_refused() -> None:
    for end in range(len(BODY)):
        try:
            part = found(MIXED, BODY[:end])
        except MessageError:
            continue
        assert part is None or part[: len(SDP)] == SDP[: len(part)]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([b"--b", b"--", b"\r\n", b"\n", b"Content-Type: application/sdp", b"v=0"]), max_size=14)
)
def test_noise_is_searched_or_refused(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    try:
        part = found("multipart/mixed; boundary=b", body)
    except MessageError:
        return
    if part is not None:
        assert replace_sdp("multipart/mixed; boundary=b", body, part) == body
