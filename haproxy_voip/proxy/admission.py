"""Whether anything new is taken: not while the proxy is late with what it has.

Overload control as RFC 7339 and RFC 6357 section 6 see it, with the proxy's own lag as its measure: a request that
is refused early costs little, one that is taken and answered too late is sent again and costs twice.
"""

from __future__ import annotations

from haproxy_voip.core.chance import Chance
from haproxy_voip.proxy.limit_facts import OverloadBegan, OverloadEnded
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import header

# What begins something that will cost more. A response, and all within a dialog, ends what was begun.
NEW = frozenset({"INVITE", "SUBSCRIBE", "REGISTER"})
# Looks in a row that must find us late: one alone may be a single long turn, and then nothing waits any more.
LATE_LOOKS = 2
# In time again: at most this share of `limits.max_lag` late ...
CALM_SHARE = 0.5
# ... for so many seconds, lest those who come back be refused at once.
CALM_SECONDS = 1.0
# Seconds of Retry-After, evenly spread: those who were refused in one moment shall not come back in one.
RETRY_LOW, RETRY_HIGH = 5, 20


class Admission:
    """Told by the edge ten times a second how late it is."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self.lag = 0.0  # seconds, as last told
        self.overloaded = False
        self.refused = 0  # requests, ever
        self._late = 0  # looks in a row
        self._began_at = 0.0
        self._refused_before = 0
        self._calm_since: float | None = None

    def measured(self, lag: float, max_lag: float, now: float) -> list[OverloadBegan | OverloadEnded]:
        """The edge was late by `lag` seconds."""
        self.lag = lag
        if not self.overloaded:
            self._late = self._late + 1 if lag > max_lag else 0
            if self._late < LATE_LOOKS:
                return []
            self._late = 0
            self.overloaded, self._began_at = True, now
            self._refused_before, self._calm_since = self.refused, None
            return [OverloadBegan(lag)]
        if lag > max_lag * CALM_SHARE:
            self._calm_since = None
            return []
        if self._calm_since is None:
            self._calm_since = now
        if now - self._calm_since < CALM_SECONDS:
            return []
        self.overloaded = False
        return [OverloadEnded(now - self._began_at, self.refused - self._refused_before)]

    def admit(self, method: str) -> None:
        """Let a request outside any dialog in. Raises MessageError, 503 with Retry-After."""
        if self.overloaded and method in NEW:
            self.refused += 1
            seconds = RETRY_LOW + self._chance.below(RETRY_HIGH - RETRY_LOW + 1)
            raise MessageError(
                f"{self.lag * 1000:.0f} ms late", status=503, headers=(header("Retry-After", str(seconds)),)
            )
