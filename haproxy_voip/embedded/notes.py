"""Text messages between users of the PBX (RFC 3428)."""

from __future__ import annotations

from haproxy_voip.embedded.bridge import passed
from haproxy_voip.embedded.registrar import Contact
from haproxy_voip.embedded.stack import Stack, identity
from haproxy_voip.sip.message import Request, Response, header
from haproxy_voip.sip.transactions import ClientTransaction, ServerTransaction

MAX_FORWARDS = "70"  # RFC 3261 section 8.1.1.6


class Notes:
    """Sends each MESSAGE on to every contact of its addressee."""

    def __init__(self, stack: Stack, realm: str) -> None:
        self._stack = stack
        self._realm = realm

    def forward(self, transaction: ServerTransaction, contacts: list[Contact], now: float) -> None:
        """Send it on; the first 2xx is the answer, else the last refusal."""
        request = transaction.request
        note = Note(self._stack, transaction, len(contacts))
        for contact in contacts:
            token = self._stack.chance.token
            headers = [
                header("max-forwards", MAX_FORWARDS),
                header("from", f"{identity(request.from_.uri.username, self._realm)};tag={token()}"),
                header("to", identity(contact.user, self._realm)),
                header("call-id", token()),
                header("cseq", "1 MESSAGE"),
                *passed(request),
            ]
            copy = Request("MESSAGE", contact.uri, headers, request.body)
            self._stack.ask(copy, self._stack.flow_to(contact.uri, contact.flow), note, now)


class Note:
    """One MESSAGE on its way."""

    def __init__(self, stack: Stack, transaction: ServerTransaction, copies: int) -> None:
        self._stack = stack
        self._transaction = transaction
        self._unanswered = copies
        self._answered = False

    def repeated(self, transaction: ClientTransaction) -> None:
        """We answer no challenges here."""

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """One phone's answer."""
        if response.status < 200 or self._answered:
            return
        self._unanswered -= 1
        if response.status < 300 or not self._unanswered:
            self._answered = True
            self._stack.refuse(self._transaction, response.status, now)
