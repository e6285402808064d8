"""What was measured of several SIP proxies side by side, and what it comes to."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """One proxy in one round at one rate."""

    by_program: Mapping[str, float]  # CPU seconds for each call
    failed: int
    worst_ms: float  # longest time from the first INVITE to the 200

    @property
    def all(self) -> float:
        """CPU seconds for each call, of all programs."""
        return sum(self.by_program.values())


def per_call(
    before: Mapping[str, float], after: Mapping[str, float], idle: Mapping[str, float], calls: int
) -> dict[str, float]:
    """CPU seconds of each program for each call; `idle` is what it takes anyway in that time."""
    return {name: max(0.0, after[name] - before[name] - idle[name]) / calls for name in after}


def ratios(of: Sequence[Cost], reference: Sequence[Cost]) -> list[float]:
    """In each round, how many times what the reference took in the same round."""
    return [one.all / other.all for one, other in zip(of, reference, strict=True)]


def median_by_program(of: Sequence[Cost]) -> dict[str, float]:
    """CPU seconds for each call."""
    return {name: statistics.median(one.by_program[name] for one in of) for name in of[0].by_program}


@dataclass(frozen=True, slots=True)
class Climb:
    """How far rising rates went without a failed call."""

    most: int  # calls per second; 0: not even the least
    stopped_by: str


def climb(tried: Sequence[tuple[int, int, bool]]) -> Climb:
    """Of rates in rising order with the calls that failed, and whether they took longer than they should."""
    most = 0
    for rate, failed, late in tried:
        if failed or late:
            return Climb(most, f"{failed} failed at {rate}" if failed else f"late at {rate}")
        most = rate
    return Climb(most, "no higher rate was tried")
