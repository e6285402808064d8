"""The RTP header: round trip, every prefix, noise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.rtp.header import Header, MalformedPacket, is_rtcp, is_rtp, payload

headers = st.builds(
    Header,
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 65535),
    timestamp=st.integers(0, 2**32 - 1),
    ssrc=st.integers(0, 2**32 - 1),
    marker=st.booleans(),
)


@settings(max_examples=50)
@given(headers)
def test_what_was_encoded_is_parsed(header: Header):
    assert Header.parse(header.encode()) == header


@settings(max_examples=20)
@given(headers, headers)
def test_rewriting_changes_the_header_and_nothing_else(before: Header, after: Header):
    packet = bytearray(before.encode() + b"voice")
    packet[0] |= 0x20
    after.rewrite(packet)
    assert Header.parse(packet) == after
    assert packet[0] == 0xA0 and packet[12:] == b"voice"


def test_no_prefix_of_a_header_is_a_packet():
    whole = Header(0, 1, 160, 7).encode()
    for length in range(len(whole)):
        assert not is_rtp(whole[:length])
        with pytest.raises(MalformedPacket):
            Header.parse(whole[:length])


@pytest.mark.parametrize("first", [0x00, 0x40, 0xC0])
def test_other_versions_are_refused(first: int):
    with pytest.raises(MalformedPacket, match="version"):
        Header.parse(bytes([first]) + bytes(11))


def test_payload_follows_csrcs_and_extension_and_ends_before_padding():
    """RFC 3550 5.1, 5.3.1."""
    plain = Header(0, 1, 160, 7).encode()
    packet = (
        bytes([0x80 | 0x20 | 0x10 | 2]) + plain[1:] + bytes(8) + b"\xbe\xde\x00\x01" + bytes(4) + b"voice\x00\x00\x03"
    )
    assert bytes(payload(packet)) == b"voice"
    assert bytes(payload(plain + b"voice")) == b"voice"
    assert bytes(payload(plain)) == b""


def test_no_prefix_crashes_and_lengths_that_lie_are_refused():
    packet = bytes([0xB2]) + Header(0, 1, 160, 7).encode()[1:] + bytes(8) + b"\xbe\xde\x00\x01" + bytes(4) + b"\x01"
    for length in range(len(packet)):
        with pytest.raises(MalformedPacket):
            payload(packet[:length])
    assert bytes(payload(packet)) == b""


@settings(max_examples=100)
@given(st.binary(max_size=80))
def test_noise_is_parsed_or_refused(noise: bytes):
    try:
        payload(noise)
    except MalformedPacket:
        pass
    else:
        assert is_rtp(noise)


@pytest.mark.parametrize(
    ("second", "is_report"), [(192, True), (200, True), (223, True), (224, False), (191, False), (0, False)]
)
def test_rtcp_is_told_by_its_type(second: int, is_report: bool):
    """RFC 5761 section 4."""
    assert is_rtcp(bytes([0x80, second, 0, 1, 0, 0, 0, 1])) is is_report
    assert not is_rtcp(bytes([0x80, second, 0, 1, 0, 0, 0]))
