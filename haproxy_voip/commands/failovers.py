"""The failovers in `status`, as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MINUTE, HOUR, DAY = 60, 3600, 86_400


def failovers(records: Sequence[Mapping[str, Any]]) -> str:
    """The newest first: when, from where to where and why, then what moved and what ended."""
    return "\n".join(map(_failover, reversed(records)))


def ago(seconds: float) -> str:
    """`52 s ago`, `3 h 5 min ago`: as exact as matters so long after."""
    whole = int(seconds)
    if whole < MINUTE:
        return f"{whole} s ago"
    if whole < HOUR:
        return f"{whole // MINUTE} min ago"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min ago"
    return f"{whole // DAY} d {whole % DAY // HOUR} h ago"


def _failover(record: Mapping[str, Any]) -> str:
    return (
        f"{ago(record['age_seconds'])}: {record['backend']} -> {record['successor'] or 'nobody'} "
        f"on {record['signal']}, detected after {record['detected_after'] * 1000:.0f} ms\n"
        f"    moved: {_counted(record['moved'])}\n"
        f"    ended: {_counted(record['lost'])}"
    )


def _counted(things: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in things.items()) or "nothing"
