"""What a receiver counts of one RTP stream: loss and jitter (RFC 3550 appendices A.1, A.3, A.8).

Pure integers, one call for each packet. The source has been judged before (`flow.Latch`), so A.1's probation of a new
SSRC is left out: a new SSRC starts a new count at once, and what was lost before stays counted.
"""

from __future__ import annotations

from typing import NamedTuple

NONE = -1  # no such sequence number, timestamp or SSRC
SEQUENCES = 1 << 16
HALF_TIMESTAMPS = 1 << 31
# RFC 3550 A.1: a step this large forward, or this far back, is a restart once the next packet confirms it.
MAX_DROPOUT = 3000
MAX_MISORDER = 100


class Newest(NamedTuple):
    """The newest packet of a stream."""

    ssrc: int
    sequence: int  # 16 bits
    timestamp: int
    at: float  # monotonic seconds of the first packet with this timestamp
    step: int  # timestamp units from the packet before; nonsense after DTX or a late packet


class ReceptionState(NamedTuple):
    """A `Reception` to be carried on elsewhere: in the kernel, or by another process."""

    ssrc: int
    highest: int  # extended
    missing: int
    jitter: float  # timestamp units
    timestamp: int  # of the last packet that had another than the one before
    timed_at: float  # monotonic seconds of that packet
    newest_timestamp: int  # of the highest sequence number, which may not have been the last to come
    newest_at: float
    step: int


class Reception:
    """The count of one direction."""

    __slots__ = (
        "_before_late",
        "_clock_hz",
        "_confirming",
        "_highest",
        "_jitter",
        "_missing",
        "_ssrc",
        "_step",
        "_timestamp",
        "_transit",
    )

    def __init__(self, clock_hz: int) -> None:
        self._clock_hz = clock_hz
        self._ssrc = NONE
        self._highest = 0  # extended: how often it went round, then the 16 bits
        self._missing = 0  # expected less received; below 0 when packets came twice
        self._confirming = NONE  # the sequence number that would make a wild one before it a restart
        self._jitter = 0.0  # timestamp units
        self._timestamp = NONE
        self._step = 0  # timestamp units between the last two packets
        self._transit = 0.0  # timestamp units, with an offset nobody knows
        # The highest sequence number, its timestamp and transit, kept when a late packet follows.
        self._before_late: tuple[int, int, float] | None = None

    def arrived(self, sequence: int, timestamp: int, ssrc: int, now: float) -> None:
        """Count one packet; `now` is monotonic seconds."""
        if ssrc == self._ssrc and (sequence - self._highest) & 0xFFFF == 1:
            self._highest += 1
        elif not self._out_of_order(sequence, ssrc):
            return
        if timestamp == self._timestamp:
            # More of one video frame, or of one telephone event (RFC 4733): sent later than its timestamp says.
            return
        transit = now * self._clock_hz - timestamp
        if self._timestamp != NONE:
            difference = abs(transit - self._transit)
            if difference > HALF_TIMESTAMPS:  # the timestamp went round
                difference = abs(difference - 2 * HALF_TIMESTAMPS)
            self._jitter += (difference - self._jitter) * 0.0625
            self._step = timestamp - self._timestamp
        self._timestamp = timestamp
        self._transit = transit

    def _out_of_order(self, sequence: int, ssrc: int) -> bool:
        """Count a packet that is not simply the next one; False when it is too wild to be counted."""
        step = (sequence - self._highest) & 0xFFFF
        if ssrc != self._ssrc or sequence == self._confirming:
            self._ssrc, self._highest = ssrc, sequence
            self._timestamp = self._confirming = NONE
            self._before_late = None
        elif 0 < step < MAX_DROPOUT:
            self._highest += step
            self._missing += step - 1
        elif step == 0 or step > SEQUENCES - MAX_MISORDER:
            self._missing -= 1  # late, or doubled
            if self._before_late is None or self._before_late[0] != self._highest:
                self._before_late = (self._highest, self._timestamp, self._transit)
        else:
            self._confirming = (sequence + 1) & 0xFFFF
            return False
        return True

    def retime(self, clock_hz: int) -> None:
        """The payload has another clock from here on; its jitter starts anew."""
        if clock_hz != self._clock_hz:
            self._clock_hz, self._jitter, self._timestamp, self._before_late = clock_hz, 0.0, NONE, None

    def snapshot(self) -> ReceptionState | None:
        """The state of now; None before the first packet, and before the first with a new clock."""
        newest = self.newest
        if newest is None:
            return None
        return ReceptionState(
            ssrc=self._ssrc,
            highest=self._highest,
            missing=self._missing,
            jitter=self._jitter,
            timestamp=self._timestamp,
            timed_at=(self._transit + self._timestamp) / self._clock_hz,
            newest_timestamp=newest.timestamp,
            newest_at=newest.at,
            step=self._step,
        )

    def restore(self, state: ReceptionState) -> None:
        """Go on from there, with the same clock."""
        self._ssrc, self._highest, self._missing, self._jitter = state[:4]
        self._timestamp, self._step = state.timestamp, state.step
        self._transit = state.timed_at * self._clock_hz - state.timestamp
        self._before_late = None
        if (state.newest_timestamp, state.newest_at) != (state.timestamp, state.timed_at):
            transit = state.newest_at * self._clock_hz - state.newest_timestamp
            self._before_late = (state.highest, state.newest_timestamp, transit)

    @property
    def clock_hz(self) -> int:
        """Of the timestamps."""
        return self._clock_hz

    @property
    def highest(self) -> int:
        """The extended highest sequence number received (A.1), 0 before the first packet."""
        return self._highest

    @property
    def newest(self) -> Newest | None:
        """The packet of the highest sequence number; None before the first."""
        if self._ssrc == NONE or self._timestamp == NONE:
            return None
        timestamp, transit = self._timestamp, self._transit
        if self._before_late is not None and self._before_late[0] == self._highest:
            _, timestamp, transit = self._before_late
        at = (transit + timestamp) / self._clock_hz
        return Newest(self._ssrc, self._highest & 0xFFFF, timestamp, at, self._step)

    @property
    def lost(self) -> int:
        """Packets expected and not received (A.3), never below 0 for doubled ones."""
        return max(0, self._missing)

    @property
    def jitter(self) -> float:
        """Seconds (A.8)."""
        return self._jitter / self._clock_hz
