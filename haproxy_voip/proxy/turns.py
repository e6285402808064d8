"""One after the other, for each caller: of two calls that a caller has, the next backend is asked for one at a time, so
that what it then does can only mean that one (claims.py)."""

from __future__ import annotations

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
        self._waiting: dict[str, dict[Waiting, None]] = {}  # in the order they came

    def __len__(self) -> int:
        return len(self._current)

    def ask(self, caller: str, who: Waiting, now: float) -> list[Output]:
        """Begin now, or when those before have ended. Who has the turn already begins anew."""
        if self._current.get(caller, who) is not who:
            self._waiting.setdefault(caller, {})[who] = None
            return []
        self._current[caller] = who
        outputs = who.turn(now)
        return self.end(caller, who, now) if outputs is None else outputs

    def end(self, caller: str, who: Waiting, now: float) -> list[Output]:
        """It has what it wanted, or will not get it. Whoever does not have the turn changes nothing."""
        if self._current.get(caller) is not who:
            return []
        del self._current[caller]
        queue = self._waiting.pop(caller, {})
        while queue:
            following = next(iter(queue))
            del queue[following]
            self._current[caller] = following
            if queue:
                self._waiting[caller] = queue  # for whoever asks or ends from within
            outputs = following.turn(now)
            if outputs is not None:
                return outputs
            self._current.pop(caller, None)
            self._waiting.pop(caller, None)
        return []
