"""Turns to log in at one backend."""

from __future__ import annotations

from haproxy_voip.cluster.detector import BUSY_SECONDS
from haproxy_voip.cluster.pace import INITIAL_WINDOW
from haproxy_voip.proxy.chat.line import CROWD, PAUSE_FIRST, RESERVES_AT_ONCE, REST_SECONDS, Line
from haproxy_voip.proxy.shared import Output
from tests.proxy.chat.stage import Stage


class Seeker:
    """Notes its turns."""

    def __init__(self, turns: list[int], number: int) -> None:
        self.turns, self.number = turns, number

    def log_in(self, backend: str, now: float) -> list[Output]:
        self.turns.append(self.number)
        return []


def lined_up(urgent: int, reserves: int) -> tuple[Line, list[Seeker], list[int]]:
    line, turns = Line(Stage().chat.shared, "alpha"), list[int]()
    seekers = [Seeker(turns, number) for number in range(urgent + reserves)]
    for seeker in seekers:
        line.join(seeker, urgent=seeker.number < urgent)
    return line, seekers, turns


def test_no_more_than_the_window_and_the_next_when_one_is_in() -> None:
    line, seekers, turns = lined_up(30, 0)
    line.pump(0.0)
    assert turns == list(range(INITIAL_WINDOW)) and len(line) == 30 - INITIAL_WINDOW
    line.took(seekers[0], 0.010)
    assert len(turns) == INITIAL_WINDOW + 2  # the window grew as well


def test_who_has_no_server_goes_before_who_wants_a_second_one() -> None:
    line, seekers, turns = lined_up(2, 10)
    line.pump(0.0)
    assert turns == [0, 1, 2, 3]  # of reserves only a few at once, those in flight counted
    assert RESERVES_AT_ONCE == 4
    line.took(seekers[0], 0.010)
    assert turns == [0, 1, 2, 3, 4]


def test_a_refusal_makes_everybody_wait_and_longer_each_time() -> None:
    line, seekers, turns = lined_up(1, 0)
    line.pump(0.0)
    line.refused(seekers[0], 0.0)
    now, pause = 0.0, PAUSE_FIRST
    for _ in range(3):
        line.join(seekers[0], urgent=True)
        before = len(turns)
        line.pump(now + pause * 0.9)
        assert len(turns) == before
        now += pause
        line.wake(now)
        assert len(turns) == before + 1
        line.refused(seekers[0], now)
        pause *= 2


def test_a_dead_backend_has_nobody_waiting() -> None:
    line, _, turns = lined_up(20, 3)
    line.pump(0.0)
    line.reset()
    assert len(line) == 0
    line.pump(1.0)
    assert len(turns) == INITIAL_WINDOW


def test_while_others_move_nobody_logs_in_for_reserve() -> None:
    line, seekers, turns = lined_up(1, 1)
    line.rest(0.0)
    line.pump(0.0)
    line.took(seekers[0], 0.1)
    assert turns == [0]
    line.wake(REST_SECONDS)
    assert turns == [0, 1]


def excused(line: Line, now: float) -> list[bool]:
    return [detector._forgiven(now) > 0 for detector in line._shared.backends.detectors.values()]


def test_while_many_wait_every_server_may_leave_probes_unanswered_for_a_moment() -> None:
    for urgent, reserves in ((CROWD + INITIAL_WINDOW, 0), (0, CROWD + RESERVES_AT_ONCE)):
        line, seekers, _ = lined_up(urgent, reserves)
        line.pump(0.0)
        assert all(excused(line, 0.5 * BUSY_SECONDS)) and not any(excused(line, BUSY_SECONDS))
        line.took(seekers[0], 2.0)
        assert not any(excused(line, 2.0))


def test_while_nobody_is_given_a_turn_silence_counts() -> None:
    line, _, _ = lined_up(CROWD + INITIAL_WINDOW, 0)
    line.pump(0.0)
    line.pump(2.0)
    assert not any(excused(line, 2.0))
