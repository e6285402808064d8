"""What happens within a call, for its record: dialogs, ringing, hold, transfers. Who does it is a party's name:
`caller`, `callee`, or `proxy`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CallDialog:
    """A dialog of this call began: an INVITE came from this party, or one of ours left for it."""

    call: str
    party: str  # caller or callee
    backend: str | None  # None: the party is a phone
    call_id: str
    address: str  # of the phone or the backend, with its transport

    def __str__(self) -> str:
        return f"call {self.call}: the {self.party} is {self.backend or 'a phone'} at {self.address}, {self.call_id}"


@dataclass(slots=True)
class CallRings:
    """The first provisional response that tells the caller something."""

    call: str
    status: int  # 180, 181, 182 or 183
    after: float  # seconds from the INVITE

    def __str__(self) -> str:
        return f"call {self.call}: {self.status} after {self.after:.3f} s"


@dataclass(slots=True)
class CallHeld:
    """A party does not want to hear the other for a while (RFC 3264 section 8.4)."""

    call: str
    by: str

    def __str__(self) -> str:
        return f"call {self.call}: held by the {self.by}"


@dataclass(slots=True)
class CallResumed:
    """Who held the call takes it up again."""

    call: str
    by: str

    def __str__(self) -> str:
        return f"call {self.call}: resumed by the {self.by}"


@dataclass(slots=True)
class CallReferred:
    """A party sends the other one elsewhere, and was told that it will be tried (RFC 3515)."""

    call: str
    by: str
    to: str  # the user part of Refer-To
    replaces: str | None  # the call of ours that is to be taken over; None: a blind transfer

    def __str__(self) -> str:
        how = "" if self.replaces is None else f", in place of call {self.replaces}"
        return f"call {self.call}: the {self.by} transfers the other to {self.to or 'somebody'}{how}"


@dataclass(slots=True)
class CallTransferred:
    """How that ended: a final status, 0 when its NOTIFY did not say."""

    call: str
    status: int

    def __str__(self) -> str:
        return f"call {self.call}: the transfer ended with {self.status or 'no word'}"


CallFact = CallDialog | CallRings | CallHeld | CallResumed | CallReferred | CallTransferred
