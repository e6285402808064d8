"""A backend that is only busy: just after it was given another's work, or when there is no other one."""

from __future__ import annotations

import pytest

from haproxy_voip.cluster.detector import BUSY_SECONDS, LAST_SECONDS, Signal
from haproxy_voip.cluster.probes import BURDEN_SECONDS
from tests.cluster.watched import World, world_up


def away(world: World, seconds: float) -> None:
    """It answers nothing for so long, and what waited then."""
    world.answers = False
    world.run(world.now + seconds)
    world.answers = True
    number = world.detector._probes.number
    world.after(0.0, "answer", number)


@pytest.mark.parametrize("seconds", [0.2, 0.25])
def test_a_backend_that_was_just_given_anothers_work_may_be_away_for_longer(seconds: float) -> None:
    idle, busy = world_up(), world_up()
    busy.detector.burdened()
    for world in (idle, busy):
        away(world, seconds)
    assert not idle.up and busy.up


def test_it_gets_more_time_for_the_probe_that_is_under_way_as_well() -> None:
    world = world_up(round_trip=0.015)
    while world.detector._probes.pending is None:
        world.run(world.now + 0.001)
    world._arrivals.clear()
    world.answers = False
    world.detector.burdened()
    world.run(world.now + 0.170)
    assert world.detector.suspected_for is None


def test_a_frozen_one_is_found_out_all_the_same() -> None:
    world = world_up()
    world.detector.burdened()
    world.answers = False
    frozen_at = world.now
    world.run(frozen_at + 1.0)
    at, down = world.last_down()
    assert down.signal == Signal.TIMEOUT and at - frozen_at < 0.5


def test_a_killed_one_is_found_out_as_fast_as_ever() -> None:
    world = world_up()
    world.detector.burdened()
    world.detector.busy(world.now)
    world.detector.last = True
    killed_at = world.now
    world.kill()
    world.run(killed_at + 1.0)
    at, down = world.last_down()
    assert down.signal == Signal.CANARY_CLOSED and at - killed_at < 0.005


def test_the_burden_is_over_after_a_while_with_the_first_quick_answer() -> None:
    world = world_up()
    world.detector.burdened()
    ordinary = world.detector._probes.round_trip.ordinary
    assert world.detector.probe_timeout > 2 * ordinary
    world.run(world.now + BURDEN_SECONDS - 0.1)
    world.round_trip = 0.1  # still busy
    world.run(world.now + 1.0)
    assert world.up and world.detector.probe_timeout > 2 * ordinary
    world.round_trip = 0.001
    world.run(world.now + 0.5)
    assert world.detector.probe_timeout == world.detector._probes.round_trip.ordinary


def test_one_that_was_down_carries_no_burden_from_before() -> None:
    world = world_up()
    world.detector.burdened()
    world.answers = False
    world.run(world.now + 1.0)
    world.answers = True
    world.run(world.now + 2.0)
    assert world.up and not world.detector._probes.round_trip.burdened


def test_the_last_one_that_is_up_is_not_left_for_being_silent_a_moment() -> None:
    world = world_up()
    world.detector.last = True
    away(world, LAST_SECONDS - 0.2)
    assert world.up and world.detector.suspected_for == Signal.TIMEOUT
    world.run(world.now + 0.2)
    assert world.up and world.detector.suspected_for is None


def test_the_last_one_that_is_up_is_down_when_it_stays_silent() -> None:
    world = world_up()
    world.detector.last = True
    world.answers = False
    silent_at = world.now
    world.run(silent_at + LAST_SECONDS + 1.0)
    at, down = world.last_down()
    assert down.signal == Signal.TIMEOUT and LAST_SECONDS < at - silent_at < LAST_SECONDS + 0.5


def test_a_silent_one_is_left_soon_after_another_one_came_up() -> None:
    world = world_up()
    world.detector.last = True
    world.answers = False
    world.run(world.now + 1.0)
    assert world.up
    world.detector.last = False
    world.run(world.now + 0.3)
    assert not world.up


def test_while_many_log_in_a_backend_is_forgiven_a_second_and_no_more() -> None:
    world = world_up()
    world.detector.busy(world.now)
    away(world, 0.8 * BUSY_SECONDS)
    assert world.up
    world.detector.busy(world.now)
    world.answers = False
    frozen_at = world.now
    for _ in range(10):  # elsewhere they go on logging in
        world.run(world.now + 0.2)
        world.detector.busy(world.now)
    at, down = world.last_down()
    assert down.signal == Signal.TIMEOUT and BUSY_SECONDS < at - frozen_at < BUSY_SECONDS + 0.3


def test_when_the_last_is_in_it_is_as_before() -> None:
    world = world_up()
    world.detector.busy(world.now)
    world.run(world.now + BUSY_SECONDS)
    away(world, 0.3)
    assert not world.up
