"""The embedded PBX as a whole: numbers, knobs, bad weather."""

from __future__ import annotations

import pytest

from haproxy_voip.embedded.facts import By, PhoneEnded
from tests.embedded.office import Office
from tests.simulation.weather import STORM


@pytest.mark.parametrize(
    ("number", "status"), [("486", 486), ("603", 603), ("1003", 480), ("nobody", 404), ("1002", 486)]
)
def test_calls_that_cannot_be_made(number: str, status: int) -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002", refuse_with=486)
    office.call("1001", number)
    office.world.run(1)
    assert [ended.status for ended in office.facts("1001", PhoneEnded)] == [status]
    assert office.pbx.calls == 0


def test_the_knob_for_registrations_refuses_beyond_a_rate() -> None:
    office = Office(trust=True)
    office.pbx.knobs.registrations_per_second = 1.0
    office.world.run(10)
    for user in ("1001", "1002", "1003"):
        office.phone(user, register=False)
        office.act(user, "register")
    office.world.run(0.5)
    assert office.pbx.registrar.count() == 1
    office.world.run(6)
    assert office.pbx.registrar.count() == 3


def test_a_silent_pbx_leaves_calls_to_time_out() -> None:
    office = Office()
    office.phone("1001")
    office.pbx.knobs.silent = True
    office.call("1001", "1002")
    office.world.run(33)
    assert office.facts("1001", PhoneEnded) == [PhoneEnded("1001", 1, 408, By.NETWORK, "Request Timeout")]


def test_a_slow_pbx_does_everything_later() -> None:
    office = Office(trust=True)
    office.pbx.knobs.delay = 0.2
    began = office.world.now
    office.phone("1001")
    assert 0.2 <= office.world.now - began < 0.21


@pytest.mark.parametrize("seed", range(6))
def test_calls_survive_a_stormy_network(seed: int) -> None:
    office = Office(seed, STORM)
    office.phone("1001")
    office.phone("1002")
    ours, theirs = office.talk("1001", "1002")
    office.world.run(5)
    assert ours.up and theirs.up
    office.act("1001", "hold", ours)
    office.world.run(40)
    assert not theirs.media.sends
    office.act("1002", "hang_up", theirs)
    office.world.run(40)
    assert ours.over and theirs.over and office.pbx.calls == 0 and not office.pbx.stack.dialogs
    office.world.run(60)
    assert len(office.pbx.stack.transactions) == 0


def test_the_same_seed_gives_the_same_history() -> None:
    digests = []
    for seed in (7, 7, 8):
        office = Office(seed, STORM)
        office.phone("1001")
        office.phone("1002")
        office.talk("1001", "1002")
        digests.append(office.world.digest)
    assert digests[0] == digests[1] != digests[2]
