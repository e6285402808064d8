"""The pending probe, and our own pauses."""

import pytest

from haproxy_voip.cluster.probes import LATE_SECONDS, LOOK_SECONDS, LOOKS_MAX, REMEMBERED_MAX, Probes

TIMEOUT = 0.060


def expires_at(probes: Probes) -> float:
    assert probes.pending is not None
    return probes.pending.expires_at


def test_an_expired_probe_is_given_up_when_the_owner_has_looked_for_its_answer() -> None:
    probes = Probes(TIMEOUT)
    assert probes.send(0.0) == 1
    assert probes.expired(0.059) is None and expires_at(probes) == TIMEOUT
    expired = probes.expired(TIMEOUT)
    assert expired is not None and probes.pending is expired and not expired.looked_for
    expired.looked_for = True
    assert probes.expired(TIMEOUT + 0.5) is None
    assert probes.looked(2) is None and probes.looked(1) is expired and probes.pending is None


def test_an_owner_that_never_says_that_it_looked_is_not_waited_for() -> None:
    probes = Probes(TIMEOUT)
    probes.send(0.0)
    expired = probes.expired(TIMEOUT)
    assert expired is not None
    expired.looked_for = True
    assert probes.expired(TIMEOUT + LOOK_SECONDS) is expired


def test_after_a_stall_the_probe_gets_a_fresh_timeout() -> None:
    probes = Probes(TIMEOUT)
    probes.send(0.0)
    assert probes.expired(2.0) is None
    assert expires_at(probes) == pytest.approx(2.0 + TIMEOUT)


def test_a_process_that_is_always_late_gives_a_probe_up_all_the_same() -> None:
    probes = Probes(TIMEOUT)
    probes.send(0.0)
    for _ in range(LOOKS_MAX):
        assert probes.expired(expires_at(probes) + 2 * LATE_SECONDS) is None
    assert probes.expired(expires_at(probes) + 2 * LATE_SECONDS) is not None


def test_a_round_trip_measured_across_our_own_stall_says_nothing_of_the_backend() -> None:
    probes = Probes(TIMEOUT)
    probes.send(0.0)
    probes.answered(1)
    probes.measured(1, 0.001, 0.001)
    before = probes.round_trip.timeout
    probes.send(0.1)
    probes.expired(2.0)
    probes.measured(2, 1.9, 2.0)
    assert probes.round_trip.timeout == before


def test_an_answer_counts_once_and_old_probes_are_forgotten() -> None:
    probes = Probes(TIMEOUT)
    for number in range(1, REMEMBERED_MAX + 2):
        assert probes.send(float(number)) == number
    assert probes.answered(1) is None
    assert probes.answered(2) == 2.0
    assert probes.answered(2) is None
    assert probes.answered(99) is None
