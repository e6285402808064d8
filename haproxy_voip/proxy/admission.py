"""Whether anything new is taken: not while the proxy is late with what it has, nor when it is about to end.

Overload control as RFC 7339 and RFC 6357 section 6 see it, with the proxy's own lag as its measure: a request that
is refused early costs little, one that is taken and answered too late is sent again and costs twice.
"""

from __future__ import annotations

from haproxy_voip.core.chance import Chance
from haproxy_voip.proxy.limit_facts import OverloadBegan, OverloadEnded
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, header

# What begins something that will cost more. A response, and all within a dialog, ends what was begun.
NEW = frozenset({"INVITE", "SUBSCRIBE", "REGISTER"})
# By OPTIONS a balancer or a carrier learns that it should ask somebody else from now on.
NEW_TO_ONE_WHO_GOES = NEW | {"OPTIONS"}
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
        self.stopping = False  # the process is about to end
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

    def admit(self, request: Request) -> None:
        """Let a request outside any dialog in. Raises MessageError, 503 with Retry-After."""
        if self.stopping and request.method in NEW_TO_ONE_WHO_GOES and not request.has("replaces"):
            raise self._later("the proxy stops")
        if self.overloaded and request.method in NEW:
            self.refused += 1
            raise self._later(f"{self.lag * 1000:.0f} ms late")

    def _later(self, reason: str) -> MessageError:
        seconds = RETRY_LOW + self._chance.below(RETRY_HIGH - RETRY_LOW + 1)
        return MessageError(reason, status=503, headers=(header("Retry-After", str(seconds)),))
