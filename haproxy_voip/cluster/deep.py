"""Judges whether a backend serves: somebody logs in there every few seconds and pings.

Sans-I/O. The detector (detector.py) tells within milliseconds that a server is gone. This tells of one that is there
and of no use: it refuses who may log in, or answers nobody who has. It counts as HAProxy does (health.py), on top of
the detector: while that says that the backend is down nobody is sent there, and what was found before stands.
"""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.cluster.health import Health, HealthCounter

# Between probes while the verdict is changing, if `inter` is longer.
HURRIED_SECONDS = 1.0
# A result comes within the time-out; this much later whoever probes has a problem of its own, and is asked again.
NO_RESULT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class DeepTiming:
    """Durations are seconds; the words are HAProxy's."""

    inter: float = 10.0  # between two probes
    timeout: float = 5.0  # from connecting to the ping's answer
    rise: int = 3
    fall: int = 2


@dataclass(slots=True)
class DeepProbeDue:
    """Log in and ping; hand what came of it to `done` if this number is awaited still."""

    backend: str
    number: int


class DeepCheck:
    """The judge of one backend. It asks for nothing until `begin`."""

    def __init__(self, name: str, timing: DeepTiming) -> None:
        self.name = name
        self.reason: str | None = None  # what the last probe failed by
        self.failing_since = 0.0  # when the first of the failures in a row was told
        self.deadline: float | None = None  # when `wake` is due
        self._timing = timing
        self._counter = HealthCounter(timing.rise, timing.fall)
        self._number = 0
        self._pending = False

    def retime(self, timing: DeepTiming) -> None:
        """Probe by this from the next probe on; the verdict stays."""
        if timing != self._timing:
            self._timing = timing
            self._counter.retime(timing.rise, timing.fall)

    @property
    def failing(self) -> bool:
        """Whether the backend is down for this reason."""
        return self._counter.health is Health.DOWN

    def begin(self, now: float) -> None:
        """The backend is there."""
        if self.deadline is None:
            self.deadline = now

    def pause(self) -> None:
        """It is gone: there is nobody to ask."""
        self.deadline, self._pending = None, False

    def wake(self, now: float) -> list[DeepProbeDue]:
        """Ask; also when the last question was never answered, which is nobody's failure but ours."""
        self._number += 1
        self._pending = True
        self.deadline = now + self._timing.timeout + NO_RESULT_SECONDS
        return [DeepProbeDue(self.name, self._number)]

    def awaits(self, number: int) -> bool:
        """Whether anybody wants to know what comes of probe `number`."""
        return self._pending and number == self._number

    def done(self, failure: str | None, now: float) -> bool:
        """What came of the probe that is awaited; None is success. True when that changed the verdict."""
        assert self._pending
        self._pending = False
        if failure is None:
            was_failing, self.reason = self.failing, None
            self._counter.passed()
            changed = was_failing and not self.failing
        else:
            self.failing_since = now if self.reason is None else self.failing_since
            self.reason = failure
            changed = self._counter.failed()
        hurried = min(self._timing.inter, HURRIED_SECONDS)
        self.deadline = now + (self._timing.inter if self._counter.settled else hurried)
        return changed
