"""What is read of a proxy while it works for hours, and whether something was left over."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .processes import cpu_seconds

# What a proxy without calls must have no more of than before the first one.
COUNTED = ("calls", "dialogs", "subscriptions", "transactions", "contacts", "media_port_pairs", "streams")
PROBES = 8  # transactions that may be there at any time: probes, keepalives


@dataclass(frozen=True, slots=True)
class Reading:
    """At one moment."""

    at: float  # seconds since the beginning
    rss_kib: int
    descriptors: int
    cpu: float  # seconds used so far
    counts: Mapping[str, int]


def reading(process: int, status: Mapping[str, Any], at: float) -> Reading:
    """Now."""
    counts = {name: int(status[name]) for name in COUNTED}
    counts["registrations"] = sum(int(row["registrations"]) for row in status["backends"])
    return Reading(at, rss_kib(process), len(os.listdir(f"/proc/{process}/fd")), cpu_seconds(process), counts)


def rss_kib(process: int) -> int:
    """Resident memory."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def leaks(before: Reading, after: Reading) -> dict[str, int]:
    """What there is more of than before, by name."""
    allowed = {"transactions": PROBES}
    found = {name: after.counts[name] - before.counts[name] for name in before.counts}
    found["file descriptors"] = after.descriptors - before.descriptors
    return {name: more for name, more in found.items() if more > allowed.get(name, 0)}


def gone(before: Reading, after: Reading) -> dict[str, int]:
    """Bindings that are there no more."""
    names = ("contacts", "registrations")
    return {name: less for name in names if (less := before.counts[name] - after.counts[name]) > 0}


def curve(readings: Sequence[Reading]) -> list[str]:
    """Lines for people."""
    lines = [f"{'minute':>7}{'RSS MiB':>9}{'calls':>7}{'ports':>7}{'fds':>6}{'transactions':>13}{'CPU':>6}"]
    for earlier, one in zip([readings[0], *readings], readings, strict=False):
        took = one.at - earlier.at
        load = (one.cpu - earlier.cpu) / took if took else 0.0
        lines.append(
            f"{one.at / 60:7.1f}{one.rss_kib / 1024:9.1f}{one.counts['calls']:7}{one.counts['media_port_pairs']:7}"
            f"{one.descriptors:6}{one.counts['transactions']:13}{load:6.0%}"
        )
    return lines
