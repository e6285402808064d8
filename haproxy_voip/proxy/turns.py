"""One after the other, for each caller: of two calls that a caller has, the next backend is asked for one at a time, so
that what it then does can only mean that one (claims.py)."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from haproxy_voip.proxy.shared import Output


class Waiting(Protocol):
    """Something that has its turn."""

    def turn(self, now: float) -> list[Output] | None:
        """Begin; None when there is nothing to do any more."""


class Turns:
    """Who has the turn of each caller, and who waits for it. Bounded by the number of calls."""

    def __init__(self) -> None:
        self._current: dict[str, Waiting] = {}
        self._waiting: dict[str, deque[Waiting]] = {}

    def __len__(self) -> int:
        return len(self._current)

    def ask(self, caller: str, who: Waiting, now: float) -> list[Output]:
        """Begin now, or when those before have ended."""
        if caller in self._current:
            self._waiting.setdefault(caller, deque()).append(who)
            return []
        self._current[caller] = who
        return self._begun(caller, who.turn(now), now)

    def end(self, caller: str, who: Waiting, now: float) -> list[Output]:
        """It has what it wanted, or will not get it. Whoever does not have the turn changes nothing."""
        if self._current.get(caller) is not who:
            return []
        del self._current[caller]
        queue = self._waiting.get(caller)
        if not queue:
            return []
        following = queue.popleft()
        if not queue:
            del self._waiting[caller]
        self._current[caller] = following
        return self._begun(caller, following.turn(now), now)

    def _begun(self, caller: str, outputs: list[Output] | None, now: float) -> list[Output]:
        return self.end(caller, self._current[caller], now) if outputs is None else outputs
