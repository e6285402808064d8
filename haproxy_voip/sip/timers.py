"""What the four transaction machines are made of: timers, how long they run, and the actions a machine asks for
(RFC 3261 section 17 and Table 4, RFC 6026, RFC 4320).

A machine sees statuses and times only. It answers with actions; transactions.py, which holds the messages,
carries them out. Timers are data, a dict replaced whole at each change of state, so no stale timer can fire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf

T1 = 0.5  # seconds, round-trip estimate, 17.1.1.1
T2 = 4.0  # seconds, longest interval between retransmissions of a non-INVITE request or an INVITE response, 17.1.2.2
T4 = 5.0  # seconds a message may stay in the network, 17.1.2.2
TIMER_D = 32.0  # seconds, "at least 32 seconds for unreliable transports", 17.1.1.2
TRANSACTION_LIFETIMES = 64  # times T1: how long anyone waits for an answer or an ACK


class Timer(StrEnum):
    """The timers by the letters of RFC 3261 Table 4 and RFC 6026, and two those tables have no letter for."""

    A = "A: retransmit INVITE"
    B = "B: give up on INVITE"
    D = "D: absorb repeated 300-699"
    E = "E: retransmit request"
    F = "F: give up on request"
    G = "G: retransmit 300-699"
    H = "H: give up on ACK"
    I = "I: absorb repeated ACK"  # noqa: E741 the RFC's letter
    J = "J: absorb repeated request"
    K = "K: absorb repeated answer"
    L = "L: absorb repeated INVITE"
    M = "M: pass on repeated 2xx"
    CANCELLED = "cancelled: give up on the answer"  # 9.1: 64*T1 after the CANCEL
    TRYING = "trying: say 100"  # RFC 4320 section 4.1


class Action(StrEnum):
    """What a machine asks of the layer that owns it."""

    SEND = "send"  # client: the request; server: the answer it was given last
    ACK = "ack"  # client: acknowledge this 300-699, hop by hop
    TRYING = "trying"  # server: answer 100 without asking the user
    DELIVER = "deliver"  # hand the message just received to the user
    TIMED_OUT = "timed out"  # client: no final answer will come; the user treats it as 408
    TRANSPORT_FAILED = "transport failed"  # client: the flow broke first; the user treats it as 503
    ACK_MISSING = "ack missing"  # server: a 300-699 was never acknowledged


Actions = tuple[Action, ...]
NOTHING: Actions = ()


@dataclass(frozen=True, slots=True)
class Timing:
    """The three values every timer follows from, in seconds. Defaults suit the public Internet."""

    t1: float = T1
    t2: float = T2
    t4: float = T4

    @property
    def lifetime(self) -> float:
        """Timers B, F, H, J, L and M: 64*T1."""
        return TRANSACTION_LIFETIMES * self.t1

    @property
    def timer_d(self) -> float:
        """Never below 32 s: the far server's T1 is not ours to know."""
        return max(TIMER_D, self.lifetime)

    @property
    def trying(self) -> float:
        """How long a non-INVITE request stays unanswered before 100 is allowed and due.

        RFC 4320 section 4.1: "the amount of time it takes a client transaction's Timer E to be reset to T2".
        """
        elapsed, interval = 0.0, self.t1
        while interval < self.t2:
            elapsed += interval
            interval *= 2
        return elapsed


RFC_3261 = Timing()


def is_due(timers: Mapping[Timer, float], timer: Timer, now: float) -> bool:
    """Whether `timer` runs and its time has come."""
    return timers.get(timer, inf) <= now


def earliest(timers: Mapping[Timer, float]) -> float | None:
    """When a machine with these timers is next due, or None."""
    return min(timers.values()) if timers else None
