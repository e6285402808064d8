"""What a relay's packets cost and how late they are: from clocks read before and after, to figures and ratios.

CPU time is in seconds as read, and in microseconds for each packet delivered from there on.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

MICRO = 1e6
PACKETS_PER_SECOND = 50  # of one stream
STREAMS_OF_A_CALL = 2  # both ways


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed (nearest rank)."""
    rank = -int(-share * len(ordered) // 1)  # rounded up
    return ordered[max(rank, 1) - 1]


@dataclass(frozen=True, slots=True)
class Clocks:
    """CPU seconds used until now, since whenever."""

    generator: float
    relay: float  # 0.0: there is none
    softirq: float  # of the kernel's own threads; elsewhere it counts for whom it interrupts
    machine: float  # all that was not idle, on all processors
    wall: float

    def __sub__(self, before: Clocks) -> Clocks:
        return Clocks(*(getattr(self, one.name) - getattr(before, one.name) for one in fields(Clocks)))

    @property
    def ours(self) -> float:
        """What the packets took, whoever paid for it."""
        return self.generator + self.relay + self.softirq


@dataclass(frozen=True, slots=True)
class Sample:
    """One contestant in one round. Microseconds for each packet, but for the first and the last."""

    delivered: float  # packets per second, while so many were sent
    relay: float  # of its process, user and system
    ours: float  # of all who had to do with it: generator, relay, softirq threads
    machine: float  # of the whole machine
    p50: float  # one way
    p99: float
    longest: float
    foreign: float  # share of the machine that others took


def sample(clocks: Clocks, delivered: float, packets: int, latencies: Sequence[int], processors: int) -> Sample:
    """`packets` are those that the CPU time of `clocks` went into, `latencies` nanoseconds."""
    ordered = sorted(latencies) or [0]
    return Sample(
        delivered,
        clocks.relay * MICRO / packets,
        clocks.ours * MICRO / packets,
        clocks.machine * MICRO / packets,
        percentile(ordered, 0.5) / 1e3,
        percentile(ordered, 0.99) / 1e3,
        ordered[-1] / 1e3,
        max(0.0, clocks.machine - clocks.ours) / (clocks.wall * processors),
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """One contestant: medians over the rounds. What was added is subtracted within each round."""

    delivered: float
    relay: float
    ours: float
    added: float  # to `ours`, by there being a relay
    added_machine: float
    times: float  # `ours`, as a multiple of no relay's
    p50: float  # added one way
    p99: float
    longest: float
    foreign: float
    rounds: tuple[Sample, ...]
    direct: tuple[Sample, ...]  # no relay, in the same rounds


def figures(samples: Sequence[Sample], direct: Sequence[Sample]) -> Figures:
    """`direct` are those of no relay in the same rounds."""
    pairs = list(zip(samples, direct, strict=True))
    return Figures(
        statistics.median(one.delivered for one in samples),
        statistics.median(one.relay for one in samples),
        statistics.median(one.ours for one in samples),
        statistics.median(one.ours - other.ours for one, other in pairs),
        statistics.median(one.machine - other.machine for one, other in pairs),
        statistics.median(one.ours / other.ours for one, other in pairs),
        statistics.median(one.p50 - other.p50 for one, other in pairs),
        statistics.median(one.p99 - other.p99 for one, other in pairs),
        statistics.median(one.longest - other.longest for one, other in pairs),
        statistics.median(one.foreign for one in samples),
        tuple(samples),
        tuple(direct),
    )


@dataclass(frozen=True, slots=True)
class Range:
    """One figure of each round."""

    low: float
    median: float
    high: float

    def kept(self, most: float | None = None, least: float | None = None) -> str:
        """Whether it is within what was promised, and whether every round says so."""

        def within(figure: float) -> bool:
            return (most is None or figure <= most) and (least is None or figure >= least)

        word = "kept" if within(self.median) else "not kept"
        return word if within(self.low) == within(self.high) else f"{word}, rounds differ"


def over_rounds(values: Iterable[float]) -> Range:
    """Of at least one."""
    ordered = sorted(values)
    return Range(ordered[0], statistics.median(ordered), ordered[-1])


def times_no_relay(one: Figures) -> Range:
    """CPU, as a multiple of what the same packets take without a relay."""
    return over_rounds(sample.ours / direct.ours for sample, direct in zip(one.rounds, one.direct, strict=True))


def latency_added(one: Figures) -> Range:
    """The median packet's."""
    return over_rounds(sample.p50 - direct.p50 for sample, direct in zip(one.rounds, one.direct, strict=True))


def added_compared(dear: Figures, cheap: Figures) -> Range:
    """CPU that one adds, as a multiple of what the other adds; infinite where that cannot be told from nothing."""
    return over_rounds(
        (costs.ours - direct.ours) / (less.ours - direct.ours) if less.ours > direct.ours else math.inf
        for costs, less, direct in zip(dear.rounds, cheap.rounds, cheap.direct, strict=True)
    )


def process_compared(one: Figures, other: Figures) -> Range:
    """CPU of the relay's own process, as a multiple of the other's."""
    return over_rounds(mine.relay / its.relay for mine, its in zip(one.rounds, other.rounds, strict=True))


def calls_per_core(packet: float) -> float | None:
    """How many calls one processor carries at so many microseconds for each packet; None: it cannot be told."""
    return None if packet <= 0.0 else MICRO / (packet * PACKETS_PER_SECOND * STREAMS_OF_A_CALL)
