"""What becomes of one packet on its way to a party it was not made for."""

import pytest

from haproxy_voip.rtp.continuity import Outgoing
from haproxy_voip.rtp.g711 import MU_TO_A
from haproxy_voip.rtp.header import Header, payload
from haproxy_voip.rtp.joint import Joint, payload_bounds
from haproxy_voip.rtp.payload_types import TYPES, Becomes, Conversion
from haproxy_voip.rtp.sequence import Newest

VOICE = bytes(range(160))
KNOWN = {0: Becomes(8, MU_TO_A), 101: Becomes(96)}
LAWS: Conversion = [KNOWN.get(number) for number in range(TYPES)]


def packet(payload_type: int, sequence: int = 1, body: bytes = VOICE) -> bytearray:
    return bytearray(Header(payload_type, sequence, 160 * sequence, 9, marker=True).encode() + body)


def test_payload_type_law_and_numbers_are_changed_together():
    outgoing = Outgoing(8000)
    outgoing.resume(Newest(5, 10, 100, 0.0, 160), 0, 0)
    carried = packet(0)
    assert Joint(outgoing, LAWS).carry(carried, len(carried), 0.02)
    assert Header.parse(carried) == Header(8, 11, 260, 5, marker=True)
    assert carried[12:] == VOICE.translate(MU_TO_A)


def test_without_an_outgoing_stream_the_numbers_stay():
    carried = packet(101, body=b"\x01\x0a\x00\xa0")
    assert Joint(None, LAWS).carry(carried, len(carried), 0.0)
    assert carried == Header(96, 1, 160, 9, marker=True).encode() + b"\x01\x0a\x00\xa0"


@pytest.mark.parametrize("outgoing", [None, Outgoing(8000)])
def test_what_the_receiver_does_not_understand_is_not_sent(outgoing: Outgoing | None):
    carried = packet(18)
    assert not Joint(outgoing, LAWS).carry(carried, len(carried), 0.0)


def test_extension_sources_and_padding_are_left_alone():
    head = bytearray(Header(0, 1, 160, 9).encode())
    head[0] |= 0x20 | 0x10 | 2
    whole = head + bytes(8) + b"\xbe\xde\x00\x01wxyz" + VOICE + b"\x00\x00\x00\x04"
    carried = bytearray(whole)
    assert payload_bounds(carried, len(carried)) == (28, 28 + len(VOICE))
    assert bytes(payload(whole)) == VOICE
    assert Joint(None, LAWS).carry(carried, len(carried), 0.0)
    assert carried[12:28] == whole[12:28] and carried[-4:] == whole[-4:]
    assert carried[28:-4] == VOICE.translate(MU_TO_A)


def test_only_the_packet_itself_is_changed_not_what_lies_behind_it():
    carried = packet(0) + b"old"
    assert Joint(None, LAWS).carry(carried, len(carried) - 3, 0.0)
    assert carried[-3:] == b"old" and len(carried) == 12 + 160 + 3


@pytest.mark.parametrize("first", range(0x80, 0xC0))
def test_a_header_that_says_nonsense_has_no_payload(first: int):
    for size in range(12, 40):
        carried = bytearray((first, 0)) + bytes([255] * (size - 2)) + b"behind" * 50
        begin, end = payload_bounds(carried, size)
        assert 0 <= begin <= end <= size
        assert Joint(None, LAWS).carry(carried, size, 0.0)
        assert carried.endswith(b"behind" * 50)
