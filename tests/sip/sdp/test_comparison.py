"""haproxy_voip.sip.sdp.comparison: may the answer to one offer be passed on for another?"""

import pytest

from haproxy_voip.sip.sdp.comparison import answer_fits, codecs, codecs_cover, codecs_equal
from haproxy_voip.sip.sdp.description import Description
from haproxy_voip.sip.sdp.reading import parse


def offer(*lines: str) -> Description:
    return parse("\r\n".join(["v=0", "o=x 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", *lines]).encode())


AUDIO = ("m=audio 4000 RTP/AVP 0 101", "a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16")


def test_codecs_are_named_by_rtpmap_or_by_the_static_table() -> None:
    description = offer(
        "m=audio 4000 RTP/AVP 0 9 96 97", "a=rtpmap:96 Opus/48000/2", "a=fmtp:96 useinbandfec=1; Stereo=0"
    )
    assert codecs(description, description.medias[0]) == {
        "0": ("pcmu/8000", frozenset()),
        "9": ("g722/8000", frozenset()),
        "96": ("opus/48000/2", frozenset({"useinbandfec=1", "stereo=0"})),
        "97": ("", frozenset()),
    }


@pytest.mark.parametrize(
    "other",
    [
        ("m=audio 9000 RTP/AVP 0 101", "c=IN IP6 2001:db8::1", *AUDIO[1:]),
        ("m=audio 4000 RTP/AVP 101 0", *AUDIO[1:]),
        ("m=audio 4000 RTP/AVP 0 101", AUDIO[2], "a=sendonly"),
        ("m=audio 4000 rtp/avp 0 101", "a=rtpmap:0 pcmu/8000/1", *AUDIO[2:]),
        ("m=audio 4000 RTP/AVP 0 101", AUDIO[2], "a=fmtp:101 0-15"),
    ],
)
def test_addresses_order_spelling_and_direction_may_differ(other: tuple[str, ...]) -> None:
    assert codecs_equal(offer(*AUDIO), offer(*other))


@pytest.mark.parametrize(
    "other",
    [
        ("m=audio 4000 RTP/AVP 0",),
        ("m=audio 4000 RTP/AVP 8 101", AUDIO[2]),
        ("m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 opus/48000/2"),
        ("m=audio 4000 RTP/SAVP 0 101", *AUDIO[1:]),
        ("m=audio 0 RTP/AVP 0 101", *AUDIO[1:]),
        ("m=video 4000 RTP/AVP 0 101", *AUDIO[1:]),
        (*AUDIO, "m=video 4002 RTP/AVP 96", "a=rtpmap:96 VP8/90000"),
        (*AUDIO, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc"),
        (),
    ],
)
def test_other_streams_codecs_or_keys_need_an_answer_of_their_own(other: tuple[str, ...]) -> None:
    assert not codecs_equal(offer(*AUDIO), offer(*other))


def test_an_offer_covers_what_was_agreed_on_when_it_has_that_and_more() -> None:
    more = offer("m=audio 9000 RTP/AVP 8 0 3 101", *AUDIO[1:])
    assert codecs_cover(more, offer(*AUDIO)) and codecs_cover(offer(*AUDIO), offer(*AUDIO))
    assert not codecs_cover(offer(*AUDIO), more)
    assert not codecs_cover(offer("m=audio 9000 RTP/AVP 0 101", "a=rtpmap:101 opus/48000/2"), offer(*AUDIO))
    assert not codecs_cover(offer(*AUDIO, "m=video 4002 RTP/AVP 96"), offer(*AUDIO))
    assert not codecs_cover(offer("m=audio 0 RTP/AVP 0 101", *AUDIO[1:]), offer(*AUDIO))


def test_format_parameters_belong_to_the_codec() -> None:
    amr = ("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 AMR/8000")
    assert not codecs_equal(offer(*amr, "a=fmtp:96 octet-align=1"), offer(*amr))


def test_an_answer_has_the_offers_m_lines_in_order() -> None:
    """RFC 3264 section 6."""
    both = offer(*AUDIO, "m=video 4002 RTP/AVP 96")
    assert answer_fits(both, offer(*AUDIO, "m=video 0 RTP/AVP 96"))
    assert not answer_fits(both, offer(*AUDIO))
    assert not answer_fits(both, offer("m=video 0 RTP/AVP 96", *AUDIO))
