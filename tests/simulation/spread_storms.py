"""Storms over backends that share the calls: round_robin, least_calls and hash in turn, by weight, with a slow start.

`python -m tests.simulation.spread_storms SEED` replays one history; `... SEED COUNT` runs several.
"""

from __future__ import annotations

from collections import defaultdict

from haproxy_voip.proxy.facts import CallMoved, CallStarted
from tests.simulation.storms import Storm, main

BALANCES = ("round_robin", "least_calls", "hash")
TERMS = {"alpha": {"weight": 2}, "beta": {"slowstart": 3.0}, "charlie": {"weight": 3}}


class SpreadStorm(Storm):
    """One history."""

    def __init__(self, seed: int) -> None:
        self.balance = BALANCES[seed % len(BALANCES)]
        self.placed: defaultdict[str, int] = defaultdict(int)  # calls of phones, by backend
        super().__init__(seed, terms=TERMS, registration="mirror", balance=self.balance)

    def _read(self, at: float, who: str, fact: object) -> None:
        super()._read(at, who, fact)
        if isinstance(fact, CallStarted) and fact.from_phone:
            self.placed[fact.backend] += 1
            self._check_placed(fact.backend)

    def _check_placed(self, backend: str) -> None:
        """Any backend may get a call that is up and ready, and no other."""
        pool = self.cluster.proxy.node.backends.pool
        assert backend in pool.eligible, f"a call was placed at {backend}, which is not up and ready"

    def _check(self) -> None:
        super()._check()
        for backend, count in self.placed.items():
            self.outcomes[f"at {backend}"] += count
        self.outcomes["moved"] += len(self.world.told(CallMoved))


if __name__ == "__main__":
    main(SpreadStorm)
