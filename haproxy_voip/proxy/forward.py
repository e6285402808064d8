"""A request that came in on one leg, asked again on the other, and its answer brought back."""

from __future__ import annotations

from haproxy_voip.proxy.answer import AnswerAwaitingAck
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.shared import Output, Shared, hops_left
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Header, Message, Request, Response, header, response_to
from haproxy_voip.sip.transactions import ClientTransaction, ServerTransaction

# Requests whose Contact is the sender's new remote target (RFC 3261 12.2, RFC 3311, RFC 6665, RFC 3515).
WITH_CONTACT = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
# A target refresh is done by these only (RFC 6141 section 4.7; RFC 6665 4.4.1).
TARGET_REFRESH = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
# The dialog is gone when a request in it gets one of these (RFC 5057 section 5.1).
DIALOG_GONE = frozenset({404, 410, 416, 481, 482, 483, 484, 485, 502, 604})


class Forward:
    """One request inside a dialog on its way across. It owns the client transaction on the far leg."""

    __slots__ = ("_answer", "_cseq", "_shared", "_tries", "asked_on", "sent_on", "server", "transaction")

    def __init__(self, shared: Shared, server: ServerTransaction, asked_on: Leg, sent_on: Leg) -> None:
        self._shared = shared
        self.server = server
        self.asked_on = asked_on
        self.sent_on = sent_on
        self.transaction: ClientTransaction | None = None
        self._answer: AnswerAwaitingAck | None = None
        self._cseq = 0
        self._tries = 0

    def start(self, now: float) -> list[Output]:
        """Send it. Raises MessageError when its body cannot cross."""
        self.server.owner = self
        return self._send(self._translated(self.server.request), now)

    def _translated(self, request: Request) -> Request:
        sent = self.sent_on.dialog.request(request.method)
        sent.set("Max-Forwards", str(hops_left(request)))
        if request.method in WITH_CONTACT:
            sent.add("Contact", self.sent_on.contact)
        if request.method == "PRACK":
            sent.add("RAck", self._rack(request))
        self._copy(request, sent, self.asked_on)
        return sent

    def _rack(self, request: Request) -> str:
        """RAck names the INVITE by its CSeq on that leg (RFC 3262 section 7.2)."""
        value = request.get("rack")
        reliable = self.sent_on.reliable.get(value or "")
        if reliable is None:
            raise MessageError(f"no provisional response is waiting for RAck {value!r}", status=481)
        return reliable

    def _copy(self, source: Message, target: Message, came_on: Leg) -> None:
        target.headers.extend(self._shared.topology.carried(source, came_on.hidden))
        target.body = came_on.bridge.body_across(source, came_on)

    def _send(self, request: Request, now: float) -> list[Output]:
        self._cseq = request.cseq.number
        before = self.sent_on.bridge.outputs_pending()
        self.transaction, outputs = self._shared.ask(request, self.sent_on.flow, self, now)
        return before + outputs

    # -- the answer ---------------------------------------------------------------------------------

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """Bring it back to who asked."""
        status = response.status
        if status in (401, 407) and (retry := self._authenticated(response)) is not None:
            return self._send(retry, now)
        if transaction.is_invite and 200 <= status < 300 and self._cseq in self.sent_on.acks:
            return self._acknowledge_again()
        if self.server.last_status is not None and self.server.last_status >= 200:
            return []  # a 2xx again, before its ACK came
        if status < 300 and response.has("contact") and self.server.request.method in TARGET_REFRESH:
            self.sent_on.dialog.refresh_target(response)
        outputs = self._answer_with(response, now)
        if status in DIALOG_GONE and self.server.request.method != "REFER":
            outputs += self.sent_on.bridge.gone(self.sent_on, f"{status} {response.reason}", now)
        return outputs

    def _answer_with(self, response: Response, now: float) -> list[Output]:
        request = self.server.request
        answer = response_to(request, response.status, response.reason)
        if request.method in WITH_CONTACT and response.status < 300:
            answer.add("Contact", self.asked_on.contact)
        try:
            self._copy(response, answer, self.sent_on)
        except MessageError as error:
            # The answer cannot be passed on; the dialogs would disagree on their media from here on.
            outputs = self._shared.refuse(self.server, 500, now, reason=f"bad answer: {error.reason}")
            if self.transaction is not None and self.transaction.is_invite and response.status < 300:
                outputs += self._shared.send_ack(self.sent_on, self._cseq)
            return outputs + self.sent_on.bridge.gone(self.sent_on, error.reason, now)
        outputs = self.asked_on.bridge.outputs_pending() + self._shared.answer(self.server, answer, now)
        if request.method == "INVITE" and 200 <= response.status < 300:
            self._answer = AnswerAwaitingAck(self._shared, self.asked_on, answer, self._lost_ack, now)
            self._answer.far = (self.sent_on, self._cseq)
        return outputs

    def _authenticated(self, response: Response) -> Request | None:
        """The request again with credentials, where the far side is a backend and they may help."""
        if self.sent_on.side is not Side.BACKEND or self._tries > 0 or self.transaction is None:
            return None
        self._tries += 1
        credentials = self._shared.answer_challenge(response, self.transaction.request, self.sent_on.bridge.user)
        if credentials is None:
            return None
        return self._again(self.transaction.request, credentials)

    def _again(self, sent: Request, credentials: Header) -> Request:
        again = self.sent_on.dialog.request(sent.method)
        kept = {"via", "cseq", credentials[0]}
        again.headers = [item for item in sent.headers if item[0] not in kept]
        again.headers += [header("CSeq", f"{self.sent_on.dialog.local_seq} {sent.method}"), credentials]
        again.body = sent.body
        return again

    def _acknowledge_again(self) -> list[Output]:
        return list(self.sent_on.repeat_ack(self._cseq))

    def _lost_ack(self, now: float) -> list[Output]:
        return self.asked_on.bridge.gone(self.asked_on, "the ACK of a re-INVITE never came", now)

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """Nobody answers over there."""
        if transaction.is_invite:
            return self._shared.refuse(self.server, 408, now) + self.sent_on.bridge.gone(self.sent_on, reason, now)
        # RFC 4320 section 4.2: a 408 to a non-INVITE request comes too late to be of use, so none is sent.
        return self.sent_on.bridge.gone(self.sent_on, reason, now)

    def cancelled(self, cancel: Request, now: float) -> list[Output]:
        """The caller cancels its re-INVITE."""
        if self.transaction is None:
            return []
        return self._shared.cancel(self.transaction, [item for item in cancel.headers if item[0] == "reason"], now)
