import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.framing import MAX_BODY_BYTES, MAX_HEAD_BYTES, Framed, Keepalive, StreamFramer
from haproxy_voip.sip.message import Message, Request
from tests.sip.samples import INVITE, OK, request

EMPTY = request(content_length="0")


def encoded(framed: list[Framed]) -> bytes:
    return b"".join(item.encode() for item in framed if isinstance(item, Message))


def only_error(framer: StreamFramer, data: bytes) -> MessageError:
    [error] = framer.feed(data)
    assert isinstance(error, MessageError)
    return error


def test_messages_arrive_however_the_stream_cuts_them() -> None:
    stream = INVITE + OK + EMPTY + INVITE
    for size in (1, 2, 3, 7, 64, 500, len(stream)):
        framer = StreamFramer()
        framed = [item for at in range(0, len(stream), size) for item in framer.feed(stream[at : at + size])]
        assert len(framed) == 4
        assert encoded(framed) == stream
        assert not framer.broken


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 400), max_size=6))
def test_messages_arrive_with_any_cuts(cuts: list[int]) -> None:
    stream, framer, framed = INVITE + EMPTY + INVITE, StreamFramer(), []
    for cut in [*cuts, len(INVITE + EMPTY + INVITE)]:
        framed += framer.feed(stream[:cut])
        stream = stream[cut:]
    assert encoded(framed) == INVITE + EMPTY + INVITE


def test_every_prefix_waits_for_more() -> None:
    for end in range(len(INVITE)):
        framer = StreamFramer()
        assert framer.feed(INVITE[:end]) == []
        assert len(framer.feed(INVITE[end:])) == 1


def test_two_crlfs_are_a_ping_and_one_is_a_pong() -> None:
    """RFC 5626 4.4.1."""
    framer = StreamFramer()
    assert framer.feed(b"\r\n\r\n") == [Keepalive.PING]
    assert framer.feed(b"\r\n" + EMPTY[:9])[0] is Keepalive.PONG
    assert encoded(framer.feed(EMPTY[9:] + b"\r\n\r\n")) == EMPTY
    assert framer.feed(EMPTY)[-1] is not Keepalive.PING


@pytest.mark.parametrize(
    "pieces", [[b"\r\n", b"\r\n"], [b"\r", b"\n\r", b"\n"], [b"\r\n\r", b"\n"], [b"\r", b"\n\r\n"]]
)
def test_a_ping_in_pieces_is_one_ping(pieces: list[bytes]) -> None:
    framer = StreamFramer()
    framed = [item for piece in pieces for item in framer.feed(piece)]
    assert framed.count(Keepalive.PING) == 1 and framed[-1] is Keepalive.PING
    assert encoded(framer.feed(EMPTY)) == EMPTY


def test_a_flood_of_crlfs_is_one_ping() -> None:
    assert StreamFramer().feed(b"\r\n" * 10_000) == [Keepalive.PING]


def test_a_lone_cr_between_messages_breaks_the_stream() -> None:
    framer = StreamFramer()
    only_error(framer, b"\rX")
    assert framer.broken


@pytest.mark.parametrize("cut", range(6))
@pytest.mark.parametrize("alone", [b"\r\n\rX", b"\r\n\nX", b"\r\n\r\n\rX\r\n\r\n"])
def test_and_so_it_does_behind_a_crlf_however_it_is_cut(alone: bytes, cut: int) -> None:
    """What stands alone between lines is no line's end for everybody (rule 2 of message.py)."""
    framer = StreamFramer()
    framed = framer.feed(alone[:cut]) + framer.feed(alone[cut:] + EMPTY)
    assert framer.broken and isinstance(framed[-1], MessageError) and EMPTY not in encoded(framed)


def test_without_content_length_the_stream_is_broken() -> None:
    """RFC 3261 20.14; the request can still be answered."""
    framer = StreamFramer()
    error = only_error(framer, request() + INVITE)
    assert error.status == 400 and isinstance(error.partial, Request)
    assert framer.broken
    assert framer.feed(INVITE) == []


@pytest.mark.parametrize(
    "broken",
    [
        INVITE.replace(b"Supported:", b"Supp orted:"),
        INVITE.replace(b"SIP/2.0\r\n", b"SIP/7.0\r\n"),
        INVITE.replace(b"INVITE sip", b"INVITE  sip"),
    ],
)
def test_a_broken_message_of_known_length_is_skipped(broken: bytes) -> None:
    framer = StreamFramer()
    framed = [item for at in range(0, len(broken + OK), 50) for item in framer.feed((broken + OK)[at : at + 50])]
    assert isinstance(framed[0], MessageError) and framed[0].partial is not None
    assert encoded(framed) == OK
    assert not framer.broken


@pytest.mark.parametrize(
    "data",
    [
        INVITE.replace(b"Content-Length: 5", b"Content-Length: 5\r\nl: 5"),
        INVITE.replace(b"Content-Length: 5", b"Content-Length: x"),
        INVITE.replace(b"phone", b"pho\nne"),
        b"GET / HTTP/1.1\r\nHost: voip.test\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ],
)
def test_where_no_border_can_be_known_the_stream_is_broken(data: bytes) -> None:
    framer = StreamFramer()
    only_error(framer, data)
    assert framer.broken


def test_headers_without_end_break_the_stream() -> None:
    framer = StreamFramer()
    assert only_error(framer, b"a" * (MAX_HEAD_BYTES + 1)).status == 513
    assert framer.broken


def test_long_headers_break_the_stream_even_when_they_end() -> None:
    framer = StreamFramer()
    assert only_error(framer, request(subject="a" * MAX_HEAD_BYTES)).status == 513
    assert framer.broken


def test_a_body_too_long_breaks_the_stream_before_it_comes() -> None:
    framer = StreamFramer()
    error = only_error(framer, request(content_length=str(MAX_BODY_BYTES + 1)))
    assert error.status == 513 and error.partial is not None
    assert framer.broken
    assert len(StreamFramer().feed(request(content_length=str(MAX_BODY_BYTES)) + bytes(MAX_BODY_BYTES))) == 1


@settings(max_examples=80, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=4))
def test_noise_is_read_or_refused(pieces: list[bytes]) -> None:
    framer = StreamFramer()
    for piece in [*pieces, b"\r\n\r\n", INVITE]:
        framer.feed(piece)
