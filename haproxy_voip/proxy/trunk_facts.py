"""What happened at a carrier, for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class TrunkRegistered:
    """A carrier took our registration, for so many seconds; its refreshes are not told."""

    trunk: str
    user: str
    seconds: float

    def __str__(self) -> str:
        return f"trunk {self.trunk}: registered as {self.user} for {self.seconds:.0f} s"


@dataclass(slots=True)
class TrunkRegistrationFailed:
    """A carrier did not take our registration; told once for each reason, tried again and again."""

    trunk: str
    user: str
    reason: str
    retry_in: float

    def __str__(self) -> str:
        return (
            f"trunk {self.trunk}: cannot register as {self.user}: {self.reason}; trying again in {self.retry_in:.1f} s"
        )


TrunkFact = TrunkRegistered | TrunkRegistrationFailed
