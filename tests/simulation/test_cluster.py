"""Whole clusters under a virtual clock: first the plain stories, one fault each."""

from __future__ import annotations

import pytest

from haproxy_voip.embedded.facts import PhoneAnswered, PhoneHeardRinging, PhoneMediaChanged
from haproxy_voip.proxy.facts import BackendDown, FailoverRecord
from tests.simulation.cluster import BACKENDS, UP_LIMIT, Cluster, last_call
from tests.simulation.weather import STORM

pytestmark = pytest.mark.simulation


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster(1)
    cluster.registered("1001", "1002")
    return cluster


def test_every_backend_holds_every_registration(cluster: Cluster) -> None:
    assert [cluster.pbx(name).registrar.count() for name in BACKENDS] == [2, 2, 2]


def test_two_phones_talk_and_hang_up(cluster: Cluster) -> None:
    ours, theirs = cluster.talk("1001", "1002")
    cluster.act("1001", "hang_up", ours)
    cluster.world.run(2)
    assert theirs.over and not cluster.proxy.plans and cluster.pbx("alpha").calls == 0


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_a_new_call_succeeds_after_the_active_backend_is_gone(cluster: Cluster, fault: str) -> None:
    getattr(cluster.world, fault)("alpha")
    began = cluster.world.now
    cluster.world.run(0.001)
    cluster.talk("1001", "1002")
    assert cluster.world.now - began < 0.3
    assert cluster.active == "beta" and cluster.facts("proxy", FailoverRecord)


@pytest.mark.parametrize("after", [0.0, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.05])
def test_a_call_attempt_in_flight_at_the_kill_rings_at_the_next_backend(after: float) -> None:
    cluster = Cluster(2)
    cluster.registered("1001", "1002", answer_after=0.1)
    call = cluster.call("1001", "1002")
    cluster.world.run(after)
    cluster.world.kill("alpha")
    cluster.world.run_until(lambda: call.up, UP_LIMIT)
    assert len(cluster.facts("1001", PhoneHeardRinging)) <= 2


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_an_answered_call_goes_on_at_the_next_backend_and_neither_phone_is_asked(cluster: Cluster, fault: str) -> None:
    ours, theirs = cluster.talk("1001", "1002")
    heard = len(cluster.facts("1001", PhoneMediaChanged)) + len(cluster.facts("1002", PhoneMediaChanged))
    getattr(cluster.world, fault)("alpha")
    cluster.world.run(3)
    assert ours.up and theirs.up and cluster.both_hear(ours, theirs)
    assert cluster.pbx("beta").calls == 1
    assert len(cluster.facts("1001", PhoneMediaChanged)) + len(cluster.facts("1002", PhoneMediaChanged)) == heard
    cluster.act("1001", "hang_up", ours)
    cluster.world.run(1)
    assert ours.over and theirs.over and cluster.pbx("beta").calls == 0 and not cluster.proxy.plans


def test_the_two_ends_hear_each_other_from_the_moment_of_detection(cluster: Cluster) -> None:
    ours, theirs = cluster.talk("1001", "1002")
    cluster.world.kill("alpha")
    cluster.world.run_until(lambda: bool(cluster.facts("proxy", BackendDown)), 1.0)
    assert cluster.both_hear(ours, theirs)
    while cluster.pbx("beta").calls == 0:
        cluster.world.run(0.0002)
        assert cluster.both_hear(ours, theirs)


def test_a_call_survives_one_backend_after_the_other(cluster: Cluster) -> None:
    ours, theirs = cluster.talk("1001", "1002")
    for name in ("alpha", "beta"):
        cluster.world.kill(name)
        cluster.world.run(2)
        assert ours.up and theirs.up and cluster.both_hear(ours, theirs)
    cluster.start_backend("alpha")
    cluster.world.run(5)
    cluster.world.kill("charlie")
    cluster.world.run(2)
    assert ours.up and theirs.up and cluster.both_hear(ours, theirs) and cluster.pbx("alpha").calls == 1


def test_a_call_goes_back_to_a_backend_that_failed_it_before_it_was_answered(cluster: Cluster) -> None:
    """Seed 448 of the storms: alpha was cut off while it rang, and is well again; beta and charlie die."""
    cluster.world.partition("proxy", "alpha")
    ours, theirs = cluster.talk("1001", "1002")
    assert cluster.pbx("beta").calls == 1
    cluster.world.heal("proxy", "alpha")
    cluster.world.run(5)
    for name in ("charlie", "beta"):
        cluster.world.kill(name)
        cluster.world.run(2)
    assert ours.up and theirs.up and cluster.pbx("alpha").calls == 1 and cluster.both_hear(ours, theirs)


def test_when_no_backend_is_left_the_two_talk_on_until_one_hangs_up(cluster: Cluster) -> None:
    ours, theirs = cluster.talk("1001", "1002")
    for name in BACKENDS:
        cluster.world.kill(name)
    cluster.world.run(30)
    assert ours.up and theirs.up and cluster.both_hear(ours, theirs)
    cluster.act("1002", "hang_up", theirs)
    cluster.world.run(2)
    assert ours.over and theirs.over and not cluster.proxy.plans


@pytest.mark.parametrize("between", [0.0, 0.0003, 0.002, 0.05, 0.3])
def test_a_call_survives_two_backends_that_die_at_once_or_nearly(cluster: Cluster, between: float) -> None:
    ours, theirs = cluster.talk("1001", "1002")
    cluster.world.kill("alpha")
    cluster.world.run(between)
    cluster.world.kill("beta")
    cluster.world.run(5)
    assert ours.up and theirs.up and cluster.both_hear(ours, theirs) and cluster.pbx("charlie").calls == 1


def test_a_backend_that_wakes_up_ends_its_part_of_the_calls_that_left_it(cluster: Cluster) -> None:
    ours, theirs = cluster.talk("1001", "1002")
    cluster.world.freeze("alpha")
    cluster.world.run(5)
    cluster.world.thaw("alpha")
    cluster.world.run(5)
    assert cluster.pbx("alpha").calls == 0 and cluster.pbx("beta").calls == 1
    assert ours.up and theirs.up and cluster.both_hear(ours, theirs)


@pytest.mark.parametrize("method", ["hold", "resume"])
@pytest.mark.parametrize("before", [0.0, 0.0002, 0.0004, 0.0007, 0.001, 0.002])
def test_a_call_survives_that_is_held_or_resumed_when_its_backend_dies(method: str, before: float) -> None:
    cluster = Cluster(4)
    cluster.registered("1001", "1002")
    ours, theirs = cluster.talk("1001", "1002")
    if method == "resume":
        cluster.act("1001", "hold", ours)
        cluster.world.run(1)
    cluster.act("1001", method, ours)
    cluster.world.run(before)
    cluster.world.kill("alpha")
    cluster.world.run(10)  # whoever was refused with 491 asks again
    assert ours.up and theirs.up and cluster.pbx("beta").calls == 1
    cluster.act("1001", "resume", ours)
    cluster.world.run(6)
    assert cluster.both_hear(ours, theirs)


@pytest.mark.parametrize("after", [0.0, 0.0003, 0.0006, 0.001, 0.002, 0.005, 0.05])
@pytest.mark.parametrize("who", ["1001", "1002"])
def test_who_hangs_up_while_the_call_is_built_anew_leaves_nothing(who: str, after: float) -> None:
    cluster = Cluster(5)
    cluster.registered("1001", "1002")
    ours, theirs = cluster.talk("1001", "1002")
    cluster.world.kill("alpha")
    cluster.world.run_until(lambda: bool(cluster.facts("proxy", BackendDown)), 1.0)
    cluster.world.run(after)
    cluster.act(who, "hang_up", ours if who == "1001" else theirs)
    cluster.world.run(3)
    assert ours.over and theirs.over and not cluster.proxy.plans and cluster.pbx("beta").calls == 0


@pytest.mark.parametrize("before", [0.0, 0.0002, 0.0004, 0.0006, 0.001])
def test_a_call_survives_that_was_answered_and_not_acknowledged_yet(before: float) -> None:
    cluster = Cluster(6)
    cluster.registered("1001", "1002", answer_after=0.1)
    ours = cluster.call("1001", "1002")
    cluster.world.run_until(lambda: bool(cluster.facts("1002", PhoneAnswered)), UP_LIMIT)
    cluster.world.run(before)
    cluster.world.kill("alpha")
    cluster.world.run(5)
    theirs = last_call(cluster.phones["1002"])
    assert ours.up and theirs.up and cluster.both_hear(ours, theirs) and cluster.pbx("beta").calls == 1


@pytest.mark.parametrize("seed", range(5))
def test_calls_in_bad_weather(seed: int) -> None:
    cluster = Cluster(seed, STORM)
    cluster.registered("1001", "1002")
    ours, theirs = cluster.talk("1001", "1002", 40)
    cluster.act("1002", "hang_up", theirs)
    cluster.world.run(40)
    assert ours.over and theirs.over and not cluster.proxy.plans


def test_the_same_seed_gives_the_same_history() -> None:
    digests = []
    for _ in range(2):
        cluster = Cluster(3, STORM)
        cluster.registered("1001", "1002")
        cluster.talk("1001", "1002", 40)
        digests.append(cluster.world.digest)
    assert digests[0] == digests[1]
