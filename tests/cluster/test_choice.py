"""Which backend gets a new call, and which what is none."""

from collections import Counter
from dataclasses import replace

import pytest

from haproxy_voip.cluster.choice import COLD_SHARE, Choice, NoBackend, Sharing, Terms
from haproxy_voip.cluster.pool import Admin, Pool

NAMES = ("alpha", "beta", "charlie")


class Office:
    """A choice, and the calls that were placed by it."""

    def __init__(self, balance: str, panic: int = 50, up: tuple[str, ...] = NAMES, **terms: Terms) -> None:
        self.pool = Pool(NAMES, None, 0.0)
        for name in up:
            self.pool.up(name, 0.0)
        self.choice = Choice(self.pool, Sharing(balance, panic, terms))
        self.calls: Counter[str] = Counter()
        self.choice.calls = lambda name: self.calls[name]

    def call(self, count: int = 1, now: float = 1.0, user: str = "1001") -> list[str]:
        placed = []
        for _ in range(count):
            name = self.choice.choose(user, now)
            self.choice.placed(name, now)
            self.calls[name] += 1
            placed.append(name)
        return placed


# Whatever the balance


@pytest.mark.parametrize("balance", ["failover", "round_robin", "least_calls", "hash"])
def test_only_who_is_up_and_ready_and_has_room_gets_calls(balance: str) -> None:
    office = Office(balance, alpha=Terms(max_calls=3), charlie=Terms(max_calls=2))
    office.pool.down("beta", 1.0)
    assert Counter(office.call(5)) == {"alpha": 3, "charlie": 2}
    with pytest.raises(NoBackend, match="max_calls"):
        office.call()
    office.pool.up("beta", 2.0)
    assert office.call(5) == ["beta"] * 5
    office.pool.set_admin("beta", Admin.DRAIN, 3.0)
    with pytest.raises(NoBackend):
        office.call()


@pytest.mark.parametrize("balance", ["failover", "round_robin", "least_calls", "hash"])
def test_without_any_backend_there_is_no_choice(balance: str) -> None:
    office = Office(balance, up=())
    with pytest.raises(NoBackend, match="up and ready"):
        office.call()
    assert office.choice.another("1001", (), 1.0) is None and office.choice.home("1001") is None


@pytest.mark.parametrize("balance", ["failover", "round_robin", "least_calls", "hash"])
def test_each_backend_is_tried_once_and_then_none(balance: str) -> None:
    office, tried = Office(balance), list[str]()
    while (name := office.choice.another("1001", tried, 1.0)) is not None:
        tried.append(name)
    assert sorted(tried) == sorted(NAMES)


def test_a_backend_takes_a_call_that_waited_if_it_has_room_still() -> None:
    office = Office("least_calls", alpha=Terms(max_calls=1))
    assert office.choice.takes("alpha")
    office.calls["alpha"] = 1
    assert not office.choice.takes("alpha") and office.choice.full("alpha")
    office.pool.down("beta", 1.0)
    assert not office.choice.takes("beta") and not office.choice.full("beta")


# failover


def test_in_failover_the_active_one_gets_everything_and_the_next_what_it_has_no_room_for() -> None:
    office = Office("failover", alpha=Terms(max_calls=2))
    office.pool.switch("charlie", 0.5)
    assert office.call(2) == ["charlie"] * 2
    office.pool.switch("alpha", 0.6)
    assert office.call(3) == ["alpha", "alpha", "beta"]
    assert office.choice.home("1001") == "alpha" and not office.choice.panic


def test_in_failover_other_calls_of_a_user_say_nothing() -> None:
    assert Office("failover").choice.choose("1001", 1.0, near=["beta"]) == "alpha"


# What is spread


@pytest.mark.parametrize("balance", ["round_robin", "least_calls"])
def test_calls_are_spread_by_weight(balance: str) -> None:
    office = Office(balance, alpha=Terms(weight=3), beta=Terms(weight=2))
    assert Counter(office.call(60)) == {"alpha": 30, "beta": 20, "charlie": 10}


def test_hash_keeps_a_user_on_one_backend() -> None:
    office = Office("hash")
    for number in range(1001, 1021):
        assert len(set(office.call(3, user=str(number)))) == 1
    assert len(office.calls) == 3


@pytest.mark.parametrize("balance", ["round_robin", "least_calls", "hash"])
def test_who_has_a_call_gets_the_next_one_there_if_it_can_be(balance: str) -> None:
    office = Office(balance, beta=Terms(max_calls=5))
    for name in NAMES:
        assert office.choice.choose("1001", 1.0, near=[name]) == name
    office.calls["beta"] = 5
    assert office.choice.choose("1001", 1.0, near=["beta", "charlie"]) == "charlie"
    office.pool.down("charlie", 1.0)
    assert office.choice.choose("1001", 1.0, near=["charlie"]) == "alpha"


def test_what_is_no_call_stays_at_one_backend_whatever_is_full_or_warms_up() -> None:
    terms = {name: Terms(max_calls=1, slowstart=60.0) for name in NAMES}
    office = Office("round_robin", **terms)
    users = [str(number) for number in range(1001, 1061)]
    before = {user: office.choice.home(user) for user in users}
    assert set(before.values()) == set(NAMES)
    office.calls.update(NAMES)
    office.pool.down("beta", 1.0)
    office.pool.up("beta", 2.0)
    assert {user: office.choice.home(user) for user in users} == before
    assert office.choice.home("1001", tried=[before["1001"] or ""]) != before["1001"]


# Coming back


def test_at_the_start_nobody_is_cold() -> None:
    office = Office("least_calls", alpha=Terms(slowstart=10.0))
    assert office.choice.share("alpha", 0.1) == 1.0


@pytest.mark.parametrize("how", ["died", "maintenance", "added"])
def test_who_comes_back_or_is_new_gets_its_weight_bit_by_bit(how: str) -> None:
    office = Office("least_calls", beta=Terms(slowstart=10.0))
    if how == "died":
        office.pool.down("beta", 5.0)
        office.pool.up("beta", 20.0)
    elif how == "maintenance":
        office.pool.set_admin("beta", Admin.MAINT, 5.0)
        office.pool.set_admin("beta", Admin.READY, 20.0)
    else:
        office.pool.arrange(["alpha", "charlie"], None, 5.0)
        office.pool.drop("beta")
        office.pool.arrange(NAMES, None, 6.0)
        office.pool.up("beta", 20.0)
    shares = [office.choice.share("beta", now) for now in (20.0, 21.0, 25.0, 30.0, 99.0)]
    assert shares == [COLD_SHARE, 0.1, 0.5, 1.0, 1.0]
    office.calls.update(alpha=100, charlie=100)
    assert Counter(office.call(15, now=20.0))["beta"] <= 6


def test_a_drained_backend_is_warm_when_it_is_ready_again() -> None:
    office = Office("round_robin", beta=Terms(slowstart=10.0))
    office.pool.set_admin("beta", Admin.DRAIN, 5.0)
    office.pool.set_admin("beta", Admin.READY, 20.0)
    assert office.choice.share("beta", 20.0) == 1.0


def test_who_is_alone_gets_everything_however_cold() -> None:
    office = Office("hash", beta=Terms(slowstart=10.0))
    office.pool.down("beta", 5.0)
    office.pool.down("alpha", 6.0)
    office.pool.down("charlie", 7.0)
    office.pool.up("beta", 8.0)
    assert office.call(10, now=8.0) == ["beta"] * 10


# Too few


def test_with_too_little_weight_up_there_is_panic_and_calls_go_on() -> None:
    office = Office("round_robin", panic=60, alpha=Terms(weight=2))
    assert (office.choice.percent_up, office.choice.panic) == (100, False)
    office.pool.down("beta", 1.0)
    assert (office.choice.percent_up, office.choice.panic) == (75, False)
    office.pool.set_admin("charlie", Admin.DRAIN, 2.0)
    assert (office.choice.percent_up, office.choice.panic) == (50, True)
    assert office.call(3) == ["alpha"] * 3
    office.pool.up("beta", 3.0)
    assert not office.choice.panic


def test_there_is_no_panic_before_the_first_probes_and_none_without_any_backend() -> None:
    office = Office("round_robin", up=("alpha",))
    assert not office.choice.panic
    for name in NAMES:
        office.pool.down(name, 1.0)
    assert office.choice.percent_up == 0 and not office.choice.panic


def test_who_was_removed_does_not_count() -> None:
    office = Office("round_robin", panic=100)
    office.pool.arrange(["alpha", "beta"], None, 1.0)
    assert office.choice.percent_up == 100 and not office.choice.panic


# Another configuration


def test_another_sharing_holds_for_the_next_call() -> None:
    office = Office("failover")
    assert office.call(3) == ["alpha"] * 3
    office.choice.arrange(Sharing("round_robin", 50, {"beta": Terms(weight=2)}))
    assert Counter(office.call(8)) == {"alpha": 2, "beta": 4, "charlie": 2}
    office.choice.arrange(replace(office.choice.sharing, terms={}))
    assert Counter(office.call(9)) == {"alpha": 3, "beta": 3, "charlie": 3}
