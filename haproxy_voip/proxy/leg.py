"""A leg is one dialog of ours; two legs, one to a client and one to a backend, make what both think is one dialog."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from haproxy_voip.core.address import Flow
from haproxy_voip.core.effects import Send
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.headers import Replaces

if TYPE_CHECKING:
    from haproxy_voip.proxy.answer import AnswerAwaitingAck
    from haproxy_voip.proxy.bridge import Bridge

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
    # CSeq of an INVITE forwarded over this leg -> its ACK as sent, so that a repeated 2xx is acknowledged again.
    acks: dict[int, bytes] = field(default_factory=dict)
    # CSeq of an INVITE answered on this leg -> its 2xx, until the ACK comes.
    answers: dict[int, AnswerAwaitingAck] = field(default_factory=dict)
    # RAck as the other leg's peer will write it -> RAck for this leg (RFC 3262).
    reliable: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> DialogKey:
        """What identifies the dialog (RFC 3261 section 12)."""
        return (self.dialog.call_id, self.dialog.local_tag, self.dialog.remote_tag)

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
        """The same dialog as the other side knows it, or None when it is not one of ours (RFC 3891 section 3)."""
        leg = self.find(replaces.call_id, replaces.to_tag, replaces.from_tag)
        if leg is None or leg.peer is None:
            return None
        other = leg.peer.dialog
        return Replaces(other.call_id, other.remote_tag, other.local_tag, replaces.early_only)
