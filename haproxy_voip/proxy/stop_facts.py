"""What becomes of the calls of a proxy that is to end, for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class StopWaits:
    """The proxy ends when its calls have, or when their time is over."""

    calls: int
    seconds: float

    def __str__(self) -> str:
        return f"stopping in {self.seconds:g} s: {self.calls} calls have so long to end; nothing new is taken"


@dataclass(slots=True)
class CallsCut:
    """Their time is over: they were hung up, or refused where nobody had answered."""

    calls: int

    def __str__(self) -> str:
        return f"stopping: {self.calls} calls did not end in time and were hung up"


@dataclass(slots=True)
class CallsLeftAlone:
    """Their time is over, and the kernel goes on relaying what they say."""

    calls: int

    def __str__(self) -> str:
        return f"stopping: {self.calls} answered calls talk on, relayed by the kernel"


StopFact = StopWaits | CallsCut | CallsLeftAlone
