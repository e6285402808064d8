"""The arithmetic of benchmarks/relay.py."""

import math

import pytest

from benchmarks.parts.relay_figures import (
    Clocks,
    Sample,
    added_compared,
    calls_per_core,
    figures,
    latency_added,
    over_rounds,
    percentile,
    process_compared,
    sample,
    times_no_relay,
)


def a_sample(**figures_of_it: float) -> Sample:
    usual = {
        "delivered": 2500.0,
        "relay": 0.0,
        "ours": 6.0,
        "machine": 7.0,
        "p50": 5.0,
        "p99": 9.0,
        "longest": 50.0,
        "foreign": 0.0,
    }
    return Sample(**{**usual, **figures_of_it})


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        (range(1, 101), 0.5, 50),
        (range(1, 101), 0.99, 99),
        (range(1, 1001), 0.99, 990),
        (range(1, 12), 0.5, 6),
        (range(1, 12), 0.99, 11),
        ([7], 0.5, 7),
        ([7], 0.99, 7),
        ([1, 2], 0.5, 1),
        ([3, 3, 3, 9], 1.0, 9),
        ([3, 4], 0.0, 3),
    ],
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    values: range | list[int], share: float, expected: int
) -> None:
    assert percentile(list(values), share) == expected


def test_a_sample_is_what_the_clocks_went_on_for_each_packet() -> None:
    before = Clocks(generator=1.0, relay=5.0, softirq=0.5, machine=100.0, wall=50.0)
    after = Clocks(generator=1.2, relay=5.1, softirq=0.5, machine=100.5, wall=51.0)
    taken = sample(after - before, 9_999.0, 10_000, [9_000, 1_000, 5_000], processors=2)
    assert (taken.relay, taken.ours, taken.machine) == pytest.approx((10.0, 30.0, 50.0))
    assert (taken.delivered, taken.p50, taken.p99, taken.longest) == (9_999.0, 5.0, 9.0, 9.0)
    assert taken.foreign == pytest.approx(0.1)  # 0.5 - 0.3 s of two processors in a second


def test_what_softirq_threads_did_counts_and_ticks_too_coarse_make_nobody_foreign() -> None:
    used = Clocks(generator=0.004, relay=0.0, softirq=0.002, machine=0.0, wall=1.0)
    taken = sample(used, 50.0, 1000, [], processors=2)
    assert (taken.ours, taken.foreign, taken.longest) == (pytest.approx(6.0), 0.0, 0.0)


def test_what_a_relay_adds_is_subtracted_within_each_round() -> None:
    """A machine that gets slower meanwhile: the differences of the medians would say 3, 4 and 1."""
    relayed = [a_sample(ours=10.0, machine=12.0, p50=6.0), a_sample(ours=13.0, machine=14.0, p50=8.0)]
    relayed.append(a_sample(ours=24.0, machine=25.0, p50=20.0))
    direct = [a_sample(ours=8.0, machine=9.0, p50=5.0), a_sample(ours=10.0, machine=10.0, p50=5.0)]
    direct.append(a_sample(ours=22.0, machine=23.0, p50=17.0))
    found = figures(relayed, direct)
    assert (found.added, found.added_machine, found.p50) == (2.0, 3.0, 3.0)
    assert found.times == pytest.approx(1.25)
    assert found.ours == 13.0


def test_no_relay_adds_nothing() -> None:
    direct = [a_sample(ours=each) for each in (6.0, 7.0, 6.5)]
    found = figures(direct, direct)
    assert (found.added, found.times, found.p50, found.p99, found.longest) == (0.0, 1.0, 0.0, 0.0, 0.0)


def test_rounds_must_be_complete() -> None:
    with pytest.raises(ValueError, match="shorter"):
        figures([a_sample(), a_sample()], [a_sample()])


def test_a_call_is_a_hundred_packets_a_second() -> None:
    assert calls_per_core(10.0) == pytest.approx(1000.0)
    assert calls_per_core(0.0) is None
    assert calls_per_core(-0.3) is None


def test_two_relays_are_compared_round_by_round() -> None:
    direct = [a_sample(ours=each) for each in (6.0, 7.0, 6.5)]
    dear = figures([a_sample(relay=18.0, ours=each) for each in (26.0, 31.0, 26.5)], direct)
    cheap = figures([a_sample(relay=2.0, ours=each, p50=6.5) for each in (7.0, 9.0, 6.5)], direct)
    compared = added_compared(dear, cheap)
    assert (compared.low, compared.median, compared.high) == (12.0, 20.0, math.inf)
    assert process_compared(dear, cheap).median == 9.0
    assert latency_added(cheap).median == 1.5
    assert times_no_relay(dear).median == pytest.approx(26.0 / 6.0)


def test_a_promise_is_judged_by_the_median_and_rounds_that_differ_are_told() -> None:
    assert over_rounds([1.2, 1.0, 1.1]).kept(most=1.3) == "kept"
    assert over_rounds([1.2, 1.0, 1.4]).kept(most=1.3) == "kept, rounds differ"
    assert over_rounds([1.2, 1.5, 1.4]).kept(most=1.3) == "not kept, rounds differ"
    assert over_rounds([16.0, 20.0]).kept(least=15.0) == "kept"
    assert over_rounds([3.0]).kept(least=15.0) == "not kept"
