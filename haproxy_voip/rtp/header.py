"""The RTP header (RFC 3550 section 5.1), read and written; what tells RTP from RTCP on one port (RFC 5761 section 4).

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
|V=2|P|X|  CC   |M|     PT      |       sequence number         |
|                           timestamp                           |
|           synchronization source (SSRC) identifier            |
|            contributing source (CSRC) identifiers ...         |
"""

from __future__ import annotations

import struct
from typing import NamedTuple

VERSION = 2
VERSION_BITS = VERSION << 6  # the first byte's two highest bits
VERSION_MASK = 0xC0
PADDING_BIT = 0x20
EXTENSION_BIT = 0x10
CSRC_MASK = 0x0F
MARKER_BIT = 0x80

FIXED_BYTES = 12
FIXED = struct.Struct("!BBHII")
# What a relay needs of a packet it has checked already: sequence number, timestamp, SSRC.
ORDER = struct.Struct("!2xHII")

RTCP_TYPES = range(192, 224)  # RFC 5761 section 4: all that is or may be assigned; never an RTP second byte when muxed
RTCP_MIN_BYTES = 8  # an empty receiver report


class MalformedPacket(ValueError):
    """Bytes that are no RTP or RTCP packet. The text says why; such a packet is dropped and counted."""


class Header(NamedTuple):
    """The fixed RTP header, without CSRC list and extension."""

    payload_type: int  # 0-127
    sequence: int  # 0-65535
    timestamp: int  # 32 bits, in units of the payload's clock
    ssrc: int  # 32 bits
    marker: bool = False

    def encode(self) -> bytes:
        """The 12 bytes that go before the payload."""
        second = self.payload_type | (MARKER_BIT if self.marker else 0)
        return FIXED.pack(VERSION_BITS, second, self.sequence, self.timestamp, self.ssrc)

    def rewrite(self, packet: bytearray | memoryview) -> None:
        """Write these values over those of `packet`; version, padding, extension and CSRC count stay."""
        second = self.payload_type | (MARKER_BIT if self.marker else 0)
        FIXED.pack_into(packet, 0, packet[0], second, self.sequence, self.timestamp, self.ssrc)

    @classmethod
    def parse(cls, packet: bytes | memoryview) -> Header:
        """Raises MalformedPacket."""
        if len(packet) < FIXED_BYTES:
            raise MalformedPacket(f"{len(packet)} bytes are too few for an RTP header")
        first, second, sequence, timestamp, ssrc = FIXED.unpack_from(packet)
        if first & VERSION_MASK != VERSION_BITS:
            raise MalformedPacket(f"RTP version {first >> 6}")
        return cls(second & 0x7F, sequence, timestamp, ssrc, bool(second & MARKER_BIT))


def payload(packet: bytes | memoryview) -> memoryview:
    """What follows header, CSRC list and extension, without padding. Raises MalformedPacket."""
    Header.parse(packet)
    view = memoryview(packet)
    first = view[0]
    start = FIXED_BYTES + 4 * (first & CSRC_MASK)
    if first & EXTENSION_BIT:
        if len(view) < start + 4:
            raise MalformedPacket("the header extension is cut off")
        start += 4 + 4 * int.from_bytes(view[start + 2 : start + 4], "big")
    end = len(view)
    if first & PADDING_BIT:
        end -= view[-1]
        if end == len(view):
            raise MalformedPacket("padding of 0 bytes")  # the count includes itself
    if start > end:
        raise MalformedPacket("CSRC list, extension or padding are longer than the packet")
    return view[start:end]


def is_rtp(packet: bytes | memoryview) -> bool:
    """Whether this can be RTP: the check every relayed packet passes."""
    return len(packet) >= FIXED_BYTES and packet[0] & VERSION_MASK == VERSION_BITS


def is_rtcp(packet: bytes | memoryview) -> bool:
    """Whether this can be RTCP, or SRTCP, whose first eight bytes are in clear."""
    return len(packet) >= RTCP_MIN_BYTES and packet[0] & VERSION_MASK == VERSION_BITS and packet[1] in RTCP_TYPES
