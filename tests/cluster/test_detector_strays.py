"""Stray signals, our own stalls, and long random histories of one detector."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.cluster.detector import (
    EXCUSES_MAX,
    BackendUp,
    LookDue,
    Signal,
)
from haproxy_voip.cluster.health import HealthTiming
from tests.cluster.watched import TIMING, World, world_up

# Stray signals


def test_a_backend_that_closes_its_canary_again_and_again_stays_up() -> None:
    world = world_up()
    for _ in range(200):
        world.run(world.now + 0.3)
        if world.canary_open:
            world.canary_open = False
            world.obey(world.detector.canary_closed(world.now))
    assert world.up and len(world.verdicts) == 1
    assert len(world.probed_at) < world.now / TIMING.inter * 1.5


def test_a_stray_icmp_while_no_probe_is_pending_only_makes_us_ask() -> None:
    world = world_up(1.05)
    probes = len(world.probed_at)
    world.obey(world.detector.refused(world.now))
    world.obey(world.detector.refused(world.now))
    assert len(world.probed_at) == probes + 1 and world.up


def test_a_stray_icmp_doubled_by_the_network_while_a_probe_is_pending_is_no_proof() -> None:
    world = world_up(round_trip=0.010)
    while len(world._arrivals) == 0:
        world.run(world.now + 0.001)
    world.obey(world.detector.refused(world.now))
    world.obey(world.detector.refused(world.now))
    world.run(world.now + 1.0)
    assert world.up and len(world.verdicts) == 1


def test_passive_failures_never_bring_a_backend_down_and_are_asked_about_each_fastinter_at_most() -> None:
    world = world_up()
    before, probes = world.now, len(world.probed_at)
    for _ in range(1000):
        world.obey(world.detector.passive_failure("503", world.now))
        world.run(world.now + 0.001)
    assert world.up and len(world.verdicts) == 1
    assert len(world.probed_at) - probes <= (world.now - before) / TIMING.fastinter + 1


def test_a_passive_failure_makes_us_ask_at_once() -> None:
    world = world_up(1.05)
    world.obey(world.detector.passive_failure("transaction timed out", world.now))
    assert world.probed_at[-1] == world.now
    assert world.detector.suspected_for == "transaction timed out"
    world.run(world.now + 0.002)
    assert world.detector.suspected_for is None


def test_a_message_seen_clears_a_passive_failure() -> None:
    world = world_up(1.05)
    world.obey(world.detector.passive_failure("500", world.now))
    world.detector.seen_alive(world.now)
    assert world.detector.suspected_for is None


def test_passive_failures_do_not_put_off_the_verdict_on_a_frozen_backend() -> None:
    world = world_up()
    world.answers = False
    frozen_at = world.now
    while world.up and world.now < frozen_at + 2:
        world.obey(world.detector.passive_failure("transaction timed out", world.now))
        world.run(world.now + 0.001)
    assert world.last_down()[0] - frozen_at <= 0.250
    assert world.last_down()[1].signal == "transaction timed out"


# Frozen


@pytest.mark.parametrize("phase", [x / 100 for x in range(0, 100, 7)])
@pytest.mark.parametrize("round_trip", [0.001, 0.050])
def test_a_frozen_backend_is_down_within_250_ms(phase: float, round_trip: float) -> None:
    world = world_up(1.0 + phase / 10, round_trip=round_trip)
    frozen_at = world.now
    world.answers = False
    world.run(frozen_at + 1.0)
    at, down = world.last_down()
    assert at - frozen_at <= 0.250 + round_trip
    assert down.signal == Signal.TIMEOUT and len(world.verdicts) == 2


def test_on_a_quick_network_a_freeze_shows_sooner_than_the_configured_timeout() -> None:
    world = world_up()
    assert world.detector.probe_timeout < TIMING.timeout
    world.answers = False
    frozen_at = world.now
    world.run(frozen_at + 1.0)
    assert world.last_down()[0] - frozen_at <= 0.190


def test_a_single_lost_probe_is_forgiven() -> None:
    world = world_up(1.05)
    world.answers = False
    world.run(world.now + 0.060)
    world.answers = True
    world.run(world.now + 1.0)
    assert len(world.verdicts) == 1


def test_an_answer_that_comes_after_its_timeout_still_counts() -> None:
    world = world_up()
    world.round_trip = 0.045  # was 1 ms, so the time-out is 20 ms
    world.run(5.0)
    assert len(world.verdicts) == 1
    assert world.detector.probe_timeout > 0.045


def test_a_backend_that_talks_is_forgiven_some_unanswered_probes_but_not_for_ever() -> None:
    world = world_up()
    world.answers = False
    asked_at = world.now
    while world.up and world.now < asked_at + 5:
        world.run(world.now + 0.010)
        world.detector.seen_alive(world.now)
    at, _ = world.last_down()
    assert EXCUSES_MAX * TIMING.fastinter < at - asked_at < 1.0


# Back again


def test_a_backend_that_returns_needs_rise_answers_and_gets_a_new_canary() -> None:
    world = world_up()
    world.kill()
    world.run(2.0)
    world.alive = True
    probes, returned_at = len(world.probed_at), world.now
    world.run(returned_at + 1.0)
    at, verdict = world.verdicts[-1]
    assert verdict == BackendUp("alpha") and world.canary_open
    assert sum(returned_at <= t < at for t in world.probed_at[probes:]) == TIMING.rise
    assert at - returned_at <= TIMING.inter + TIMING.rise * TIMING.fastinter


def test_no_canary_is_asked_for_while_the_backend_is_down() -> None:
    world = world_up()
    world.kill()
    world.run(60.0)
    assert not world.up and world.canaries == 1


def test_a_backend_that_is_down_is_probed_each_downinter() -> None:
    world = World(HealthTiming(downinter=1.0))
    world.alive = False
    world.run(20.0)
    assert len(world.probed_at) == pytest.approx(21, abs=2)


def test_what_a_thawed_backend_finds_in_its_buffer_is_not_rise_successes() -> None:
    world = world_up()
    world.answers = False
    probes = len(world.probed_at)
    world.run(2.0)
    assert not world.up
    for number in range(probes + 1, len(world.probed_at) + 1):
        world.obey(world.detector.answered(number, world.now))
    assert not world.up


# Our own stalls


@pytest.mark.parametrize("phase", [x / 20 for x in range(20)])
@pytest.mark.parametrize("length", [0.030, 0.2, 2.0])
def test_a_pause_of_ours_never_brings_a_healthy_backend_down(phase: float, length: float) -> None:
    world = world_up(1.0 + phase / 10)
    for _ in range(5):
        world.asleep_until = world.now + length  # answers wait in the socket's buffer, timers go first
        world.run(world.now + length + 0.25)
    assert len(world.verdicts) == 1


def test_a_pause_of_ours_and_of_the_backends_host_together_is_survived_too() -> None:
    world = world_up(round_trip=0.010)
    while len(world._arrivals) == 0:
        world.run(world.now + 0.001)
    world._arrivals.clear()  # the answer will come later than ...
    world.asleep_until = world.now + 2.0  # ... our waking
    world.now += 2.0
    world.after(0.015, "answer", len(world.probed_at))
    world.run(world.now + 1.0)
    assert len(world.verdicts) == 1


def test_after_a_pause_there_is_no_burst_of_probes() -> None:
    world = world_up()
    probes = len(world.probed_at)
    world.asleep_until = world.now + 60.0
    world.run(world.now + 60.3)
    assert len(world.probed_at) - probes <= 6


def test_a_freeze_is_seen_even_by_a_process_that_is_always_late() -> None:
    world = world_up()
    world.answers = False
    frozen_at = world.now
    while world.up and world.now < frozen_at + 5:
        world.asleep_until = world.now + 0.020
        world.run(world.now + 0.020)
    assert world.last_down()[0] - frozen_at < 0.5


# Any history


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), rise=st.integers(1, 4), fall=st.integers(1, 4))
def test_whatever_happens_verdicts_alternate_and_the_deadline_lies_ahead(seed: int, rise: int, fall: int) -> None:
    random = Random(seed)
    world = World(HealthTiming(rise=rise, fall=fall), round_trip=random.choice([0.0, 0.001, 0.030, 0.070]))
    detector = world.detector
    for _ in range(150):
        world.run(world.now + random.expovariate(30))  # run asserts that no deadline is left in the past
        match random.randrange(10):
            case 0:
                world.kill()
            case 1 | 2:
                world.alive = world.answers = True
            case 3:
                world.answers = False
            case 4:
                world.obey(detector.canary_closed(world.now))
            case 5:
                world.obey(detector.refused(world.now))
            case 6:
                world.obey(detector.passive_failure("503", world.now))
            case 7:
                world.obey(detector.answered(random.randrange(200), world.now))
            case 8:
                world.asleep_until = world.now + random.random()
            case 9:
                detector.seen_alive(world.now)
        assert detector.up is (bool(world.verdicts) and isinstance(world.verdicts[-1][1], BackendUp))
    kinds = [type(verdict) for _, verdict in world.verdicts]
    assert all(first is not second for first, second in pairwise(kinds))
    for _, verdict in world.verdicts:
        assert isinstance(verdict, BackendUp) or verdict.detected_after >= 0
    assert len(world.probed_at) <= world.now / 0.020 + 300  # no busy loop


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_storm_over_the_verdict_soon_is_the_truth(seed: int) -> None:
    random = Random(seed)
    world = World()
    for _ in range(30):
        world.run(world.now + random.random() / 5)
        world.answers = random.random() < 0.5
        if random.random() < 0.3:
            world.kill()
        else:
            world.alive = True
    world.run(world.now + 1.0)
    assert world.up is (world.alive and world.answers)


def test_a_canary_that_is_stirred_is_not_made_anew() -> None:
    world = world_up(100.0)
    assert world.canaries == 1 and len(world.stirred_at) == 4
    world.kill()
    world.run(200.0)
    assert len(world.stirred_at) == 4


def test_being_woken_again_and_again_while_nothing_is_read_gives_no_probe_up() -> None:
    """A failover of a hundred calls: the loop takes 0.1 s for one turn, in which timers are served between messages."""
    world = world_up(1.05)
    probes = len(world.probed_at)
    while len(world.probed_at) == probes:
        world.run(world.now + 0.001)
    number = world.detector._probes.number
    now, outputs = world.now, []
    for _ in range(30):
        now += 0.008
        outputs += world.detector.wake(now)
    assert outputs == [LookDue("alpha", number)]
    assert world.detector.answered(number, now) == [] and world.detector.looked(number, now) == []
    assert world.up and world.detector.suspected_for is None
