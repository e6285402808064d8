"""What happened to an embedded phone or PBX: what simulations and the demonstration look at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from haproxy_voip.core.address import Address
from haproxy_voip.core.effects import Close, Open, Send


class By(StrEnum):
    """Who ended something."""

    US = "us"
    THEM = "them"
    NETWORK = "the network"


@dataclass(slots=True)
class PhoneRegistered:
    """The registrar took our contact; told for the first time and after a loss, not for refreshes."""

    user: str
    expires: float  # seconds granted


@dataclass(slots=True)
class PhoneUnregistered:
    """The registrar does not hold our contact: refused, unanswered or taken back by us."""

    user: str
    status: int  # of the answer; 200 when we took it back
    by: By


@dataclass(slots=True)
class PhoneCalling:
    """We sent an INVITE."""

    user: str
    call: int  # number of the call at this phone
    callee: str


@dataclass(slots=True)
class PhoneHeardRinging:
    """Our call makes the callee's phone ring; told for each 18x."""

    user: str
    call: int
    status: int


@dataclass(slots=True)
class PhoneRinging:
    """Somebody calls us."""

    user: str
    call: int
    caller: str


@dataclass(slots=True)
class PhoneAnswered:
    """The call is up, as caller (2xx came) or as callee (2xx sent)."""

    user: str
    call: int
    media: Address | None  # where our audio goes; None while not known or not wanted


@dataclass(slots=True)
class PhoneConfirmed:
    """As callee: the ACK came, so the caller has our answer."""

    user: str
    call: int


@dataclass(slots=True)
class PhoneMediaChanged:
    """A re-INVITE or UPDATE, theirs or ours, took effect."""

    user: str
    call: int
    media: Address | None
    sends: bool
    receives: bool


@dataclass(slots=True)
class PhoneEnded:
    """The call is over. `status` is the INVITE's final status; 200 for a call that was up."""

    user: str
    call: int
    status: int
    by: By
    reason: str


@dataclass(slots=True)
class PhoneTold:
    """A MESSAGE, INFO or other request with a body came."""

    user: str
    method: str
    sender: str
    body: bytes


@dataclass(slots=True)
class PhoneAsked:
    """A request of ours that is no INVITE and no REGISTER has its answer; 408 when there was none."""

    user: str
    method: str
    status: int


@dataclass(slots=True)
class PhoneNotified:
    """A NOTIFY came."""

    user: str
    event: str
    state: str  # Subscription-State
    body: bytes


@dataclass(slots=True)
class PbxRegistered:
    """A contact is new at the PBX."""

    user: str
    contact: str


@dataclass(slots=True)
class PbxUnregistered:
    """A contact is gone."""

    user: str
    contact: str


@dataclass(slots=True)
class PbxCalled:
    """An INVITE came from a user."""

    caller: str
    callee: str


@dataclass(slots=True)
class PbxConnected:
    """Two legs are joined."""

    caller: str
    callee: str


@dataclass(slots=True)
class PbxHungUp:
    """A call is over; `status` as in PhoneEnded."""

    caller: str
    callee: str
    status: int


@dataclass(slots=True)
class PbxRefused:
    """A request got this final status from the PBX itself."""

    method: str
    user: str
    status: int


PhoneFact = (
    PhoneRegistered
    | PhoneUnregistered
    | PhoneCalling
    | PhoneHeardRinging
    | PhoneRinging
    | PhoneAnswered
    | PhoneConfirmed
    | PhoneMediaChanged
    | PhoneEnded
    | PhoneTold
    | PhoneAsked
    | PhoneNotified
)
PbxFact = PbxRegistered | PbxUnregistered | PbxCalled | PbxConnected | PbxHungUp | PbxRefused

Effect = Send | Open | Close
Output = Effect | PhoneFact | PbxFact
