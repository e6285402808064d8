"""Many deadlines, one alarm: compared with a plain dict that is searched each time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.core import deadlines
from haproxy_voip.core.deadlines import Deadlines


def made(**times: float) -> Deadlines[str]:
    made: Deadlines[str] = Deadlines()
    for key, at in times.items():
        made.set(key, at)
    return made


def test_what_is_due_comes_earliest_first_and_once() -> None:
    alarms = made(late=3.0, early=1.0, middle=2.0, later=9.0)
    assert alarms.next == 1.0
    assert alarms.due(3.0) == ["early", "middle", "late"]
    assert alarms.due(3.0) == []
    assert alarms.next == 9.0


def test_equal_times_come_due_in_the_order_they_were_set() -> None:
    alarms = made(b=1.0, a=1.0, c=1.0)
    alarms.set("b", 2.0)
    alarms.set("b", 1.0)
    assert alarms.due(1.0) == ["a", "c", "b"]


def test_a_deadline_set_to_the_same_time_keeps_its_place() -> None:
    alarms = made(a=1.0, b=1.0)
    alarms.set("a", 1.0)
    assert alarms.due(1.0) == ["a", "b"]


def test_a_deadline_may_be_moved_either_way() -> None:
    alarms = made(a=5.0, b=6.0)
    alarms.set("a", 9.0)
    assert alarms.next == 6.0
    alarms.set("b", 1.0)
    assert alarms.due(8.0) == ["b"]
    assert alarms.at("a") == 9.0


def test_a_deadline_may_be_dropped() -> None:
    alarms = made(a=1.0, b=2.0)
    alarms.set("a", None)
    alarms.set("nobody", None)
    assert (alarms.at("a"), len(alarms)) == (None, 1)
    assert alarms.due(9.0) == ["b"]
    assert alarms.next is None


def test_one_that_comes_due_may_drop_another_that_is_due_as_well() -> None:
    alarms = made(a=1.0, b=1.0, c=1.0)
    assert alarms.pop(1.0) == "a"
    alarms.set("b", None)
    assert alarms.pop(1.0) == "c"
    assert alarms.pop(1.0) is None


def test_nothing_is_popped_before_its_time() -> None:
    alarms = made(a=1.0)
    assert alarms.pop(0.999) is None
    assert len(alarms) == 1


def test_moving_a_deadline_for_ever_takes_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "COMPACT_ABOVE", 16)
    alarms = made(a=0.0, b=0.5)
    for step in range(1000):
        alarms.set("a", 1.0 + step)
    assert len(alarms._heap) <= 17
    assert alarms.due(2000.0) == ["b", "a"]


def test_dropping_what_was_just_set_for_ever_takes_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "COMPACT_ABOVE", 16)
    alarms = made(a=0.0)
    for step in range(1000):
        alarms.set(f"transaction {step}", 32.0 + step)
        alarms.set(f"transaction {step}", None)
    assert len(alarms._heap) <= 17
    assert alarms.next == 0.0


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 20), st.booleans()), max_size=60))
def test_it_does_what_a_searched_dict_does(steps: list[tuple[str, int | None, bool]]) -> None:
    alarms: Deadlines[str] = Deadlines()
    plain: dict[str, int] = {}
    now = 0
    for key, delay, look in steps:
        alarms.set(key, None if delay is None else float(now + delay))
        plain.pop(key, None)
        if delay is not None:
            plain[key] = now + delay
        assert alarms.next == min(plain.values(), default=None)
        if look:
            now += 5
            due = alarms.due(now)
            assert set(due) == {key for key, at in plain.items() if at <= now}
            times = [plain.pop(key) for key in due]
            assert times == sorted(times)
        assert len(alarms) == len(plain)
