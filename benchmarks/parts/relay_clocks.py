"""The clocks read before and after a run of benchmarks/relay.py: of processes, of softirq threads, of the machine."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from .processes import cpu_seconds
from .relay_figures import Clocks

PROCESSORS = os.cpu_count() or 1
TICKS = os.sysconf("SC_CLK_TCK")
IDLE, IOWAIT = 4, 5  # fields of the first line of /proc/stat, see proc(5)


def softirq_threads() -> list[int]:
    """The kernel's threads for softirqs that got too many, one for each processor."""
    names = (path for path in Path("/proc").glob("[0-9]*/comm"))
    found = []
    for name in names:
        try:
            if name.read_text().startswith("ksoftirqd/"):
                found.append(int(name.parent.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


def clocks(generator: int, relay: int | None, softirq: Sequence[int]) -> Clocks:
    """All of them, now."""
    wall = time.monotonic()
    line = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    idle = (int(line[IDLE]) + int(line[IOWAIT])) / TICKS
    return Clocks(
        cpu_seconds(generator),
        0.0 if relay is None else cpu_seconds(relay),
        sum(map(cpu_seconds, softirq)),
        wall * PROCESSORS - idle,
        wall,
    )
