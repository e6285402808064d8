"""Of several calls of one caller, the next backend is asked for one at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from haproxy_voip.cluster.pace import INITIAL_WINDOW
from haproxy_voip.core.deadlines import Deadlines
from haproxy_voip.proxy.errands import PAUSE_SECONDS, STEP, Errands
from haproxy_voip.proxy.facts import AdminChanged
from haproxy_voip.proxy.shared import Output
from haproxy_voip.proxy.turns import JOINED_AT_ONCE, JOINED_SHARE, Turns


@dataclass(eq=False)
class Call:
    """Begins at its turn unless it is over; notes when that was."""

    name: str
    over: bool = False
    carried: bool = False
    partner: Any = None  # whom its client hears meanwhile
    turns: list[float] = field(default_factory=list)

    @property
    def call(self) -> Any:
        return self

    def turn(self, now: float) -> list[Output] | None:
        self.turns.append(now)
        return None if self.over else [AdminChanged(self.name, "asked")]


def made() -> Turns:
    alarms: Deadlines[Any] = Deadlines()
    return Turns(Errands(alarms))


def asked(outputs: list[Output]) -> list[str]:
    return [output.backend for output in outputs if isinstance(output, AdminChanged)]


def test_the_first_begins_at_once_and_the_next_when_it_has_ended():
    turns, one, two = made(), Call("one"), Call("two")
    assert asked(turns.ask("1001", one, 1.0)) == ["one"]
    assert turns.ask("1001", two, 2.0) == [] and two.turns == []
    assert asked(turns.end("1001", one, 3.0)) == ["two"] and two.turns == [3.0]
    assert turns.end("1001", two, 4.0) == [] and len(turns) == 0


def test_callers_do_not_wait_for_each_other():
    turns = made()
    assert asked(turns.ask("1001", Call("one"), 0.0)) == ["one"]
    assert asked(turns.ask("1002", Call("other"), 0.0)) == ["other"]
    assert len(turns) == 2


def test_they_come_in_the_order_in_which_they_asked():
    turns, calls = made(), [Call(str(number)) for number in range(4)]
    order = [name for call in calls for name in asked(turns.ask("1001", call, 0.0))]
    for call in calls:
        order += asked(turns.end("1001", call, 1.0))
    assert order == ["0", "1", "2", "3"]


def test_who_has_nothing_to_do_any_more_is_passed_over():
    turns, first, last = made(), Call("first"), Call("last")
    turns.ask("1001", first, 0.0)
    for _ in range(3):
        turns.ask("1001", Call("over", over=True), 0.0)
    turns.ask("1001", last, 0.0)
    assert asked(turns.end("1001", first, 1.0)) == ["last"]


def test_one_that_is_over_when_it_asks_leaves_the_turn_free():
    turns = made()
    assert turns.ask("1001", Call("over", over=True), 0.0) == []
    assert len(turns) == 0


def test_whoever_does_not_have_the_turn_cannot_end_it():
    turns, one, two = made(), Call("one"), Call("two")
    turns.ask("1001", one, 0.0)
    turns.ask("1001", two, 0.0)
    assert turns.end("1001", two, 1.0) == [] and turns.end("1002", one, 1.0) == []
    assert two.turns == [] and len(turns) == 1


def test_who_has_the_turn_already_begins_anew():
    """The next backend died as well, or its connection did."""
    turns, one, two = made(), Call("one"), Call("two")
    turns.ask("1001", one, 0.0)
    turns.ask("1001", two, 0.0)
    assert asked(turns.ask("1001", one, 1.0)) == ["one"] and one.turns == [0.0, 1.0]
    assert asked(turns.end("1001", one, 2.0)) == ["two"]


def test_who_asks_twice_while_waiting_has_one_turn():
    turns, one, two = made(), Call("one"), Call("two")
    turns.ask("1001", one, 0.0)
    for _ in range(2):
        assert turns.ask("1001", two, 0.0) == []
    turns.end("1001", one, 1.0)
    assert turns.end("1001", two, 2.0) == [] and two.turns == [1.0] and len(turns) == 0


def test_a_thousand_that_are_over_are_passed_over_step_by_step():
    alarms: Deadlines[Any] = Deadlines()
    errands = Errands(alarms)
    turns, first, last = Turns(errands), Call("first"), Call("last")
    turns.ask("1001", first, 0.0)
    for _ in range(1000):
        turns.ask("1001", Call("over", over=True), 0.0)
    turns.ask("1001", last, 0.0)
    now, outputs = 1.0, turns.end("1001", first, 1.0)
    while not outputs:
        now += PAUSE_SECONDS
        assert now < 2.0
        outputs = errands.wake(now)
    assert asked(outputs) == ["last"]


def test_no_more_callers_at_a_time_than_the_backend_answers_quickly():
    turns, calls = made(), [Call(str(number)) for number in range(3 * INITIAL_WINDOW)]
    for number, call in enumerate(calls):
        turns.ask(call.name, call, 0.1 * number)  # far apart, so that the size of a step does not matter
    begun = [call for call in calls if call.turns]
    assert len(begun) == INITIAL_WINDOW
    for call in begun:
        call.carried = True
        turns.end(call.name, call, 5.0 + 0.1 * begun.index(call))
    now = 10.0
    for call in calls:
        call.carried = True
        now += 0.1
        turns.end(call.name, call, now)
    assert all(len(call.turns) <= 1 for call in calls) and len(turns) == 0


def test_a_backend_that_answers_quickly_gets_more():
    turns, calls = made(), [Call(str(number), carried=True) for number in range(100)]
    for call in calls:
        turns.ask(call.name, call, 0.0)
    now, most = 0.0, 0
    while any(not call.turns for call in calls):
        now += 0.01
        turns._errands.wake(now)
        begun = [call for call in calls if call.turns and call.name in turns._current]
        most = max(most, len(begun))
        if begun:
            turns.end(begun[0].name, begun[0], now)
    assert most > INITIAL_WINDOW


def begun_of(turns: Turns, calls: list[Call]) -> list[Call]:
    for step in range(len(calls)):
        turns._errands.wake(0.01 * step)
    return [call for call in calls if call.turns]


def test_those_who_hear_each_other_wait_for_those_who_are_alone():
    turns, joined = made(), [Call(f"joined {number}", partner=True) for number in range(2 * JOINED_AT_ONCE)]
    alone = [Call(f"alone {number}") for number in range(INITIAL_WINDOW - JOINED_AT_ONCE)]
    for call in [*joined, *alone]:
        turns.ask(call.name, call, 0.0)
    assert begun_of(turns, [*joined, *alone]) == [*joined[:JOINED_AT_ONCE], *alone]
    alone[0].carried = True
    turns.end(alone[0].name, alone[0], 1.0)
    assert len(begun_of(turns, joined)) == JOINED_AT_ONCE  # as long as others are under way


def test_of_thousands_a_share_is_under_way():
    turns, joined = made(), [Call(str(number), partner=True, carried=True) for number in range(1000)]
    for call in joined:
        turns.ask(call.name, call, 0.0)
    most = 0
    while waiting := [call for call in begun_of(turns, joined) if call.name in turns._current]:
        most = max(most, len(waiting))
        turns.end(waiting[0].name, waiting[0], 0.01)
    assert JOINED_SHARE * 900 < most <= JOINED_SHARE * 1000


def test_who_asked_again_before_it_began_begins_once():
    alarms: Deadlines[Any] = Deadlines()
    errands = Errands(alarms)
    turns, calls = Turns(errands), [Call(str(number)) for number in range(STEP + 1)]
    for call in calls:
        turns.ask(call.name, call, 0.0)
    late = calls[-1]
    assert late.turns == []
    turns.ask(late.name, late, 0.0)  # the next backend died as well
    for step in range(4):
        errands.wake(1.0 + step)
    assert len(late.turns) == 1
