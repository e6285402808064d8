"""haproxy_voip.sip.sdp.reading: lenient where nothing is at stake, strict where an address could hide."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.core.address import Address
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.sdp.description import Direction
from haproxy_voip.sip.sdp.reading import MAX_MEDIA, MAX_SDP_BYTES, parse

PLAIN = (
    b"v=0\r\no=1001 123 456 IN IP4 192.0.2.1\r\ns=t\xe4lk \xff\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 7078 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
)
RICH = PLAIN + (
    b"a=rtcp:7090 IN IP4 192.0.2.3\r\na=rtcp-mux\r\na=ice-ufrag:abcd\r\n"
    b"a=candidate:1 1 UDP 1 192.0.2.1 7078 typ host\r\n"
    b"a=sendonly\r\nm=video 7080/2 RTP/AVPF 96\r\ni=camera\r\nc=IN IP6 2001:DB8::2\r\na=rtcp:7099\r\n"
    b"m=image 0 udptl t38\r\nm=message 9 TCP/MSRP *\r\nm=audio 0 RTP/AVP\r\n"
)


def test_a_plain_offer_is_read() -> None:
    description = parse(PLAIN)
    (audio,) = description.medias
    assert (audio.kind, audio.port, audio.proto, audio.formats) == ("audio", 7078, "RTP/AVP", ("0", "8", "101"))
    assert audio.address == Address("192.0.2.1", 7078)
    assert audio.rtcp_address == Address("192.0.2.1", 7079)
    assert audio.direction is Direction.SENDRECV
    assert not audio.mux
    assert description.attributes(audio) == [("rtpmap", "101 telephone-event/8000"), ("ptime", "20")]


def test_each_section_has_its_own_addresses_and_attributes() -> None:
    audio, video, fax, chat, empty = parse(RICH).medias
    assert audio.rtcp_address == Address("192.0.2.3", 7090)
    assert audio.mux and audio.direction is Direction.SENDONLY
    assert video.address == Address("2001:db8::2", 7080)
    assert video.rtcp_address == Address("2001:db8::2", 7099)
    assert video.port_count == 2 and not video.mux and video.direction is Direction.SENDRECV
    assert fax.rejected and fax.carrier == "udptl"
    assert chat.carrier is None
    assert empty.rejected and empty.formats == ()


def test_the_session_speaks_for_sections_that_say_nothing() -> None:
    lines = b"v=0\nc=IN IP4 192.0.2.1\na=inactive\nm=audio 2 RTP/AVP 0\nm=audio 4 RTP/AVP 0\na=sendrecv\n"
    first, second = parse(lines).medias
    assert (first.direction, second.direction) == (Direction.INACTIVE, Direction.SENDRECV)
    assert first.host == second.host == "192.0.2.1"


def test_a_description_without_any_address_is_left_to_latching() -> None:
    (audio,) = parse(b"v=0\nm=audio 2 RTP/AVP 0\n").medias
    assert audio.address is None and audio.receives


@pytest.mark.parametrize("body", [PLAIN, RICH, PLAIN.replace(b"\r\n", b"\n"), PLAIN.rstrip(), PLAIN + b"\r\n", b"v=0"])
def test_every_byte_survives_a_round_trip(body: bytes) -> None:
    assert parse(body).encode() == body


def test_mixed_line_ends_become_crlf() -> None:
    assert parse(PLAIN.replace(b"\r\ns=", b"\ns=")).encode() == PLAIN


@pytest.mark.parametrize(
    "line",
    [
        "m=audio",
        "m=audio x RTP/AVP 0",
        "m=audio 65536 RTP/AVP 0",
        "m=audio -1 RTP/AVP 0",
        "m=audio 5/x RTP/AVP 0",
        "m=audio  5 RTP/AVP 0",
        "m=audio ٣ RTP/AVP 0",
        "c=192.0.2.1",
        "c=IN IP5 192.0.2.1",
        "c=IN IP4 " + "h" * 256,
        "garbage",
        "o=1 2 3 IN IP4 192.0.2.2",
        "a=x\rc=IN IP4 192.0.2.9",
        "a=x\0",
    ],
)
def test_malformed_lines_are_a_bad_request(line: str) -> None:
    with pytest.raises(MessageError) as caught:
        parse(PLAIN + line.encode() + b"\r\n")
    assert caught.value.status == 400


@pytest.mark.parametrize("body", [b"", b"\r\nv=0\r\n", b"v=1\r\n", b"o=- 1 1 IN IP4 192.0.2.1\r\n", b"<xml/>"])
def test_what_is_no_sdp_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        parse(body)
    assert caught.value.status == 400


@pytest.mark.parametrize("value", ["", "x", "70000", "1 IN IP4", "1 IN IP4 " + "h" * 256])
def test_a_malformed_rtcp_attribute_counts_as_absent(value: str) -> None:
    (audio,) = parse(PLAIN + f"a=rtcp:{value}\r\n".encode()).medias
    assert audio.rtcp_address == Address("192.0.2.1", 7079)


def test_more_than_we_handle_is_not_acceptable() -> None:
    parse(PLAIN + b"m=audio 2 RTP/AVP 0\r\n" * (MAX_MEDIA - 1))
    for body in (PLAIN + b"m=audio 2 RTP/AVP 0\r\n" * MAX_MEDIA, PLAIN + b"a=" + b"x" * MAX_SDP_BYTES):
        with pytest.raises(MessageError) as caught:
            parse(body)
        assert caught.value.status == 488


def test_every_prefix_is_read_or_refused() -> None:
    for end in range(len(RICH)):
        try:
            assert parse(RICH[:end]).encode().rstrip(b"\r\n") == RICH[:end].rstrip(b"\r\n")
        except MessageError:
            continue


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*RICH.splitlines(keepends=True), b"\n", b"\r", b"=", b"c=", b"\xff"]), max_size=12))
def test_noise_is_read_or_refused(lines: list[bytes]) -> None:
    try:
        description = parse(b"v=0\r\n" + b"".join(lines))
    except MessageError:
        return
    for section in description.medias:
        assert section.receives or not section.rejected or section.address is None
        assert section.start < section.end <= len(description.lines)
