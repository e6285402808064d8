"""What speaks against a backend before there is a verdict (detector.py)."""

from __future__ import annotations

from dataclasses import dataclass

# At the same time: the calls' packets come spread over 20 ms, and the relay looks every 20 ms.
TOGETHER_SECONDS = 0.1


@dataclass(slots=True)
class Suspicion:
    """Something speaks against the backend. Strong: only the answer to a probe after number `probes` clears it."""

    signal: str
    since: float
    strong: bool = False
    closed: bool = False  # the canary was
    silent: bool = False  # so are its calls: the next time-out decides
    media: bool = False  # its calls were refused: the next refused probe decides
    probes: int = 0


@dataclass(slots=True)
class Grudges:
    """Counted since the last probe that was answered."""

    refused: int = 0
    excused: int = 0


@dataclass(slots=True)
class Calls:
    """Of which something was told within a short time."""

    count: int = 0
    last_at: float = float("-inf")

    def add(self, count: int, now: float) -> int:
        """How many they are now."""
        self.count = count if now > self.last_at + TOGETHER_SECONDS else self.count + count
        self.last_at = now
        return self.count
