"""What the media of its calls tell of a backend: silence and refusals, on one call and on several."""

from __future__ import annotations

from random import Random

import pytest

from haproxy_voip.cluster.detector import SEVERAL_CALLS, Signal
from haproxy_voip.cluster.suspicion import TOGETHER_SECONDS
from tests.cluster.watched import TIMING, World, world_up

# From the last packet of a backend to the event that tells of its silence: 60 ms, and up to one look of the relay.
NOTICED_SECONDS = 0.080


def silent(world: World, calls: int, of: int) -> None:
    world.obey(world.detector.media_silent(calls, of, world.now))


def refused(world: World, times: int = 1) -> None:
    for _ in range(times):
        world.obey(world.detector.media_refused(world.now))


# Frozen


@pytest.mark.parametrize("phase", [x / 1000 for x in range(0, 100, 7)])
@pytest.mark.parametrize("calls", [1, 2, 20])
def test_a_frozen_backend_that_carried_calls_is_down_30_ms_after_their_silence_was_noticed(
    calls: int, phase: float
) -> None:
    world = world_up(1.0 + phase)
    world.answers = False
    frozen_at = world.now
    world.run(frozen_at + NOTICED_SECONDS)
    silent(world, calls, calls)
    world.run(frozen_at + 1.0)
    at, down = world.last_down()
    assert at - frozen_at <= NOTICED_SECONDS + 0.030
    if at > frozen_at + NOTICED_SECONDS:  # else the probes knew it before
        assert down.signal == f"no media on {calls} of {calls} calls"
    assert down.detected_after <= 0.12


def test_on_several_calls_a_shorter_time_is_enough() -> None:
    took = []
    for calls in (SEVERAL_CALLS - 1, SEVERAL_CALLS):
        world = world_up(1.05)
        world.answers = False
        silent(world, calls, calls)
        world.run(2.0)
        took.append(world.last_down()[0] - 1.05)
    assert took[1] < took[0] < 0.030


def test_calls_that_fall_silent_one_look_after_the_other_are_counted_together() -> None:
    world = world_up(1.05)
    world.answers = False
    silent(world, 2, 10)
    assert not world.detector._suspicion.strong  # type: ignore[union-attr]
    world.run(world.now + 0.020)
    silent(world, 8, 10)
    world.run(2.0)
    at, down = world.last_down()
    assert down.signal == "no media on 10 of 10 calls" and at < 1.05 + 0.020 + 0.020


# Not frozen


@pytest.mark.parametrize("calls", [1, 3, 100])
def test_a_silent_backend_that_answers_is_never_felled(calls: int) -> None:
    world = world_up(round_trip=0.008)
    for _ in range(50):
        silent(world, calls, calls)
        world.run(world.now + 0.15)
    assert world.up and len(world.verdicts) == 1


def test_one_silent_call_among_several_is_a_mute_button() -> None:
    world = world_up(1.05)
    probes = len(world.probed_at)
    silent(world, 1, 5)
    assert len(world.probed_at) == probes + 1
    world.answers = False  # and one probe is lost
    world.run(world.now + 0.030)
    world.answers = True
    world.run(world.now + 1.0)
    assert world.up and len(world.verdicts) == 1


def test_a_few_silent_calls_among_many_that_go_on_are_no_sign() -> None:
    world = world_up(1.05)
    world.answers = False
    silent(world, 15, 200)
    world.run(world.now + 0.030)
    assert world.up
    world.answers = True
    world.run(world.now + 1.0)
    assert world.up and len(world.verdicts) == 1


def test_one_probe_lost_while_several_calls_are_silent_is_not_enough() -> None:
    """A conference in which nobody speaks, say, and the network loses a packet."""
    world = world_up(1.05)
    world.answers = False
    silent(world, 5, 5)
    world.answers = True  # the first probe is lost, the second one follows 2 ms later
    world.run(world.now + 1.0)
    assert world.up and len(world.verdicts) == 1


def test_silent_calls_that_come_far_apart_are_not_counted_together() -> None:
    world = world_up(1.05)
    for _ in range(10):
        silent(world, 1, 50)
        assert not world.detector._suspicion or not world.detector._suspicion.strong
        world.run(world.now + TOGETHER_SECONDS + 0.01)
    assert world.up


def test_our_own_stall_while_its_calls_are_silent_does_not_fell_it() -> None:
    random = Random(4)
    world = world_up()
    for _ in range(100):
        silent(world, 20, 20)
        world.asleep_until = world.now + random.choice([0.005, 0.03, 0.2, 1.0])
        world.run(world.asleep_until + 0.3)
    assert world.up and len(world.verdicts) == 1


def test_a_strong_signal_that_is_there_already_is_kept() -> None:
    world = world_up(1.05)
    world.obey(world.detector.canary_closed(world.now))
    silent(world, 5, 5)
    assert world.detector.suspected_for == Signal.CANARY_CLOSED


def test_nothing_is_asked_of_a_backend_that_is_down() -> None:
    world = world_up()
    world.kill()
    world.run(world.now + 1.0)
    probes = len(world.probed_at)
    silent(world, 9, 9)
    refused(world, 9)
    assert len(world.probed_at) == probes and not world.up


# Refused


def test_media_refused_on_one_call_only_makes_us_ask() -> None:
    world = world_up(1.05)
    probes = len(world.probed_at)
    refused(world)
    assert len(world.probed_at) == probes + 1
    world.run(world.now + 1.0)
    assert world.up and len(world.verdicts) == 1


def test_media_refused_on_several_calls_are_as_good_as_one_refused_probe() -> None:
    world = world_up(1.05)
    world.accepts_canary = False
    world.alive = False
    refused(world, SEVERAL_CALLS)
    world.run(world.now + 0.010)
    _, down = world.last_down()
    assert down.signal == Signal.MEDIA_REFUSED and down.detected_after <= 0.005


def test_media_refused_on_several_calls_do_not_fell_a_backend_that_answers() -> None:
    """Its media server was restarted, and it was not."""
    world = world_up(1.05)
    refused(world, 50)
    world.run(world.now + 1.0)
    assert world.up and len(world.verdicts) == 1


def test_after_a_closed_canary_they_are_proof() -> None:
    world = world_up(1.05)
    world.obey(world.detector.canary_closed(world.now))
    refused(world, SEVERAL_CALLS)
    at, down = world.last_down()
    assert at == world.now and down.signal == Signal.CANARY_CLOSED


def test_after_a_canary_that_was_closed_by_habit_they_are_none() -> None:
    world = world_up(1.05)
    world.obey(world.detector.canary_closed(world.now))
    world.run(world.now + 2 * TIMING.fastinter)  # the probes that followed were answered
    refused(world, SEVERAL_CALLS)
    world.run(world.now + 1.0)
    assert world.up and len(world.verdicts) == 1


def test_more_refused_media_are_no_refused_probe() -> None:
    world = world_up(1.05, round_trip=0.010)
    refused(world, 50)
    assert world.up
    world.run(world.now + 1.0)
    assert world.up and len(world.verdicts) == 1


def test_a_canary_that_closes_after_them_is_proof() -> None:
    world = world_up(1.05)
    refused(world, SEVERAL_CALLS)
    world.obey(world.detector.canary_closed(world.now))
    at, down = world.last_down()
    assert at == world.now and down.signal == Signal.MEDIA_REFUSED
