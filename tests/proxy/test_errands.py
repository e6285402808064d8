"""Work for many calls is done in small steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from haproxy_voip.core.deadlines import Deadlines
from haproxy_voip.proxy.errands import PAUSE_SECONDS, STEP, Errands
from haproxy_voip.proxy.facts import AdminChanged, SessionFailed
from haproxy_voip.proxy.shared import Output


@dataclass
class Desk:
    """Errands, and what came of them."""

    alarms: Deadlines[Any] = field(default_factory=Deadlines)
    done: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.errands = Errands(self.alarms)

    def note(self, call: Any, now: float) -> list[Output]:
        self.done.append(call)
        return [AdminChanged(str(call), "done")]

    def ask(self, count: int, now: float) -> None:
        for number in range(count):
            self.errands.do(self.note, number, now)  # type: ignore[arg-type]

    def wake(self) -> float:
        at = self.alarms.next
        assert at is not None
        self.alarms.pop(at)
        self.errands.wake(at)
        return at


def test_a_few_are_done_at_once() -> None:
    desk = Desk()
    desk.ask(STEP, 1.0)
    assert desk.done == list(range(STEP)) and desk.alarms.next is None


def test_many_are_done_in_steps_with_a_pause_between_them_and_in_order() -> None:
    desk = Desk()
    desk.ask(3 * STEP + 1, 1.0)
    assert len(desk.done) == STEP
    assert desk.wake() == 1.0 + PAUSE_SECONDS and len(desk.done) == 2 * STEP
    desk.wake()
    desk.wake()
    assert desk.done == list(range(3 * STEP + 1)) and desk.alarms.next is None and len(desk.errands) == 0


def test_a_mistake_costs_one() -> None:
    desk = Desk()

    def fail(call: Any, now: float) -> list[Output]:
        raise RuntimeError("a mistake of ours")

    [told] = desk.errands.do(fail, "one", 1.0)  # type: ignore[arg-type]
    assert isinstance(told, SessionFailed)
    desk.ask(2, 1.0)
    assert desk.done == [0, 1]
