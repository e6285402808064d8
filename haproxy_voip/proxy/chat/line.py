"""The sessions that wait for their turn to log in at one backend, and how fast it takes them.

A login costs a server milliseconds, so a thousand at once would make every one of them late. Sessions that have no
server come before those that only want one in reserve; of the latter few are in flight at a time, because a server
that has just lost its neighbour has other things to do.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Protocol

from haproxy_voip.cluster.pace import Pace
from haproxy_voip.proxy.shared import Output

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.shared import ChatShared

# Logins for reserve in flight at one backend.
RESERVES_AT_ONCE = 4
# With so many waiting servers are busy with logins for the better part of a second. Fewer are soon moved, if need be.
CROWD = 32
# So long after a failover began no login for reserve is begun: those who wait need the servers' time, and ours. Not for
# longer, as a second failure would find nobody ready.
REST_SECONDS = 0.5
# After a backend refused or failed a login: the first pause, doubled up to the last while none is taken in between.
PAUSE_FIRST, PAUSE_LAST = 0.1, 5.0


class Seeker(Hashable, Protocol):
    """Who wants to log in."""

    def log_in(self, backend: str, now: float) -> list[Output]:
        """Its turn has come."""


class Line:
    """Everybody stands in it once at most."""

    __slots__ = (
        "_in_flight", "_pause", "_paused_until", "_reserves", "_rests_until", "_shared", "_urgent", "backend", "pace",
    )  # fmt: skip

    def __init__(self, shared: ChatShared, backend: str) -> None:
        self._shared = shared
        self.backend = backend
        self.pace = Pace()
        self._urgent: dict[Seeker, None] = {}
        self._reserves: dict[Seeker, None] = {}
        self._in_flight: dict[Seeker, float] = {}  # since when
        self._pause = PAUSE_FIRST
        self._paused_until = 0.0
        self._rests_until = 0.0

    def __len__(self) -> int:
        return len(self._urgent) + len(self._reserves)

    def join(self, seeker: Seeker, *, urgent: bool) -> None:
        """Let it wait for its turn; `pump` gives turns."""
        self.leave(seeker)
        (self._urgent if urgent else self._reserves)[seeker] = None

    def leave(self, seeker: Seeker) -> None:
        """It does not want to any more, or its login is over without a result."""
        self._urgent.pop(seeker, None)
        self._reserves.pop(seeker, None)
        if self._in_flight.pop(seeker, None) is not None:
            self.pace.dropped(seeker)

    def pump(self, now: float) -> list[Output]:
        """Give turns to as many as the backend can take."""
        outputs: list[Output] = []
        waited = len(self)
        while now >= self._paused_until and self.pace.may_send():
            queue = self._urgent or self._reserves
            if not queue or (queue is self._reserves and len(self._in_flight) >= RESERVES_AT_ONCE):
                break
            if queue is self._reserves and now < self._rests_until:
                self._shared.alarms.set(self, self._rests_until)
                break
            seeker = next(iter(queue))
            del queue[seeker]
            self.pace.sent(seeker)
            self._in_flight[seeker] = now
            outputs += seeker.log_in(self.backend, now)
        if CROWD <= len(self) < waited:
            self._shared.backends.crowded(now)
        return outputs

    def took(self, seeker: Seeker, now: float) -> list[Output]:
        """It is logged in."""
        since = self._in_flight.pop(seeker, None)
        if since is None:
            return []
        self.pace.answered(seeker, now - since)
        self._pause = PAUSE_FIRST
        return self.pump(now)

    def refused(self, seeker: Seeker, now: float) -> None:
        """The backend is too busy for it, or not there: everybody waits."""
        self._in_flight.pop(seeker, None)
        self.pace.refused(seeker)
        if now >= self._paused_until:
            self._paused_until = now + self._pause
            self._pause = min(2 * self._pause, PAUSE_LAST)
        self._shared.alarms.set(self, self._paused_until)

    def rest(self, now: float) -> None:
        """Sessions are on the move: reserves can wait."""
        self._rests_until = now + REST_SECONDS

    def wake(self, now: float) -> list[Output]:
        """The pause is over."""
        return self.pump(now)

    def reset(self) -> None:
        """The backend is down: nobody waits any more."""
        self._urgent.clear()
        self._reserves.clear()
        self._in_flight.clear()
        self.pace = Pace()
        self._pause = PAUSE_FIRST
        self._paused_until = 0.0
        self._shared.alarms.set(self, None)
