"""An offer for another server holds what the phone uses already, and nothing else."""

from __future__ import annotations

import pytest

from haproxy_voip.sip.sdp import parse
from haproxy_voip.sip.sdp.narrowing import answering, narrowed

PHONE = (
    "v=0\r\no=phone 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 7000 RTP/AVP 8 0 96 101\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=sendonly\r\n"
    "m=video 7002 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n"
)
ANSWER = (
    "v=0\r\no=pbx 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    "m=audio 9000 RTP/AVP 0 102\r\na=rtpmap:102 telephone-event/8000\r\nm=video 0 RTP/AVP 99\r\n"
)


def narrow(offer: str, answer: str | None) -> list[str]:
    agreed = None if answer is None else parse(answer.encode())
    return narrowed(parse(offer.encode()), agreed).decode().split("\r\n")


def test_only_what_both_have_is_offered_again_and_a_payload_type_may_differ() -> None:
    lines = narrow(PHONE, ANSWER)
    assert "m=audio 7000 RTP/AVP 0 101" in lines
    assert "a=rtpmap:101 telephone-event/8000" in lines
    assert not any("opus" in line or ":96" in line for line in lines)


def test_direction_and_addresses_stay() -> None:
    """A call on hold goes on being on hold."""
    lines = narrow(PHONE, ANSWER)
    assert "a=sendonly" in lines
    assert "c=IN IP4 192.0.2.1" in lines


def test_a_stream_the_answer_rejected_is_offered_as_rejected() -> None:
    assert "m=video 0 RTP/AVP 99" in narrow(PHONE, ANSWER)


def test_without_an_answer_the_offer_is_as_it_was() -> None:
    assert "\r\n".join(narrow(PHONE, None)) == PHONE


def test_a_stream_with_nothing_in_common_keeps_its_formats() -> None:
    """The next server may know more than the former; to offer nothing would end the stream for certain."""
    answer = ANSWER.replace("0 102", "18").replace("a=rtpmap:102 telephone-event/8000\r\n", "")
    assert "m=audio 7000 RTP/AVP 8 0 96 101" in narrow(PHONE, answer)


def test_an_answer_with_fewer_streams_leaves_the_rest_alone() -> None:
    answer = ANSWER.partition("m=video")[0]
    assert "m=video 7002 RTP/AVP 99" in narrow(PHONE, answer)


@pytest.mark.parametrize(
    ("standing", "offered", "said"),
    [
        ("sendrecv", "sendonly", "recvonly"), ("sendrecv", "recvonly", "sendonly"),
        ("sendonly", "sendonly", "inactive"), ("recvonly", "sendrecv", "recvonly"),
        ("sendrecv", "inactive", "inactive"), ("sendrecv", "sendrecv", "sendrecv"),
    ],
)  # fmt: skip
def test_an_answer_allows_no_more_than_the_offer(standing: str, offered: str, said: str) -> None:
    """RFC 3264 section 6.1; the streams that follow keep theirs."""
    phone = PHONE.replace("sendonly", standing)
    offer = parse(phone.replace(standing, offered).encode())
    text = answering(parse(phone.encode()), offer)
    audio, video = parse(text).medias
    assert audio.direction == said and video.direction == "sendrecv"
    assert text.count(b"\r\na=" + said.encode()) == 1 and text.endswith(b"\r\n") and b"\r\n\r\n" not in text


@pytest.mark.parametrize("end", ["", "\r\n", "\r\na=ptime:20\r\n"])
def test_a_direction_of_the_whole_session_is_narrowed_for_a_stream(end: str) -> None:
    text = f"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\na=sendrecv\r\nm=audio 7000 RTP/AVP 0{end}"
    answer = answering(parse(text.encode()), parse(text.replace("sendrecv", "sendonly").encode()))
    assert [media.direction for media in parse(answer).medias] == ["recvonly"]
    line_end = "\r\n" if end else ""
    assert answer.decode() == f"{text.removesuffix(line_end)}\r\na=recvonly{line_end}"
