"""INVITE client transaction (RFC 3261 section 17.1.1, RFC 6026 sections 7.2 and 8.4).

Sans-I/O. Times are seconds on the caller's monotonic clock.
Every change of state goes through `_enter`, which replaces all timers.
In PROCEEDING nothing is due: how long a callee may ring is the user's decision (timer C, 16.6 step 11).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from haproxy_voip.sip.timers import NOTHING, Action, Actions, Timer, Timing, earliest, is_due


class State(StrEnum):
    """RFC 3261 Figure 5 as RFC 6026 section 8.4 draws it anew."""

    CALLING = "calling"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


@dataclass(slots=True, eq=False)
class InviteClient:
    """One INVITE awaiting its final response. `reliable` is True over TCP and TLS: nothing is retransmitted there."""

    reliable: bool
    timing: Timing
    state: State = State.CALLING
    timers: dict[Timer, float] = field(default_factory=dict)
    interval: float = 0.0  # seconds from the last transmission of the INVITE to the next

    def start(self, now: float) -> Actions:
        """Send the INVITE. Call once, first."""
        self.interval = self.timing.t1
        self.timers[Timer.B] = now + self.timing.lifetime
        if not self.reliable:
            self.timers[Timer.A] = now + self.interval
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
        return self.state is not State.CALLING and self.state is not State.PROCEEDING

    def receive(self, status: int, now: float) -> Actions:
        """Take a response from the wire."""
        match self.state:
            case State.CALLING | State.PROCEEDING:
                return self._unanswered(status, now)
            case State.COMPLETED:
                # 17.1.1.2: a retransmitted final response "MUST cause the ACK to be re-passed to the transport
                # layer", and "MUST NOT" reach the user again.
                return (Action.ACK,) if status >= 300 else NOTHING
            case State.ACCEPTED:
                # RFC 6026 8.4: "Any 2xx responses that match this client transaction and that are received while
                # in the "Accepted" state MUST be passed up to the TU": retransmissions and other forks' alike,
                # for each needs an ACK that only the user can build.
                return (Action.DELIVER,) if 200 <= status < 300 else NOTHING
            case State.TERMINATED:
                return NOTHING
            case _:
                assert_never(self.state)

    def cancelled(self, now: float) -> Actions:
        """A CANCEL for this INVITE has been sent. Call in PROCEEDING only.

        9.1: without a final response in 64*T1 the client "SHOULD then consider the original transaction
        cancelled and SHOULD destroy the client transaction".
        """
        assert self.state is State.PROCEEDING, self.state
        self.timers = {Timer.CANCELLED: now + self.timing.lifetime}
        return NOTHING

    def hush(self) -> None:
        """Send the INVITE no more; go on waiting for its answer."""
        self.timers.pop(Timer.A, None)

    def transport_failed(self) -> Actions:
        """The flow broke. Who already has an answer is not told (RFC 6026 8.4)."""
        if self.answered:
            return NOTHING
        self._enter(State.TERMINATED)
        return (Action.TRANSPORT_FAILED,)

    def wake(self, now: float) -> Actions:
        """Act on every timer that is due."""
        timers = self.timers
        if is_due(timers, Timer.B, now) or is_due(timers, Timer.CANCELLED, now):
            self._enter(State.TERMINATED)
            return (Action.TIMED_OUT,)
        if is_due(timers, Timer.A, now):
            self.interval *= 2
            timers[Timer.A] = now + self.interval
            return (Action.SEND,)
        if is_due(timers, Timer.D, now) or is_due(timers, Timer.M, now):
            self._enter(State.TERMINATED)
        return NOTHING

    def _unanswered(self, status: int, now: float) -> Actions:
        if status < 200:
            if self.state is State.CALLING:
                self._enter(State.PROCEEDING)
            return (Action.DELIVER,)
        if status < 300:
            self._enter(State.ACCEPTED, {Timer.M: now + self.timing.lifetime})
            return (Action.DELIVER,)
        if self.reliable:
            self._enter(State.TERMINATED)  # timer D is 0 s
        else:
            self._enter(State.COMPLETED, {Timer.D: now + self.timing.timer_d})
        return (Action.ACK, Action.DELIVER)

    def _enter(self, state: State, timers: dict[Timer, float] | None = None) -> None:
        self.state = state
        self.timers = timers or {}
