"""Two things that outlast the moment: a request of ours within a dialog, and a 2xx of ours that wants its ACK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from haproxy_voip.core.address import Flow
from haproxy_voip.core.effects import Send
from haproxy_voip.embedded.stack import Stack
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.message import Request, Response
from haproxy_voip.sip.transactions import ClientTransaction


class Asking(Protocol):
    """The session a request of ours belongs to."""

    def settled(self, exchange: Exchange, status: int, now: float) -> None:
        """It has its final response; called before whoever asked hears of it."""

    def repeat_ack(self, cseq: int) -> None:
        """A 2xx came again."""


class Answering(Protocol):
    """The session whose 2xx waits."""

    def unacknowledged(self, now: float) -> None:
        """No ACK came."""


class Exchange:
    """Hands the final response to `then`, once, and keeps the dialog's CSeq and target right."""

    def __init__(
        self,
        stack: Stack,
        dialog: Dialog,
        then: Callable[[Response, float], None],
        session: Asking | None = None,
    ) -> None:
        self._stack = stack
        self._dialog = dialog
        self._then = then
        self._session = session
        self._done = False

    def start(self, request: Request, flow: Flow, now: float) -> None:
        """Send it."""
        self._stack.ask(request, flow, self, now)

    def repeated(self, transaction: ClientTransaction) -> None:
        """It took one more CSeq."""
        self._dialog.local_seq = transaction.request.cseq.number

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """A response to it."""
        if response.status < 200:
            return
        if self._done:
            if self._session is not None:
                self._session.repeat_ack(response.cseq.number)
            return
        self._done = True
        self._dialog.refresh_target(response)
        if self._session is not None:
            self._session.settled(self, response.status, now)
        self._then(response, now)


class PendingAnswer:
    """13.3.1.4: a 2xx is repeated, at intervals from T1 doubling to T2, until its ACK comes, for 64*T1 at most."""

    def __init__(self, stack: Stack, session: Answering, flow: Flow, response: Response, now: float) -> None:
        self.cseq = response.cseq.number
        self._stack = stack
        self._session = session
        self._send = Send(flow, response.encode())
        self._interval = stack.timing.t1
        self._until = now + stack.timing.lifetime
        stack.alarms.set(self, now + self._interval)

    def wake(self, now: float) -> None:
        """Once more, or no more."""
        if now >= self._until:
            self._session.unacknowledged(now)
            return
        self._stack.outputs.append(Send(self._send.flow, self._send.data))
        self._interval = min(2 * self._interval, self._stack.timing.t2)
        self._stack.alarms.set(self, min(now + self._interval, self._until))
