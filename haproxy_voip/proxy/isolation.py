"""A mistake of ours costs the one thing it was met in: its session ends, a fact says so, all others go on.

The driver's own net is under all of this, but it catches no less than an event: a failover of a thousand calls would
be lost for one of them.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from haproxy_voip.proxy.facts import SessionFailed
from haproxy_voip.proxy.shared import Output

# Frames of an exception that are told, the innermost first.
MAX_FRAMES = 10

Thing = TypeVar("Thing")


@runtime_checkable
class Session(Protocol):
    """What can be ended as a whole."""

    def end(self, reason: str, now: float) -> list[Output]:
        """End it, on both sides."""


def ended(thing: object, now: float) -> list[Output]:
    """The end of its session, if it has one."""
    return thing.end("internal error", now) if isinstance(thing, Session) else []


def apart(
    act: Callable[[Thing, float], list[Output]],
    thing: Thing,
    now: float,
    end: Callable[[Thing, float], list[Output]] = ended,
) -> list[Output]:
    """What `act` says of this thing (a string only names it). If it raises: a fact, and what `end` says if it can."""
    try:
        return act(thing, now)
    except Exception as error:  # noqa: BLE001 - a mistake of ours, so it may be any
        outputs: list[Output] = [_told(thing, error)]
    try:
        return [*outputs, *end(thing, now)]
    except Exception as error:  # noqa: BLE001 - the same, met again
        return [*outputs, _told(thing, error)]


def _told(thing: object, error: Exception) -> SessionFailed:
    name = thing if isinstance(thing, str) else f"{type(thing).__name__} {getattr(thing, 'token', '')}".rstrip()
    frames = [
        f"{frame.f_globals.get('__name__')}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    where = " < ".join(frames[:0:-1][:MAX_FRAMES] or frames)  # without `apart` itself
    return SessionFailed(name, f"{type(error).__name__}: {error}", where)
