"""The embedded phone's session descriptions."""

from __future__ import annotations

import pytest

from haproxy_voip.core.address import Address
from haproxy_voip.embedded.media import Media
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.sdp import Direction, parse

HERE, THERE = Address("192.0.2.1", 4000), Address("192.0.2.2", 4002)


def test_an_offer_and_its_answer_agree() -> None:
    ours, theirs = Media(HERE, "1"), Media(THERE, "2")
    ours.take_answer(theirs.answer(ours.offer()))
    assert ours.remote == THERE and theirs.remote == HERE
    assert ours.sends and ours.receives and theirs.sends and theirs.receives


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [
        (Direction.SENDONLY, Direction.SENDRECV, (Direction.SENDONLY, Direction.RECVONLY)),
        (Direction.SENDONLY, Direction.SENDONLY, (Direction.INACTIVE, Direction.INACTIVE)),
        (Direction.INACTIVE, Direction.SENDRECV, (Direction.INACTIVE, Direction.INACTIVE)),
        (Direction.SENDRECV, Direction.SENDONLY, (Direction.RECVONLY, Direction.SENDONLY)),
    ],
)
def test_directions_are_agreed(ours: Direction, theirs: Direction, agreed: tuple[Direction, Direction]) -> None:
    """RFC 3264 section 6.1."""
    offerer, answerer = Media(HERE, "1", wanted=ours), Media(THERE, "2", wanted=theirs)
    offerer.take_answer(answerer.answer(offerer.offer()))
    assert (offerer.direction, answerer.direction) == agreed


def test_the_version_grows_only_when_something_changes() -> None:
    """RFC 3264 section 8."""
    media = Media(HERE, "1")
    assert media.offer() == media.offer()
    first = parse(media.offer())
    media.wanted = Direction.SENDONLY
    second = parse(media.offer())
    assert "o=- 1 1 " in first.lines[1] and "o=- 1 2 " in second.lines[1]


def test_an_ipv6_phone_says_so() -> None:
    assert b"c=IN IP6 2001:db8::1\r\n" in Media(Address("2001:db8::1", 4000), "1").offer()


@pytest.mark.parametrize("sdp", [b"", b"v=0\r\ns=-\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n", b"noise"])
def test_what_offers_no_audio_is_refused(sdp: bytes) -> None:
    with pytest.raises(MessageError):
        Media(HERE, "1").answer(sdp)


def test_other_codecs_are_refused() -> None:
    offer = Media(HERE, "1").offer().replace(b"RTP/AVP 0 8 101", b"RTP/AVP 9")
    with pytest.raises(MessageError) as caught:
        Media(THERE, "2").answer(offer)
    assert caught.value.status == 488
