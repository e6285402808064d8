"""Which backend is active, and when that changes."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.cluster.health import Health
from haproxy_voip.cluster.pool import (
    FAILBACK_FACTOR_MAX,
    START_GRACE_SECONDS,
    ActiveChanged,
    Admin,
    Cause,
    Evacuate,
    Pool,
    PoolOutput,
    PoolRefusal,
)

NAMES = ["alpha", "beta", "charlie"]


def all_up(failback: float | None = None) -> Pool:
    pool = Pool(NAMES, failback, now=0.0)
    for name in NAMES:
        pool.up(name, 0.0)
    assert pool.active == "alpha"
    return pool


# Start


def test_nothing_is_trusted_before_its_first_probe() -> None:
    pool = Pool(NAMES, None, now=0.0)
    assert pool.active is None
    assert pool.deadline is None and pool.eligible == []


def test_the_preferred_backend_is_active_as_soon_as_it_answers() -> None:
    pool = Pool(NAMES, None, now=0.0)
    assert pool.up("alpha", 0.001) == [ActiveChanged(None, "alpha", Cause.START)]
    assert pool.active == "alpha"


def test_another_one_waits_for_the_preferred_during_the_start_grace() -> None:
    pool = Pool(NAMES, None, now=10.0)
    assert pool.up("charlie", 10.001) == []
    assert pool.deadline == 10.0 + START_GRACE_SECONDS
    assert pool.wake(10.1) == []
    assert pool.up("alpha", 10.12) == [ActiveChanged(None, "alpha", Cause.START)]


def test_when_the_grace_is_over_the_best_of_those_that_answered_is_active() -> None:
    pool = Pool(NAMES, None, now=0.0)
    pool.up("charlie", 0.001)
    pool.up("beta", 0.002)
    assert pool.wake(START_GRACE_SECONDS) == [ActiveChanged(None, "beta", Cause.START)]


@pytest.mark.parametrize("how", ["down", "maint", "drain"])
def test_nobody_waits_for_a_preferred_backend_that_is_known_to_be_of_no_use(how: str) -> None:
    pool = Pool(NAMES, None, now=0.0)
    pool.up("beta", 0.001)
    outputs = pool.down("alpha", 0.02) if how == "down" else pool.set_admin("alpha", Admin(how), 0.02)
    assert outputs == [ActiveChanged(None, "beta", Cause.START)]


def test_after_the_grace_the_first_one_up_is_taken() -> None:
    pool = Pool(NAMES, None, now=0.0)
    assert pool.up("charlie", 5.0) == [ActiveChanged(None, "charlie", Cause.START)]


# Failover


def test_calls_go_to_the_next_when_the_active_one_dies_and_what_was_there_moves() -> None:
    pool = all_up()
    assert pool.down("alpha", 1.0) == [
        ActiveChanged("alpha", "beta", Cause.DOWN),
        Evacuate("alpha", Cause.DOWN),
    ]
    assert pool.active == "beta" and pool.occupied == ["beta", "charlie"]


def test_when_a_standby_dies_only_what_was_there_moves() -> None:
    assert all_up().down("beta", 1.0) == [Evacuate("beta", Cause.DOWN)]


def test_when_all_are_down_there_is_none_and_the_first_to_return_is_taken_at_once() -> None:
    pool = all_up()
    for name in NAMES:
        pool.down(name, 1.0)
    assert pool.active is None
    assert pool.active is None and pool.deadline is None
    assert pool.up("charlie", 9.0) == [ActiveChanged(None, "charlie", Cause.RETURNED)]


def test_repeated_verdicts_do_nothing() -> None:
    pool = all_up()
    pool.down("alpha", 1.0)
    assert pool.down("alpha", 1.1) == []
    pool.up("alpha", 1.2)
    assert pool.up("alpha", 1.3) == []


# Failback


def test_by_default_a_backend_that_returns_stands_by() -> None:
    pool = all_up()
    pool.down("alpha", 1.0)
    assert pool.up("alpha", 2.0) == [] and pool.deadline is None and pool.active == "beta"


def test_automatic_failback_comes_after_the_time_without_a_break() -> None:
    pool = all_up(failback=60.0)
    pool.down("alpha", 1.0)
    pool.up("alpha", 10.0)
    pool.down("alpha", 69.0)
    pool.up("alpha", 70.0)
    assert pool.deadline == 130.0 and pool.wake(129.0) == []
    assert pool.wake(130.0) == [ActiveChanged("beta", "alpha", Cause.FAILBACK)]
    assert pool.deadline is None


def test_failback_goes_to_the_best_whose_time_has_come_and_later_to_a_better_one() -> None:
    pool = all_up(failback=60.0)
    pool.down("alpha", 1.0)
    pool.down("beta", 2.0)
    pool.up("beta", 10.0)
    pool.up("alpha", 20.0)
    assert pool.deadline == 70.0
    assert pool.wake(70.0) == [ActiveChanged("charlie", "beta", Cause.FAILBACK)]
    assert pool.deadline == 80.0
    assert pool.wake(80.0) == [ActiveChanged("beta", "alpha", Cause.FAILBACK)]


def test_a_backend_that_flaps_slowly_must_prove_itself_ever_longer() -> None:
    pool, now, waits = all_up(failback=10.0), 0.0, []
    for _ in range(8):
        pool.down("alpha", now)
        pool.up("alpha", now)
        assert pool.deadline is not None
        waits.append(pool.deadline - now)
        now = pool.deadline
        pool.wake(now)
        assert pool.active == "alpha"
        now += 1.0
    assert waits == [10, 20, 40, 80, 160, 320, 320, 320] and max(waits) == 10 * FAILBACK_FACTOR_MAX


def test_a_failback_that_lasted_is_no_flapping() -> None:
    pool = all_up(failback=10.0)
    now = 0.0
    for _ in range(3):
        pool.down("alpha", now)
        pool.up("alpha", now)
        assert pool.deadline == now + 10.0
        pool.wake(now + 10.0)
        now += 1000.0


# The operator


def test_maint_moves_everything_at_once() -> None:
    pool = all_up()
    assert pool.set_admin("alpha", Admin.MAINT, 1.0) == [
        ActiveChanged("alpha", "beta", Cause.MAINT),
        Evacuate("alpha", Cause.MAINT),
    ]
    assert pool.down("alpha", 2.0) == []  # nothing is there any more
    assert pool.occupied == ["beta", "charlie"]


def test_drain_sends_new_calls_elsewhere_and_leaves_what_is_there() -> None:
    pool = all_up()
    assert pool.set_admin("alpha", Admin.DRAIN, 1.0) == [ActiveChanged("alpha", "beta", Cause.DRAIN)]
    assert pool.active == "beta" and "alpha" in pool.occupied
    assert pool.down("alpha", 2.0) == [Evacuate("alpha", Cause.DOWN)]


def test_with_all_in_drain_or_maint_there_is_no_backend_until_one_is_ready() -> None:
    pool = all_up()
    pool.set_admin("beta", Admin.MAINT, 1.0)
    pool.set_admin("charlie", Admin.DRAIN, 1.0)
    assert pool.set_admin("alpha", Admin.DRAIN, 1.0) == [ActiveChanged("alpha", None, Cause.DRAIN)]
    assert pool.active is None
    assert pool.set_admin("charlie", Admin.READY, 2.0) == [ActiveChanged(None, "charlie", Cause.RETURNED)]


def test_ready_counts_for_failback_from_now() -> None:
    pool = all_up(failback=60.0)
    pool.set_admin("alpha", Admin.MAINT, 1.0)
    assert pool.deadline is None
    assert pool.set_admin("alpha", Admin.READY, 100.0) == []
    assert pool.deadline == 160.0


def test_a_backend_that_comes_up_in_maint_is_not_chosen() -> None:
    pool = Pool(["alpha"], None, now=0.0)
    pool.set_admin("alpha", Admin.MAINT, 0.0)
    assert pool.up("alpha", 1.0) == [] and pool.active is None
    assert pool.set_admin("alpha", Admin.READY, 2.0) == [ActiveChanged(None, "alpha", Cause.START)]


def test_switch_makes_a_backend_active_and_leaves_what_is_on_the_other() -> None:
    assert all_up().switch("charlie", 1.0) == [ActiveChanged("alpha", "charlie", Cause.SWITCH)]


def test_switch_to_the_active_one_changes_nothing() -> None:
    assert all_up().switch("alpha", 1.0) == []


def test_switch_is_not_undone_by_automatic_failback() -> None:
    pool = all_up(failback=60.0)
    pool.switch("beta", 1000.0)
    assert pool.deadline is None and pool.wake(5000.0) == []
    pool.down("beta", 6000.0)
    pool.up("beta", 6001.0)
    assert pool.active == "alpha"


@pytest.mark.parametrize("state", ["down", "maint", "drain", "unknown"])
def test_switch_to_a_backend_of_no_use_is_refused(state: str) -> None:
    pool = Pool(["alpha", "beta"], None, now=0.0)
    pool.up("alpha", 0.0)
    match state:
        case "down":
            pool.down("beta", 0.0)
        case "maint" | "drain":
            pool.up("beta", 0.0)
            pool.set_admin("beta", Admin(state), 0.0)
    with pytest.raises(PoolRefusal, match=state):
        pool.switch("beta", 1.0)
    assert pool.active == "alpha"


def test_a_name_nobody_has_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(PoolRefusal, match="alpha, beta, charlie"):
        all_up().switch("delta", 1.0)
    with pytest.raises(PoolRefusal, match="delta"):
        all_up().set_admin("delta", Admin.DRAIN, 1.0)


# Any history


class Observed:
    """Follows what the pool says, to compare with what it is."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.active: str | None = None
        self.evacuated: set[str] = set()

    def see(self, outputs: list[PoolOutput]) -> None:
        for output in outputs:
            match output:
                case ActiveChanged(old=old, new=new):
                    assert old == self.active != new
                    self.active = new
                case Evacuate(backend=backend):
                    assert backend != self.active and not self.pool.members[backend].occupied

    def check(self, now: float) -> None:
        pool = self.pool
        assert pool.active == self.active
        if pool.active is not None:
            assert pool.members[pool.active].usable and pool.active in pool.eligible
        elif now >= START_GRACE_SECONDS:
            assert not pool.eligible
        for member in pool.members.values():
            assert member.usable is (member.health is Health.UP and member.admin is Admin.READY)
            assert member.usable is (member.usable_since is not None)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32), failback=st.sampled_from([None, 0.5, 5.0]))
def test_whatever_happens_the_active_one_is_up_and_ready_and_the_deadline_lies_ahead(
    seed: int, failback: float | None
) -> None:
    random, now = Random(seed), 0.0
    pool = Pool(NAMES, failback, now)
    observed = Observed(pool)
    for _ in range(200):
        now += random.expovariate(10)
        while pool.deadline is not None and pool.deadline <= now:
            at = pool.deadline
            observed.see(pool.wake(at))
            assert pool.deadline is None or pool.deadline > at or pool.active is not None
        observed.see(pool.wake(now))
        assert pool.deadline is None or pool.deadline > now
        name = random.choice(NAMES)
        match random.randrange(6):
            case 0 | 1:
                observed.see(pool.up(name, now))
            case 2 | 3:
                observed.see(pool.down(name, now))
            case 4:
                observed.see(pool.set_admin(name, random.choice(list(Admin)), now))
            case 5 if pool.members[name].usable:
                observed.see(pool.switch(name, now))
                assert pool.active == name
            case _:
                pass
        observed.check(now)


def test_the_time_before_the_first_probe_is_not_the_backends() -> None:
    pool = Pool(("alpha", "beta"), None, 10.0)
    pool.begin(20.0)
    assert pool.up("beta", 20.0 + 0.5 * START_GRACE_SECONDS) == []
    assert pool.deadline == 20.0 + START_GRACE_SECONDS
    assert pool.up("alpha", 20.0 + 0.9 * START_GRACE_SECONDS) == [ActiveChanged(None, "alpha", Cause.START)]


def test_of_several_that_would_do_a_favoured_one_is_taken_and_any_other_before_none() -> None:
    pool = Pool(("alpha", "beta", "charlie"), None, 0.0)
    for name in pool.members:
        pool.up(name, 0.0)
    pool.favours = lambda name: name == "charlie"
    assert pool.down("alpha", 1.0)[0] == ActiveChanged("alpha", "charlie", Cause.DOWN)
    assert pool.down("charlie", 2.0)[0] == ActiveChanged("charlie", "beta", Cause.DOWN)
    assert pool.can_use("beta") and not pool.can_use("alpha") and not pool.can_use("delta")


def test_who_follows_another_service_does_not_fail_back_by_itself() -> None:
    pool = Pool(("alpha", "beta"), 10.0, 0.0)
    pool.up("alpha", 0.0), pool.up("beta", 0.0)
    assert pool.follow("beta", 20.0) == [ActiveChanged("alpha", "beta", Cause.TOGETHER)]
    assert pool.deadline is None and pool.wake(99.0) == []
    assert pool.down("beta", 100.0) == [ActiveChanged("beta", "alpha", Cause.DOWN), Evacuate("beta", Cause.DOWN)]
