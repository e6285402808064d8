"""The time-out of probes, RFC 6298 section 2."""

import pytest

from haproxy_voip.cluster.round_trip import FLOOR_SECONDS, HURRIED_SECONDS, RoundTrip


def test_before_anything_is_measured_the_timeout_is_the_ceiling() -> None:
    assert RoundTrip(0.060).timeout == 0.060


def test_first_measurement_gives_three_times_itself() -> None:
    """Section 2.2: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 * RTTVAR."""
    trip = RoundTrip(1.0)
    trip.measured(0.1)
    assert trip.timeout == pytest.approx(0.3)


def test_steady_round_trips_bring_the_timeout_near_them() -> None:
    trip = RoundTrip(1.0)
    for _ in range(40):
        trip.measured(0.1)
    assert 0.1 < trip.timeout < 0.11


def test_the_floor_leaves_room_for_a_busy_scheduler() -> None:
    trip = RoundTrip(1.0)
    trip.measured(0.000_1)
    assert trip.timeout == FLOOR_SECONDS


def test_a_ceiling_below_the_floor_wins() -> None:
    trip = RoundTrip(0.005)
    trip.measured(0.000_1)
    assert trip.timeout == 0.005


def test_each_timeout_doubles_the_next_up_to_the_ceiling_until_an_answer_comes() -> None:
    """Section 5.5."""
    trip = RoundTrip(0.060)
    trip.measured(0.001)
    seen = []
    for _ in range(4):
        seen.append(trip.timeout)
        trip.timed_out()
    assert seen == pytest.approx([0.020, 0.040, 0.060, 0.060])
    trip.measured(0.001)
    assert trip.timeout == FLOOR_SECONDS


def test_one_answer_after_a_long_sleep_is_soon_forgotten() -> None:
    trip = RoundTrip(0.060)
    trip.measured(0.001)
    trip.measured(30.0)
    assert trip.timeout == 0.060
    for _ in range(20):
        trip.measured(0.001)
    assert trip.timeout < 0.030


def test_forgetting_starts_anew() -> None:
    trip = RoundTrip(0.060)
    trip.measured(0.001)
    trip.forget()
    assert trip.timeout == 0.060


def test_with_other_signs_it_gets_less_and_earlier_timeouts_do_not_count() -> None:
    trip = RoundTrip(0.060)
    trip.measured(0.000_1)
    trip.timed_out()
    trip.floor = HURRIED_SECONDS
    assert trip.timeout == HURRIED_SECONDS
    trip.floor = None
    assert trip.timeout == 2 * FLOOR_SECONDS


def test_a_slow_backend_gets_its_time_all_the_same() -> None:
    trip = RoundTrip(1.0)
    for _ in range(40):
        trip.measured(0.1)
    trip.floor = HURRIED_SECONDS
    assert trip.timeout > 0.1
