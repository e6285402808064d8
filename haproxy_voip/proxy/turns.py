"""One after the other, for each caller: of two calls that a caller has, the next backend is asked for one at a time, so
that what it then does can only mean that one (claims.py). And of all callers no more at a time than the backend answers
quickly (cluster/pace.py): one that has lost its neighbour gets its calls, and must not be buried under them.

Whose client hears nobody goes first. Those that are joined to each other can wait, and each that is set up takes time
from the audio of all the others, at the backend and here: so they go a few at a time.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Protocol

from haproxy_voip.cluster.pace import Pace
from haproxy_voip.proxy.errands import Errands, Work
from haproxy_voip.proxy.shared import Output

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call


# Calls whose clients hear each other that are under way at once: so many, or this share of those that wait. With 10 and
# more the audio of a hundred calls, on two processors with everybody else, had gaps of 57 ms (p99); with 2 of 43.
JOINED_AT_ONCE, JOINED_SHARE = 2, 0.02


class Waiting(Hashable, Protocol):
    """Something that has its turn."""

    carried: bool  # it got what it wanted

    @property
    def call(self) -> Call:
        """That it is for."""

    def turn(self, now: float) -> list[Output] | None:
        """Begin; None when there is nothing to do any more."""


class Turns:
    """Who has the turn of each caller, and who waits for it. Bounded by the number of calls."""

    def __init__(self, errands: Errands) -> None:
        self._errands = errands
        self._current: dict[str, Waiting] = {}
        self._waiting: dict[str, dict[Waiting, None]] = {}  # in the order they came
        self._ready: dict[Waiting, str] = {}  # whose turn it is, but the backend has enough to do; by caller
        self._patient: dict[Waiting, str] = {}  # the same, of those whose clients hear each other
        self._due: dict[Waiting, int] = {}  # who begins in one of the next steps, and the number of that errand
        self._begun: dict[Waiting, float] = {}  # when those began whom the backend works for
        self._pace = Pace()
        self._errand = 0

    def __len__(self) -> int:
        return len(self._current)

    def ask(self, caller: str, who: Waiting, now: float) -> list[Output]:
        """Begin now, or when those before have ended. Who has the turn already begins anew."""
        if self._current.get(caller, who) is not who:
            self._waiting.setdefault(caller, {})[who] = None
            return []
        self._current[caller] = who
        if who in self._begun:
            del self._begun[who]
            self._pace.refused(who)
        self._is_ready(caller, who)
        return self._pump(now)

    def end(self, caller: str, who: Waiting, now: float) -> list[Output]:
        """It has what it wanted, or will not get it. Whoever does not have the turn changes nothing."""
        if self._current.get(caller) is not who:
            return []
        del self._current[caller]
        self._ready.pop(who, None)
        self._patient.pop(who, None)
        self._due.pop(who, None)
        began_at = self._begun.pop(who, None)
        if began_at is not None and who.carried:
            self._pace.answered(who, now - began_at)
        else:
            self._pace.dropped(who)
        queue = self._waiting.pop(caller, {})
        if queue:
            following = next(iter(queue))
            del queue[following]
            self._current[caller] = following
            self._is_ready(caller, following)
            if queue:
                self._waiting[caller] = queue
        return self._pump(now)

    def _pump(self, now: float) -> list[Output]:
        outputs: list[Output] = []
        while (queue := self._next()) is not None:
            who, caller = next(iter(queue.items()))
            del queue[who]
            self._pace.sent(who)
            self._errand += 1
            self._due[who] = self._errand
            outputs += self._errands.do(self._beginning(caller, who, self._errand), who.call, now)
        if not self._current:
            self._pace = Pace()  # what the next failover meets is another matter
        return outputs

    def _is_ready(self, caller: str, who: Waiting) -> None:
        (self._ready if who.call.partner is None else self._patient)[who] = caller

    def _next(self) -> dict[Waiting, str] | None:
        """Of whom the next may begin."""
        if not self._pace.may_send():
            return None
        if self._ready:
            return self._ready
        at_once = max(JOINED_AT_ONCE, JOINED_SHARE * len(self._patient))
        return self._patient if self._patient and self._pace.in_flight < at_once else None

    def _beginning(self, caller: str, who: Waiting, errand: int) -> Work:
        def begin(call: Call, now: float) -> list[Output]:
            if self._due.get(who) != errand:
                return []  # it ended, or asked anew, meanwhile
            del self._due[who]
            self._begun[who] = now
            outputs = who.turn(now)
            return self.end(caller, who, now) if outputs is None else outputs

        return begin
