"""`drain NAME --move`: the conversations on a backend are moved to the next one, one after the other (relocation.py).

What cannot be moved stays until it ends, and is told: who talks to the backend itself (a mailbox, a conference) would
begin anew, and so would a conversation of which it is not known who talks to whom. That may become known yet, so it is
looked again and again, as long as the backend is drained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from haproxy_voip.proxy.facts import CallNotMoved
from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.relocation import Relocation, Step
from haproxy_voip.proxy.shared import Output

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call
    from haproxy_voip.proxy.calls import Calls

# How often it is looked whether one is done, and after the last one whether there are others.
LOOK_SECONDS = 0.02
LOOK_AGAIN_SECONDS = 1.0
# How long a call may be up before it is told that it stays: until then those who talk may have been heard.
KNOWN_AFTER_SECONDS = 3.0
# What went wrong once may have been a change in the call; twice it is the next backend.
TRIES = 2

UNKNOWN = "it talks to the backend itself, or to whom is not known"


class Clearance:
    """Of one backend. `pairs` tells who talks to whom, of calls that it carries."""

    def __init__(self, home: Calls, backend: str, pairs: Callable[[list[Call]], dict[Call, Call]]) -> None:
        self._home = home
        self._backend = backend
        self._pairs = pairs
        self._current: Relocation | None = None
        self._tried: Counter[Call] = Counter()
        self._staying: dict[Call, str] = {}
        self._told: dict[Call, None] = {}
        self._stopped = False
        self.moved = 0

    # -- for people ---------------------------------------------------------------------------------

    @property
    def of(self) -> int:
        """How many calls there are, those that were moved included."""
        return self.moved + len(self._here())

    @property
    def to_move(self) -> int:
        """How many are still to be moved, or looked at."""
        return sum(call not in self._told for call in self._here())

    @property
    def staying(self) -> dict[str, int]:
        """Why calls stay -> how many."""
        return dict(Counter(self._staying[call] for call in self._here() if call in self._told))

    @property
    def current(self) -> Relocation | None:
        """What is under way."""
        return self._current

    # -- moving -------------------------------------------------------------------------------------

    def begin(self, now: float) -> list[Output]:
        """Move the first."""
        return self.wake(now)

    def stop(self, why: str, now: float, alive: bool) -> list[Output]:
        """No more; what is under way is called off, unless it cannot be. `alive`: whether the backend is."""
        self._stopped = True
        self._home.shared.alarms.set(self, None)
        return [] if self._current is None else self._current.call_off(why, now, alive)

    def wake(self, now: float) -> list[Output]:
        """See whether one is done, and begin the next."""
        outputs = self._look(now)
        if not self._stopped:
            pause = LOOK_AGAIN_SECONDS if self._current is None else LOOK_SECONDS
            self._home.shared.alarms.set(self, now + pause)
        return outputs

    def _look(self, now: float) -> list[Output]:
        current = self._current
        if current is not None:
            if current.step is not Step.OVER:
                return []
            self._done(current)
        outputs: list[Output] = []
        here = [call for call in self._here() if _calm(call)]
        pairs = self._pairs(here)
        for call in here:
            reason = self._refusal(call, pairs.get(call))
            if reason is None:
                return [*outputs, *self._start(call, pairs[call], now)]
            outputs += self._stays(call, reason, now)
        self._forget()
        return outputs

    def _here(self) -> list[Call]:
        return [call for call in self._home.on(self._backend) if call.answered]

    def _refusal(self, call: Call, partner: Call | None) -> str | None:
        """Why this one is not to be moved now."""
        if self._tried[call] >= TRIES:
            return self._staying[call]
        if partner is None or call.callee.side is partner.callee.side:
            return UNKNOWN
        if self._home.next_backend(call) is None:
            return "no other backend is ready and has room"
        if not call.media.joinable(partner.media):
            return "its media are encrypted, or cannot be joined"
        return None

    def _start(self, call: Call, partner: Call, now: float) -> list[Output]:
        ours, theirs = (call, partner) if call.callee.side is Side.BACKEND else (partner, call)
        target = self._home.next_backend(ours)
        assert target is not None
        self._current = Relocation(self._home, ours, theirs, target, now)
        return self._current.begin(now)

    def _done(self, current: Relocation) -> None:
        self._current = None
        for half in (current.ours, current.theirs):
            if current.why:
                self._tried[half.call] += 1
                self._staying[half.call] = current.why
            else:
                self.moved += 1

    def _stays(self, call: Call, reason: str, now: float) -> list[Output]:
        self._staying[call] = reason
        assert call.answered_at is not None
        young = reason is UNKNOWN and now < call.answered_at + KNOWN_AFTER_SECONDS
        if young or call in self._told:
            return []
        self._told[call] = None
        return [CallNotMoved(call.token, self._backend, reason, now)]

    def _forget(self) -> None:
        """Calls that ended: there is no end to those that come while others stay."""
        here = dict.fromkeys(self._here())
        for known in (self._tried, self._staying, self._told):
            for call in [one for one in known if one not in here]:
                del known[call]


def _calm(call: Call) -> bool:
    """Whether nothing is under way in it."""
    asking = any(leg.pending or leg.answers or leg.unacknowledged for leg in call.legs)
    return not asking and call.rebuilding is None and not call.session.transferring
