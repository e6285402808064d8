"""The probes sent to one backend: which is pending, when it is given up, and how long answers take.

Our own pauses are not the backend's: an expired probe is believed to be unanswered only after the owner has looked
whether an answer waits in the socket's buffer, and when we wake late it gets more time.
"""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.cluster.round_trip import RoundTrip

# An owner that was asked to look, and never says that it did, is not waited for any longer.
LOOK_SECONDS = 1.0

# Waking later than this after the deadline means that we were held up ourselves.
LATE_SECONDS = 0.005

# A process that is always late (overloaded) would otherwise never see a backend die.
LOOKS_MAX = 3

# One that was given much to do is busy with it for so long at least: a hundred chat sessions take a fifth of it, and
# then everybody wants a reserve elsewhere. Afterwards the first answer that is as quick as usual shows that it is done.
BURDEN_SECONDS = 1.0

# Probes whose late answer is still recognised.
REMEMBERED_MAX = 16


@dataclass(slots=True)
class Pending:
    """The probe in flight."""

    number: int
    sent_at: float
    expires_at: float
    looks: int = 0  # times it was found expired and given more time
    looked_for: bool = False  # the owner reads what waits
    held_up: bool = False  # whether we were late ourselves, so that its round trip measures us


class Probes:
    """At most one is pending; a new one takes its place."""

    __slots__ = ("_burdened_at", "_sent", "number", "pending", "round_trip", "sent_at")

    def __init__(self, timeout: float) -> None:
        self.round_trip = RoundTrip(timeout)
        self.pending: Pending | None = None
        self.number = 0  # of the last one
        self.sent_at = float("-inf")  # when that was
        self._sent: dict[int, float] = {}  # number -> when; unanswered, oldest first
        self._burdened_at: float | None = None  # when the first answer came since it was; None: that is to come

    def send(self, now: float) -> int:
        """A new one, now pending; its number."""
        self.number += 1
        self.sent_at = now
        self.pending = Pending(self.number, now, now + self.round_trip.timeout)
        self._sent[self.number] = now
        if len(self._sent) > REMEMBERED_MAX:
            del self._sent[next(iter(self._sent))]
        return self.number

    def burden(self) -> None:
        """The backend was given much to do at once: it may take its time, over the pending one too."""
        self.round_trip.burdened = True
        self._burdened_at = None
        if self.pending is not None:
            self.pending.expires_at = max(self.pending.expires_at, self.pending.sent_at + self.round_trip.timeout)

    def settle(self) -> None:
        """The pending one has its result."""
        self.pending = None

    def answered(self, number: int) -> float | None:
        """When probe `number` was sent; None when it is not known or was answered before."""
        return self._sent.pop(number, None)

    def measured(self, number: int, seconds: float, now: float) -> None:
        """It was answered after so long; that counts unless we were held up meanwhile."""
        if self.round_trip.burdened:
            self._unburden(seconds, now)
        pending = self.pending
        if pending is None or pending.number != number or not pending.held_up:
            self.round_trip.measured(seconds)

    def expired(self, now: float) -> Pending | None:
        """The pending one, when its time is over; else None. It is asked for with `looked`, if `looked_for` is new."""
        pending = self.pending
        if pending is None or pending.expires_at > now or self._late(pending, now):
            return None
        if not pending.looked_for:
            pending.expires_at = now + LOOK_SECONDS
        return pending

    def looked(self, number: int) -> Pending | None:
        """What waited was read, and this one is not answered: it is settled. None when another one is pending."""
        pending = self.pending
        if pending is None or pending.number != number:
            return None
        self.pending = None
        self.round_trip.timed_out()
        return pending

    def _unburden(self, seconds: float, now: float) -> None:
        if self._burdened_at is None:
            self._burdened_at = now
        elif now >= self._burdened_at + BURDEN_SECONDS and seconds <= self.round_trip.ordinary:
            self.round_trip.burdened = False

    def _late(self, pending: Pending, now: float) -> bool:
        """Whether we were held up when it expired, so that it gets more time."""
        late = now - pending.expires_at
        if late <= LATE_SECONDS or pending.looks >= LOOKS_MAX or pending.looked_for:
            return False
        pending.looks += 1
        pending.held_up = True
        # After a long stall this is a whole time-out: the backend's host may have been suspended together with ours.
        pending.expires_at = now + min(late, self.round_trip.timeout)
        return True
