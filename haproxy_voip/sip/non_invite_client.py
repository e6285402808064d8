"""Non-INVITE client transaction (RFC 3261 section 17.1.2).

Sans-I/O. Times are seconds on the caller's monotonic clock.
Every change of state goes through `_enter`, which replaces all timers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from haproxy_voip.sip.timers import NOTHING, Action, Actions, Timer, Timing, earliest, is_due


class State(StrEnum):
    """RFC 3261 Figure 6."""

    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    TERMINATED = "terminated"


@dataclass(slots=True, eq=False)
class NonInviteClient:
    """One request other than INVITE and ACK, awaiting its final response. `reliable` is True over TCP and TLS."""

    reliable: bool
    timing: Timing
    state: State = State.TRYING
    timers: dict[Timer, float] = field(default_factory=dict)
    interval: float = 0.0  # seconds from the last transmission to the next

    def start(self, now: float) -> Actions:
        """Send the request. Call once, first."""
        self.interval = self.timing.t1
        self.timers[Timer.F] = now + self.timing.lifetime
        if not self.reliable:
            self.timers[Timer.E] = now + self.interval
        return (Action.SEND,)

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due, or None."""
        return earliest(self.timers)

    @property
    def terminated(self) -> bool:
        """Whether nothing more can come of it: forget it."""
        return self.state is State.TERMINATED

    @property
    def answered(self) -> bool:
        """Whether a final response came, or never will."""
        return self.state is not State.TRYING and self.state is not State.PROCEEDING

    def receive(self, status: int, now: float) -> Actions:
        """Take a response from the wire."""
        match self.state:
            case State.TRYING | State.PROCEEDING:
                return self._unanswered(status, now)
            case State.COMPLETED | State.TERMINATED:
                return NOTHING
            case _:
                assert_never(self.state)

    def transport_failed(self) -> Actions:
        """The flow broke. Who already has an answer is not told."""
        if self.answered:
            return NOTHING
        self._enter(State.TERMINATED)
        return (Action.TRANSPORT_FAILED,)

    def wake(self, now: float) -> Actions:
        """Act on every timer that is due."""
        timers = self.timers
        if is_due(timers, Timer.F, now):
            self._enter(State.TERMINATED)
            return (Action.TIMED_OUT,)
        if is_due(timers, Timer.E, now):
            # 17.1.2.2: the interval doubles up to T2 in Trying, and is T2 in Proceeding.
            doubled = min(2 * self.interval, self.timing.t2)
            self.interval = doubled if self.state is State.TRYING else self.timing.t2
            timers[Timer.E] = now + self.interval
            return (Action.SEND,)
        if is_due(timers, Timer.K, now):
            self._enter(State.TERMINATED)
        return NOTHING

    def _unanswered(self, status: int, now: float) -> Actions:
        if status < 200:
            # Timer F goes on and E stays where it is: a provisional does not make the wait longer.
            self._enter(State.PROCEEDING, self.timers)
        elif self.reliable:
            self._enter(State.TERMINATED)  # timer K is 0 s
        else:
            self._enter(State.COMPLETED, {Timer.K: now + self.timing.t4})
        return (Action.DELIVER,)

    def _enter(self, state: State, timers: dict[Timer, float] | None = None) -> None:
        self.state = state
        self.timers = timers or {}
