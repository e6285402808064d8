"""Other backends than before: what the pool makes of it."""

from __future__ import annotations

from haproxy_voip.cluster.pool import ActiveChanged, Admin, Cause, Evacuate, Pool, Retire


def pool(*up: str, failback: float | None = None) -> Pool:
    made = Pool(up, failback, 0.0)
    for name in up:
        made.up(name, 0.0)
    made.wake(1.0)
    return made


def test_a_new_backend_is_nothing_until_it_is_up() -> None:
    made = pool("alpha")
    assert made.arrange(["beta", "alpha"], None, 1.0) == []
    assert made.eligible == made.occupied == ["alpha"]
    assert made.up("beta", 2.0) == []
    assert made.eligible == ["beta", "alpha"] and made.active == "alpha"


def test_the_active_one_is_replaced_by_the_next_when_it_is_removed() -> None:
    made = pool("alpha", "beta")
    assert made.arrange(["beta"], None, 1.0) == [ActiveChanged("alpha", "beta", Cause.REMOVED), Retire("alpha")]
    assert made.retired == ["alpha"]
    assert made.eligible == made.occupied == ["beta"]
    made.drop("alpha")
    assert list(made.members) == ["beta"] and made.members["beta"].rank == 0


def test_another_one_leaves_without_more_ado() -> None:
    made = pool("alpha", "beta")
    assert made.arrange(["alpha"], None, 1.0) == [Retire("beta")]
    assert made.down("beta", 2.0) == [Evacuate("beta", Cause.DOWN)]  # its calls are still there


def test_while_nobody_else_can_the_removed_one_goes_on() -> None:
    made = pool("alpha")
    assert made.arrange(["beta"], None, 1.0) == []
    assert made.active == "alpha" and made.eligible == ["alpha"] and made.retired == []
    assert made.active == "alpha"
    assert made.up("beta", 2.0) == [ActiveChanged("alpha", "beta", Cause.REMOVED), Retire("alpha")]
    assert made.retired == ["alpha"]


def test_one_that_goes_on_and_dies_is_left_and_retired() -> None:
    made = pool("alpha")
    made.arrange(["beta"], None, 1.0)
    assert made.down("alpha", 2.0) == [
        ActiveChanged("alpha", None, Cause.DOWN),
        Retire("alpha"),
        Evacuate("alpha", Cause.DOWN),
    ]
    assert made.up("alpha", 3.0) == [] and made.active is None  # it was removed, and is not needed any more


def test_one_that_is_taken_back_is_what_it_was() -> None:
    made = pool("alpha", "beta")
    made.set_admin("alpha", Admin.DRAIN, 1.0)
    made.arrange(["beta"], None, 2.0)
    assert made.arrange(["alpha", "beta"], None, 3.0) == []
    assert made.members["alpha"].admin is Admin.DRAIN and made.eligible == ["beta"]
    made.set_admin("alpha", Admin.READY, 4.0)
    assert made.eligible == ["alpha", "beta"]


def test_the_order_decides_who_takes_over_and_who_falls_back() -> None:
    made = pool("alpha", "beta")
    assert made.arrange(["beta", "alpha"], 10.0, 5.0) == []
    assert made.deadline == 10.0  # beta was usable since the beginning
    assert made.wake(10.0) == [ActiveChanged("alpha", "beta", Cause.FAILBACK)]
