"""Whole clusters under a virtual clock: first the plain stories, one fault each."""

from __future__ import annotations

import pytest

from haproxy_voip.embedded.facts import PhoneEnded, PhoneHeardRinging
from haproxy_voip.proxy.facts import FailoverRecord
from tests.simulation.cluster import BACKENDS, UP_LIMIT, Cluster
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


def test_an_answered_call_on_a_dead_backend_ends_at_both_phones(cluster: Cluster) -> None:
    cluster.talk("1001", "1002")
    cluster.world.kill("alpha")
    cluster.world.run(1)
    assert [ended.reason for ended in cluster.facts("1001", PhoneEnded)] == ["BYE"]
    assert [ended.reason for ended in cluster.facts("1002", PhoneEnded)] == ["BYE"]


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
