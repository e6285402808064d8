"""The failover algorithm."""

from haproxy_voip.cluster.balance import Balance
from haproxy_voip.cluster.balance.failover import Failover


def test_every_call_goes_to_the_active_backend() -> None:
    algorithm: Balance = Failover()
    assert algorithm.pick(["alpha", "beta"], "beta") == "beta"


def test_an_active_backend_that_is_not_eligible_gives_way_to_the_best_one() -> None:
    assert Failover().pick(["beta", "charlie"], "alpha") == "beta"
