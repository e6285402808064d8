"""HAProxy's single counter."""

import pytest

from haproxy_voip.cluster.health import Health, HealthCounter, HealthTiming


def played(results: str, rise: int = 3, fall: int = 2) -> HealthCounter:
    """A counter that saw these results: `+` passed, `-` failed."""
    counter = HealthCounter(rise, fall)
    for result in results:
        counter.passed() if result == "+" else counter.failed()
    return counter


@pytest.mark.parametrize(
    ("results", "health"),
    [
        ("", Health.UNKNOWN),
        ("+", Health.UP),  # at the start one success suffices
        ("-", Health.UNKNOWN),
        ("--", Health.DOWN),
        ("-+", Health.UP),
        ("+-", Health.UP),
        ("+-+-+-", Health.UP),  # failures count only in a row
        ("+--", Health.DOWN),
        ("+--++", Health.DOWN),
        ("+--+++", Health.UP),
        ("+--++-+++", Health.UP),
        ("+--++-++", Health.DOWN),  # so do successes
        ("+--+++-", Health.UP),  # up again with the whole score
    ],
)
def test_results_lead_to_the_verdict(results: str, health: Health) -> None:
    assert played(results).health is health


def test_only_the_result_that_changes_the_verdict_says_so() -> None:
    counter = HealthCounter(rise=2, fall=2)
    assert [counter.passed(), counter.passed()] == [True, False]
    assert [counter.failed(), counter.failed(), counter.failed()] == [False, True, False]
    assert [counter.passed(), counter.passed(), counter.passed()] == [False, True, False]


def test_certainty_needs_no_count_and_speaks_once() -> None:
    counter = played("+", fall=9)
    assert counter.failed_for_certain() and counter.health is Health.DOWN
    assert not counter.failed_for_certain()


def test_with_fall_one_a_single_failure_brings_it_down() -> None:
    assert played("+-", fall=1).health is Health.DOWN


@pytest.mark.parametrize(
    ("results", "settled"),
    [("", False), ("+", True), ("+-", False), ("+--", True), ("+--+", False), ("+--+-", True)],
)
def test_it_is_settled_when_the_last_results_agree(results: str, settled: bool) -> None:
    assert played(results).settled is settled


def test_impossible_timing_is_refused() -> None:
    with pytest.raises(AssertionError):
        HealthTiming(inter=0.0)
    with pytest.raises(AssertionError):
        HealthTiming(fall=0)
    with pytest.raises(AssertionError):
        HealthTiming(downinter=-1.0)


def test_other_counts_leave_the_verdict_and_forget_what_was_on_the_way() -> None:
    counter = HealthCounter(rise=3, fall=2)
    counter.passed()
    counter.failed()
    counter.retime(rise=1, fall=3)
    assert counter.up and counter.settled
    assert [counter.failed() for _ in range(3)] == [False, False, True]
    counter.retime(rise=2, fall=2)
    assert [counter.passed() for _ in range(2)] == [False, True]
