"""What is known of one m-line."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.stream import Spot, Stream, clock_of, payload_types
from haproxy_voip.sip.sdp import parse

SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 7000 RTP/AVP 96 0 101\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n"
    "m=image 7004 udptl t38\r\n"
)


def test_each_payload_type_is_known_by_its_codec_and_what_is_no_number_is_left_out() -> None:
    description = parse(SDP.encode())
    audio, image = description.medias
    assert payload_types(description, audio) == ((96, "opus/48000/2"), (0, "pcmu/8000"), (101, "telephone-event/8000"))
    assert payload_types(description, image) == ()


@pytest.mark.parametrize(
    ("known", "hertz"),
    [(((96, "opus/48000/2"), (0, "pcmu/8000")), 48000), (((0, "pcmu/8000"),), 8000), ((), 8000), (((97, ""),), 8000)],
)
def test_the_first_format_that_says_so_gives_the_clock(known: tuple[tuple[int, str], ...], hertz: int) -> None:
    assert clock_of(known) == hertz


def test_a_copy_of_a_stream_is_changed_apart_from_it() -> None:
    stream = Stream(1, "rtp", Spot(20000), Spot(20002))
    copy = stream.copy()
    copy.spot(Side.CLIENT).receives = False
    copy.bridge = 7
    assert stream.client.receives
    assert stream.bridge is None
    assert stream.spot(Side.BACKEND).port == 20002
