"""Servers that were taken for dead and were only slow."""

from __future__ import annotations

from haproxy_voip.cluster.detector import Signal
from haproxy_voip.cluster.health import HealthTiming
from haproxy_voip.proxy.chat.patience import CALM_SECONDS, MISTAKES_MAX, Patience
from tests.proxy.chat.stage import Stage

TIMING = HealthTiming(downinter=0.5)


def stall(stage: Stage, name: str, seconds: float) -> bool:
    """The server does nothing for so long; whether it was taken for dead. Afterwards it is up."""
    failovers = len(stage.chat.shared.failovers.records)
    stage.freeze(name)
    stage.run(seconds)
    stage.servers[name].thaw(stage.now)
    stage.run(2.0)
    assert stage.chat.shared.backends.detectors[name].up
    return len(stage.chat.shared.failovers.records) > failovers


def test_whoever_is_slow_again_and_again_is_no_longer_left() -> None:
    """Two servers on a crowded machine, where each is away for half a second as soon as it is given everybody."""
    stage = Stage()
    alice = stage.client("alice")
    moves = 0
    for _ in range(20):
        active = stage.chat.shared.backends.pool.active
        assert active is not None
        moves += stall(stage, active, 0.5)
    assert 0 < moves <= 3 * MISTAKES_MAX and not alice.ended


def test_a_server_that_was_frozen_is_left_as_soon_the_next_time() -> None:
    stage = Stage()
    stage.client("alice")
    assert stall(stage, "alpha", 2.0)
    assert stall(stage, "beta", 2.0)
    assert stall(stage, "alpha", 0.4)


def test_one_that_is_killed_is_left_at_once_however_slow_it_was() -> None:
    stage = Stage()
    alice = stage.client("alice")
    while stall(stage, "alpha", 0.4):
        stage.chat.shared.failovers.carry_out(stage.chat.shared.backends.switch("alpha", stage.now), stage.now)
        stage.run(3.0)
    stage.kill("alpha")
    stage.run(0.1)
    assert not alice.ended and stage.session(alice).residence.backend == "beta"


def test_each_mistake_makes_it_more_up_to_a_limit() -> None:
    patience = Patience(TIMING)
    for number in range(10):
        patience.down(Signal.TIMEOUT, float(number))
        assert patience.up(number + 0.6)
    assert patience.mistakes == MISTAKES_MAX
    assert patience.due_timing.timeout == 8 * TIMING.timeout and patience.due_timing.fall == TIMING.fall + 6


def test_who_stays_away_or_was_gone_was_taken_for_dead_rightly() -> None:
    patience = Patience(TIMING)
    patience.down(Signal.TIMEOUT, 1.0)
    assert not patience.up(1.8)
    patience.down(Signal.TIMEOUT, 2.0)
    patience.gone()
    assert not patience.up(2.6)
    patience.down(Signal.CANARY_CLOSED, 3.0)
    assert not patience.up(3.6)
    assert patience.due_timing == TIMING


def test_mistakes_are_forgotten_after_a_calm_time() -> None:
    patience = Patience(TIMING)
    patience.down(Signal.TIMEOUT, 1.0)
    assert patience.up(1.6) and not patience.calmed(1.6 + CALM_SECONDS - 0.1)
    assert patience.calmed(1.6 + CALM_SECONDS) and patience.due_timing == TIMING
    assert not patience.calmed(1.7 + CALM_SECONDS)
