"""The transaction layer (RFC 3261 section 17, RFC 6026, RFC 4320, RFC 3581).

Sans-I/O: messages come in parsed and validated, with the flow they came by; what comes out is bytes to send and
what the user of the layer, the transaction user (TU), has to know. The four machines decide; this file holds the
messages, finds the machine, and carries its actions out.

1. Nothing here is proportional to the number of transactions: a look-up each, and one heap of deadlines.
2. A transaction is forgotten the moment its machine is terminated, and once by `_forget` alone.
3. The TU acknowledges each 2xx itself and repeats its own 2xx (13.2.2.4, 13.3.1.4): neither is of a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from haproxy_voip.core.address import Flow
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.deadlines import Deadlines
from haproxy_voip.core.effects import Send
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.headers import MAGIC_COOKIE
from haproxy_voip.sip.hop import ack_to_failure, cancel_of, mark_source, reply_flow, via_value
from haproxy_voip.sip.invite_client import InviteClient
from haproxy_voip.sip.invite_client import State as InviteClientState
from haproxy_voip.sip.invite_server import InviteServer
from haproxy_voip.sip.matching import Key, client_key, merge_key, server_key
from haproxy_voip.sip.message import Header, Request, Response, header, response_to
from haproxy_voip.sip.non_invite_client import NonInviteClient
from haproxy_voip.sip.non_invite_server import NonInviteServer
from haproxy_voip.sip.timers import RFC_3261, Action, Actions, Timing
from haproxy_voip.sip.transaction import AckMissing as AckMissing
from haproxy_voip.sip.transaction import ClientTransaction as ClientTransaction
from haproxy_voip.sip.transaction import Outgoing as Outgoing
from haproxy_voip.sip.transaction import RequestReceived as RequestReceived
from haproxy_voip.sip.transaction import ResponseReceived as ResponseReceived
from haproxy_voip.sip.transaction import ServerTransaction as ServerTransaction
from haproxy_voip.sip.transaction import StrayResponse as StrayResponse
from haproxy_voip.sip.transaction import TimedOut as TimedOut
from haproxy_voip.sip.transaction import TransactionOutput as TransactionOutput
from haproxy_voip.sip.transaction import TransportFailed as TransportFailed

# At 32 s each and two for every forwarded request, 1,500 requests per second: more than one Python process takes.
MAX_TRANSACTIONS = 100_000
# Kept for what ends things or belongs to calls that exist, CANCEL and requests with a To tag.
RESERVED_TRANSACTIONS = MAX_TRANSACTIONS // 8
RETRY_AFTER = 10  # seconds, at most: spread, or all who were refused come back together (RFC 7339)

PARTING = ("BYE", "CANCEL")


class Transactions:
    """All transactions of one node."""

    __slots__ = (
        "_chance",
        "_clients",
        "_deadlines",
        "_limit",
        "_merge",
        "_servers",
        "_stateless_tag",
        "_streams",
        "_timing",
    )

    def __init__(self, chance: Chance, timing: Timing = RFC_3261, limit: int = MAX_TRANSACTIONS) -> None:
        self._chance = chance
        self._timing = timing
        self._limit = limit
        self._clients: dict[Key, ClientTransaction] = {}
        self._servers: dict[Key, ServerTransaction] = {}
        self._merge: dict[Key, ServerTransaction] = {}
        # Client transactions on each connection, so that its end tells those and no others.
        self._streams: dict[int, dict[ClientTransaction, None]] = {}
        self._deadlines: Deadlines[ClientTransaction | ServerTransaction] = Deadlines()
        # 8.2.7: the repeat of a request answered without state must get the same To tag again.
        self._stateless_tag = chance.token()

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    @property
    def parting(self) -> bool:
        """Whether a BYE or CANCEL of ours is not answered yet. Not for hot paths: it looks at each transaction."""
        return any(one.request.method in PARTING and not one.answered for one in self._clients.values())

    # --- in ----------------------------------------------------------------------------------------------------

    def receive(self, message: Request | Response, flow: Flow, now: float) -> list[TransactionOutput]:
        """Take a message that came by `flow`. Requests must have passed `validate`."""
        if isinstance(message, Request):
            return self._receive_request(message, flow, now)
        return self._receive_response(message, flow, now)

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due, or None."""
        return self._deadlines.next

    def wake(self, now: float) -> list[TransactionOutput]:
        """Act on everything that is due."""
        outputs: list[TransactionOutput] = []
        for transaction in self._deadlines.due(now):
            actions = transaction.machine.wake(now)
            if isinstance(transaction, ClientTransaction):
                outputs += self._carry_out(transaction, actions)
            else:
                outputs += self._carry_out_server(transaction, actions)
        return outputs

    def flow_failed(self, flow: Flow, now: float) -> list[TransactionOutput]:
        """A stream ended or could not be opened: unanswered requests on it have failed (17.1.4)."""
        outputs: list[TransactionOutput] = []
        for transaction in list(self._streams.get(flow.connection, ())):
            outputs += self._carry_out(transaction, transaction.machine.transport_failed())
        return outputs

    # --- asked by the TU ---------------------------------------------------------------------------------------

    def request(self, outgoing: Outgoing, now: float) -> tuple[ClientTransaction, list[TransactionOutput]]:
        """Send a request other than ACK and CANCEL in a transaction of its own."""
        request, flow = outgoing.request, outgoing.flow
        branch = MAGIC_COOKIE + self._chance.token()
        request.prepend("via", via_value(flow.transport, outgoing.sent_by, branch))
        invite = request.method == "INVITE"
        machine = (InviteClient if invite else NonInviteClient)(flow.reliable, self._timing)
        key = (branch.lower(), request.method)
        transaction = ClientTransaction(request, flow, outgoing.owner, key, machine, request.encode())
        return transaction, self._start(transaction, now)

    def respond(self, transaction: ServerTransaction, response: Response, now: float) -> list[TransactionOutput]:
        """Answer a request. What must not be sent any more, or at all (RFC 4320), is dropped."""
        if transaction.ended:
            return []
        actions = transaction.machine.respond(response.status, now)
        if actions:
            transaction.data = response.encode()
            transaction.last_status = response.status
        return self._carry_out_server(transaction, actions)

    def cancel(self, transaction: ClientTransaction, headers: Iterable[Header], now: float) -> list[TransactionOutput]:
        """Cancel an INVITE we sent. Its final response, 487 as a rule, is delivered as always.

        9.1: "If no provisional response has been received, the CANCEL request MUST NOT be sent; rather, the client
        MUST wait for the arrival of a provisional response": it is remembered.
        """
        assert transaction.is_invite, transaction.request
        if transaction.answered or transaction.cancel_headers is not None:
            return []
        transaction.cancel_headers = tuple(headers)
        return self._send_cancel(transaction, now)

    def hush(self, transaction: ClientTransaction) -> None:
        """Send this INVITE no more: who shall answer seems dead. An answer that comes yet is delivered."""
        if isinstance(transaction.machine, InviteClient) and not transaction.ended:
            transaction.machine.hush()
            self._settle(transaction)

    def send_again(
        self, transaction: ClientTransaction, flow: Flow, sent_by: str, now: float
    ) -> list[TransactionOutput]:
        """Begin a request that failed with its connection anew on another flow.

        To the TU it stays the same transaction; to the peer it is a new one, with a branch of its own.
        """
        assert transaction.ended
        branch = MAGIC_COOKIE + self._chance.token()
        request = transaction.request
        request.set_first("via", via_value(flow.transport, sent_by, branch))
        transaction.machine = (InviteClient if transaction.is_invite else NonInviteClient)(flow.reliable, self._timing)
        transaction.key, transaction.flow = (branch.lower(), request.method), flow
        transaction.data, transaction.ended = request.encode(), False
        return self._start(transaction, now)

    def abandon(self, transaction: ClientTransaction | ServerTransaction) -> None:
        """Forget it at once: who should answer, or be answered, is gone."""
        if not transaction.ended:
            self._forget(transaction)

    def refuse(self, error: MessageError, flow: Flow) -> list[TransactionOutput]:
        """Answer a bad request without keeping state (8.2.7), if it can be answered."""
        if error.partial is None:
            return []
        return self._answer_statelessly(error.partial, flow, error.status, error.headers)

    # --- requests that came ------------------------------------------------------------------------------------

    def _receive_request(self, request: Request, flow: Flow, now: float) -> list[TransactionOutput]:
        method, via = request.method, request.top_via
        if method == "ACK":
            return self._receive_ack(request, flow, now)
        key = server_key(request, via, method)
        known = self._servers.get(key)
        if known is not None:
            return self._carry_out_server(known, known.machine.repeated(now))
        cancel = method == "CANCEL"
        cancels = self._servers.get(server_key(request, via, "INVITE")) if cancel else None
        merge = None if cancel else merge_key(request)
        if self._full(begins=merge is not None):
            retry_after = header("retry-after", str(1 + self._chance.below(RETRY_AFTER)))
            return self._answer_statelessly(request, flow, 503, (retry_after,))
        mark_source(request, via, flow.remote)
        machine = (InviteServer if method == "INVITE" else NonInviteServer)(flow.reliable, self._timing)
        transaction = ServerTransaction(request, reply_flow(via, flow), key, machine, merge)
        self._servers[key] = transaction
        if merge is not None and self._merge.setdefault(merge, transaction) is not transaction:
            return self._answer_merged(transaction, now)
        received = RequestReceived(transaction, request, flow, cancels)
        return self._carry_out_server(transaction, machine.start(now), received)

    def _full(self, begins: bool) -> bool:
        """Whether there is no room for a request; one that begins something has less of it."""
        return len(self) >= (self._limit if begins else self._limit + RESERVED_TRANSACTIONS)

    def _receive_ack(self, request: Request, flow: Flow, now: float) -> list[TransactionOutput]:
        received = RequestReceived(None, request, flow)
        known = self._servers.get(server_key(request, request.top_via, "INVITE"))
        if known is None:
            return [received]
        assert isinstance(known.machine, InviteServer)
        return self._carry_out_server(known, known.machine.ack(now), received)

    def _answer_merged(self, transaction: ServerTransaction, now: float) -> list[TransactionOutput]:
        # 8.2.2.2: the same request by two ways; whoever forked it upstream needs one answer only.
        transaction.merge_key = None  # the entry is the first one's
        transaction.machine.start(now)
        return self.respond(transaction, response_to(transaction.request, 482, to_tag=self._chance.token()), now)

    def _answer_statelessly(
        self, request: Request, flow: Flow, status: int, headers: tuple[Header, ...]
    ) -> list[TransactionOutput]:
        if request.method == "ACK":
            return []
        try:
            via = request.top_via
        except MessageError:
            return []  # nowhere to send it
        mark_source(request, via, flow.remote)
        data = response_to(request, status, to_tag=self._stateless_tag, headers=headers).encode()
        # What we copy may be what was wrong: a NUL refused must not be a NUL sent.
        return [] if b"\0" in data else [Send(reply_flow(via, flow), data)]

    def _carry_out_server(
        self, transaction: ServerTransaction, actions: Actions, received: RequestReceived | None = None
    ) -> list[TransactionOutput]:
        outputs: list[TransactionOutput] = []
        for action in actions:
            match action:
                case Action.SEND:
                    outputs.append(Send(transaction.flow, transaction.data))
                case Action.TRYING:
                    transaction.data = response_to(transaction.request, 100).encode()
                    outputs.append(Send(transaction.flow, transaction.data))
                case Action.DELIVER:
                    assert received is not None
                    outputs.append(received)
                case Action.ACK_MISSING:
                    outputs.append(AckMissing(transaction))
                case Action.ACK | Action.TIMED_OUT | Action.TRANSPORT_FAILED:
                    raise AssertionError(action)  # a client's
                case _:
                    assert_never(action)
        self._settle(transaction)
        return outputs

    # --- responses that came -----------------------------------------------------------------------------------

    def _receive_response(self, response: Response, flow: Flow, now: float) -> list[TransactionOutput]:
        try:
            transaction = self._clients.get(client_key(response))
            if transaction is None:
                _ = response.top_via, response.to, response.call_id  # what the TU will look at
                return [StrayResponse(response, flow)]
        except MessageError:
            return []  # nobody's: there is no answer to a response
        outputs = self._carry_out(transaction, transaction.machine.receive(response.status, now), response)
        if transaction.cancel_headers is not None and response.status < 200:
            outputs += self._send_cancel(transaction, now)
        return outputs

    def _carry_out(
        self, transaction: ClientTransaction, actions: Actions, response: Response | None = None
    ) -> list[TransactionOutput]:
        outputs: list[TransactionOutput] = []
        for action in actions:
            match action:
                case Action.SEND:
                    outputs.append(Send(transaction.flow, transaction.data))
                case Action.ACK:
                    assert response is not None
                    outputs.append(Send(transaction.flow, ack_to_failure(transaction.request, response).encode()))
                case Action.DELIVER:
                    assert response is not None
                    outputs.append(ResponseReceived(transaction, response))
                case Action.TIMED_OUT:
                    outputs.append(TimedOut(transaction))
                case Action.TRANSPORT_FAILED:
                    outputs.append(TransportFailed(transaction))
                case Action.TRYING | Action.ACK_MISSING:
                    raise AssertionError(action)  # a server's
                case _:
                    assert_never(action)
        self._settle(transaction)
        return [output for output in outputs if isinstance(output, Send)] if transaction.quiet else outputs

    def _start(self, transaction: ClientTransaction, now: float) -> list[TransactionOutput]:
        self._clients[transaction.key] = transaction
        if transaction.flow.reliable:
            self._streams.setdefault(transaction.flow.connection, {})[transaction] = None
        return self._carry_out(transaction, transaction.machine.start(now))

    def _send_cancel(self, transaction: ClientTransaction, now: float) -> list[TransactionOutput]:
        """Send the CANCEL that was asked for, if its time has come and not gone."""
        machine = transaction.machine
        if transaction.cancel_sent or not isinstance(machine, InviteClient):
            return []
        if machine.state is not InviteClientState.PROCEEDING:
            return []
        transaction.cancel_sent = True
        machine.cancelled(now)
        self._settle(transaction)
        request, flow = cancel_of(transaction.request, transaction.cancel_headers or ()), transaction.flow
        cancel = NonInviteClient(flow.reliable, self._timing)
        key = (transaction.key[0], "CANCEL")
        return self._start(ClientTransaction(request, flow, None, key, cancel, request.encode(), quiet=True), now)

    # --- the end -----------------------------------------------------------------------------------------------

    def _settle(self, transaction: ClientTransaction | ServerTransaction) -> None:
        if transaction.machine.terminated:
            self._forget(transaction)
        else:
            self._deadlines.set(transaction, transaction.machine.deadline)

    def _forget(self, transaction: ClientTransaction | ServerTransaction) -> None:
        transaction.ended = True
        self._deadlines.set(transaction, None)
        if isinstance(transaction, ServerTransaction):
            self._servers.pop(transaction.key, None)
            if transaction.merge_key is not None:
                self._merge.pop(transaction.merge_key, None)
            return
        self._clients.pop(transaction.key, None)
        on_stream = self._streams.get(transaction.flow.connection)
        if on_stream is not None:
            on_stream.pop(transaction, None)
            if not on_stream:
                del self._streams[transaction.flow.connection]
