"""A leg is one dialog of ours; two legs, one to a client and one to a backend, make what both think is one dialog."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from haproxy_voip.core.address import Flow
from haproxy_voip.core.effects import Send
from haproxy_voip.proxy.reliable import Reliable
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.headers import Replaces
from haproxy_voip.sip.message import Header
from haproxy_voip.sip.sdp import Description, OriginKeeper

if TYPE_CHECKING:
    from haproxy_voip.proxy.answer import AnswerAwaitingAck
    from haproxy_voip.proxy.bridge import Bridge
    from haproxy_voip.proxy.forward import Forward

# ACKs kept for a 2xx that comes again. It does so for 32 s, in which nobody changes a session more often.
MAX_ACKS = 16

DialogKey = tuple[str, str, str]  # Call-ID, local tag, remote tag


class Side(StrEnum):
    """Whom a leg faces."""

    CLIENT = "client"
    BACKEND = "backend"

    @property
    def other(self) -> Side:
        """The side across."""
        return Side.BACKEND if self is Side.CLIENT else Side.CLIENT


@dataclass(slots=True, eq=False)
class Leg:
    """One dialog of ours, the flow it is spoken on, and the leg across."""

    side: Side
    dialog: Dialog
    flow: Flow
    contact: str  # the name-addr that reaches us in this dialog
    bridge: Bridge
    peer: Leg | None = None
    hidden: tuple[str, ...] = ()  # hosts on this side that must not be seen across
    # CSeq of an INVITE of ours on this leg that has its 2xx but no ACK yet.
    unacknowledged: dict[int, None] = field(default_factory=dict)
    # CSeq of such an INVITE -> its ACK as sent, so that a repeated 2xx is acknowledged again.
    acks: dict[int, bytes] = field(default_factory=dict)
    # What authorised our last INVITE here: "the ACK ... MUST" repeat it (RFC 3261 section 22.1).
    credentials: list[Header] = field(default_factory=list)
    # CSeq of an INVITE answered on this leg -> its 2xx, until the ACK comes.
    answers: dict[int, AnswerAwaitingAck] = field(default_factory=dict)
    # Requests that came on this leg and wait for their answer from across.
    pending: dict[Forward, None] = field(default_factory=dict)
    reliable: Reliable = field(default_factory=Reliable)  # provisional responses sent on this leg
    origin: OriginKeeper | None = None  # of the descriptions sent on this leg
    session: Description | None = None  # the last description that came on it

    @property
    def trusted(self) -> bool:
        """Whether who is on it may say who somebody is (RFC 3325): a backend may, and a carrier."""
        return self.side is Side.BACKEND or self.bridge.trunk is not None

    @property
    def key(self) -> DialogKey:
        """What identifies the dialog (RFC 3261 section 12)."""
        return (self.dialog.call_id, self.dialog.local_tag, self.dialog.remote_tag)

    def acknowledged(self, cseq: int, ack: bytes) -> None:
        """This ACK was sent."""
        self.unacknowledged.pop(cseq, None)
        self.acks[cseq] = ack
        while len(self.acks) > MAX_ACKS:
            del self.acks[next(iter(self.acks))]

    def repeat_ack(self, cseq: int) -> list[Send]:
        """The ACK once more: its 2xx came again, so the first one was lost."""
        data = self.acks.get(cseq)
        return [] if data is None else [Send(self.flow, data)]


class Legs:
    """Every leg of the node by its dialog. Bounded by the limit on calls and subscriptions, each of which has few."""

    def __init__(self) -> None:
        self._legs: dict[DialogKey, Leg] = {}

    def __len__(self) -> int:
        return len(self._legs)

    def __iter__(self) -> Iterator[Leg]:
        return iter(self._legs.values())

    def add(self, leg: Leg) -> None:
        """From now on requests in this dialog find the leg."""
        self._legs[leg.key] = leg

    def remove(self, leg: Leg) -> None:
        """Forget the dialog; requests in it get 481."""
        self._legs.pop(leg.key, None)

    def find(self, call_id: str, local_tag: str, remote_tag: str) -> Leg | None:
        """The leg of this dialog, seen from us."""
        return self._legs.get((call_id, local_tag, remote_tag))

    def across(self, replaces: Replaces) -> Replaces | None:
        """The same dialog as the other side knows it, or None when it is not one of ours (RFC 3891 section 3).

        Who names it is either the peer of our leg, or a third party that means the far end of one of our legs.
        """
        leg = self.find(replaces.call_id, replaces.to_tag, replaces.from_tag)
        if leg is not None and leg.peer is not None:
            other = leg.peer.dialog
            return Replaces(other.call_id, other.remote_tag, other.local_tag, replaces.early_only)
        leg = self.find(replaces.call_id, replaces.from_tag, replaces.to_tag)
        if leg is not None and leg.peer is not None:
            other = leg.peer.dialog
            return Replaces(other.call_id, other.local_tag, other.remote_tag, replaces.early_only)
        return None
