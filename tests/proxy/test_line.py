"""Turns, pauses and hurry."""

from __future__ import annotations

from itertools import pairwise

from tests.proxy.servers import Servers, register


def test_a_pause_ends_with_one_that_tries_and_then_the_others_follow() -> None:
    stage = Servers()
    alpha = stage.server("alpha")
    alpha.capacity, alpha.retry_after = 1, "2"
    for user in ("1001", "1002", "1003"):
        register(stage.client(user))
    stage.pass_time(0.5)
    line = stage.node._upstream._lines["alpha"]
    assert len(line) == 2
    alpha.capacity = 0
    stage.delay = 0.1
    asked = len(alpha.asked)
    stage.pass_time(1.6)
    assert len(alpha.asked) == asked + 1
    stage.pass_time(0.2)
    assert len(alpha.contacts) == 3
    assert len(line) == 0


def test_pauses_without_retry_after_grow_while_nothing_is_taken() -> None:
    stage = Servers()
    alpha = stage.server("alpha")
    alpha.capacity = 1
    register(stage.client("1001"))
    stage.pass_time(0.01)
    alpha.capacity = -1  # takes none at all
    register(stage.client("1002"))
    stage.pass_time(20)
    times = [at for at, _ in alpha.asked[1:]]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[0] < 0.2 and 4 < gaps[-1] < 5.1
    assert len(times) < 12


def test_when_the_backend_goes_the_line_is_empty() -> None:
    stage = Servers()
    stage.server("alpha").capacity = -1
    register(stage.client("1001"))
    stage.pass_time(0.1)
    line = stage.node._upstream._lines["alpha"]
    assert len(line) == 1
    stage.kill("alpha")
    assert len(line) == 0
    stage.assert_nothing_left()
