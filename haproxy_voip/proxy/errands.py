"""Work for many calls at once, done in small steps: media, probes and new calls have their turn between them.

A failover of a hundred calls is a hundred INVITEs. None of them is urgent, because those who talk were joined in the
relay before; written in one go they would keep the event loop from everything else for as long as a packet may be late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from haproxy_voip.core.deadlines import Deadlines
from haproxy_voip.proxy.isolation import apart
from haproxy_voip.proxy.shared import Output, Wakeable

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call

# Errands of one step. An INVITE is 0.1 to 0.2 ms of work: this is less than a packet notices.
STEP = 4
# From one step to the next; an event loop's timer counts whole milliseconds.
PAUSE_SECONDS = 0.001

Work = Callable[["Call", float], list[Output]]


class Errands:
    """What is to be done for calls, in the order it was asked for. Bounded by the number of calls."""

    def __init__(self, alarms: Deadlines[Wakeable]) -> None:
        self._alarms = alarms
        self._waiting: deque[tuple[Work, Call]] = deque()
        self._at = float("-inf")  # of the last step
        self._done = 0  # in it

    def __len__(self) -> int:
        return len(self._waiting)

    def do(self, work: Work, call: Call, now: float) -> list[Output]:
        """Now, if little was done in this step, else in one of the next. A mistake in it costs this call alone."""
        self._waiting.append((work, call))
        return self._step(now)

    def wake(self, now: float) -> list[Output]:
        """The next step."""
        return self._step(now)

    def _step(self, now: float) -> list[Output]:
        if now != self._at:
            self._at, self._done = now, 0
        outputs: list[Output] = []
        while self._waiting and self._done < STEP:
            self._done += 1
            work, call = self._waiting.popleft()
            outputs += apart(work, call, now)
        self._alarms.set(self, now + PAUSE_SECONDS if self._waiting else None)
        return outputs
