"""The registrations of one backend that wait for their turn, and how fast the backend takes them.

Many are sent at once when a backend comes up or becomes the active one. The window is cluster/pace.py's; when the
backend says 503, nothing at all is sent for a while: what its Retry-After asks for, else ever longer until it takes
one again (RFC 3261 section 21.5.4, RFC 7339).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.cluster.pace import Pace
from haproxy_voip.proxy.facts import RegistrationsPaused
from haproxy_voip.proxy.shared import Output, Shared

if TYPE_CHECKING:
    from haproxy_voip.proxy.registration import Registration

# Without Retry-After: the first pause, doubled up to the last while nothing is taken in between.
PAUSE_FIRST, PAUSE_LAST = 0.1, 5.0
# What a backend may ask for at most; longer, and its users' calls would wait for a number somebody mistyped.
RETRY_AFTER_MAX = 60.0
# Pauses are told to people not more often than this.
TELL_EVERY = 10.0


class Line:
    """See the module. Each registration stands in it once at most, and has one REGISTER in flight at most."""

    __slots__ = (
        "_pause", "_paused_until", "_refused", "_shared", "_tell_at", "_trying", "_urgent", "_waiting", "backend",
        "pace",
    )  # fmt: skip

    def __init__(self, shared: Shared, backend: str) -> None:
        self._shared = shared
        self.backend = backend
        self.pace = Pace()
        self._urgent: dict[Registration, None] = {}  # somebody calls
        self._refused: dict[Registration, None] = {}  # it was their turn, but the backend had too much to do
        self._waiting: dict[Registration, None] = {}
        self._pause = PAUSE_FIRST
        self._paused_until = 0.0
        self._trying = False  # one goes ahead after a pause, the others follow when it was taken
        self._tell_at = 0.0

    def __len__(self) -> int:
        return len(self._urgent) + len(self._refused) + len(self._waiting)

    def __contains__(self, registration: Registration) -> bool:
        return any(registration in queue for queue in (self._urgent, self._refused, self._waiting))

    def join(self, registration: Registration) -> None:
        """Let it wait for its turn; `pump` gives turns."""
        if registration not in self:
            self._waiting[registration] = None

    def hurry(self, registration: Registration, now: float) -> list[Output]:
        """Its turn comes now, whatever the window says; only a pause is kept, as the backend would refuse it."""
        self.leave(registration)
        if now < self._paused_until:
            self._urgent[registration] = None
            return []
        return registration.take_turn(now)

    def leave(self, registration: Registration) -> None:
        """It has nothing to ask for any more."""
        for queue in (self._urgent, self._refused, self._waiting):
            queue.pop(registration, None)

    def pump(self, now: float) -> list[Output]:
        """Give turns to as many as the backend can take."""
        outputs: list[Output] = []
        while len(self) and self._may_send(now):
            queue = self._urgent or self._refused or self._waiting
            registration = next(iter(queue))
            del queue[registration]
            outputs += registration.take_turn(now)
        return outputs

    def _may_send(self, now: float) -> bool:
        if now < self._paused_until or (self._trying and self.pace.in_flight):
            return False
        return self.pace.may_send()

    def took(self, registration: Registration, seconds: float) -> None:
        """The backend did what it was asked, after so long."""
        self.pace.answered(registration, seconds)
        self._pause = PAUSE_FIRST
        self._trying = False

    def overloaded(
        self, registration: Registration, retry_after: float | None, reason: str, now: float
    ) -> list[Output]:
        """The backend has too much to do, or is not there: everybody waits."""
        self.pace.refused(registration)
        (self._urgent if registration.awaited else self._refused)[registration] = None
        if now < self._paused_until:
            return []  # it was in flight when another one was refused
        if retry_after is None:
            seconds, self._pause = self._pause, min(2 * self._pause, PAUSE_LAST)
        else:
            seconds = min(max(retry_after, PAUSE_FIRST), RETRY_AFTER_MAX)
        self._paused_until = now + seconds
        self._trying = True
        self._shared.alarms.set(self, self._paused_until)
        if now < self._tell_at:
            return []
        self._tell_at = now + TELL_EVERY
        return [RegistrationsPaused(self.backend, reason, seconds, len(self))]

    def wake(self, now: float) -> list[Output]:
        """The pause is over."""
        return self.pump(now)

    def reset(self) -> None:
        """The backend is down: nobody waits, and what is known of its speed was of its earlier life."""
        for queue in (self._urgent, self._refused, self._waiting):
            queue.clear()
        self.pace = Pace()
        self._pause = PAUSE_FIRST
        self._paused_until = 0.0
        self._trying = False
        self._shared.alarms.set(self, None)
