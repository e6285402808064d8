"""The least_calls algorithm."""

from collections import Counter

from haproxy_voip.cluster.balance import Candidate
from haproxy_voip.cluster.balance.least_calls import LeastCalls


def placed(algorithm: LeastCalls, weights: dict[str, float], calls: Counter[str]) -> str:
    there = [Candidate(name, weight, calls[name]) for name, weight in weights.items()]
    name = algorithm.pick(there, "1001")
    algorithm.placed(next(one for one in there if one.name == name))
    return name


def test_the_one_with_the_fewest_calls_is_next() -> None:
    there = [Candidate("alpha", 1, 5), Candidate("beta", 1, 2), Candidate("charlie", 1, 3)]
    assert LeastCalls().pick(there, "1001") == "beta"


def test_calls_that_stay_are_spread_by_weight() -> None:
    algorithm, calls = LeastCalls(), Counter[str]()
    for _ in range(400):
        calls[placed(algorithm, {"alpha": 1, "beta": 3}, calls)] += 1
    assert calls == {"alpha": 100, "beta": 300}


def test_calls_that_end_at_once_are_spread_in_turns() -> None:
    algorithm = LeastCalls()
    found = Counter(placed(algorithm, {"alpha": 1, "beta": 1, "charlie": 1}, Counter()) for _ in range(300))
    assert found == {"alpha": 100, "beta": 100, "charlie": 100}


def test_who_comes_back_empty_and_cold_does_not_get_everything() -> None:
    algorithm, calls = LeastCalls(), Counter(alpha=100)
    for _ in range(20):
        calls[placed(algorithm, {"alpha": 1, "beta": 0.05}, calls)] += 1
    assert calls["beta"] == 5 and calls["alpha"] == 115
