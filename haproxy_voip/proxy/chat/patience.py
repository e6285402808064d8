"""Servers that were taken for dead and were only slow: after each such mistake their silence is borne longer.

To move everybody makes the next server slow, which is then taken for dead as well, and so on without end. On a machine
with six processes for each core 470 sessions went to and fro between two healthy servers every two seconds, and whoever
wanted to log in waited behind them for ever. A server that was killed is found dead as quickly as always: it is its
connections that say so, not its silence.
"""

from __future__ import annotations

from dataclasses import replace

from haproxy_voip.cluster.detector import Signal
from haproxy_voip.cluster.health import HealthTiming

# Up again with the first probe after the verdict, or nearly: it was slow. What is really frozen stays so for longer.
SOON_SECONDS = 0.25
# After each mistake: so many times the time a probe has, and so many more of them.
TIMES, MORE = 2, 2
# With default health checks a server that is frozen is found out after 3 s then, as the last one that is up is.
MISTAKES_MAX = 3
# Without another mistake for so long, all are forgotten: the machine was busy, and is not any more.
CALM_SECONDS = 60.0


class Patience:
    """With one backend. `timing` is as configured."""

    __slots__ = ("_down_at", "_mistaken_at", "mistakes", "timing")

    def __init__(self, timing: HealthTiming) -> None:
        self.timing = timing
        self.mistakes = 0
        self._mistaken_at = 0.0
        self._down_at: float | None = None  # for its silence, and nothing has said since that it is gone

    @property
    def due_timing(self) -> HealthTiming:
        """How it is to be probed now."""
        timing, mistakes = self.timing, self.mistakes
        if not mistakes:
            return timing
        return replace(timing, timeout=timing.timeout * TIMES**mistakes, fall=timing.fall + MORE * mistakes)

    def down(self, signal: str, now: float) -> None:
        """It was judged to be."""
        self._down_at = now if signal == Signal.TIMEOUT else None

    def gone(self) -> None:
        """Its host says that nobody is there."""
        self._down_at = None

    def up(self, now: float) -> bool:
        """It is again; whether that shows a mistake."""
        down_at, self._down_at = self._down_at, None
        timing = self.timing
        pause = timing.inter if timing.downinter is None else timing.downinter
        if down_at is None or now - down_at > pause + SOON_SECONDS:
            return False
        self.mistakes = min(self.mistakes + 1, MISTAKES_MAX)
        self._mistaken_at = now
        return True

    def calmed(self, now: float) -> bool:
        """Whether all mistakes are forgotten just now."""
        if not self.mistakes or now - self._mistaken_at < CALM_SECONDS:
            return False
        self.mistakes = 0
        return True
