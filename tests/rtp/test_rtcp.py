"""RTCP reports: round trip, every prefix, noise."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.rtp.header import MalformedPacket
from haproxy_voip.rtp.rtcp import OtherPacket, ReceiverReport, ReportBlock, SenderReport, encode, parse

word = st.integers(0, 2**32 - 1)
blocks = st.lists(
    st.builds(ReportBlock, word, st.integers(0, 255), st.integers(-(2**23), 2**23 - 1), word, word, word, word),
    max_size=3,
).map(tuple)
packets = st.one_of(
    st.builds(SenderReport, word, st.integers(0, 2**64 - 1), word, word, word, blocks),
    st.builds(ReceiverReport, word, blocks),
    st.builds(OtherPacket, st.integers(202, 207), st.integers(0, 31), st.binary(min_size=4, max_size=4)),
)
SAMPLE = [
    SenderReport(1, 2, 3, 4, 5, (ReportBlock(6, 7, -8, 9, 10, 11, 12),)),
    OtherPacket(202, 1, b"\x00\x00\x00\x01\x01\x01a\x00"),
]


@settings(max_examples=50)
@given(st.lists(packets, min_size=1, max_size=4))
def test_what_was_encoded_is_parsed(sent):
    assert parse(encode(sent)) == sent


def test_no_prefix_of_a_compound_packet_is_one_but_whole_packets():
    whole = encode(SAMPLE)
    first = len(encode(SAMPLE[:1]))
    for length in range(len(whole)):
        if length == first:
            assert parse(whole[:length]) == SAMPLE[:1]
        else:
            with pytest.raises(MalformedPacket):
                parse(whole[:length])


@settings(max_examples=100)
@given(st.binary(max_size=100))
def test_noise_is_parsed_or_refused(noise: bytes):
    with contextlib.suppress(MalformedPacket):
        assert parse(noise)


@settings(max_examples=50)
@given(st.integers(0, 55), st.integers(0, 255))
def test_a_changed_byte_is_parsed_or_refused(at: int, value: int):
    packet = bytearray(encode(SAMPLE))
    packet[at % len(packet)] = value
    with contextlib.suppress(MalformedPacket):
        assert parse(bytes(packet))


def test_padding_is_only_for_the_last_packet():
    """Appendix A.2."""
    packet = bytearray(encode(SAMPLE))
    packet[0] |= 0x20
    with pytest.raises(MalformedPacket, match="padding"):
        parse(bytes(packet))


def test_padding_is_a_multiple_of_four():
    """Section 6.4.1. What is left of the packet would not be one that can be sent on."""
    packet = bytearray(encode([ReceiverReport(1), OtherPacket(204, 0, b"\0\0\0\1name\0\0\0\0")]))
    packet[8] |= 0x20
    for padding in (1, 2, 3, 5):
        packet[-1] = padding
        with pytest.raises(MalformedPacket, match=f"{padding} bytes of padding"):
            parse(bytes(packet))
    packet[-1] = 4
    assert parse(bytes(packet))[1] == OtherPacket(204, 0, b"\0\0\0\1name")


def test_more_blocks_than_there_is_room_for_are_refused():
    packet = bytearray(encode([ReceiverReport(1)]))
    packet[0] |= 5
    with pytest.raises(MalformedPacket, match="5 report blocks"):
        parse(bytes(packet))


@pytest.mark.parametrize(("packet_type", "kind"), [(200, "sender"), (201, "receiver")])
def test_a_report_without_its_fixed_part_is_refused(packet_type: int, kind: str):
    with pytest.raises(MalformedPacket, match=f"a {kind} report is cut off"):
        parse(bytes([0x80, packet_type, 0, 0]) + bytes([0x80, 202, 0, 0]))


def test_padding_of_the_last_packet_is_no_part_of_it():
    """RFC 3550 section 6.4.1: the last octet counts itself and what is to be ignored before it."""
    assert parse(b"\xa0\xcb\x00\x02" + bytes(4) + b"\x00\x00\x00\x04") == [OtherPacket(203, 0, bytes(4))]
    with pytest.raises(MalformedPacket, match="more padding than packet"):
        parse(b"\xa0\xcb\x00\x01" + b"\x00\x00\x00\x05")
