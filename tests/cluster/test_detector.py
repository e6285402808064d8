"""One backend judged: kills, freezes, stray signals, our own stalls."""

import pytest

from haproxy_voip.cluster.detector import (
    BackendDown,
    BackendUp,
    Signal,
)
from haproxy_voip.cluster.health import Health, HealthTiming
from tests.cluster.watched import World, world_up

# Start


def test_the_first_probe_goes_out_at_once_and_one_answer_brings_the_backend_up() -> None:
    world = World()
    assert world.detector.health is Health.UNKNOWN
    world.run(0.010)
    assert world.probed_at == [0.0]
    assert world.verdicts == [(0.001, BackendUp("alpha"))]
    assert world.canary_open


def test_a_backend_that_is_not_there_at_the_start_is_called_down_once() -> None:
    world = World()
    world.alive = False
    world.run(3.0)
    assert len(world.verdicts) == 1
    at, down = world.last_down()
    assert at < 0.030 and down.signal == Signal.REFUSED and down.silent_for is None


def test_a_backend_silent_at_the_start_is_down_after_fall_timeouts() -> None:
    world = World()
    world.answers = False
    world.run(3.0)
    at, down = world.last_down()
    assert at <= 0.150 and down.signal == Signal.TIMEOUT


def test_a_healthy_backend_is_probed_each_inter_and_never_judged_again() -> None:
    world = world_up(10.0)
    assert len(world.probed_at) == pytest.approx(100, abs=2)


# Killed


@pytest.mark.parametrize("phase", [x / 100 for x in range(0, 100, 7)])
def test_a_killed_backend_is_down_within_5_ms_of_the_canarys_end(phase: float) -> None:
    world = world_up(1.0 + phase / 10)
    killed_at = world.now
    world.kill()
    world.run(killed_at + 1.0)
    at, down = world.last_down()
    assert at - killed_at < 0.005
    assert down.signal == Signal.CANARY_CLOSED and down.detected_after < 0.005
    assert down.silent_for is not None and down.silent_for < 0.110


def test_without_a_canary_two_refused_probes_tell_within_30_ms_of_the_first() -> None:
    world = World()
    world.accepts_canary = False
    world.run(1.03)
    world.kill()
    killed_at = world.now
    world.run(2.0)
    at, down = world.last_down()
    assert down.signal == Signal.REFUSED and down.detected_after <= 0.030
    assert at - killed_at <= 0.130


def test_two_refusals_suffice_whatever_fall_is() -> None:
    timing = HealthTiming(fall=10)
    world = World(timing)
    world.accepts_canary = False
    world.run(1.0)
    world.kill()
    world.run(1.2)
    assert not world.up


def test_an_answer_that_was_on_its_way_when_the_process_died_does_not_clear_it() -> None:
    world = world_up(round_trip=0.010)
    while len(world._arrivals) == 0:
        world.run(world.now + 0.001)
    world.obey(world.detector.canary_closed(world.now))
    assert world.detector.suspected_for == Signal.CANARY_CLOSED
    world.alive = False
    world.arrive()  # the answer to the probe from before
    assert world.detector.suspected_for == Signal.CANARY_CLOSED
    world._arrivals.clear()
    world.obey(world.detector.refused(world.now))
    assert not world.up


def test_a_message_seen_does_not_clear_a_closed_canary() -> None:
    world = world_up()
    world.obey(world.detector.canary_closed(world.now))
    world.detector.seen_alive(world.now)
    assert world.detector.suspected_for == Signal.CANARY_CLOSED
    world._arrivals.clear()
    world.obey(world.detector.refused(world.now))
    assert not world.up


def test_a_probe_swallowed_by_a_dying_process_costs_no_timeout() -> None:
    """The canary closes a moment before the UDP port: the probe that follows at once is never answered or refused."""
    world = world_up(round_trip=0.0005)
    killed_at = world.now
    world.answers = False  # the port is open yet, and nobody reads
    world.canary_open = False
    world.obey(world.detector.canary_closed(world.now))
    world.alive = False
    world.run(world.now + 0.05)
    at, down = world.last_down()
    assert down.signal == Signal.CANARY_CLOSED
    assert at - killed_at < 0.005


def test_a_backend_that_says_that_it_shuts_down_is_down_at_once_and_asked_whether_it_is_back() -> None:
    world = world_up(1.0)
    [down] = world.detector.shuts_down(world.now)
    assert isinstance(down, BackendDown) and down.signal == Signal.SHUTDOWN and down.detected_after == 0.0
    assert world.detector.shuts_down(world.now) == []
    assert world.detector.deadline is not None
