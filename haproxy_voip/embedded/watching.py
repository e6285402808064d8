"""A phone's subscription to an event of somebody's (RFC 6665)."""

from __future__ import annotations

from haproxy_voip.core.address import Flow
from haproxy_voip.embedded.exchange import Exchange
from haproxy_voip.embedded.facts import PhoneAsked, PhoneNotified
from haproxy_voip.embedded.stack import Stack
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, header, response_to
from haproxy_voip.sip.transactions import ClientTransaction, RequestReceived

EXPIRES = 600  # seconds asked for
REFRESH_SHARE = 0.5  # of the time granted
ACCEPT = "application/dialog-info+xml, application/simple-message-summary"


class Watch:
    """One subscription, refreshed until it is refused or ended."""

    def __init__(self, stack: Stack, user: str, event: str, flow: Flow) -> None:
        self.event = event
        self.state = "pending"  # as the last NOTIFY said: active, terminated
        self._stack = stack
        self._user = user
        self._flow = flow
        self._dialog: Dialog | None = None
        self._call_id = self._tag = ""
        self._cseq = 1  # of the SUBSCRIBE sent last outside the dialog

    def start(self, request: Request, now: float) -> None:
        """Send the SUBSCRIBE: From, To, Call-ID and CSeq are there, the rest is added."""
        request.extend(self._lines(EXPIRES))
        self._call_id, self._tag = request.call_id, request.from_.tag or ""
        self._stack.dialogs[self._call_id, self._tag, ""] = self
        self._stack.ask(request, self._flow, self, now)

    def stop(self, now: float) -> None:
        """Unsubscribe."""
        self._refresh(0, now)

    def wake(self, now: float) -> None:
        """Time to refresh."""
        self._refresh(EXPIRES, now)

    def repeated(self, transaction: ClientTransaction) -> None:
        """The SUBSCRIBE went out once more, with credentials."""
        self._cseq = transaction.request.cseq.number

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """The answer to the first SUBSCRIBE."""
        if response.status < 200:
            return
        self._stack.outputs.append(PhoneAsked(self._user, "SUBSCRIBE", response.status))
        if response.status >= 300:
            self._end()
            return
        if self._dialog is None:
            self._adopt(Dialog.from_response_uac(transaction.request, response))
        self._granted(response, now)

    def request(self, received: RequestReceived, now: float) -> None:
        """A NOTIFY. Raises MessageError."""
        request, transaction = received.request, received.transaction
        if transaction is None:
            return
        if request.method != "NOTIFY":
            raise MessageError("only NOTIFY belongs here", 405)
        if self._dialog is None:
            dialog = Dialog.from_request_uas(request, self._tag)
            dialog.local_seq = self._cseq
            self._adopt(dialog)
        assert self._dialog is not None
        self._dialog.accepts(request)
        self._dialog.refresh_target(request)
        self._stack.answer(transaction, response_to(request, 200), now)
        state = request.get("subscription-state") or ""
        self.state = state.partition(";")[0].strip()
        self._stack.outputs.append(PhoneNotified(self._user, self.event, state, request.body))
        if self.state == "terminated":
            self._end()

    def _refresh(self, expires: int, now: float) -> None:
        self._stack.alarms.set(self, None)
        if self._dialog is not None and self.state != "terminated":
            request = self._dialog.request("SUBSCRIBE", self._lines(expires))
            way = self._stack.flow_to(self._dialog.next_hop, self._flow)
            Exchange(self._stack, self._dialog, self._refreshed).start(request, way, now)

    def _refreshed(self, response: Response, now: float) -> None:
        self._stack.outputs.append(PhoneAsked(self._user, "SUBSCRIBE", response.status))
        if response.status < 300:
            self._granted(response, now)
        else:
            self._end()

    def _adopt(self, dialog: Dialog) -> None:
        dialog.confirm()
        self._dialog = dialog
        self._stack.dialogs[dialog.key] = self

    def _end(self) -> None:
        self.state = "terminated"
        self._stack.alarms.set(self, None)
        self._stack.dialogs.pop((self._call_id, self._tag, ""), None)
        if self._dialog is not None:
            self._stack.dialogs.pop(self._dialog.key, None)

    def _granted(self, response: Response, now: float) -> None:
        expires = response.expires
        self._stack.alarms.set(
            self, now + REFRESH_SHARE * (EXPIRES if expires is None else expires) if expires else None
        )

    def _lines(self, expires: int) -> list[tuple[str, str, str]]:
        return [
            header("event", self.event),
            header("expires", str(expires)),
            header("accept", ACCEPT),
            header("contact", self._stack.contact(self._user, self._flow)),
        ]
