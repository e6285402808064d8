from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from haproxy_voip.edge import driver as driver_module
from haproxy_voip.edge.driver import Driver, _whole_ticks
from haproxy_voip.edge.facts import Failed


@dataclass
class Said:
    """An effect with an event that carrying it out causes."""

    word: str
    causes: str | None = None


@dataclass
class Noted:
    text: str


@dataclass
class Scripted:
    """Answers each event with what `answers` says, and is due when `deadline` says."""

    answers: dict[str, list[object]] = field(default_factory=dict)
    deadline: float | None = None
    history: list[tuple[str, float]] = field(default_factory=list)
    deadlines_after: dict[str, float] = field(default_factory=dict)
    woken: Callable[[float], list[object]] = lambda now: []

    def receive(self, event: str, now: float) -> list[object]:
        self.history.append((event, now))
        if event == "crash":
            raise RuntimeError("a mistake of ours")
        if event in self.deadlines_after:
            self.deadline = self.deadlines_after[event]
        return self.answers.get(event, [])

    def wake(self, now: float) -> list[object]:
        self.history.append(("wake", now))
        self.deadline = None
        return self.woken(now)

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.history]


def test_what_is_due_goes_first(run):
    async def scene():
        clock = [0.0]
        machine = Scripted(deadline=5.0)
        driver = Driver(machine, clock=lambda: clock[0])
        driver.start()
        driver.receive("early")
        clock[0] = 5.0
        driver.receive("late")
        assert machine.events == ["early", "wake", "late"]
        driver.stop()

    run(scene)


def test_an_event_caused_by_an_effect_waits_until_the_effects_are_done(run):
    async def scene():
        done = []
        machine = Scripted({"start": [Said("one", causes="echo"), Said("two")], "echo": [Said("three")]})
        driver = Driver(machine)

        def say(said: Said) -> None:
            if said.causes:
                driver.receive(said.causes)
                assert machine.events == ["start"]
            done.append(said.word)

        driver.on(Said, say)
        driver.receive("start")
        assert done == ["one", "two", "three"]
        assert machine.events == ["start", "echo"]

    run(scene)


def test_what_becomes_due_between_deferred_events_goes_first(run):
    async def scene():
        machine = Scripted({"start": [Said("x", causes="a"), Said("y", causes="b")]}, deadlines_after={"a": 1.0})
        driver = Driver(machine, clock=lambda: 1.0)
        driver.on(Said, lambda said: driver.receive(said.causes))
        driver.receive("start")
        assert machine.events == ["start", "a", "wake", "b"]

    run(scene)


def test_outputs_without_a_handler_are_facts_for_every_reader(run):
    async def scene():
        first, second = [], []
        driver = Driver(Scripted({"x": [Noted("a"), Said("b"), Noted("c")]}), [first.append, second.append])
        driver.on(Said, lambda said: None)
        driver.receive("x")
        assert first == second == [Noted("a"), Noted("c")]

    run(scene)


def test_a_crash_costs_one_event_and_is_told_with_its_traceback(run):
    async def scene():
        facts = []
        machine = Scripted({"x": [Said("b")]})
        driver = Driver(machine, [facts.append])
        done = []
        driver.on(Said, done.append)
        driver.receive("crash")
        driver.receive("x")
        assert done == [Said("b")]
        assert driver.failures == 1
        [failed] = facts
        assert isinstance(failed, Failed) and failed.doing == "handling 'crash'"
        assert "a mistake of ours" in failed.traceback and "Traceback" in str(failed)

    run(scene)


def test_a_crashing_handler_costs_its_effect_only(run):
    async def scene():
        facts, done = [], []

        def handler(said: Said) -> None:
            if said.word == "bad":
                raise ValueError("no")
            done.append(said.word)

        driver = Driver(Scripted({"x": [Said("a"), Said("bad"), Said("c")]}), [facts.append])
        driver.on(Said, handler)
        driver.receive("x")
        assert done == ["a", "c"]
        assert len(facts) == 1

    run(scene)


def test_a_crashing_reader_hurts_nobody_else(run):
    async def scene():
        facts = []
        driver = Driver(Scripted({"x": [Noted("a")]}), [lambda fact: 1 / 0, facts.append])
        driver.receive("x")
        assert facts == [Noted("a")]
        assert driver.failures == 1

    run(scene)


def test_a_wake_that_crashes_for_ever_does_not_take_the_processor(run):
    async def scene():
        class Broken(Scripted):
            def wake(self, now: float) -> list[object]:
                self.history.append(("wake", now))
                raise RuntimeError

        machine = Broken(deadline=0.0)
        driver = Driver(machine)
        loop = asyncio.get_running_loop()
        driver.start()
        over = loop.create_future()
        loop.call_later(0.03, over.set_result, None)
        await over
        assert machine.events == ["wake"]
        driver.stop()

    run(scene)


def test_the_alarm_never_rings_early_and_at_most_a_tick_late(run):
    async def scene():
        late = []
        for microseconds in (100, 700, 1300, 1999, 4501):
            rung = asyncio.get_running_loop().create_future()
            machine = Scripted()
            driver = Driver(machine)
            machine.deadline = driver._clock() + microseconds / 1e6
            deadline = machine.deadline
            machine.woken = lambda now, rung=rung: rung.set_result(now) or []
            driver.start()
            late.append(await rung - deadline)
            assert machine.events == ["wake"]  # once: no ringing before it is time
            driver.stop()
        assert min(late) >= 0
        assert sorted(late)[len(late) // 2] < 0.005  # the median: a busy machine may delay one of them

    run(scene)


@pytest.mark.parametrize(
    ("deadline", "now", "ticks"),
    [(10.0, 9.0, 1000), (10.0004, 10.0003, 1), (10.0, 10.0, 0), (9.0, 10.0, 0), (10.0011, 10.0009, 2)],
)
def test_delays_are_whole_ticks_of_the_loops_clock(deadline, now, ticks):
    assert round(_whole_ticks(deadline, now) * 1000) == ticks
    # The loop adds the delay to its own clock, which shows whole milliseconds only.
    assert math.floor(now * 1000) + ticks >= math.floor(deadline * 1000)


def test_an_alarm_is_moved_only_to_an_earlier_time(run):
    async def scene():
        machine = Scripted(deadlines_after={"late": 200.0, "early": 50.0})
        driver = Driver(machine, clock=lambda: 0.0)
        machine.deadline = 100.0
        driver.start()
        first = driver._alarm
        driver.receive("late")
        assert driver._alarm is first
        driver.receive("early")
        assert driver._alarm is not first and first.cancelled()
        driver.stop()
        assert driver._alarm is None

    run(scene)


def test_an_alarm_for_a_deadline_that_moved_away_wakes_nobody_and_is_set_anew(run):
    async def scene():
        clock = [0.0]
        machine = Scripted(deadline=0.001, deadlines_after={"later": 0.5})
        driver = Driver(machine, clock=lambda: clock[0])
        driver.start()
        driver.receive("later")
        armed = driver._alarm
        rung = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_at(armed.when() + 0.002, rung.set_result, None)
        await rung
        assert driver._alarm is not armed
        assert "wake" not in machine.events
        assert driver._alarm_at == 0.5
        driver.stop()

    run(scene)


def test_act_runs_like_an_event_and_refuses_to_re_enter(run):
    async def scene():
        facts, done = [], []
        driver = Driver(Scripted({"x": [Said("inner")]}), [facts.append])
        driver.on(Said, lambda said: done.append(said.word))
        driver.act(lambda now: [Said("acted"), Noted("told")])
        assert done == ["acted"] and facts == [Noted("told")]
        driver.act(lambda now: 1 / 0)
        assert "ZeroDivisionError" in facts[-1].traceback
        driver.on(Said, lambda said: driver.act(lambda now: []))
        driver.receive("x")
        assert "must not act" in facts[-1].traceback

    run(scene)


def test_deferred_events_are_limited(run, monkeypatch):
    async def scene():
        monkeypatch.setattr(driver_module, "MAX_DEFERRED", 3)
        facts = []
        machine = Scripted({"start": [Said("x", causes=str(number)) for number in range(5)]})
        driver = Driver(machine, [facts.append])
        driver.on(Said, lambda said: driver.receive(said.causes))
        driver.receive("start")
        assert machine.events == ["start", "0", "1", "2"]
        assert len(facts) == driver.failures == 2

    run(scene)


def test_a_stopped_driver_takes_nothing_and_rings_no_more(run):
    async def scene():
        machine = Scripted(deadline=0.0)
        driver = Driver(machine)
        driver.start()
        driver.stop()
        driver.receive("x")
        driver.act(lambda now: [Noted("never")])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert machine.events == []

    run(scene)
