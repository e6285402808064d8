"""A backend that is watched, under a virtual clock."""

from __future__ import annotations

import heapq
from itertools import count

from haproxy_voip.cluster.detector import (
    BackendDown,
    BackendUp,
    CanaryDue,
    Detector,
    DetectorOutput,
    LookDue,
    ProbeDue,
    StirDue,
)
from haproxy_voip.cluster.health import HealthTiming

TIMING = HealthTiming(inter=0.100, fastinter=0.020, timeout=0.060, rise=3, fall=2)
Verdict = BackendUp | BackendDown


class World:
    """A backend, the wire to it and its detector under a virtual clock."""

    def __init__(self, timing: HealthTiming = TIMING, round_trip: float = 0.001) -> None:
        self.now = 0.0
        self.detector = Detector("alpha", timing, self.now)
        self.round_trip = round_trip
        self.alive = True  # else its host refuses
        self.answers = True  # else frozen
        self.accepts_canary = True
        self.canary_open = False
        self.asleep_until = 0.0  # our own process is paused until then
        self.probed_at: list[float] = []
        self.canaries = 0  # asked for so far
        self.stirred_at: list[float] = []
        self.verdicts: list[tuple[float, Verdict]] = []
        self._arrivals: list[tuple[float, int, str, int]] = []
        self._order = count()

    def run(self, until: float) -> None:
        """Let time pass. Timers go before what has arrived, as in the driver."""
        while True:
            assert self.detector.deadline is not None
            arrival = self._arrivals[0][0] if self._arrivals else float("inf")
            at = max(min(arrival, self.detector.deadline), self.asleep_until)
            if at > until:
                break
            self.now = max(self.now, at)
            if self.detector.deadline <= self.now:
                self.obey(self.detector.wake(self.now))
                assert self.detector.deadline > self.now
            elif self._arrivals:
                self.arrive()
        self.now = max(self.now, until)

    def arrive(self) -> None:
        _, _, what, number = heapq.heappop(self._arrivals)
        match what:
            case "answer":
                self.obey(self.detector.answered(number, self.now))
            case "looked":
                self.obey(self.detector.looked(number, self.now))
            case "refusal":
                self.obey(self.detector.refused(self.now))
            case "canary opened":
                self.detector.canary_opened(self.now)
            case "canary closed":
                self.obey(self.detector.canary_closed(self.now))

    def obey(self, outputs: list[DetectorOutput]) -> None:
        for output in outputs:
            match output:
                case ProbeDue(number=number):
                    self.probed_at.append(self.now)
                    if not self.alive:
                        self.after(self.round_trip, "refusal")
                    elif self.answers:
                        self.after(self.round_trip, "answer", number)
                case LookDue(number=number):
                    self.after(0.0, "looked", number)
                case StirDue():
                    assert self.canary_open
                    self.stirred_at.append(self.now)
                case CanaryDue():
                    self.canaries += 1
                    self.canary_open = self.accepts_canary and self.alive
                    self.after(self.round_trip, "canary opened" if self.canary_open else "canary closed")
                case BackendUp() | BackendDown():
                    self.verdicts.append((self.now, output))
                    self.canary_open = self.canary_open and isinstance(output, BackendUp)

    def after(self, seconds: float, what: str, number: int = 0) -> None:
        heapq.heappush(self._arrivals, (self.now + seconds, next(self._order), what, number))

    def kill(self) -> None:
        """The process is gone; the kernel says so to whoever is connected."""
        self.alive = False
        if self.canary_open:
            self.canary_open = False
            self.after(self.round_trip, "canary closed")

    @property
    def up(self) -> bool:
        return self.detector.up

    def last_down(self) -> tuple[float, BackendDown]:
        at, verdict = self.verdicts[-1]
        assert isinstance(verdict, BackendDown)
        return at, verdict


def world_up(until: float = 1.0, **options: float) -> World:
    world = World(**options)  # type: ignore[arg-type]
    world.run(until)
    assert world.up and len(world.verdicts) == 1
    return world
