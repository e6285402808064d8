"""How many calls each user has made (`limits.calls_per_user`)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from haproxy_voip.proxy.leg import Side

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call
    from haproxy_voip.proxy.invitation import Invitation


class Quota:
    """Counts the calls that clients make, from INVITE to end. Bounded by the number of calls."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self.refused = 0  # calls, ever

    def used_up(self, callee: Invitation, limit: int | None) -> bool:
        """Whether the user who makes this call may not have one more. A backend or trunk that calls is no user."""
        if limit is None or callee.side is not Side.BACKEND or self._calls[callee.user] < limit:
            return False
        self.refused += 1
        return True

    def began(self, call: Call) -> None:
        """It counts from now on, if a client made it."""
        if _counts(call):
            self._calls[call.user] += 1

    def ended(self, call: Call) -> None:
        """It counts no more."""
        if not _counts(call):
            return
        self._calls[call.user] -= 1
        if not self._calls[call.user]:
            del self._calls[call.user]

    def __len__(self) -> int:
        return self._calls.total()


def _counts(call: Call) -> bool:
    return call.callee.side is Side.BACKEND and bool(call.user)
