"""INVITEs to backends that were cancelled and not answered yet: what the backend did for them may be on its way to us.

A backend that has just been asked to call a phone calls it, though the caller hung up in that moment. Where the caller
has another call, its INVITE could be taken for that one's (claims.py).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haproxy_voip.sip.transactions import ClientTransaction

if TYPE_CHECKING:
    from haproxy_voip.proxy.attempt import Attempt
    from haproxy_voip.proxy.call import Call

# A server answers a cancelled INVITE with 487 within its round-trip time. One that says nothing for so long is dead.
ANSWERED_SECONDS = 1.0
# More are cancelled at once only when calls by the thousand end. The oldest are forgotten; most were answered by then.
MAX_WITHDRAWN = 1000


@dataclass(frozen=True, slots=True)
class _Invite:
    caller: str
    backend: str
    again: bool  # of a call that was answered once
    transaction: ClientTransaction
    until: float


class Withdrawn:
    """Those of the last moment, in the order they were cancelled."""

    def __init__(self) -> None:
        self._invites: deque[_Invite] = deque(maxlen=MAX_WITHDRAWN)

    def add(self, call: Call, attempt: Attempt, now: float) -> None:
        """This INVITE is about to be cancelled, unless it was answered."""
        if attempt.over or attempt.transaction is None:
            return
        self.pending(now)
        until = now + ANSWERED_SECONDS
        invite = _Invite(call.caller_name, attempt.backend, call.answered_at is not None, attempt.transaction, until)
        self._invites.append(invite)

    def pending(self, now: float) -> bool:
        """Whether there are any."""
        while self._invites and _over(self._invites[0], now):
            self._invites.popleft()
        return bool(self._invites)

    def any(self, caller: str, backend: str, now: float, again: bool = False) -> bool:
        """Whether this backend may be calling somebody for a call of this caller that is over.

        `again`: only of calls that were answered once.
        """
        pending = [one for one in self._invites if not _over(one, now)]
        self._invites = deque(pending, MAX_WITHDRAWN)
        here = [one for one in pending if (one.caller, one.backend) == (caller, backend)]
        return any(one.again or not again for one in here)


def _over(invite: _Invite, now: float) -> bool:
    return now >= invite.until or invite.transaction.answered
