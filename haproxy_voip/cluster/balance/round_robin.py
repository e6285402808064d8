"""Calls go to one backend after the other, to each as often as its weight says.

Start-time fair queueing: each backend has a time at which its next call is due. A call moves it on by 1 / weight, and
the earliest is next. Who was away is due at the time the others have come to: it gets its share, not what it missed.
"""

from __future__ import annotations

from collections.abc import Sequence

from haproxy_voip.cluster.balance import Candidate


class RoundRobin:
    """The algorithm named `round_robin` in the configuration."""

    __slots__ = ("_due", "_time")

    def __init__(self) -> None:
        self._due: dict[str, float] = {}  # of each backend that had a call
        self._time = 0.0  # at which the last call was due

    def due(self, name: str) -> float:
        """When it is this backend's turn, in calls of weight 1."""
        return max(self._due.get(name, 0.0), self._time)

    def pick(self, candidates: Sequence[Candidate], user: str) -> str:
        """Whose turn is next; of several the preferred one."""
        return min(candidates, key=lambda one: self.due(one.name)).name

    def placed(self, at: Candidate) -> None:
        """It had its turn."""
        self._time = self.due(at.name)
        self._due[at.name] = self._time + 1.0 / at.weight
