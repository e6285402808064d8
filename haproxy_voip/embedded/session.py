"""One INVITE dialog as a user agent keeps it: set up, changed, and ended (RFC 3261 sections 12 to 15).

    INVITED  an INVITE was sent or came; early until
    UP       a 2xx was sent or came
    OVER     refused, cancelled or ended by BYE

The session knows SIP; what its calls mean is its user's business. PBX and phone are such users.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from haproxy_voip.core.address import Flow
from haproxy_voip.core.effects import Send
from haproxy_voip.embedded.exchange import Exchange, PendingAnswer
from haproxy_voip.embedded.facts import By
from haproxy_voip.embedded.stack import Stack
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Header, Request, Response, header, response_to
from haproxy_voip.sip.transactions import ClientTransaction, RequestReceived, ServerTransaction

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, REFER, NOTIFY, MESSAGE"
SUPPORTED = "replaces"
# Requests whose Contact is the sender's new remote target: RFC 3261 12.2, RFC 3311, RFC 3515, RFC 6665.
WITH_CONTACT = frozenset({"INVITE", "UPDATE", "REFER", "NOTIFY", "SUBSCRIBE"})

Then = Callable[[Response, float], None]


class SessionUser(Protocol):
    """Whose a session is; called with the session that something happened to."""

    def progressed(self, session: Session, response: Response, now: float) -> None:
        """A 101-199 to our INVITE."""

    def answered(self, session: Session, response: Response, now: float) -> None:
        """The first 2xx to our INVITE; to be followed by `acknowledge`, at once unless it carries the offer."""

    def refused(self, session: Session, response: Response, now: float) -> None:
        """Our INVITE failed; the session is over."""

    def asked(self, session: Session, transaction: ServerTransaction, now: float) -> None:
        """A request within the dialog that is for the user to `answer`. May raise MessageError instead."""

    def acknowledged(self, session: Session, ack: Request, now: float) -> None:
        """The ACK to a 2xx of ours came; told once for each."""

    def ended(self, session: Session, by: By, reason: str, now: float) -> None:
        """The other end hung up or cancelled, or the network lost it."""


class State(StrEnum):
    """See the module."""

    INVITED = "invited"
    UP = "up"
    OVER = "over"


class Session:
    """See the module. `name` is the user part of our Contact."""

    def __init__(self, stack: Stack, user: SessionUser, flow: Flow, name: str) -> None:
        self.stack = stack
        self.user = user
        self.flow = flow
        self.name = name
        self.state = State.INVITED
        self.dialog: Dialog | None = None
        self.invitation: Request | None = None  # the first INVITE, as it came or as it was sent last
        self.incoming: ServerTransaction | None = None
        self._outgoing: ClientTransaction | None = None
        self._acks: dict[int, bytes] = {}  # CSeq of our INVITE -> its ACK as sent; the last one only
        self._exchange: Exchange | None = None  # our re-INVITE in flight
        self._answer: PendingAnswer | None = None  # our 2xx that waits for its ACK
        self._changing: ServerTransaction | None = None  # their re-INVITE in work
        self._bye_wanted = False

    @property
    def contact(self) -> str:
        """Our Contact."""
        return self.stack.contact(self.name, self.flow)

    @property
    def is_caller(self) -> bool:
        """Whether we sent the INVITE."""
        return self.incoming is None

    # -- we call -------------------------------------------------------------------------------------

    def invite(self, request: Request, now: float) -> None:
        """Send the INVITE: From, To, Call-ID, CSeq and body are there, the rest is added."""
        request.extend([header("contact", self.contact), header("allow", ALLOW), header("supported", SUPPORTED)])
        self.invitation = request
        self._outgoing = self.stack.ask(request, self.flow, self, now)

    def repeated(self, transaction: ClientTransaction) -> None:
        """The INVITE went out once more, with credentials."""
        self._outgoing, self.invitation = transaction, transaction.request

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """A response to our first INVITE."""
        if response.status < 200:
            self._progressed(transaction, response, now)
        elif response.status < 300:
            self._accepted(transaction, response, now)
        elif self.state is State.INVITED:
            self.finish()
            self.user.refused(self, response, now)

    def _progressed(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if self.state is not State.INVITED or response.status == 100:
            return
        if response.to.tag and self.dialog is None:
            self._adopt(Dialog.from_response_uac(transaction.request, response))
        self.user.progressed(self, response, now)

    def _accepted(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        known = self.dialog
        ours = known is not None and known.key == Dialog.key_of_response(response)
        if ours and known is not None and known.local_seq is not None and response.cseq.number in self._acks:
            self.repeat_ack(response.cseq.number)
        elif self.state is State.INVITED:
            if known is not None and ours:
                known.confirm(response)
            else:  # no 18x came before, or another fork than the one that rang answered
                self._adopt(Dialog.from_response_uac(transaction.request, response))
            self.state = State.UP
            self.user.answered(self, response, now)
        elif not ours or self.state is State.OVER:
            self._decline(Dialog.from_response_uac(transaction.request, response), response.cseq.number, now)

    def _decline(self, dialog: Dialog, cseq: int, now: float) -> None:
        """13.2.2.4: a 2xx that comes too late or from one fork too many is acknowledged and ended."""
        self.stack.send_ack(dialog.ack(cseq), self._way(dialog))
        Exchange(self.stack, dialog, _nobody).start(dialog.request("BYE"), self._way(dialog), now)

    def acknowledge(self, cseq: int, body: bytes = b"", content_type: str | None = None) -> None:
        """Send the ACK for the 2xx to our INVITE with this CSeq."""
        if self.dialog is None:
            return
        headers = [header("content-type", content_type)] if body and content_type else []
        ack = self.dialog.ack(cseq, headers, body)
        self._acks = {cseq: self.stack.send_ack(ack, self._way(self.dialog))}

    def repeat_ack(self, cseq: int) -> None:
        """The 2xx came again: so does its ACK, if there was one."""
        if cseq in self._acks and self.dialog is not None:
            self.stack.outputs.append(Send(self._way(self.dialog), self._acks[cseq]))

    # -- we are called -------------------------------------------------------------------------------

    def take(self, transaction: ServerTransaction) -> None:
        """Be the callee of this INVITE. Raises MessageError when it can make no dialog."""
        request = transaction.request
        self._adopt(Dialog.from_request_uas(request, self.stack.chance.token()))
        self.incoming, self.invitation = transaction, request
        transaction.owner = self

    def progress(self, status: int, now: float, body: bytes = b"", content_type: str | None = None) -> None:
        """Send a 101-199."""
        if self.state is State.INVITED and self.incoming is not None:
            self.stack.answer(self.incoming, self._response(self.incoming, status, body, content_type), now)

    def accept(self, now: float, body: bytes = b"", content_type: str | None = None) -> None:
        """Send 200 and repeat it until the ACK comes."""
        if self.state is State.INVITED and self.incoming is not None and self.dialog is not None:
            self.state = State.UP
            self.dialog.confirm()
            self._answer_until_acked(self.incoming, self._response(self.incoming, 200, body, content_type), now)

    def refuse(self, status: int, now: float) -> None:
        """Send a 300-699; the session is over."""
        if self.state is State.INVITED and self.incoming is not None:
            self.stack.answer(self.incoming, self._response(self.incoming, status), now)
            self.finish()

    def cancelled(self, now: float) -> None:
        """A CANCEL came for an INVITE of this dialog."""
        if self.state is State.INVITED:
            self.refuse(487, now)
            self.user.ended(self, By.THEM, "cancelled", now)
        elif self._changing is not None:
            changing, self._changing = self._changing, None
            self.stack.answer(changing, response_to(changing.request, 487), now)

    # -- within the dialog: theirs -------------------------------------------------------------------

    def request(self, received: RequestReceived, now: float) -> None:
        """A request within the dialog. Raises MessageError."""
        request, transaction = received.request, received.transaction
        assert self.dialog is not None
        self.dialog.accepts(request)
        if transaction is None:
            self._acknowledged(request, now)
        elif request.method == "BYE":
            self._bye(transaction, now)
        else:
            if request.method == "INVITE":
                self._refuse_glare(transaction)
            self.dialog.refresh_target(request)
            transaction.owner = self
            self.user.asked(self, transaction, now)

    def answer(
        self,
        transaction: ServerTransaction,
        status: int,
        now: float,
        body: bytes = b"",
        content_type: str | None = None,
    ) -> None:
        """Answer a request that came within the dialog."""
        response = self._response(transaction, status, body, content_type)
        if transaction is self._changing and status >= 200:
            self._changing = None
        if transaction.is_invite and 200 <= status < 300:
            self._answer_until_acked(transaction, response, now)
        else:
            self.stack.answer(transaction, response, now)

    def _refuse_glare(self, transaction: ServerTransaction) -> None:
        """14.2: two offers at once. Raises MessageError."""
        if self._exchange is not None or (self.state is State.INVITED and self.is_caller):
            raise MessageError("our own INVITE is not answered yet", 491)
        if self._changing is not None or self._answer is not None or self.state is not State.UP:
            raise MessageError("the INVITE before is not done", 500, (header("retry-after", "1"),))
        self._changing = transaction

    def _bye(self, transaction: ServerTransaction, now: float) -> None:
        self.stack.answer(transaction, response_to(transaction.request, 200), now)
        if self.state is State.INVITED and self.incoming is not None:
            self.stack.answer(self.incoming, self._response(self.incoming, 487), now)  # 15.1.2
        self.finish()
        self.user.ended(self, By.THEM, "BYE", now)

    def _acknowledged(self, ack: Request, now: float) -> None:
        pending = self._answer
        if pending is None or pending.cseq != ack.cseq.number:
            return
        self._drop_answer()
        if self._bye_wanted:
            self._send_bye(now)
        else:
            self.user.acknowledged(self, ack, now)

    def unacknowledged(self, now: float) -> None:
        """13.3.1.4: no ACK in 64*T1, so "the session should be terminated" by BYE."""
        self._answer = None
        self._send_bye(now)
        self.user.ended(self, By.NETWORK, "no ACK", now)

    # -- within the dialog: ours ---------------------------------------------------------------------

    def ask(self, method: str, then: Then, now: float, headers: Sequence[Header] = (), body: bytes = b"") -> None:
        """Send a request within the dialog; `then` gets its final response, once. A 2xx to INVITE is to be
        acknowledged by whoever asked."""
        assert self.dialog is not None and self.state is not State.OVER
        contact = [header("contact", self.contact)] if method in WITH_CONTACT else []
        exchange = Exchange(self.stack, self.dialog, then, self)
        if method == "INVITE":
            self._exchange = exchange
        exchange.start(self.dialog.request(method, [*contact, *headers], body), self._way(self.dialog), now)

    @property
    def busy(self) -> bool:
        """Whether an INVITE, theirs or ours, is under way, so that we must not send one (14.1)."""
        return (
            self.state is not State.UP
            or self._exchange is not None
            or self._changing is not None
            or self._answer is not None
        )

    def settled(self, exchange: Exchange, status: int, now: float) -> None:
        """A request of ours has its final response."""
        if exchange is self._exchange:
            self._exchange = None
        if status in (408, 481, 503) and self.state is State.UP:
            # 12.2.1.2: then "the UAC SHOULD terminate the dialog".
            self.hang_up(now)
            self.user.ended(self, By.NETWORK, f"{status} to a request in the dialog", now)

    # -- the end -------------------------------------------------------------------------------------

    def hang_up(self, now: float, status: int = 603) -> None:
        """End it as its state demands: CANCEL, a final response of this status, or BYE. `ended` is not called."""
        if self.state is State.UP:
            if self._answer is not None and self.incoming is not None:
                # 15: the callee "MUST NOT send a BYE on a confirmed dialog until it has received an ACK".
                self._bye_wanted = True
            else:
                self._send_bye(now)
        elif self.state is State.INVITED and self.incoming is not None:
            self.refuse(status, now)
        elif self.state is State.INVITED and self._outgoing is not None:
            self.stack.cancel(self._outgoing, now)

    def finish(self) -> None:
        """Forget the dialog."""
        self.state = State.OVER
        self._drop_answer()
        if self.dialog is not None:
            self.stack.dialogs.pop(self.dialog.key, None)

    def _send_bye(self, now: float) -> None:
        assert self.dialog is not None
        dialog = self.dialog
        self.finish()
        Exchange(self.stack, dialog, _nobody).start(dialog.request("BYE"), self._way(dialog), now)

    # ------------------------------------------------------------------------------------------------

    def _adopt(self, dialog: Dialog) -> None:
        if self.dialog is not None:
            self.stack.dialogs.pop(self.dialog.key, None)
        self.dialog = dialog
        self.stack.dialogs[dialog.key] = self

    def _way(self, dialog: Dialog) -> Flow:
        return self.stack.flow_to(dialog.next_hop, self.flow)

    def _response(
        self, transaction: ServerTransaction, status: int, body: bytes = b"", content_type: str | None = None
    ) -> Response:
        assert self.dialog is not None
        request = transaction.request
        response = response_to(request, status, to_tag=self.dialog.local_tag)
        if transaction is self.incoming and status < 300:
            response.extend(line for line in request.headers if line[0] == "record-route")  # 12.1.1
        if status < 300 and request.method in WITH_CONTACT:
            response.extend([header("contact", self.contact), header("allow", ALLOW), header("supported", SUPPORTED)])
        if body and content_type:
            response.add("content-type", content_type)
            response.body = body
        return response

    def _answer_until_acked(self, transaction: ServerTransaction, response: Response, now: float) -> None:
        self.stack.answer(transaction, response, now)
        self._answer = PendingAnswer(self.stack, self, transaction.flow, response, now)

    def _drop_answer(self) -> None:
        if self._answer is not None:
            self.stack.alarms.set(self._answer, None)
            self._answer = None


def _nobody(response: Response, now: float) -> None:
    """Whoever sends a BYE does not care for its answer."""
