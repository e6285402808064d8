"""One uninterrupted RTP stream out of several sources (RFC 3550 sections 5.1 and 7, RFC 3551 section 4.1).

A party is sent one SSRC, sequence numbers without a jump and timestamps that go on with time, whoever it is taken
from: a server, the other phone, comfort noise, another server.

1. As long as the source stays, numbers are moved by constant offsets: what the network lost or reordered before us is
   lost or reordered for the party too, and its reports tell the truth.
2. At a change of source the sequence goes on by 1, because nothing was sent in between and a gap would be counted as
   loss; the timestamp by the time that has passed, at least by one packet's worth, so that nothing is played twice.
3. A source that was left is not heard for `RETIRED_SECONDS`: what was under way comes too late. A source of which the
   party heard the packet number n sends nothing below n: that place is taken.

Sans-I/O; `now` is monotonic seconds. Sequence numbers are 16 bits and timestamps 32 bits, both go round.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from haproxy_voip.rtp.header import FIXED, FIXED_BYTES, MARKER_BIT, VERSION_BITS
from haproxy_voip.rtp.sequence import MAX_DROPOUT, MAX_MISORDER, NONE, SEQUENCES, Newest

OURS: Final = -2  # as the SSRC of a source: packets made here, not relayed
# Longer than packets of one path overtake each other.
RETIRED_SECONDS = 0.1
TIMESTAMP_MASK = 0xFFFF_FFFF
# RFC 3550 A.1 and common sense of receivers: what is further ahead looks like something behind.
MAX_ADVANCE = 1 << 30
# RFC 3551 section 4.2: the default packetization interval; and the longest one in use.
PACKET_SECONDS = 0.02
LONGEST_PACKET_SECONDS = 0.06
# RFC 3551 section 5: all video has this clock. Its marker bit ends a frame, so it is no sign of a new beginning.
VIDEO_CLOCK_HZ = 90_000


class OutgoingState(NamedTuple):
    """An `Outgoing` to be carried on elsewhere, with the source it has: in the kernel, or by another process."""

    ssrc: int  # what the party knows its peer by
    source: int  # what the source calls itself
    sequence_offset: int  # outgoing less incoming, 16 bits
    timestamp_offset: int  # the same, 32 bits
    newest: int  # the source's highest sequence number, extended
    first: int  # and its first that was sent: what is below comes too late
    timestamp: int  # of the highest sent, as it was sent
    sent_at: float  # monotonic seconds
    step: int  # timestamp units
    packets: int
    octets: int


class Outgoing:
    """The stream one party hears."""

    __slots__ = (
        "_first",
        "_newest",
        "_retired",
        "_retired_until",
        "_sequence_offset",
        "_shifted",
        "_step",
        "audio",
        "changes",
        "clock_hz",
        "octets",
        "packets",
        "sent_at",
        "sequence",
        "source",
        "ssrc",
        "timestamp",
    )

    def __init__(self, clock_hz: int) -> None:
        self.clock_hz = clock_hz
        self.audio = clock_hz != VIDEO_CLOCK_HZ
        self.ssrc = NONE  # what the party knows its peer by; NONE: it has heard nothing
        self.sequence = 0  # the highest sent, 16 bits
        self.timestamp = 0  # of that packet
        self.sent_at = 0.0
        self.packets = 0
        self.octets = 0
        self._step = 0
        self.source = NONE  # the SSRC of the present source, as it calls itself; NONE: whoever comes next
        self._sequence_offset = 0  # outgoing less incoming
        self._shifted = 0  # the same of timestamps
        self._newest = 0  # the source's highest sequence number, extended
        self._first = 0  # and its first that was sent
        self._retired = NONE
        self._retired_until = 0.0
        self.changes = 0  # sources so far, since we have renumbered

    def resume(self, newest: Newest, packets: int, octets: int) -> None:
        """Go on after what the party was sent before anything had to be renumbered, or after what it might have been:
        the packet before the first. `packets` and `octets` (payload) are all that it was sent.
        """
        assert self.ssrc == NONE
        self.ssrc, self.sequence, self.timestamp, self.sent_at, self._step = newest
        self.packets, self.octets = packets, octets

    def snapshot(self) -> OutgoingState | None:
        """The state of now; None when there is no source to go on with."""
        if self.source in (NONE, OURS):
            return None
        return OutgoingState(
            ssrc=self.ssrc,
            source=self.source,
            sequence_offset=self._sequence_offset & 0xFFFF,
            timestamp_offset=self._shifted & TIMESTAMP_MASK,
            newest=self._newest,
            first=self._first,
            timestamp=self.timestamp,
            sent_at=self.sent_at,
            step=self._step,
            packets=self.packets,
            octets=self.octets,
        )

    def restore(self, state: OutgoingState) -> None:
        """Go on from there, with the same clock."""
        self.ssrc, self.source, self._sequence_offset, self._shifted, self._newest, self._first = state[:6]
        self.timestamp, self.sent_at, self._step, self.packets, self.octets = state[6:]
        self.sequence = (self._newest + self._sequence_offset) & 0xFFFF

    def retime(self, clock_hz: int) -> None:
        """The payload has another clock from here on."""
        if clock_hz != self.clock_hz:
            self.clock_hz, self.audio, self._step = clock_hz, clock_hz != VIDEO_CLOCK_HZ, 0

    def stay(self) -> None:
        """After `resume`: the source it had until now goes on until another one is heard, numbered as it was."""
        if self.ssrc != NONE:
            self.source = self.ssrc
            self._sequence_offset = self._shifted = 0
            self._newest = self._first = self.sequence + SEQUENCES

    def switch(self) -> None:
        """Another source from the next packet on, whatever its SSRC: it comes by another way, and none of the old."""
        self.source, self._retired = NONE, NONE

    def renumber(self, packet: bytearray, size: int, now: float) -> bool:
        """Make the RTP packet in the first `size` bytes, checked by `is_rtp`, the party's next; False: drop it."""
        first, second, sequence, timestamp, ssrc = FIXED.unpack_from(packet)
        if ssrc == self.source:
            step = (sequence - self._newest) & 0xFFFF
            if step < MAX_DROPOUT:  # the next one, nearly always
                self._newest += step
            elif step > SEQUENCES - MAX_MISORDER:
                if self._newest + step - SEQUENCES < self._first:
                    return False
            else:
                second |= self._begin(sequence, timestamp, ssrc, now)  # the source has started anew
        elif ssrc == self._retired and now < self._retired_until:
            return False
        else:
            second |= self._begin(sequence, timestamp, ssrc, now)
        sequence = (sequence + self._sequence_offset) & 0xFFFF
        timestamp = (timestamp + self._shifted) & TIMESTAMP_MASK
        FIXED.pack_into(packet, 0, first, second, sequence, timestamp, self.ssrc)
        self.packets += 1
        self.octets += size - FIXED_BYTES
        if (sequence - self.sequence) & 0xFFFF < MAX_DROPOUT:
            if timestamp != self.timestamp:
                self._step = (timestamp - self.timestamp) & TIMESTAMP_MASK
                self.timestamp = timestamp
            self.sequence, self.sent_at = sequence, now
        return True

    def skip(self, sequence: int, ssrc: int) -> None:
        """This packet of the source is left out on purpose, in a codec the party does not know: close the gap."""
        if ssrc == self.source and (sequence - self._newest) & 0xFFFF == 1:
            self._newest += 1
            self._first = self._newest + 1  # what is late would now fall on a number already used
            self._sequence_offset -= 1

    def make(self, payload_type: int, payload: bytes, step: int, now: float) -> bytes:
        """A packet of our own, `step` timestamp units after the one before. There must be a `resume`."""
        begins = self.source != OURS
        if begins:
            self.switch()
            self.source = OURS
            self.changes += 1
            self.timestamp = (self.timestamp + self._elapsed(now)) & TIMESTAMP_MASK
        else:
            self.timestamp = (self.timestamp + step) & TIMESTAMP_MASK
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.sent_at, self._step = now, step
        self.packets += 1
        self.octets += len(payload)
        second = payload_type | (MARKER_BIT if begins and self.audio else 0)
        return FIXED.pack(VERSION_BITS, second, self.sequence, self.timestamp, self.ssrc) + payload

    # -- for reports ---------------------------------------------------------------------------------

    def outgoing_timestamp(self, timestamp: int) -> int:
        """A timestamp of the present source as the party knows it."""
        return (timestamp + self._shifted) & TIMESTAMP_MASK

    def incoming_sequence(self, sequence: int) -> int:
        """The present source's own number for one that was sent, 16 bits."""
        return (sequence - self._sequence_offset) & 0xFFFF

    def incoming_highest(self, highest: int) -> int | None:
        """The present source's own extended number (A.1) for a highest one reported; None: of an earlier source."""
        sequence = self.incoming_sequence(highest)
        near = self._newest + ((sequence - self._newest + 0x8000) & 0xFFFF) - 0x8000
        return near - SEQUENCES if near >= self._first else None

    # ------------------------------------------------------------------------------------------------

    def _begin(self, sequence: int, timestamp: int, ssrc: int, now: float) -> int:
        """A new source; what is to be set in the second byte of its first packet."""
        if self.source not in (NONE, OURS, ssrc):
            self._retired, self._retired_until = self.source, now + RETIRED_SECONDS
        elif self._retired == ssrc:
            self._retired = NONE
        self.source = ssrc
        self._newest = self._first = sequence + SEQUENCES  # so that what is late is not below 0
        self.changes += 1
        if self.ssrc == NONE:
            self.ssrc, self.sequence, self.timestamp = ssrc, (sequence - 1) & 0xFFFF, timestamp
            self._sequence_offset = self._shifted = 0
            return 0
        self._sequence_offset = (self.sequence + 1 - sequence) & 0xFFFF
        self._shifted = (self.timestamp + self._elapsed(now) - timestamp) & TIMESTAMP_MASK
        return MARKER_BIT if self.audio else 0

    def _elapsed(self, now: float) -> int:
        """Timestamp units from the last packet to one sent now."""
        step = self._step
        if not 0 < step <= LONGEST_PACKET_SECONDS * self.clock_hz:
            step = int(PACKET_SECONDS * self.clock_hz)  # DTX, or not known
        return min(max(step, round((now - self.sent_at) * self.clock_hz)), MAX_ADVANCE)
