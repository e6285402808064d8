"""The caller's side of a call: the INVITE as it came, and what it is answered.

Whoever takes the callee's part, be it another fork or another backend, the caller sees one callee that goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from haproxy_voip.core.address import Flow
from haproxy_voip.proxy import farewell
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.media import SDP, carries_sdp
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.topology import TOKEN_HEADER
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.grammar import format_params, parse_number
from haproxy_voip.sip.headers import RSEQ_MAX, RAck
from haproxy_voip.sip.message import Header, Request, Response, header, response_to
from haproxy_voip.sip.transactions import ServerTransaction

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call

# What they demand is between us and who sent them; the caller proved itself already (RFC 3261 section 22.3).
CHALLENGES = frozenset({401, 407})


@dataclass(slots=True)
class Incoming:
    """The INVITE as it came."""

    transaction: ServerTransaction
    request: Request
    flow: Flow
    hidden: tuple[str, ...]  # hosts of the sender that must not be seen across


class Caller:
    """Answers one incoming INVITE."""

    __slots__ = ("_call", "_shared", "_told", "incoming", "leg", "legs", "side")

    def __init__(self, shared: Shared, call: Call, side: Side, incoming: Incoming) -> None:
        self._shared = shared
        self._call = call
        self.side = side
        self.incoming = incoming
        incoming.transaction.owner = call
        self.leg: Leg | None = None  # the dialog that was heard last, then the confirmed one
        self.legs: list[Leg] = []  # every early dialog
        self._told: set[int] = set()  # the provisional responses it has seen

    @property
    def user(self) -> str:
        """Who calls, for people and to tell callers apart."""
        return self.incoming.request.from_.uri.user or "anonymous"

    @property
    def origin(self) -> str | None:
        """The token of the client's call that this one is the other end of, if the backend says so."""
        return self.incoming.request.get(TOKEN_HEADER)

    @property
    def _trusts_callee(self) -> bool:
        """Whether the callee is a backend or a carrier."""
        return self.side is Side.CLIENT or self._call.trunk is not None

    @property
    def wants_reliable(self) -> bool:
        """Whether it takes provisional responses with 100rel only (RFC 3262 section 3)."""
        return "100rel" in self.incoming.request.option_tags("require")

    def knows(self, response: Response) -> bool:
        """Whether this provisional response would tell it nothing new."""
        return response.status in self._told and not response.body and not response.has("rseq")

    def response(self, callee_leg: Leg, response: Response) -> Response:
        """The callee's response as the caller gets it. Raises MessageError when its body cannot cross."""
        leg = self.leg = self.pair(callee_leg)
        answer = response_to(self.incoming.request, response.status, response.reason, leg.dialog.local_tag)
        # 12.1.1: a response that makes a dialog copies the Record-Route headers of the request.
        answer.headers.extend(item for item in self.incoming.request.headers if item[0] == "record-route")
        answer.add("Contact", leg.contact)
        answer.headers.extend(self._shared.topology.carried(response, callee_leg.hidden, self._trusts_callee))
        answer.body = self._call.body_across(response, callee_leg)
        if response.has("rseq"):
            self._make_reliable(answer, leg, response)
        if 200 <= response.status < 300 and not answer.body:
            self._repeat_session(answer, leg, callee_leg)
        return answer

    def pair(self, callee_leg: Leg) -> Leg:
        """The caller's side of this early dialog: one it knows already when a backend took another's place."""
        if callee_leg.peer is not None:
            return callee_leg.peer
        leg = next((leg for leg in self.legs if leg.peer is None), None) or self._new_leg()
        leg.peer, callee_leg.peer = callee_leg, leg
        return leg

    def stand_alone(self) -> Leg:
        """The caller's side of a dialog that has no other side yet."""
        self.leg = self._new_leg()
        self.leg.dialog.confirm()
        return self.leg

    def _new_leg(self) -> Leg:
        incoming = self.incoming
        dialog = Dialog.from_request_uas(incoming.request, self._shared.chance.token())
        contact = self._shared.network.contact(self._call.token, incoming.flow)
        if dialog.secure:
            # 12.1.1: "the URI in the Contact header field MUST be a SIPS URI" where the Request-URI was one.
            contact = contact.replace("<sip:", "<sips:", 1)
        leg = Leg(self.side, dialog, incoming.flow, contact, self._call, hidden=incoming.hidden)
        self.legs.append(leg)
        self._shared.legs.add(leg)
        return leg

    def _make_reliable(self, answer: Response, leg: Leg, response: Response) -> None:
        rseq = parse_number(response.get("rseq") or "", RSEQ_MAX, "RSeq")
        theirs = RAck(rseq, response.cseq.number, "INVITE")
        answer.add("RSeq", str(leg.reliable.number(theirs, answer.cseq.number)))

    def _repeat_session(self, answer: Response, leg: Leg, callee_leg: Leg) -> None:
        """The callee gave its answer in a provisional response to somebody who is gone, and need not repeat it."""
        offered = carries_sdp(self.incoming.request)
        if offered and callee_leg.session is not None and not leg.reliable.acknowledged:
            answer.add("Content-Type", SDP)
            answer.body = self._call.media.written(callee_leg.session, leg.side, leg)

    def ringing(self, callee_leg: Leg, heard: Response) -> Response:
        """What the callee said before this caller came, said to it now."""
        again = heard.copy()
        for name in ("rseq", "require"):
            again.remove(name)
        answer = self.response(callee_leg, again)
        if self.wants_reliable and self.leg is not None:
            answer.add("Require", "100rel")
            answer.add("RSeq", str(self.leg.reliable.number(None, answer.cseq.number)))
        return answer

    def send(self, answer: Response, now: float) -> list[Output]:
        """Put a response on its way."""
        self._told.add(answer.status)
        return self._shared.answer(self.incoming.transaction, answer, now)

    def refuse(self, status: int, now: float, headers: tuple[Header, ...] = ()) -> list[Output]:
        """End it with an answer of our own."""
        return self._shared.refuse(self.incoming.transaction, status, now, headers)

    def fail(self, response: Response, hidden: tuple[str, ...], now: float) -> list[Output]:
        """The callee answered 300-699."""
        failures: list[Output] = []
        if self._proves_itself:
            failures += self._shared.proof(response, self.incoming.transaction, self._call.backend, now)
        return [*failures, *self.send(self.failure(response, hidden), now)]

    @property
    def _proves_itself(self) -> bool:
        """Whether it answers the backend's challenges."""
        return self._shared.passing.on and self.side is Side.CLIENT and self._call.trunk is None

    def failure(self, response: Response, hidden: tuple[str, ...]) -> Response:
        """The callee's 300-699 as the caller gets it."""
        topology, incoming, tag = self._shared.topology, self.incoming, self._shared.chance.token()
        if response.status in CHALLENGES and not self._proves_itself:
            return response_to(incoming.request, 403, None, tag)
        answer = response_to(incoming.request, response.status, response.reason, tag)
        if 300 <= response.status < 400:
            answer.headers.extend(_redirections(response, self._shared))
        answer.headers.extend(topology.carried(response, hidden, self._trusts_callee))
        if self._proves_itself:
            answer.headers.extend(self._shared.passing.answers(response, incoming.request, self._call.backend))
        answer.body = topology.body(response, hidden)
        return answer

    # -- its dialogs --------------------------------------------------------------------------------

    def keep(self, leg: Leg) -> None:
        """This dialog is confirmed; the other early ones are over (RFC 3261 section 13.2.2.4)."""
        for other in self.legs:
            if other is not leg:
                self.drop(other)
        self.leg, self.legs = leg, [leg]
        leg.dialog.confirm()

    def drop(self, leg: Leg) -> None:
        """Requests in this early dialog get 481 from now on."""
        self._shared.legs.remove(leg)
        self.legs = [other for other in self.legs if other is not leg]
        if leg.peer is not None:
            leg.peer.peer = None

    def early_bye(self, leg: Leg, bye: Request, now: float) -> list[Output]:
        """RFC 3261 section 15: only the caller may, and of several early dialogs it ends the one."""
        if len(self.legs) == 1:
            return self._call.cancelled(bye, now)
        outputs = [] if leg.peer is None else farewell.bye(self._shared, leg.peer, [], now)
        self.drop(leg)
        return outputs

    def part(self, now: float) -> list[Output]:
        """The callee's side is being called anew. Nobody answers any more what was on its way there."""
        outputs: list[Output] = []
        for leg in self.legs:
            for forward in list(leg.pending):
                outputs += forward.give_up(now, self._instead(forward.server.request))
            leg.peer = None
            leg.reliable.restart()
        return outputs

    def _instead(self, request: Request) -> int:
        """A PRACK has come, whoever it was for; an offer may be made again; all else is over."""
        offers = bool(request.body) and request.method in ("PRACK", "UPDATE")
        if offers and (request.method == "UPDATE" or self.incoming.request.body):
            return 491
        return 200 if request.method == "PRACK" else 487

    def leave(self, status: int, now: float) -> list[Output]:
        """Its backend is dead. Should it only sleep, it finds there that nobody waits for it any more."""
        outputs = self.refuse(status, now)
        for leg in list(self.legs):
            farewell.forsake(leg)
            self.drop(leg)
        return outputs


def _redirections(response: Response, shared: Shared) -> list[Header]:
    """Where to call instead, in our domain where it was an address of the callee's network."""
    found = []
    for contact in response.contacts:
        if contact.star:
            continue
        params = tuple([pair for pair in contact.params if pair[0] in ("q", "expires")])
        found.append(header("Contact", shared.topology.identity(contact) + format_params(params)))
    return found
