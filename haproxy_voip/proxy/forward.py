"""A request that came in on one leg, asked again on the other, and its answer brought back."""

from __future__ import annotations

from collections.abc import Callable

from haproxy_voip.proxy.answer import AnswerAwaitingAck
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.shared import Output, Shared, hops_left
from haproxy_voip.sip.errors import REASON_PHRASES, MessageError
from haproxy_voip.sip.grammar import parse_number
from haproxy_voip.sip.headers import RSEQ_MAX, RAck
from haproxy_voip.sip.message import Header, Message, Request, Response, header, response_to
from haproxy_voip.sip.transactions import ClientTransaction, ServerTransaction

# Requests whose Contact is the sender's new remote target, as that of their 2xx is (RFC 3261 12.2, RFC 3311,
# RFC 6665, RFC 3515).
TARGET_REFRESH = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
CREDENTIALS = frozenset({"authorization", "proxy-authorization"})
# Credentials are offered twice: once, and once more when the nonce went stale meanwhile.
MAX_CHALLENGES = 2


class Forward:
    """One request inside a dialog on its way across. It owns the client transaction on the far leg."""

    __slots__ = (
        "_cancelled", "_challenges", "_cseq", "_over", "_shared", "asked_on", "late", "sent_on", "server",
        "transaction",
    )  # fmt: skip

    def __init__(self, shared: Shared, server: ServerTransaction, asked_on: Leg, sent_on: Leg) -> None:
        self._shared = shared
        self.server = server
        self.asked_on = asked_on
        self.sent_on = sent_on
        self.transaction: ClientTransaction | None = None
        self.late: Callable[[Response, float], list[Output]] | None = None  # who hears a 2xx to an INVITE given up
        self._cseq = 0
        self._challenges = 0
        self._cancelled = False
        self._over = False

    def start(self, now: float) -> list[Output]:
        """Send it. Raises MessageError when it cannot cross; nothing was done then."""
        self.server.owner = self
        try:
            request = self._translated(self.server.request)
        except MessageError:
            self._finish(Response(400), now)
            raise
        self.asked_on.pending[self] = None
        return self._send(request, now)

    def _translated(self, request: Request) -> Request:
        sent = self.sent_on.dialog.request(request.method)
        sent.set("max-forwards", str(hops_left(request)))
        if request.method in TARGET_REFRESH:
            sent.add("Contact", self.sent_on.contact)
        if request.method == "PRACK":
            sent.add("RAck", self._rack(request))
        self._copy(request, sent, self.asked_on)
        if self._passing:
            sent.headers.extend(self._shared.passing.credentials(request))
        return sent

    @property
    def _passing(self) -> bool:
        """Whether a phone asks, and proves itself to the backend."""
        return self._shared.passing.on and self.sent_on.side is Side.BACKEND and self.sent_on.bridge.trunk is None

    def _rack(self, request: Request) -> str:
        """RAck names the INVITE by its CSeq on that leg (RFC 3262 section 7.2)."""
        rack = RAck.parse(request.get("rack") or "")
        theirs = self.asked_on.reliable.acknowledge(rack)
        if theirs is None:
            raise MessageError(f"no provisional response is waiting for RAck {rack}", status=481)
        return theirs

    def _copy(self, source: Message, target: Message, came_on: Leg) -> None:
        far = self.sent_on if came_on is self.asked_on else self.asked_on
        inside = far.side is Side.CLIENT and far.trusted  # it goes to a carrier
        target.headers.extend(self._shared.topology.carried(source, came_on.hidden, came_on.trusted, inside))
        target.body = came_on.bridge.body_across(source, came_on)

    def _send(self, request: Request, now: float) -> list[Output]:
        self._cseq = request.cseq.number
        if request.method == "INVITE":
            self.sent_on.credentials = credentials_of(request)
        before = self.sent_on.bridge.outputs_pending()
        self.transaction, outputs = self._shared.ask(request, self.sent_on.flow, self, now)
        return before + outputs

    def end(self, reason: str, now: float) -> list[Output]:
        """It cannot go on, and nobody knows what the two sides agree on now."""
        refused = [] if (self.server.last_status or 0) >= 200 else self._shared.refuse(self.server, 500, now)
        self._leave(over=True)
        return refused + self.sent_on.bridge.end(reason, now)

    # -- the answer ---------------------------------------------------------------------------------

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """Bring it back to who asked."""
        status = response.status
        if status == 100:
            return []  # of one hop; ours was sent already
        if transaction.is_invite and 200 <= status < 300:
            if self._cseq in self.sent_on.acks:
                return list(self.sent_on.repeat_ack(self._cseq))
            if self._over:
                heard = [] if self.late is None else self.late(response, now)
                return heard + self._shared.send_ack(self.sent_on, self._cseq)
            self.sent_on.unacknowledged[self._cseq] = None
        if self._over or (self.server.last_status or 0) >= 200:
            return []
        if status in (401, 407) and self.sent_on.trusted and not self._passing:
            return self._challenged(response, now)
        return self._answer_with(response, now)

    def _answer_with(self, response: Response, now: float) -> list[Output]:
        request = self.server.request
        try:
            answer = self._answer(response)
        except MessageError as error:
            # It cannot be passed on; the two sides would disagree on their session from here on.
            if response.status < 200:
                return []
            self._leave(over=True)
            return self._shared.refuse(self.server, 502, now) + self.sent_on.bridge.end(error.reason, now)
        outputs = self.asked_on.bridge.outputs_pending() + self._shared.answer(self.server, answer, now)
        if response.status < 200:
            return outputs
        if request.method == "INVITE" and response.status < 300:
            AnswerAwaitingAck(self._shared, self.asked_on, answer, (self.sent_on, self._cseq), now)
        return outputs + self._finish(response, now)

    def _answer(self, response: Response) -> Response:
        request = self.server.request
        if response.status == 503:
            # RFC 3261 section 16.7 step 6: it would speak of all that is behind us, not of this one request.
            answer = response_to(request, 500)
        else:
            answer = response_to(request, response.status, response.reason)
        if request.method in TARGET_REFRESH and response.status < 300:
            answer.add("Contact", self.asked_on.contact)
            self.sent_on.dialog.refresh_target(response)
        if response.has("rseq"):
            rseq = parse_number(response.get("rseq") or "", RSEQ_MAX, "RSeq")
            theirs = RAck(rseq, self._cseq, "INVITE")
            answer.add("RSeq", str(self.asked_on.reliable.number(theirs, request.cseq.number)))
        self._copy(response, answer, self.sent_on)
        if self._passing:
            answer.headers.extend(self._shared.passing.answers(response, request, self.sent_on.bridge.backend))
        return answer

    def _finish(self, answer: Response | None, now: float) -> list[Output]:
        self._leave(over=answer is None)
        return self.asked_on.bridge.crossed(self.server.request, answer, self.sent_on, now)

    def _leave(self, over: bool) -> None:
        """It waits for nothing more. The transactions must not refer to us while we refer to them."""
        self._over = self._over or over
        self.asked_on.pending.pop(self, None)
        self.transaction = self.server.owner = None

    # -- credentials --------------------------------------------------------------------------------

    def _challenged(self, response: Response, now: float) -> list[Output]:
        """The backend wants to know who asks; the client, who proved itself to us, is not asked again."""
        retry = None if self._cancelled else self._authenticated(response)
        if retry is not None:
            return self._send(retry, now)
        status = 487 if self._cancelled else 403
        refused = Response(status, REASON_PHRASES[status])
        return self._shared.refuse(self.server, status, now) + self._finish(refused, now)

    def _authenticated(self, response: Response) -> Request | None:
        if self._challenges == MAX_CHALLENGES or self.transaction is None:
            return None
        self._challenges += 1
        sent = self.transaction.request
        credentials = self._shared.answer_challenge(response, sent, self.sent_on.bridge, self.sent_on.side)
        return None if credentials is None else self._again(sent, credentials)

    def _again(self, sent: Request, credentials: Header) -> Request:
        again = self.sent_on.dialog.request(sent.method)
        number = again.cseq.number
        kept = {"via", "cseq", credentials[0]}
        again.headers = [item for item in sent.headers if item[0] not in kept]
        again.headers += [header("CSeq", f"{number} {sent.method}"), credentials]
        return Request(sent.method, sent.uri, again.headers, sent.body)

    # -- not succeeding -----------------------------------------------------------------------------

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """Nobody answers over there. The transaction layer drops our 408 where RFC 4320 section 4.2 forbids it."""
        if self._over:
            return []
        return self._shared.refuse(self.server, 408, now) + self._finish(None, now)

    def cancelled(self, cancel: Request, now: float) -> list[Output]:
        """The caller cancels its re-INVITE."""
        self._cancelled = True
        if self.transaction is None or self._over:
            return []
        reasons = [item for item in self._shared.topology.carried(cancel, self.asked_on.hidden) if item[0] == "reason"]
        return self._shared.cancel(self.transaction, reasons, now)

    def give_up(self, now: float, status: int = 487) -> list[Output]:
        """The dialog ends: "it is RECOMMENDED that a 487 response be generated to those pending requests" (15.1.2)."""
        if self.transaction is not None and not self.transaction.is_invite:
            self._shared.transactions.abandon(self.transaction)  # a 2xx to an INVITE would still need its ACK
        self._leave(over=True)
        return self._shared.refuse(self.server, status, now)


def credentials_of(request: Request) -> list[Header]:
    """What authorised this request."""
    return [item for item in request.headers if item[0] in CREDENTIALS]
