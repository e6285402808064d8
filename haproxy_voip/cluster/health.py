"""A backend's health as HAProxy counts it (HAProxy configuration manual, section 5.2: inter, rise, fall).

One score from 0 to rise + fall - 1. Up, a success restores it whole and a failure takes one away; below `rise` the
backend is down. Down, a failure empties it and a success adds one; at `rise` the backend is up.
Before the first verdict the backend is unknown: not trusted, but a single success suffices.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """What is known of a backend."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class HealthTiming:
    """How a backend is probed. Durations are seconds and above zero; the words are HAProxy's."""

    inter: float = 0.100  # between probes of a backend that is up and beyond doubt
    fastinter: float = 0.020  # between probes while the verdict is changing, either way
    downinter: float | None = None  # between probes of a backend that is down; None means `inter`
    timeout: float = 0.060  # the longest a probe may stay unanswered; usually less, see round_trip.py
    rise: int = 3  # successes in a row that bring a backend up
    fall: int = 2  # failures in a row that bring it down

    def __post_init__(self) -> None:
        assert min(self.inter, self.fastinter, self.timeout) > 0 and min(self.rise, self.fall) >= 1
        assert self.downinter is None or self.downinter > 0


class HealthCounter:
    """The score, and the verdict that follows from it."""

    __slots__ = ("_full", "_rise", "health", "score")

    def __init__(self, rise: int, fall: int) -> None:
        self._rise = rise
        self._full = rise + fall - 1
        self.score = self._full
        self.health = Health.UNKNOWN

    def retime(self, rise: int, fall: int) -> None:
        """Count by these from now on. The verdict stays, and what was counted towards another is forgotten."""
        self._rise = rise
        self._full = rise + fall - 1
        self.score = 0 if self.health is Health.DOWN else self._full

    @property
    def up(self) -> bool:
        """Whether the backend is known to be up."""
        return self.health is Health.UP

    @property
    def settled(self) -> bool:
        """Whether the last results all say the same, so that there is no hurry to ask again."""
        return self.score == 0 or (self.up and self.score == self._full)

    def passed(self) -> bool:
        """Count a success; True when it brought the backend up."""
        if self.health is Health.DOWN:
            self.score += 1
            if self.score < self._rise:
                return False
        came_up = not self.up
        self.health = Health.UP
        self.score = self._full
        return came_up

    def failed(self) -> bool:
        """Count a failure; True when it brought the backend down (or, unknown until then, proved it down)."""
        if self.health is not Health.DOWN and self.score > self._rise:
            self.score -= 1
            return False
        return self.failed_for_certain()

    def failed_for_certain(self) -> bool:
        """Down at once, whatever the score; True when it was not down already."""
        went_down = self.health is not Health.DOWN
        self.health = Health.DOWN
        self.score = 0
        return went_down
