"""How fast registrations are moved to a backend: as fast as it answers.

Additive increase, multiplicative decrease, as TCP does it (RFC 5681 section 3.1): a window of unanswered requests that
doubles with each round of quick answers until the first refusal, then grows by one each round; a refusal or a time-out
halves it, once for all that was in flight then.
"""

from __future__ import annotations

from collections.abc import Hashable

INITIAL_WINDOW = 10  # as RFC 6928 has it
MAX_WINDOW = 512  # REGISTERs of 600 bytes: 300 kB, which a server's socket buffer should hold

# An answer is quick when it takes no longer than this, or than so many times the quickest one seen.
QUICK_SECONDS = 0.050
QUICK_FACTOR = 4


class Pace:
    """The window towards one backend. Keys name the requests in flight."""

    __slots__ = ("_halved_at", "_in_flight", "_quickest", "_serial", "_threshold", "_window")

    def __init__(self) -> None:
        self._window: float = INITIAL_WINDOW
        self._threshold: float = MAX_WINDOW
        self._quickest = float("inf")
        self._in_flight: dict[Hashable, int] = {}
        self._serial = 0
        self._halved_at = 0  # what had been sent up to here shared the fate of the refusal that halved

    @property
    def window(self) -> int:
        """How many may be in flight, at least 1."""
        return int(self._window)

    @property
    def in_flight(self) -> int:
        """How many are."""
        return len(self._in_flight)

    def may_send(self) -> bool:
        """Whether one more may be sent now."""
        return len(self._in_flight) < self.window

    def sent(self, key: Hashable) -> None:
        """It was sent (or sent again)."""
        self._serial += 1
        self._in_flight[key] = self._serial

    def answered(self, key: Hashable, seconds: float) -> None:
        """The backend took it, after so long."""
        if self._in_flight.pop(key, None) is None:
            return
        self._quickest = min(self._quickest, seconds)
        if seconds > max(QUICK_SECONDS, QUICK_FACTOR * self._quickest):
            return
        step = 1 if self._window < self._threshold else 1 / self._window
        self._window = min(MAX_WINDOW, self._window + step)

    def refused(self, key: Hashable) -> None:
        """The backend answered 503, or not at all. When to try this one again is the caller's business."""
        serial = self._in_flight.pop(key, None)
        if serial is None or serial <= self._halved_at:
            return
        self._halved_at = self._serial
        self._window = self._threshold = max(1, self._window / 2)

    def dropped(self, key: Hashable) -> None:
        """It will not be answered, and that says nothing of the backend's speed."""
        self._in_flight.pop(key, None)
