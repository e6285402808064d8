"""Histories of backends that share the calls: what must be so with one active backend must be so with three.

Besides it: every call is placed at a backend that is up and ready, and each of them gets some.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation import storms
from tests.simulation.spread_storms import SpreadStorm

pytestmark = pytest.mark.simulation

HISTORIES = 24
AT_ONCE = 12


@pytest.mark.parametrize("first", range(1, HISTORIES, AT_ONCE))
def test_the_invariants_hold_where_calls_are_spread(first: int) -> None:
    found: Counter[str] = Counter()
    for seed in range(first, first + AT_ONCE):
        found += storms.run(seed, SpreadStorm)
    assert found["200"] > AT_ONCE and found["moved"] > AT_ONCE
    assert min(found[f"at {name}"] for name in ("alpha", "beta", "charlie")) > AT_ONCE


def test_a_call_for_a_backend_that_is_not_up_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the histories above would show nothing of it."""
    monkeypatch.setattr("haproxy_voip.cluster.choice.Choice.eligible", property(lambda self: list(self.pool.members)))
    monkeypatch.setattr("haproxy_voip.cluster.choice.Choice.takes", lambda self, backend: True)
    with pytest.raises(AssertionError, match="which is not up and ready"):
        histories()


def histories() -> None:
    """Until something is noticed."""
    for seed in range(1, 6):
        storms.run(seed, SpreadStorm)
