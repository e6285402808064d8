"""Runs one machine on an event loop.

1. What is due goes first: `wake` before `receive` when the deadline has passed.
2. `receive` is never re-entered: an event that performing an effect causes waits until the effects are done.
3. The clock is CLOCK_MONOTONIC, which never goes back.

One alarm is pending at most. It is moved only when the machine's deadline becomes earlier; an alarm for a deadline
that has since moved away finds nothing due and is set anew.

A mistake in the machine or in an effect's handler costs the event it was met in, is told as a fact with its traceback,
and the node lives. Where an event is about many things, proxy/isolation.py sees to it that it costs only one of them.
No third module has an `except Exception`.
"""

# ruff: noqa: BLE001

from __future__ import annotations

import asyncio
import math
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar, cast

from haproxy_voip.core.machine import Machine
from haproxy_voip.edge.facts import Failed

Event = TypeVar("Event")
Output = TypeVar("Output")
Effect = TypeVar("Effect")

Reader = Callable[[object], None]

# Events caused by effects of one step. A stream that cannot be opened makes one each; a thousand means a loop.
MAX_DEFERRED = 10_000
# Timers of uvloop count whole milliseconds.
TICKS_PER_SECOND = 1000
TICK = 1 / TICKS_PER_SECOND
# A machine whose `wake` fails may stay due for ever; it must not take the whole processor.
PAUSE_AFTER_FAILURE = 0.1
# Of a failing event, in the log.
MAX_DESCRIPTION = 500

NEVER = math.inf


class Driver(Generic[Event, Output]):
    """Feeds a machine from sockets and a clock. `on` says who carries out which effect; all other outputs are facts."""

    def __init__(
        self,
        machine: Machine[Event, Output],
        readers: Iterable[Reader] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """To be made while the loop that it shall run on is running."""
        self.machine = machine
        self.readers = list(readers)
        self.failures = 0
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._handlers: dict[type, Callable[[object], None]] = {}
        self._deferred: deque[Event] = deque()
        self._busy = False
        self._stopped = False
        self._deadline: float | None = None
        self._alarm: asyncio.TimerHandle | asyncio.Handle | None = None
        self._alarm_at = NEVER

    def on(self, kind: type[Effect], handler: Callable[[Effect], None]) -> None:
        """Let `handler` carry out effects of this very type (not of its subclasses)."""
        self._handlers[kind] = cast("Callable[[object], None]", handler)

    def start(self) -> None:
        """Set the first alarm; all effects have their handlers now."""
        self._arm()

    def stop(self) -> None:
        """Take no more events and ring no more alarms."""
        self._stopped = True
        self._deferred.clear()
        self._disarm()

    def receive(self, event: Event) -> None:
        """Hand one event to the machine and carry out what it says."""
        if self._busy:
            self._defer(event)
            return
        if self._stopped:
            return
        self._busy = True
        now = self._clock()
        try:
            if self._deadline is not None and self._deadline <= now:
                self._wake(now)
            self._receive(event, now)
            if self._deferred:
                self._catch_up(now)
        finally:
            self._busy = False
        self._arm()

    def act(self, call: Callable[[float], Iterable[Output]]) -> None:
        """Do something with the machine that is no event, `call(now)`, and carry out what it returns.

        Not from an effect's handler: that would re-enter the machine.
        """
        assert not self._busy, "an effect's handler must not act on the machine"
        if self._stopped:
            return
        self._busy = True
        now = self._clock()
        try:
            if self._deadline is not None and self._deadline <= now:
                self._wake(now)
            self._act(call, now)
            self._catch_up(now)
        finally:
            self._busy = False
        self._arm()

    def tell(self, fact: object) -> None:
        """Hand a fact to every reader."""
        for reader in self.readers:
            try:
                reader(fact)
            except Exception:  # a reader's mistake; telling it as a fact would come back here
                self.failures += 1

    # -- one step -----------------------------------------------------------------------------------

    def _receive(self, event: Event, now: float) -> None:
        try:
            outputs = self.machine.receive(event, now)
        except Exception:
            self._failed("handling", event)
            return
        if outputs:
            self._perform(outputs)

    def _act(self, call: Callable[[float], Iterable[Output]], now: float) -> None:
        try:
            outputs = call(now)
        except Exception:
            self._failed("acting on", self.machine)
            return
        self._perform(outputs)

    def _wake(self, now: float) -> bool:
        """Whether it went well."""
        try:
            outputs = self.machine.wake(now)
        except Exception:
            self._failed("waking", self.machine)
            return False
        self._perform(outputs)
        return True

    def _catch_up(self, now: float) -> None:
        """Take the events that performing effects has caused; what they made due goes first, as ever."""
        while self._deferred:
            deadline = self._machine_deadline()
            if deadline is not None and deadline <= now:
                self._wake(now)
            self._receive(self._deferred.popleft(), now)

    def _perform(self, outputs: Iterable[Output]) -> None:
        handlers = self._handlers
        for output in outputs:
            handler = handlers.get(type(output), self.tell)
            try:
                handler(output)
            except Exception:
                self._failed("carrying out", output)

    def _defer(self, event: Event) -> None:
        if len(self._deferred) >= MAX_DEFERRED:
            self.failures += 1
            self.tell(Failed(f"deferring {type(event).__name__}", f"{MAX_DEFERRED} events wait already"))
        else:
            self._deferred.append(event)

    def _failed(self, doing: str, what: object) -> None:
        self.failures += 1
        self.tell(Failed(f"{doing} {_described(what)}", traceback.format_exc()))

    # -- the alarm ----------------------------------------------------------------------------------

    def _machine_deadline(self) -> float | None:
        try:
            return self.machine.deadline
        except Exception:
            self._failed("asking the deadline of", self.machine)
            return self._clock() + PAUSE_AFTER_FAILURE

    def _arm(self, at_least: float = 0.0) -> None:
        """Set the alarm for the machine's deadline, `at_least` seconds ahead, unless one rings early enough already."""
        deadline = self._deadline = self._machine_deadline()
        if deadline is None or deadline >= self._alarm_at or self._stopped:
            return
        self._disarm()
        self._alarm_at = deadline
        self._alarm = self._loop.call_later(max(at_least, _whole_ticks(deadline, self._clock())), self._ring)

    def _disarm(self) -> None:
        self._alarm_at = NEVER
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        self._alarm = None
        self._alarm_at = NEVER
        now = self._clock()
        well = True
        if self._deadline is not None and self._deadline <= now:
            self._busy = True
            try:
                well = self._wake(now)
                self._catch_up(now)
            finally:
                self._busy = False
        # A machine that is due again at once is woken a tick later, or it would starve the sockets.
        self._arm(TICK if well else PAUSE_AFTER_FAILURE)


def _whole_ticks(deadline: float, now: float) -> float:
    """Seconds from the loop's own time to the first tick at or after the deadline.

    uvloop cuts its clock to whole milliseconds and rounds delays, so a plain `deadline - now` may ring up to a
    millisecond early, find nothing due and ring again until it is.
    """
    return max(0, math.ceil(deadline * TICKS_PER_SECOND) - math.floor(now * TICKS_PER_SECOND)) / TICKS_PER_SECOND


def _described(what: object) -> str:
    text = repr(what)
    return text if len(text) <= MAX_DESCRIPTION else f"{text[:MAX_DESCRIPTION]}... ({len(text)} characters)"
