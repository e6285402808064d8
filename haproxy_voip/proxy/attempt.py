"""One INVITE of ours to a callee, from the first transmission to its final response.

A call makes one at a time. When the backend dies before the callee answered, the call makes another one and
gives this one up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from haproxy_voip.proxy import farewell, story
from haproxy_voip.proxy.forward import MAX_CHALLENGES, credentials_of
from haproxy_voip.proxy.invitation import Invitation
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.errors import REASON_PHRASES
from haproxy_voip.sip.message import Header, Request, Response, header
from haproxy_voip.sip.transactions import ClientTransaction

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call

# Early dialogs one INVITE may have (a forking proxy behind us); RFC 5393's idea of a bounded breadth.
MAX_EARLY_DIALOGS = 20
# A backend says so when it has no room; anything else it says is about the call (RFC 3261 section 16.7).
BACKEND_UNAVAILABLE = frozenset({408, 503})


class Listener(Protocol):
    """Who hears what the callee says."""

    def progressed(self, now: float) -> list[Output]:
        """It is at work."""

    def provisional(self, leg: Leg, response: Response, now: float) -> list[Output]:
        """It rings, or says something before it answers."""

    def answered_by(self, leg: Leg, response: Response, now: float) -> list[Output]:
        """It accepts the call; the 2xx is to be acknowledged."""

    def failed_with(self, response: Response, now: float) -> list[Output]:
        """It refuses the call."""

    def unanswered(self, reason: str, now: float) -> list[Output]:
        """It says nothing, and will not."""


class Attempt:
    """Owns the client transaction of a call's initial INVITE."""

    __slots__ = (
        "_call", "_challenges", "_declined", "_shared", "backend", "contact", "flow", "hidden", "legs", "listener",
        "over", "request", "side", "transaction",
    )  # fmt: skip

    def __init__(self, shared: Shared, call: Call, callee: Invitation) -> None:
        self._shared = shared
        self._call = call
        self.listener: Listener = call
        self.side = callee.side
        self.backend = callee.backend  # of a callee on the client side: that calls it
        self.flow = callee.flow
        self.hidden = callee.hidden
        self.legs: dict[str, Leg] = {}  # the callee's tag -> our leg to it
        self._declined: dict[str, Leg] = {}  # the same, of a 2xx nobody wanted
        self.contact = shared.network.contact(call.token, callee.flow)
        self.request: Request | None = None
        self.transaction: ClientTransaction | None = None
        self.over = False  # answered, cancelled or given up: whatever comes yet changes nothing
        self._challenges = 0

    def start(self, request: Request, now: float) -> list[Output]:
        """Send the INVITE."""
        first, self.request = self.request is None, request
        self.transaction, outputs = self._shared.ask(request, self.flow, self, now)
        return [story.dialog(self._call, self.side, request, self.flow), *outputs] if first else outputs

    # -- what comes back ----------------------------------------------------------------------------

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """Take a response; what matters to the caller is the call's to say."""
        status = response.status
        if 100 < status < 300 and not self.over and self._unproven:
            return self._unguarded(response, now)
        if 200 <= status < 300:
            return self._success(response, now)
        if self.over:
            return []
        if status == 100:
            return self.listener.progressed(now)
        if status < 200:
            return self._provisional(response, now)
        if status in (401, 407) and (self.side is Side.BACKEND or self._call.trunk is not None):
            return self._answer_challenge(transaction, response, now)
        self._finish()
        return self.listener.failed_with(response, now)

    @property
    def _unproven(self) -> bool:
        """Whether the backend ought to have asked who calls."""
        if self.side is not Side.BACKEND or self._call.trunk is not None or self.request is None:
            return False
        return self._shared.passing.unproven(self.request)

    def _unguarded(self, response: Response, now: float) -> list[Output]:
        """It takes the call from whoever makes it: no."""
        told = self._shared.passing.unguarded(self._call.backend, "INVITE")
        if response.status < 200:
            outputs = self.cancel([], now)
        else:
            self._finish()
            outputs = self._decline(response, now)
        refusal = Response(403, REASON_PHRASES[403])
        return [*told, *outputs, *self.listener.failed_with(refusal, now)]

    def _provisional(self, response: Response, now: float) -> list[Output]:
        if response.to.tag is None:
            # 12.1.2 wants a tag; what a peer of RFC 2543 says without one makes no dialog.
            return self.listener.progressed(now)
        leg = self._leg(response)
        return [] if leg is None else self.listener.provisional(leg, response, now)

    def _success(self, response: Response, now: float) -> list[Output]:
        tag, cseq = response.to.tag or "", response.cseq.number
        known = self.legs.get(tag) or self._declined.get(tag)
        if known is not None and cseq in known.acks:
            return list(known.repeat_ack(cseq))
        if known is not None and cseq in known.unacknowledged:
            return []  # again, before the caller's ACK came
        if self.over:
            return self._decline(response, now)
        leg = self._leg(response)
        if leg is None:
            return self._decline(response, now)
        leg.dialog.confirm(response)  # raises when it cannot be used: then the caller is still to be told
        self.over = True
        self.transaction = None
        leg.unacknowledged[cseq] = None
        return self.listener.answered_by(leg, response, now)

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """No final response will come."""
        if self.over:
            return []
        self._finish()
        return self.listener.unanswered(reason, now)

    # -- dialogs ------------------------------------------------------------------------------------

    def _leg(self, response: Response) -> Leg | None:
        """The leg of the dialog this response is in; None when there are too many."""
        tag = response.to.tag or ""
        leg = self.legs.get(tag)
        if leg is None:
            if len(self.legs) >= MAX_EARLY_DIALOGS:
                return None
            leg = self.legs[tag] = self._new_leg(response)
            self._shared.legs.add(leg)
        return leg

    def _new_leg(self, response: Response) -> Leg:
        assert self.request is not None
        dialog = Dialog.from_response_uac(self.request, response)
        leg = Leg(self.side, dialog, self.flow, self.contact, self._call, hidden=self.hidden)
        leg.credentials = credentials_of(self.request)
        return leg

    def _decline(self, response: Response, now: float) -> list[Output]:
        """A 2xx nobody wants: acknowledge it and hang up (RFC 3261 section 13.2.2.4)."""
        tag = response.to.tag or ""
        leg = self._new_leg(response)
        if len(self._declined) < MAX_EARLY_DIALOGS:
            self._declined[tag] = leg
        leg.unacknowledged[response.cseq.number] = None
        return farewell.bye(self._shared, leg, [], now)

    def forget_legs(self, but: Leg | None = None) -> None:
        """The early dialogs are over, all but one."""
        for tag, leg in list(self.legs.items()):
            if leg is not but:
                self._shared.legs.remove(leg)
                del self.legs[tag]

    # -- ending it ----------------------------------------------------------------------------------

    def end(self, reason: str, now: float) -> list[Output]:
        """Its call cannot go on."""
        return self._call.end(reason, now)

    def _finish(self) -> None:
        self.over = True
        # It refers to us until it is forgotten, and the garbage collector is off (commands/serve.py).
        self.transaction = None
        self.forget_legs()

    def cancel(self, headers: list[Header], now: float) -> list[Output]:
        """Nobody waits for the callee any more."""
        transaction = self.transaction
        if self.over or transaction is None:
            return []
        self._finish()
        return self._shared.cancel(transaction, headers, now)

    def give_up(self, now: float) -> list[Output]:
        """Its backend is believed dead: do not call it again, but cancel should it only have slept."""
        if self.over or self.transaction is None:
            return []
        self._shared.transactions.hush(self.transaction)
        return self.cancel([], now)

    def _answer_challenge(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        self._challenges += 1
        credentials = None
        if self._challenges <= MAX_CHALLENGES:
            credentials = self._shared.answer_challenge(response, transaction.request, self._call, self.side)
        if credentials is None:
            self._finish()
            return self.listener.failed_with(response, now)
        assert self.request is not None
        sent = self.request
        again = Request(sent.method, sent.uri)
        again.headers = [item for item in sent.headers if item[0] not in ("via", "cseq", credentials[0])]
        again.headers += [header("CSeq", f"{sent.cseq.number + 1} INVITE"), credentials]
        again.body = sent.body
        return self.start(again, now)
