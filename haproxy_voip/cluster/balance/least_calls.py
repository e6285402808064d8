"""A call goes where the fewest are, for the weight; where that says nothing, in turns."""

from __future__ import annotations

from collections.abc import Sequence

from haproxy_voip.cluster.balance import Candidate
from haproxy_voip.cluster.balance.round_robin import RoundRobin


class LeastCalls:
    """The algorithm named `least_calls` in the configuration."""

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns = RoundRobin()

    def pick(self, candidates: Sequence[Candidate], user: str) -> str:
        """The one that has the least to carry with this call."""
        return min(candidates, key=lambda one: ((one.calls + 1) / one.weight, self._turns.due(one.name))).name

    def placed(self, at: Candidate) -> None:
        """It had its turn."""
        self._turns.placed(at)
