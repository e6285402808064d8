"""The shape every protocol machine has, and the three words it speaks.

An **event** is something that reached us, an **effect** something we want done, a **fact** something that
happened, for people. A **machine** takes events and returns effects and facts. It owns no socket, no clock
and no randomness.

1. What is due goes first: a driver calls `wake` before `receive` when the deadline has passed.
2. `receive` never re-enters itself: effects are returned, not performed.
3. The clock never goes back.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

Event = TypeVar("Event", contravariant=True)
Output = TypeVar("Output")


class Machine(Protocol[Event, Output]):
    """Something deterministic that can be run in a simulation or on real sockets. `now` is monotonic seconds."""

    def receive(self, event: Event, now: float) -> list[Output]:
        """Take one event."""

    def wake(self, now: float) -> list[Output]:
        """Act on everything that is due."""

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due, absolute monotonic seconds; None when nothing is pending."""
