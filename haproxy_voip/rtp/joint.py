"""What is done to each packet where a stream is joined to another than it was made for: payload type, law, numbers."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.rtp.continuity import Outgoing
from haproxy_voip.rtp.header import CSRC_MASK, EXTENSION_BIT, FIXED_BYTES, MARKER_BIT, ORDER, PADDING_BIT
from haproxy_voip.rtp.payload_types import Conversion

PAYLOAD_TYPE_MASK = 0x7F


@dataclass(slots=True)
class Joint:
    """The way from one party to another."""

    outgoing: Outgoing | None  # None: the receiver hears this source alone and is given its own numbers
    conversion: Conversion | None  # None: both mean the same by every payload type

    def carry(self, packet: bytearray, size: int, now: float) -> bool:
        """Change the RTP packet in the first `size` bytes, checked by `is_rtp`; False: the receiver is not sent it."""
        conversion = self.conversion
        if conversion is not None:
            becomes = conversion[packet[1] & PAYLOAD_TYPE_MASK]
            if becomes is None:
                if self.outgoing is not None:
                    sequence, _, ssrc = ORDER.unpack_from(packet)
                    self.outgoing.skip(sequence, ssrc)
                return False
            packet[1] = packet[1] & MARKER_BIT | becomes.payload_type
            if becomes.table is not None:
                begin, end = payload_bounds(packet, size)
                packet[begin:end] = packet[begin:end].translate(becomes.table)
        return self.outgoing is None or self.outgoing.renumber(packet, size, now)


def payload_bounds(packet: bytearray, size: int) -> tuple[int, int]:
    """Where the payload begins and ends in the first `size` bytes; nowhere when the header says nonsense."""
    first = packet[0]
    begin, end = FIXED_BYTES + 4 * (first & CSRC_MASK), size
    if first & EXTENSION_BIT:
        begin += 4 + 4 * int.from_bytes(packet[begin + 2 : begin + 4], "big")
    if first & PADDING_BIT:
        end -= packet[size - 1]
    return (begin, end) if begin <= end <= size else (size, size)
