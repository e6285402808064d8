"""The caller's side of a call: the INVITE as it came, and what it is answered.

Whoever takes the callee's part, be it another fork or another backend, the caller sees one callee that goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from haproxy_voip.core.address import Flow
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.grammar import parse_number
from haproxy_voip.sip.headers import RSEQ_MAX, RAck
from haproxy_voip.sip.message import Header, Request, Response, header, response_to
from haproxy_voip.sip.transactions import ServerTransaction

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call


@dataclass(slots=True)
class Incoming:
    """The INVITE as it came."""

    transaction: ServerTransaction
    request: Request
    flow: Flow
    hidden: tuple[str, ...]  # hosts of the sender that must not be seen across


class Caller:
    """Answers one incoming INVITE."""

    __slots__ = ("_call", "_rseq", "_shared", "incoming", "last_provisional", "leg", "side")

    def __init__(self, shared: Shared, call: Call, side: Side, incoming: Incoming) -> None:
        self._shared = shared
        self._call = call
        self.side = side
        self.incoming = incoming
        incoming.transaction.owner = call
        self.leg: Leg | None = None  # the early dialog that goes on, then the confirmed one
        self.last_provisional = 0
        self._rseq = 0  # RFC 3262 section 3: from 1 on

    @property
    def user(self) -> str:
        """Who calls, for people and to tell callers apart."""
        return self.incoming.request.from_.uri.user or "anonymous"

    def response(self, callee_leg: Leg, response: Response) -> Response:
        """The callee's response as the caller gets it. Raises MessageError when its body cannot cross."""
        leg = callee_leg.peer or self._leg_for(callee_leg)
        request = self.incoming.request
        answer = response_to(request, response.status, response.reason, leg.dialog.local_tag)
        # 12.1.1: a response that makes a dialog copies the Record-Route headers of the request.
        answer.headers.extend(item for item in request.headers if item[0] == "record-route")
        answer.add("Contact", leg.contact)
        answer.headers.extend(self._shared.topology.carried(response, callee_leg.hidden))
        answer.body = self._call.body_across(response, callee_leg)
        if response.has("rseq"):
            self._make_reliable(answer, callee_leg, response)
        return answer

    def _leg_for(self, callee_leg: Leg) -> Leg:
        """The caller's side of this early dialog: the one it knows already when a backend took another's place."""
        leg = self.leg
        if leg is None or leg.peer is not None:
            incoming = self.incoming
            dialog = Dialog.from_request_uas(incoming.request, self._shared.chance.token())
            contact = self._shared.network.contact(self._call.token, incoming.flow)
            leg = self.leg = Leg(self.side, dialog, incoming.flow, contact, self._call, hidden=incoming.hidden)
            self._shared.legs.add(leg)
        leg.peer, callee_leg.peer = callee_leg, leg
        return leg

    def _make_reliable(self, answer: Response, callee_leg: Leg, response: Response) -> None:
        """RSeq counts per INVITE as the caller sees it, whichever fork or backend it is from (RFC 3262 section 3)."""
        rseq = parse_number(response.get("rseq") or "", RSEQ_MAX, "RSeq")
        theirs = str(RAck(rseq, response.cseq.number, "INVITE"))
        ours = next((ours for ours, rack in callee_leg.reliable.items() if rack == theirs), None)
        if ours is None:
            self._rseq += 1
            ours = str(RAck(self._rseq, answer.cseq.number, "INVITE"))
            callee_leg.reliable[ours] = theirs
        answer.add("RSeq", ours.partition(" ")[0])

    def send(self, answer: Response, now: float) -> list[Output]:
        """Put a response on its way."""
        return self._shared.answer(self.incoming.transaction, answer, now)

    def refuse(self, status: int, now: float) -> list[Output]:
        """End it with an answer of our own."""
        return self._shared.refuse(self.incoming.transaction, status, now)

    def failure(self, response: Response, hidden: tuple[str, ...]) -> Response:
        """The callee's 300-699 as the caller gets it."""
        topology = self._shared.topology
        answer = response_to(self.incoming.request, response.status, response.reason, self._shared.chance.token())
        if 300 <= response.status < 400:
            answer.headers.extend(_redirections(response, self._shared))
        answer.headers.extend(topology.carried(response, hidden))
        answer.body = topology.body(response, hidden)
        return answer

    def forget(self) -> None:
        """Its backend is dead: answer nothing more."""
        self._shared.transactions.abandon(self.incoming.transaction)
        if self.leg is not None:
            self._shared.legs.remove(self.leg)
            if self.leg.peer is not None:
                self.leg.peer.peer = None


def _redirections(response: Response, shared: Shared) -> list[Header]:
    """Where to call instead, in our domain where it was an address of the callee's network."""
    return [header("Contact", shared.topology.identity(contact)) for contact in response.contacts if not contact.star]
