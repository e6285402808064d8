"""RTP packets and all that is done to each: the first byte says how long the first packet is, and so on.

1. MalformedPacket is all that is raised.
2. A header that is read and written again is the same; the payload lies within the packet.
3. A relay that renumbers changes the twelve bytes of the header, never the length, and keeps payload and source apart.
4. Loss is never below 0, jitter is a number.
"""

from __future__ import annotations

import math

from haproxy_voip.rtp.continuity import Outgoing
from haproxy_voip.rtp.header import FIXED_BYTES, Header, MalformedPacket, is_rtcp, is_rtp, payload
from haproxy_voip.rtp.joint import Joint, payload_bounds
from haproxy_voip.rtp.sequence import Reception

CLOCK_HZ = 8000
STEP = 0.02  # seconds from packet to packet
MOST = 64  # packets of one input


def check(data: bytes) -> None:
    reception, joint = Reception(CLOCK_HZ), Joint(Outgoing(CLOCK_HZ), None)
    for number, packet in enumerate(split(data)):
        now = 1.0 + number * STEP
        is_rtcp(packet)
        try:
            header = Header.parse(packet)
        except MalformedPacket:
            assert not is_rtp(packet)
            continue
        assert is_rtp(packet)
        written_again(header, packet)
        bounded(packet)
        reception.arrived(header.sequence, header.timestamp, header.ssrc, now)
        assert reception.lost >= 0 and math.isfinite(reception.jitter) and reception.jitter >= 0
        relayed(joint, packet, now)


def split(data: bytes) -> list[bytes]:
    packets, at = [], 0
    while at < len(data) and len(packets) < MOST:
        size = data[at]
        packets.append(data[at + 1 : at + 1 + size])
        at += 1 + size
    return packets


def written_again(header: Header, packet: bytes) -> None:
    assert Header.parse(header.encode()) == header
    copy = bytearray(packet)
    header.rewrite(copy)
    assert copy == packet


def bounded(packet: bytes) -> None:
    begin, end = payload_bounds(bytearray(packet), len(packet))
    assert FIXED_BYTES <= begin <= end <= len(packet)
    try:
        assert payload(packet) == packet[begin:end]
    except MalformedPacket:
        assert begin == end or packet[-1] == 0  # nothing of it is taken for audio, or padding counts no byte


def relayed(joint: Joint, packet: bytes, now: float) -> None:
    copy = bytearray(packet)
    if joint.carry(copy, len(copy), now):
        assert joint.outgoing is not None and Header.parse(copy).ssrc == joint.outgoing.ssrc
        assert len(copy) == len(packet) and copy[0] == packet[0] and copy[FIXED_BYTES:] == packet[FIXED_BYTES:]
    else:
        assert copy == packet
