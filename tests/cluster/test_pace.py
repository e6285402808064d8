"""How fast registrations are moved."""

from haproxy_voip.cluster.pace import INITIAL_WINDOW, MAX_WINDOW, Pace


def fill(pace: Pace, first: int = 0) -> list[int]:
    """Send as many as the window lets; their keys."""
    keys: list[int] = []
    while pace.may_send():
        keys.append(first + len(keys))
        pace.sent(keys[-1])
    return keys


def test_no_more_are_in_flight_than_the_window_holds() -> None:
    pace = Pace()
    assert len(fill(pace)) == INITIAL_WINDOW == pace.in_flight
    pace.answered(0, 0.2)
    pace.dropped(1)
    assert pace.in_flight == INITIAL_WINDOW - 2


def test_quick_answers_double_the_window_each_round_up_to_the_limit() -> None:
    pace, windows = Pace(), []
    for _ in range(7):
        for key in fill(pace):
            pace.answered(key, 0.001)
        windows.append(pace.window)
    assert windows == [20, 40, 80, 160, 320, MAX_WINDOW, MAX_WINDOW]


def test_slow_answers_leave_the_window_as_it_is() -> None:
    pace = Pace()
    fill(pace)
    pace.answered(0, 0.001)
    grown = pace.window
    for key in range(1, INITIAL_WINDOW):
        pace.answered(key, 0.3)
    assert pace.window == grown


def test_a_far_backend_is_not_taken_for_a_slow_one() -> None:
    pace = Pace()
    for key in fill(pace):
        pace.answered(key, 0.2)
    assert pace.window == 2 * INITIAL_WINDOW


def test_refusals_of_one_burst_halve_the_window_once() -> None:
    pace = Pace()
    keys = fill(pace)
    for key in keys:
        pace.refused(key)
    assert pace.window == INITIAL_WINDOW // 2
    for key in fill(pace, first=100):
        pace.refused(key)
    assert pace.window == INITIAL_WINDOW // 4


def test_after_a_refusal_it_grows_by_about_one_each_round() -> None:
    pace = Pace()
    pace.sent("lost")
    pace.refused("lost")
    for window in (5, 6, 7):
        assert abs(pace.window - window) <= 1
        for key in fill(pace):
            pace.answered(key, 0.001)


def test_the_window_never_falls_below_one() -> None:
    pace = Pace()
    for key in range(20):
        pace.sent(key)
        pace.refused(key)
    assert pace.window == 1 and pace.may_send()


def test_answers_nobody_waits_for_do_nothing() -> None:
    pace = Pace()
    pace.answered("unknown", 0.001)
    pace.refused("unknown")
    pace.dropped("unknown")
    assert pace.window == INITIAL_WINDOW


def test_a_thousand_registrations_need_few_rounds_when_answered_quickly() -> None:
    pace, left, rounds = Pace(), 1000, 0
    while left > 0:
        rounds += 1
        for key in fill(pace)[:left]:
            pace.answered(key, 0.005)
            left -= 1
        for key in range(MAX_WINDOW):
            pace.dropped(key)
    assert rounds <= 7
