"""Whether a backend serves: logins and pings, counted."""

from __future__ import annotations

from haproxy_voip.cluster.deep import HURRIED_SECONDS, NO_RESULT_SECONDS, DeepCheck, DeepProbeDue, DeepTiming

TIMING = DeepTiming(inter=10.0, timeout=5.0, rise=3, fall=2)


def begun() -> DeepCheck:
    check = DeepCheck("alpha", TIMING)
    check.begin(0.0)
    return check


def probe(check: DeepCheck, failure: str | None, now: float) -> bool:
    """The next one, and what comes of it at once; whether that changed the verdict."""
    [due] = check.wake(now)
    assert check.awaits(due.number)
    return check.done(failure, now)


def test_a_backend_that_is_there_is_asked_at_once_and_then_now_and_then() -> None:
    check = DeepCheck("alpha", TIMING)
    assert check.deadline is None
    check.begin(3.0)
    assert check.deadline == 3.0
    assert check.wake(3.0) == [DeepProbeDue("alpha", 1)]
    assert not check.done(None, 3.5) and not check.failing
    assert check.deadline == 13.5
    check.begin(4.0)  # it is known
    assert check.deadline == 13.5


def test_so_many_failures_in_a_row_take_it_down_and_so_many_successes_bring_it_back() -> None:
    check = begun()
    assert not probe(check, None, 0.0)
    assert not probe(check, "login refused", 10.0)
    assert check.deadline == 10.0 + HURRIED_SECONDS
    assert not probe(check, None, 11.0)  # that was one
    assert not probe(check, "login refused", 21.0) and not check.failing
    assert probe(check, "no answer", 22.0) and check.failing
    assert (check.reason, check.failing_since) == ("no answer", 21.0)
    assert [probe(check, None, at) for at in (23.0, 24.0, 25.0)] == [False, False, True]
    assert not check.failing and check.reason is None


def test_it_is_not_trusted_less_at_the_start() -> None:
    check = begun()
    assert [probe(check, "login refused", at) for at in (0.0, 1.0)] == [False, True]


def test_who_is_gone_is_not_asked_and_what_was_found_stands() -> None:
    check = begun()
    probe(check, "login refused", 0.0), probe(check, "login refused", 1.0)
    [due] = check.wake(2.0)
    check.pause()
    assert check.deadline is None and not check.awaits(due.number) and check.failing
    check.begin(5.0)
    assert check.deadline == 5.0 and check.failing


def test_a_result_that_never_comes_is_not_the_backends_failure() -> None:
    check = begun()
    [first] = check.wake(0.0)
    assert check.deadline == TIMING.timeout + NO_RESULT_SECONDS
    [second] = check.wake(check.deadline)
    assert second.number != first.number and not check.awaits(first.number) and check.reason is None
