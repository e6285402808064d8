"""How long a probe may stay unanswered, from the round trips measured so far (RFC 6298 section 2).

A constant would be too long on a good network and too short on a bad one. As probes are numbered, every answer tells
which one it belongs to, so Karn's algorithm (section 3) is not needed.
"""

from __future__ import annotations

# A healthy server on a busy machine is away this long now and then: a scheduler's slices, a garbage collection.
FLOOR_SECONDS = 0.020

# One that has been silent on several calls for as long as it takes to notice that has had its slice.
HURRIED_SECONDS = 0.010

# One that was just given much to do at once is busy with it, and what was measured before says nothing. A healthy chat
# server on a machine with six processes for each core was away for 150 ms after everybody had come to it, was left for
# the next one, and that went the same way. So many times the ceiling.
BURDENED_TIMES = 3

GAIN = 1 / 8  # RFC 6298 section 2.3, alpha
VARIATION_GAIN = 1 / 4  # beta
VARIATIONS = 4  # section 2.2, K


class RoundTrip:
    """SRTT and RTTVAR of one backend. The time-out exceeds `ceiling` seconds only while it is burdened."""

    __slots__ = ("_back_off", "_smoothed", "_variation", "burdened", "ceiling", "floor")

    def __init__(self, ceiling: float) -> None:
        self.ceiling = ceiling
        self.forget()

    def forget(self) -> None:
        """Start anew: the time-out is the ceiling until something is measured."""
        self._smoothed: float | None = None
        self._variation = 0.0
        self._back_off = 1
        self.burdened = False
        # Not None: other signs say already that the backend is away. It gets no more than this, and time-outs before
        # that prove something.
        self.floor: float | None = None

    @property
    def timeout(self) -> float:
        """Seconds."""
        return BURDENED_TIMES * self.ceiling if self.burdened and self.floor is None else self.ordinary

    @property
    def ordinary(self) -> float:
        """The same, for one that has no more to do than usual."""
        if self._smoothed is None:
            return self.ceiling
        measured = self._smoothed + VARIATIONS * self._variation
        patience = max(FLOOR_SECONDS, measured) * self._back_off if self.floor is None else max(self.floor, measured)
        return min(self.ceiling, patience)

    def measured(self, seconds: float) -> None:
        """A probe was answered after so long. More than the ceiling is taken for the ceiling: one very late answer
        (the server was suspended) must not spoil the average for the next hundred."""
        seconds = min(seconds, self.ceiling)
        self._back_off = 1
        if self._smoothed is None:
            self._smoothed, self._variation = seconds, seconds / 2
            return
        self._variation += VARIATION_GAIN * (abs(self._smoothed - seconds) - self._variation)
        self._smoothed += GAIN * (seconds - self._smoothed)

    def timed_out(self) -> None:
        """The next probe may take twice as long (section 5.5): two impatient probes prove no more than one."""
        if self.ordinary < self.ceiling:
            self._back_off *= 2
