"""What the embedded phone and PBX have in common: framing, transactions, dialogs and alarms, put together.

Sans-I/O. Effects and facts gather in `outputs` while an event is worked on; the machine around the stack
returns them, once, with `take`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from haproxy_voip.core.address import Address, Endpoint, Flow, Transport, bracketed
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.deadlines import Deadlines
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.core.events import Datagram, NetworkEvent, StreamClosed, StreamData, StreamOpened
from haproxy_voip.embedded.account import Account
from haproxy_voip.embedded.facts import Output
from haproxy_voip.sip.dialog import Dialog, DialogKey
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.framing import Keepalive, StreamFramer
from haproxy_voip.sip.headers import MAGIC_COOKIE
from haproxy_voip.sip.hop import SIP_PORT, via_value
from haproxy_voip.sip.message import Header, Request, Response, header, parse, response_to
from haproxy_voip.sip.timers import RFC_3261, Timing
from haproxy_voip.sip.transactions import (
    ClientTransaction,
    Outgoing,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    TimedOut,
    TransactionOutput,
    Transactions,
    TransportFailed,
)
from haproxy_voip.sip.uri import Uri
from haproxy_voip.sip.validation import validate

SERVER = "haproxy_voip-embedded"
# A phone has one, a PBX one for each proxy and phone that connects to it.
MAX_STREAMS = 1024


class Asker(Protocol):
    """Who sent a request and hears every response. A time-out comes as 408, a broken transport as 503 (8.1.3.1)."""

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """A provisional or the final response; of an INVITE also each repeated 2xx."""

    def repeated(self, transaction: ClientTransaction) -> None:
        """The request went out once more, with credentials, in this transaction."""


class DialogUser(Protocol):
    """Whose a dialog is."""

    def request(self, received: RequestReceived, now: float) -> None:
        """A request within it; the transaction of an ACK is None. May raise MessageError, which is answered."""


class Invited(Protocol):
    """Owner of an INVITE's server transaction."""

    def cancelled(self, now: float) -> None:
        """The CANCEL was answered; answer the INVITE."""


class Core(Protocol):
    """The machine around the stack."""

    def outside(self, received: RequestReceived, transaction: ServerTransaction, now: float) -> None:
        """A request outside any dialog. May raise MessageError, which is answered."""


class Wakeable(Protocol):
    """Something with a deadline of its own in `Stack.alarms`."""

    def wake(self, now: float) -> None:
        """The deadline has come."""

    def __hash__(self) -> int:
        """By identity."""


class Stack:
    """See the module. `listen` is where we listen: the first of a transport and family is used for sending."""

    def __init__(self, core: Core, listen: Sequence[Endpoint], chance: Chance, timing: Timing = RFC_3261) -> None:
        self.core = core
        self.listen = tuple(listen)
        self.chance = chance
        self.timing = timing
        self.transactions = Transactions(chance, timing)
        self.dialogs: dict[DialogKey, DialogUser] = {}
        self.alarms: Deadlines[Wakeable] = Deadlines()
        self.account: Account | None = None
        self.outputs: list[Output] = []
        self._framers: dict[int, StreamFramer] = {}
        self._opened: dict[Endpoint, Flow] = {}
        self._connections = 0

    # -- the machine's three methods -----------------------------------------------------------------

    def receive(self, event: NetworkEvent, now: float) -> None:
        """Take one event."""
        match event:
            case Datagram(data, flow):
                self._datagram(data, flow, now)
            case StreamOpened(flow):
                self._stream_opened(flow)
            case StreamData(data, flow):
                self._stream_data(data, flow, now)
            case StreamClosed(flow):
                self._stream_closed(flow, now)

    def wake(self, now: float) -> None:
        """Act on everything that is due."""
        self._dispatch(self.transactions.wake(now), now)
        for sleeper in self.alarms.due(now):
            sleeper.wake(now)

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due, or None."""
        mine, theirs = self.alarms.next, self.transactions.deadline
        if mine is None or theirs is None:
            return mine if theirs is None else theirs
        return min(mine, theirs)

    def take(self) -> list[Output]:
        """What is to be done and was not taken yet."""
        outputs, self.outputs = self.outputs, []
        return outputs

    # -- sending -------------------------------------------------------------------------------------

    def ask(self, request: Request, flow: Flow, asker: Asker, now: float) -> ClientTransaction:
        """Send a request in a transaction of its own; a challenge is answered without asking the asker."""
        if self.account is not None:
            self.account.authorize(request, self.chance.token())
        outgoing = Outgoing(request, flow, self.sent_by(flow), asker)
        transaction, outputs = self.transactions.request(outgoing, now)
        self._dispatch(outputs, now)
        return transaction

    def answer(self, transaction: ServerTransaction, response: Response, now: float) -> None:
        """Send a response in its transaction."""
        if not response.has("server"):
            response.add("server", SERVER)
        self._dispatch(self.transactions.respond(transaction, response, now), now)

    def refuse(self, transaction: ServerTransaction, status: int, now: float, headers: Sequence[Header] = ()) -> None:
        """Answer with nothing but a status and these headers."""
        response = response_to(transaction.request, status, to_tag=self.chance.token(), headers=headers)
        self.answer(transaction, response, now)

    def cancel(self, transaction: ClientTransaction, now: float) -> None:
        """Cancel an INVITE of ours; its 487 comes to its asker."""
        self._dispatch(self.transactions.cancel(transaction, (), now), now)

    def send_ack(self, ack: Request, flow: Flow) -> bytes:
        """Send the ACK for a 2xx, which has no transaction; returns it to be sent again (13.2.2.4)."""
        ack.prepend("via", via_value(flow.transport, self.sent_by(flow), MAGIC_COOKIE + self.chance.token()))
        data = ack.encode()
        self.outputs.append(Send(flow, data))
        return data

    # -- addresses -----------------------------------------------------------------------------------

    def sent_by(self, flow: Flow) -> str:
        """Host and port where we are reached, for Via and Contact."""
        return str(self._listener(flow.transport, flow.remote))

    def contact(self, user: str, flow: Flow) -> str:
        """Our Contact for what is sent on this flow."""
        transport = "" if flow.transport is Transport.UDP else f";transport={flow.transport}"
        return f"<sip:{user}@{self.sent_by(flow)}{transport}>"

    def flow_to(self, target: str, known: Flow) -> Flow:
        """How to reach a URI. `known` is how its owner reached us: a stream is used again (RFC 5923), and what is
        no IP address stays where it was."""
        uri = Uri.parse(target)
        literal = ":" in uri.host or uri.host.replace(".", "").isdigit()
        if known.connection or not literal:
            return known
        remote = Address(uri.host, uri.port or SIP_PORT)
        if uri.transport in ("tcp", "tls"):
            return self.flow(Endpoint(Transport.TCP, remote))
        return Flow(Transport.UDP, self._listener(Transport.UDP, remote), remote)

    def flow(self, server: Endpoint) -> Flow:
        """How to reach a server: for streams, one connection that is kept."""
        transport, remote = server
        local = self._listener(transport, remote)
        if transport is Transport.UDP:
            return Flow(transport, local, remote)
        flow = self._opened.get(server)
        if flow is None:
            self._connections += 2  # even: opened by us
            flow = self._opened[server] = Flow(transport, local, remote, self._connections)
            self._framers[flow.connection] = StreamFramer()
            self.outputs.append(Open(flow))
        return flow

    def _listener(self, transport: Transport, remote: Address) -> Address:
        fallback = self.listen[0].address
        for listener in self.listen:
            if listener.address.family == remote.family:
                if listener.transport is transport:
                    return listener.address
                fallback = listener.address
        return fallback

    # -- what came in --------------------------------------------------------------------------------

    def _datagram(self, data: bytes, flow: Flow, now: float) -> None:
        if not data.strip(b"\r\n\0 "):
            return  # a keepalive (RFC 5626 section 4.4.1)
        try:
            message = parse(data)
        except MessageError as error:
            self._dispatch(self.transactions.refuse(error, flow), now)
            return
        self._message(message, flow, now)

    def _stream_opened(self, flow: Flow) -> None:
        if flow.connection not in self._framers:
            if len(self._framers) >= MAX_STREAMS:
                self.outputs.append(Close(flow))
            else:
                self._framers[flow.connection] = StreamFramer()

    def _stream_data(self, data: bytes, flow: Flow, now: float) -> None:
        framer = self._framers.get(flow.connection)
        if framer is None:
            return
        for item in framer.feed(data):
            match item:
                case MessageError():
                    self._dispatch(self.transactions.refuse(item, flow), now)
                case Keepalive.PING:
                    self.outputs.append(Send(flow, Keepalive.PONG.value))
                case Keepalive.PONG:
                    pass
                case _:
                    self._message(item, flow, now)
        if framer.broken:
            self.outputs.append(Close(flow))

    def _stream_closed(self, flow: Flow, now: float) -> None:
        self._framers.pop(flow.connection, None)
        for server, opened in list(self._opened.items()):
            if opened.connection == flow.connection:
                del self._opened[server]
        self._dispatch(self.transactions.flow_failed(flow, now), now)

    def _message(self, message: Request | Response, flow: Flow, now: float) -> None:
        try:
            if isinstance(message, Request):
                validate(message)
            outputs = self.transactions.receive(message, flow, now)
        except MessageError as error:
            outputs = self.transactions.refuse(error, flow)
        self._dispatch(outputs, now)

    # -- to whom it may concern ----------------------------------------------------------------------

    def _dispatch(self, outputs: list[TransactionOutput], now: float) -> None:
        for output in outputs:
            match output:
                case Send():
                    self.outputs.append(output)
                case RequestReceived():
                    self._request(output, now)
                case ResponseReceived(transaction, response):
                    self._response(transaction, response, now)
                case TimedOut(transaction):
                    self._response(transaction, response_to(transaction.request, 408), now)
                case TransportFailed(transaction):
                    self._response(transaction, response_to(transaction.request, 503), now)

    def _request(self, received: RequestReceived, now: float) -> None:
        transaction = received.transaction
        try:
            self._route(received, transaction, now)
        except MessageError as error:
            if transaction is not None:
                self.refuse(transaction, error.status, now, error.headers)

    def _route(self, received: RequestReceived, transaction: ServerTransaction | None, now: float) -> None:
        request = received.request
        if request.method == "CANCEL":
            assert transaction is not None
            self._cancelled(received, transaction, now)
            return
        key = Dialog.key_of_request(request)
        # A NOTIFY may overtake the 2xx to its SUBSCRIBE and so make the dialog (RFC 6665 section 4.4.1).
        user = None if key is None else self.dialogs.get(key) or self.dialogs.get((key[0], key[1], ""))
        if user is not None:
            user.request(received, now)
        elif transaction is None:
            return  # 17.2.1, 13.3.1.4: an ACK for a dialog that is gone
        elif key is not None:
            raise MessageError("no such dialog", 481)  # 12.2.2
        else:
            self.core.outside(received, transaction, now)

    def _cancelled(self, received: RequestReceived, transaction: ServerTransaction, now: float) -> None:
        cancels = received.cancels
        if cancels is None:
            raise MessageError("nothing to cancel", 481)  # 9.2
        self.answer(transaction, response_to(transaction.request, 200, to_tag=self.chance.token()), now)
        owner = cancels.owner
        if owner is not None:
            invited: Invited = owner  # type: ignore[assignment]  # whoever owns an INVITE here is one
            invited.cancelled(now)

    def _response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        asker: Asker = transaction.owner  # type: ignore[assignment]  # `ask` takes nothing else
        if response.status in (401, 407) and self.account is not None:
            again = self.account.repeated(transaction.request, response)
            if again is not None:
                asker.repeated(self.ask(again, transaction.flow, asker, now))
                return
        try:
            asker.response(transaction, response, now)
        except MessageError:
            return  # a response that cannot be read is as good as none


def identity(user: str, host: str) -> str:
    """An address of record as From and To write it."""
    return f"<sip:{user}@{bracketed(host)}>"


def with_body(content_type: str | None, headers: Sequence[Header] = ()) -> list[Header]:
    """Headers, and the type of the body that goes with them if there is one."""
    return [*headers, header("content-type", content_type)] if content_type else list(headers)
