"""The round_robin algorithm."""

from collections import Counter

from haproxy_voip.cluster.balance import Candidate
from haproxy_voip.cluster.balance.round_robin import RoundRobin


def candidates(**weights: float) -> list[Candidate]:
    return [Candidate(name, weight, 0) for name, weight in weights.items()]


def placed(algorithm: RoundRobin, there: list[Candidate], count: int) -> list[str]:
    """Where so many calls went, one after the other."""
    found = []
    for _ in range(count):
        name = algorithm.pick(there, "1001")
        algorithm.placed(next(one for one in there if one.name == name))
        found.append(name)
    return found


def test_backends_of_one_weight_take_turns_in_order_of_preference() -> None:
    there = candidates(alpha=1, beta=1, charlie=1)
    assert placed(RoundRobin(), there, 6) == ["alpha", "beta", "charlie"] * 2


def test_weights_are_kept_without_bursts() -> None:
    found = placed(RoundRobin(), candidates(alpha=4, beta=2, charlie=1), 700)
    assert Counter(found) == {"alpha": 400, "beta": 200, "charlie": 100}
    assert all("charlie" in found[at : at + 9] for at in range(690))


def test_asking_is_not_placing() -> None:
    algorithm, there = RoundRobin(), candidates(alpha=1, beta=1)
    assert [algorithm.pick(there, "1001") for _ in range(3)] == ["alpha"] * 3


def test_who_was_away_gets_its_share_and_not_what_it_missed() -> None:
    algorithm, there = RoundRobin(), candidates(alpha=1, beta=1)
    placed(algorithm, there, 2)
    placed(algorithm, there[:1], 100)
    assert Counter(placed(algorithm, there, 10)) == {"alpha": 5, "beta": 5}


def test_who_is_new_gets_its_share_and_not_all() -> None:
    algorithm = RoundRobin()
    placed(algorithm, candidates(alpha=1), 50)
    assert Counter(placed(algorithm, candidates(alpha=1, beta=1), 10)) == {"alpha": 5, "beta": 5}


def test_a_weight_that_grows_is_followed() -> None:
    algorithm = RoundRobin()
    assert Counter(placed(algorithm, candidates(alpha=1, beta=0.05), 84))["beta"] == 4
    assert abs(Counter(placed(algorithm, candidates(alpha=1, beta=1), 100))["beta"] - 50) <= 10
