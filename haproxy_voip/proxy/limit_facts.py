"""What was refused so that the rest can go on, for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CallLimitReached:
    """A user wants more calls than one may have."""

    user: str
    limit: int

    def __str__(self) -> str:
        return f"{self.user} has made {self.limit} calls already: limits.calls_per_user"


@dataclass(slots=True)
class OverloadBegan:
    """The proxy is late; new requests of clients and trunks are answered 503."""

    lag: float  # seconds

    def __str__(self) -> str:
        return f"overloaded, {self.lag * 1000:.0f} ms late: new requests are answered 503"


@dataclass(slots=True)
class OverloadEnded:
    """It is in time again."""

    seconds: float  # since it began
    refused: int  # requests meanwhile

    def __str__(self) -> str:
        return f"no longer overloaded after {self.seconds:.1f} s, in which {self.refused} requests were answered 503"


@dataclass(slots=True)
class SourceBanned:
    """An address sent too much that is good for nothing; what comes from there is dropped."""

    source: str
    reason: str
    seconds: float
    bans: int  # with this one

    def __str__(self) -> str:
        again = "" if self.bans == 1 else f", ban {self.bans} in a row"
        return f"{self.source} is banned for {self.seconds:.0f} s: {self.reason}{again}"


LimitFact = CallLimitReached | OverloadBegan | OverloadEnded | SourceBanned
