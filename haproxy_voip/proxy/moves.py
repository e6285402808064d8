"""What a failover did, counted for its record; and what came of the calls that it moved, once that is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from haproxy_voip.proxy.facts import FailoverSettled

# Of an answered call: another backend carries it; it goes on without one; it is over.
Outcome = Literal["carried", "joined", "ended"]
UNDER_WAY = "under way"


class Reckoning:
    """What comes of the answered calls of one backend. `counts` is the record's, and true at any time."""

    def __init__(self, backend: str, now: float) -> None:
        self.counts: dict[str, int] = {}
        self._backend = backend
        self._since = now

    def expect(self) -> None:
        """One more call has to find its way."""
        self.counts[UNDER_WAY] = self.counts.get(UNDER_WAY, 0) + 1

    def settle(self, outcome: Outcome, now: float) -> list[FailoverSettled]:
        """It has; a fact when it was the last of them."""
        counts = self.counts
        counts[outcome] = counts.get(outcome, 0) + 1
        counts[UNDER_WAY] -= 1
        if counts[UNDER_WAY]:
            return []
        del counts[UNDER_WAY]
        carried, joined, ended = (counts.get(one, 0) for one in ("carried", "joined", "ended"))
        return [FailoverSettled(self._backend, carried, joined, ended, now - self._since, now)]


@dataclass(slots=True)
class Moves:
    """What became of the things on a dead backend, by kind, for its record."""

    reckoning: Reckoning
    moved: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)

    def move(self, kind: str, count: int = 1) -> None:
        """So many more of this kind go on elsewhere."""
        if count:
            self.moved[kind] = self.moved.get(kind, 0) + count

    def lose(self, kind: str) -> None:
        """One more of this kind ended."""
        self.lost[kind] = self.lost.get(kind, 0) + 1
