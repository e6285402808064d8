"""The hash algorithm."""

from collections import Counter

from haproxy_voip.cluster.balance import Candidate
from haproxy_voip.cluster.balance.hash import Hash

USERS = [str(number) for number in range(1000, 4000)]
# Of 1001 to 1004 at alpha, beta and charlie: who upgrades the proxy finds its users where they were.
FOUND = ["charlie", "alpha", "charlie", "charlie"]


def homes(**weights: float) -> dict[str, str]:
    there = [Candidate(name, weight, 0) for name, weight in weights.items()]
    return {user: Hash().pick(there, user) for user in USERS}


def test_a_user_is_always_at_the_same_backend_whatever_the_order() -> None:
    assert homes(alpha=1, beta=1, charlie=1) == homes(charlie=1, alpha=1, beta=1)
    algorithm, there = Hash(), [Candidate("alpha", 1.0, 0), Candidate("beta", 1.0, 0)]
    before = algorithm.pick(there, "1001")
    algorithm.placed(there[0])
    assert algorithm.pick(there, "1001") == before


def test_it_is_the_same_in_every_process() -> None:
    there = [Candidate(name, 1.0, 0) for name in ("alpha", "beta", "charlie")]
    assert [Hash().pick(there, user) for user in ("1001", "1002", "1003", "1004")] == FOUND


def test_users_are_spread_by_weight() -> None:
    found = Counter(homes(alpha=1, beta=2, charlie=3).values())
    assert [round(found[name] / len(USERS) * 6) for name in ("alpha", "beta", "charlie")] == [1, 2, 3]


def test_when_a_backend_is_lost_only_its_users_move_and_to_all_the_others() -> None:
    before, after = homes(alpha=1, beta=1, charlie=1), homes(alpha=1, charlie=1)
    moved = [user for user in USERS if before[user] != after[user]]
    assert moved == [user for user in USERS if before[user] == "beta"]
    found = Counter(after[user] for user in moved)
    assert 0.4 < found["alpha"] / len(moved) < 0.6


def test_while_a_backend_warms_up_its_users_come_back_bit_by_bit() -> None:
    theirs = {user for user, home in homes(alpha=1, beta=1).items() if home == "beta"}
    cold = {user for user, home in homes(alpha=1, beta=0.05).items() if home == "beta"}
    half = {user for user, home in homes(alpha=1, beta=0.5).items() if home == "beta"}
    assert cold < half < theirs and len(cold) < len(theirs) / 8


def test_any_name_has_a_home() -> None:
    there = [Candidate("alpha", 1.0, 0), Candidate("beta", 1.0, 0)]
    assert Hash().pick(there, "\udcff\u20ac") in ("alpha", "beta")
