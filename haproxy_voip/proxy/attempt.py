"""One INVITE of ours to a callee, from the first transmission to its final response.

A call makes one at a time. When the backend dies before the callee answered, the call makes another one and
abandons this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.proxy import farewell
from haproxy_voip.proxy.invitation import Invitation
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Header, Request, Response, header
from haproxy_voip.sip.transactions import ClientTransaction

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call

# Early dialogs one INVITE may have (a forking proxy behind us); RFC 5393's idea of a bounded breadth.
MAX_EARLY_DIALOGS = 20
# Credentials are offered twice: once, and once more when the nonce went stale meanwhile.
MAX_CHALLENGES = 2


class Attempt:
    """Owns the client transaction of a call's initial INVITE."""

    __slots__ = (
        "_call", "_challenges", "_shared", "abandoned", "answered", "cancelled", "contact", "flow", "hidden", "legs",
        "request", "side", "transaction",
    )  # fmt: skip

    def __init__(self, shared: Shared, call: Call, callee: Invitation) -> None:
        self._shared = shared
        self._call = call
        self.side = callee.side
        self.flow = callee.flow
        self.hidden = callee.hidden
        self.legs: dict[str, Leg] = {}  # the callee's tag -> our leg to it
        self.contact = shared.network.contact(call.token, callee.flow)
        self.request: Request | None = None
        self.transaction: ClientTransaction | None = None
        self.answered = False
        self.cancelled = False
        self.abandoned = False
        self._challenges = 0

    def start(self, request: Request, now: float) -> list[Output]:
        """Send the INVITE."""
        self.request = request
        self.transaction, outputs = self._shared.ask(request, self.flow, self, now)
        return outputs

    # -- what comes back ----------------------------------------------------------------------------

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """Take a response; what matters to the caller is the call's to say."""
        status = response.status
        if status == 100:
            return self._call.progressed(now)
        if status < 300 and response.to.tag is None:
            # 12.1.2 wants a tag; a peer of RFC 2543 may leave it out of a provisional, which then makes no dialog.
            return self._call.progressed(now) if status < 200 else self._give_up(502, "2xx without a tag", now)
        if status < 200:
            return self._provisional(response, now)
        if status < 300:
            return self._success(response, now)
        return self._failure(transaction, response, now)

    def _provisional(self, response: Response, now: float) -> list[Output]:
        if self.cancelled or self.abandoned or self.answered:
            return []
        leg = self._leg(response)
        return [] if leg is None else self._call.provisional(leg, response, now)

    def _success(self, response: Response, now: float) -> list[Output]:
        cseq = response.cseq.number
        known = self.legs.get(response.to.tag or "")
        if known is not None and cseq in known.acks:
            return list(known.repeat_ack(cseq))
        if self.answered:
            # The same 2xx again before the caller's ACK came, or another branch of a fork answered as well.
            return [] if known is not None and known is self._call.callee_leg else self._decline(response, now)
        if self.cancelled or self.abandoned or self._call.over:
            return self._decline(response, now)
        leg = self._leg(response, confirmed=True)
        if leg is None:
            return self._decline(response, now)
        self.answered = True
        return self._call.answered_by(leg, response, now)

    def _failure(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        if self.cancelled or self.abandoned or self.answered:
            return []
        if response.status in (401, 407) and self.side is Side.BACKEND:
            return self._answer_challenge(transaction, response, now)
        return self._call.failed_with(response, now)

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """No final response will come."""
        if self.cancelled or self.abandoned or self.answered:
            return []
        return self._call.unanswered(reason, now)

    def _give_up(self, status: int, reason: str, now: float) -> list[Output]:
        if self.cancelled or self.abandoned or self.answered:
            return []
        return self._call.refuse(status, reason, now)

    # -- dialogs ------------------------------------------------------------------------------------

    def _leg(self, response: Response, confirmed: bool = False) -> Leg | None:
        tag = response.to.tag or ""
        leg = self.legs.get(tag)
        assert self.request is not None
        if leg is None:
            if len(self.legs) >= MAX_EARLY_DIALOGS:
                return None
            dialog = Dialog.from_response_uac(self.request, response)
            leg = self.legs[tag] = Leg(self.side, dialog, self.flow, self.contact, self._call, hidden=self.hidden)
            self._shared.legs.add(leg)
        elif confirmed:
            leg.dialog.confirm(response)
        elif response.has("contact"):
            leg.dialog.refresh_target(response)
        return leg

    def _decline(self, response: Response, now: float) -> list[Output]:
        """A 2xx nobody wants: acknowledge it and hang up (RFC 3261 section 13.2.2.4)."""
        assert self.request is not None
        try:
            dialog = Dialog.from_response_uac(self.request, response)
        except MessageError:
            return []
        leg = Leg(self.side, dialog, self.flow, self.contact, self._call, hidden=self.hidden)
        return farewell.acknowledge_and_bye(self._shared, leg, response.cseq.number, now)

    def forget_legs(self, but: Leg | None = None) -> None:
        """The early dialogs are over, all but one."""
        for leg in self.legs.values():
            if leg is not but:
                self._shared.legs.remove(leg)

    @property
    def latest(self) -> Leg | None:
        """The leg of the early dialog that was made last."""
        return next(reversed(self.legs.values()), None)

    @property
    def cseq(self) -> int:
        """The number of the INVITE that is under way or was answered."""
        assert self.request is not None
        return self.request.cseq.number

    # -- ending it ----------------------------------------------------------------------------------

    def cancel(self, headers: list[Header], now: float) -> list[Output]:
        """Nobody waits for the callee any more."""
        if self.cancelled or self.answered or self.transaction is None:
            return []
        self.cancelled = True
        self.forget_legs()
        return self._shared.cancel(self.transaction, headers, now)

    def abandon(self) -> None:
        """Its backend is dead: send nothing more, hear nothing more."""
        self.abandoned = True
        self.forget_legs()
        if self.transaction is not None:
            self._shared.transactions.abandon(self.transaction)

    def _answer_challenge(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        self._challenges += 1
        credentials = None
        if self._challenges <= MAX_CHALLENGES:
            credentials = self._shared.answer_challenge(response, transaction.request, self._call.user)
        if credentials is None:
            return self._call.refuse(403, f"{self._call.backend} wants credentials we do not have", now)
        assert self.request is not None
        sent = self.request
        again = Request(sent.method, sent.uri)
        again.headers = [item for item in sent.headers if item[0] not in ("via", "cseq", credentials[0])]
        again.headers += [header("CSeq", f"{sent.cseq.number + 1} INVITE"), credentials]
        again.body = sent.body
        return self.start(again, now)
