"""INVITE server transaction (RFC 3261 section 17.2.1, RFC 6026 sections 7.1 and 8.5).

Sans-I/O. Times are seconds on the caller's monotonic clock.
Every change of state goes through `_enter`, which replaces all timers.
In PROCEEDING nothing is due: the user must answer in its own time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from haproxy_voip.sip.timers import NOTHING, Action, Actions, Timer, Timing, earliest, is_due


class State(StrEnum):
    """RFC 3261 Figure 7 as RFC 6026 draws it anew."""

    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


@dataclass(slots=True, eq=False)
class InviteServer:
    """One INVITE being answered. `reliable` is True over TCP and TLS."""

    reliable: bool
    timing: Timing
    state: State = State.PROCEEDING
    timers: dict[Timer, float] = field(default_factory=dict)
    interval: float = 0.0  # seconds from the last transmission of a 300-699 to the next

    def start(self, now: float) -> Actions:
        """Take the INVITE. Call once, first.

        17.2.1 allows 200 ms before the 100; at once, it also spares the sender its first retransmission when we stall.
        """
        return (Action.TRYING, Action.DELIVER)

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due, or None."""
        return earliest(self.timers)

    @property
    def terminated(self) -> bool:
        """Whether nothing more can come of it: forget it."""
        return self.state is State.TERMINATED

    def repeated(self, now: float) -> Actions:
        """The INVITE came again."""
        match self.state:
            case State.PROCEEDING | State.COMPLETED:
                return (Action.SEND,)
            case State.ACCEPTED | State.CONFIRMED | State.TERMINATED:
                # RFC 6026 7.1: in Accepted "any retransmissions of the INVITE received will match this
                # transaction state machine and will be absorbed"; the user repeats the 2xx on its own clock.
                return NOTHING
            case _:
                assert_never(self.state)

    def ack(self, now: float) -> Actions:
        """An ACK with this INVITE's branch came."""
        match self.state:
            case State.COMPLETED:
                if self.reliable:
                    self._enter(State.TERMINATED)  # timer I is 0 s
                else:
                    self._enter(State.CONFIRMED, {Timer.I: now + self.timing.t4})
                return NOTHING
            case State.ACCEPTED:
                # RFC 6026 7.1: passed on, not absorbed. A 2xx's ACK has its own branch; here comes one from a
                # peer that gave it the INVITE's.
                return (Action.DELIVER,)
            case State.PROCEEDING | State.CONFIRMED | State.TERMINATED:
                return NOTHING
            case _:
                assert_never(self.state)

    def respond(self, status: int, now: float) -> Actions:
        """The user answers. Only a 2xx may follow a final answer, and only a 2xx."""
        match self.state:
            case State.PROCEEDING:
                return self._answer(status, now)
            case State.ACCEPTED:
                return (Action.SEND,) if 200 <= status < 300 else NOTHING
            case State.COMPLETED | State.CONFIRMED | State.TERMINATED:
                return NOTHING
            case _:
                assert_never(self.state)

    def wake(self, now: float) -> Actions:
        """Act on every timer that is due."""
        timers = self.timers
        if is_due(timers, Timer.H, now):
            self._enter(State.TERMINATED)
            return (Action.ACK_MISSING,)
        if is_due(timers, Timer.G, now):
            self.interval = min(2 * self.interval, self.timing.t2)
            timers[Timer.G] = now + self.interval
            return (Action.SEND,)
        if is_due(timers, Timer.I, now) or is_due(timers, Timer.L, now):
            self._enter(State.TERMINATED)
        return NOTHING

    def _answer(self, status: int, now: float) -> Actions:
        if status >= 300:
            timers = {Timer.H: now + self.timing.lifetime}
            if not self.reliable:
                self.interval = self.timing.t1
                timers[Timer.G] = now + self.interval
            self._enter(State.COMPLETED, timers)
        elif status >= 200:
            self._enter(State.ACCEPTED, {Timer.L: now + self.timing.lifetime})
        return (Action.SEND,)

    def _enter(self, state: State, timers: dict[Timer, float] | None = None) -> None:
        self.state = state
        self.timers = timers or {}
