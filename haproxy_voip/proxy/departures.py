"""Backends that were removed from the configuration, until nothing of them is left.

What was there stays and ends in its own time, so it is looked now and then whether it has.
"""

from __future__ import annotations

from collections.abc import Callable

from haproxy_voip.cluster.pool import Pool
from haproxy_voip.core.deadlines import Deadlines
from haproxy_voip.proxy.shared import Output, Wakeable

LOOK_SECONDS = 0.5
# A backend that takes nothing back is not waited for any longer: what it was told expires there.
FAREWELL_SECONDS = 32.0


class Departures:
    """Of one service. `carries` tells whether something is there, `busy` whether a word is still to be said to it."""

    def __init__(
        self,
        alarms: Deadlines[Wakeable],
        pool: Pool,
        carries: Callable[[str], bool],
        busy: Callable[[str], bool],
        drop: Callable[[str, float], list[Output]],
    ) -> None:
        self._alarms = alarms
        self._pool = pool
        self._carries = carries
        self._busy = busy
        self._drop = drop
        self._empty_since: dict[str, float] = {}

    def watch(self, now: float) -> None:
        """There may be some."""
        if self._pool.retired and self._alarms.at(self) is None:
            self._alarms.set(self, now + LOOK_SECONDS)

    def wake(self, now: float) -> list[Output]:
        """Let go of those that have nothing to carry any more."""
        outputs: list[Output] = []
        empty = [name for name in self._pool.retired if not self._carries(name)]
        self._empty_since = {name: self._empty_since.get(name, now) for name in empty}
        for name, since in list(self._empty_since.items()):
            if not self._busy(name) or now >= since + FAREWELL_SECONDS:
                del self._empty_since[name]
                outputs += self._drop(name, now)
        self.watch(now)
        return outputs
