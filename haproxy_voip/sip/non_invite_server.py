"""Non-INVITE server transaction (RFC 3261 section 17.2.2, RFC 4320 section 4).

Sans-I/O. Times are seconds on the caller's monotonic clock.
Every change of state goes through `_enter`, which replaces all timers.

RFC 4320 leaves the user three rules it need not know, because they are kept here:
no provisional but 100, no 100 too early over UDP and always one when it is late, and never a 408.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from haproxy_voip.sip.timers import NOTHING, Action, Actions, Timer, Timing, earliest, is_due


class State(StrEnum):
    """RFC 3261 Figure 8."""

    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    TERMINATED = "terminated"


@dataclass(slots=True, eq=False)
class NonInviteServer:
    """One request other than INVITE and ACK being answered. `reliable` is True over TCP and TLS."""

    reliable: bool
    timing: Timing
    state: State = State.TRYING
    timers: dict[Timer, float] = field(default_factory=dict)

    def start(self, now: float) -> Actions:
        """Take the request. Call once, first.

        The client gives up at its timer F. After that an answer would be the late one RFC 4320 section 4.2
        forbids, so the transaction ends then, answered or not.
        """
        self.timers[Timer.F] = now + self.timing.lifetime
        self.timers[Timer.TRYING] = now + self.timing.trying
        return (Action.DELIVER,)

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due, or None."""
        return earliest(self.timers)

    @property
    def terminated(self) -> bool:
        """Whether nothing more can come of it: forget it."""
        return self.state is State.TERMINATED

    def repeated(self, now: float) -> Actions:
        """The request came again."""
        match self.state:
            case State.PROCEEDING | State.COMPLETED:
                return (Action.SEND,)
            case State.TRYING | State.TERMINATED:
                return NOTHING
            case _:
                assert_never(self.state)

    def respond(self, status: int, now: float) -> Actions:
        """The user answers; what RFC 4320 forbids is dropped."""
        match self.state:
            case State.TRYING | State.PROCEEDING:
                return self._answer(status, now)
            case State.COMPLETED | State.TERMINATED:
                return NOTHING
            case _:
                assert_never(self.state)

    def wake(self, now: float) -> Actions:
        """Act on every timer that is due."""
        if is_due(self.timers, Timer.F, now) or is_due(self.timers, Timer.J, now):
            self._enter(State.TERMINATED)
        elif is_due(self.timers, Timer.TRYING, now):
            # RFC 4320 4.1: an element "MUST respond to a non-INVITE request with a Status-Code of 100 if it has
            # not otherwise responded" by the time a client's timer E is reset to T2.
            self._enter(State.PROCEEDING, {Timer.F: self.timers[Timer.F]})
            return (Action.TRYING,)
        return NOTHING

    def _answer(self, status: int, now: float) -> Actions:
        if status < 200:
            return self._provisional(status)
        if status == 408:
            # RFC 4320 4.2: "MUST NOT send a response with Status-Code of 408 to a non-INVITE request": the
            # client has timed out too, and a 408 would only spoil its opinion of every hop between.
            return NOTHING
        if self.reliable:
            self._enter(State.TERMINATED)  # timer J is 0 s
        else:
            self._enter(State.COMPLETED, {Timer.J: now + self.timing.lifetime})
        return (Action.SEND,)

    def _provisional(self, status: int) -> Actions:
        # RFC 4320 4.1: no provisional but 100; over UDP not before the time at which we send it ourselves.
        if status != 100 or (self.state is State.TRYING and not self.reliable):
            return NOTHING
        self._enter(State.PROCEEDING, {Timer.F: self.timers[Timer.F]})
        return (Action.SEND,)

    def _enter(self, state: State, timers: dict[Timer, float] | None = None) -> None:
        self.state = state
        self.timers = timers or {}
