"""The node: everything that reaches the proxy comes in here, and is handed to the part that knows what to do.

bytes -> framing -> transactions -> who sent it? -> inside a dialog: the other leg
                                                 -> outside: registrar, calls, inquiries
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Flow
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.core.effects import Close, Send
from haproxy_voip.core.events import Datagram, StreamClosed, StreamData, StreamOpened
from haproxy_voip.proxy import unusable
from haproxy_voip.proxy.admin import Admin
from haproxy_voip.proxy.authentication import Authentication
from haproxy_voip.proxy.backends import Backends, Judgement
from haproxy_voip.proxy.calls import Calls
from haproxy_voip.proxy.evacuation import Evacuation
from haproxy_voip.proxy.events import (
    BackendsSilent,
    CanaryClosed,
    CanaryOpened,
    Command,
    Looked,
    MediaFailed,
    MediaLatched,
    MediaPrints,
    MediaRefused,
    MediaReport,
    NodeEvent,
    PortsFree,
    PortsTaken,
    ProbeRefused,
    ProbeReply,
    RelayInUse,
)
from haproxy_voip.proxy.facts import MediaCarried, MediaTrouble, MessageRefused
from haproxy_voip.proxy.inquiry import Inquiries
from haproxy_voip.proxy.isolation import apart, ended
from haproxy_voip.proxy.leg import Legs, Side
from haproxy_voip.proxy.network import Network
from haproxy_voip.proxy.reception import Parts, Reception
from haproxy_voip.proxy.registrar import Registrar
from haproxy_voip.proxy.shared import Output, Owner, Shared
from haproxy_voip.proxy.subscriptions import Subscriptions
from haproxy_voip.proxy.topology import Topology
from haproxy_voip.proxy.upstream import Upstream
from haproxy_voip.rtp.ports import PortPool
from haproxy_voip.sip.bindings import Bindings
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.framing import Keepalive
from haproxy_voip.sip.message import Request, Response, parse, response_to
from haproxy_voip.sip.timers import RFC_3261
from haproxy_voip.sip.transactions import (
    ClientTransaction,
    RequestReceived,
    ResponseReceived,
    TimedOut,
    TransactionOutput,
    Transactions,
    TransportFailed,
)
from haproxy_voip.sip.validation import validate

# Shorter datagrams hold no message: CRLF keepalives (RFC 5626 section 4.4.1 over TCP, habit over UDP), zero bytes.
SHORTEST_MESSAGE = 16


class Node:
    """The whole proxy as one machine; see core.machine for the laws.

    `epoch_offset` plus monotonic `now` is wall-clock seconds, which nonces carry. Their key is each node's own: after a
    restart phones are challenged once more.
    """

    def __init__(
        self,
        config: Config,
        users: tuple[str, Mapping[str, Credential]],
        chance: Chance,
        now: float,
        epoch_offset: float = 0.0,
    ) -> None:
        network = Network(config)
        legs = Legs()
        hosts = tuple(dict.fromkeys(backend.sip.address.host for backend in config.backends))
        topology = Topology(config.proxy.domain, network.own_hosts, hosts, legs)
        authentication = Authentication(users[0], users[1], chance, epoch_offset, config.proxy.digest)
        ports = PortPool(config.media.ports.low, config.media.ports.high, config.media.quarantine)
        transactions = Transactions(chance, RFC_3261)
        self._shared = Shared(
            config, chance, network, transactions, legs, topology, ports, authentication, RFC_3261, now
        )
        self.backends = Backends(config, network, chance, now)
        self._upstream = Upstream(self._shared, self._targets)
        self._calls = Calls(self._shared, self._doubt, lambda: self.backends.eligible, self._upstream)
        self._subscriptions = Subscriptions(self._shared)
        self._inquiries = Inquiries(self._shared, self._subscriptions, self._doubt, lambda: self.backends.eligible)
        self._registrar = Registrar(self._shared, self._upstream)
        self._reception = Reception(
            self._shared,
            Parts(self.backends, self._registrar, self._calls, self._inquiries, self._subscriptions, self._upstream),
        )
        self._evacuation = Evacuation(
            self._shared, self.backends, self._calls, self._inquiries, self._subscriptions, self._upstream
        )
        self._admin = Admin(
            self._shared,
            self.backends,
            self._evacuation,
            self._registrar,
            self._upstream,
            self._calls,
            self._subscriptions,
        )
        self._inherited: set[int] = set()  # media ports that an earlier process's streams still use
        self._handlers = self._takers()

    # -- the machine --------------------------------------------------------------------------------

    def receive(self, event: NodeEvent, now: float) -> list[Output]:
        """Take one event."""
        self._shared.now = now
        return self._handlers[type(event)](event, now)

    def wake(self, now: float) -> list[Output]:
        """Act on everything that is due."""
        self._shared.now = now
        outputs: list[Output] = []
        at = self.backends.deadline
        if at is not None and at <= now:
            outputs += self._judged(self.backends.wake(now), now)
        at = self._shared.transactions.deadline
        if at is not None and at <= now:
            outputs += self._told(self._shared.transactions.wake(now), now)
        alarms = self._shared.alarms
        for _ in range(len(alarms)):  # one by one: who wakes may end what was due as well; and no oftener, ever
            sleeper = alarms.pop(now)
            if sleeper is None:
                break
            outputs += apart(lambda one, at: one.wake(at), sleeper, now)
        return outputs

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due. Asked after every event, so there is no list and no generator here."""
        earliest = self.backends.deadline
        at = self._shared.transactions.deadline
        if earliest is None or (at is not None and at < earliest):
            earliest = at
        at = self._shared.alarms.next
        return at if earliest is None or (at is not None and at < earliest) else earliest

    def _takers(self) -> dict[type, Callable[[Any, float], list[Output]]]:
        """Who takes which event."""
        return {
            Datagram: self._datagram,
            StreamOpened: self._stream_opened,
            StreamData: self._stream_data,
            StreamClosed: self._stream_closed,
            ProbeReply: lambda event, now: self._judged(self.backends.answered(event.backend, event.data, now), now),
            ProbeRefused: lambda event, now: self._judged(self.backends.refused(event.backend, now), now),
            Looked: lambda event, now: self._judged(self.backends.looked(event.backend, event.number, now), now),
            CanaryOpened: lambda event, now: self._judged(self.backends.canary_opened(event.backend, now), now),
            CanaryClosed: lambda event, now: self._judged(self.backends.canary_closed(event.backend, now), now),
            MediaLatched: lambda event, now: [],
            MediaFailed: self._media_failed,
            MediaReport: self._media_report,
            MediaRefused: self._media_refused,
            MediaPrints: self._media_prints,
            BackendsSilent: self._backends_silent,
            PortsTaken: self._ports_taken,
            PortsFree: self._ports_free,
            RelayInUse: self._relay_in_use,
            Command: self._command,
        }

    # -- bytes --------------------------------------------------------------------------------------

    def _datagram(self, event: Datagram, now: float) -> list[Output]:
        data = event.data
        if len(data) < SHORTEST_MESSAGE and not data.strip(b"\r\n\0 "):
            return []
        try:
            message = parse(data)
        except MessageError as error:
            return self._refuse(error, event.flow)
        return self._message(message, event.flow, now)

    def _stream_opened(self, event: StreamOpened, now: float) -> list[Output]:
        return list(self._shared.network.opened(event.flow))

    def _stream_data(self, event: StreamData, now: float) -> list[Output]:
        outputs: list[Output] = []
        for item in self._shared.network.read(event):
            match item:
                case MessageError():
                    outputs += self._refuse(item, event.flow)
                case Keepalive():
                    if item is Keepalive.PING:
                        outputs.append(Send(event.flow, b"\r\n"))
                case _:
                    outputs += self._message(item, event.flow, now)
        if self._shared.network.broken(event.flow):
            outputs.append(Close(event.flow))
        return outputs

    def _stream_closed(self, event: StreamClosed, now: float) -> list[Output]:
        self._shared.network.closed(event.flow)
        return self._told(self._shared.transactions.flow_failed(event.flow, now), now)

    def _message(self, message: Request | Response, flow: Flow, now: float) -> list[Output]:
        try:
            if isinstance(message, Request):
                validate(message)
            else:
                message.top_via, message.cseq  # noqa: B018 - what the transaction layer needs is there, or it is dropped
        except MessageError as error:
            return self._refuse(error, flow)
        backend = self._shared.network.backend_at(flow.remote)
        if backend is not None:
            self.backends.seen(backend, now)
        return self._told(self._shared.transactions.receive(message, flow, now), now)

    def _refuse(self, error: MessageError, flow: Flow) -> list[Output]:
        """A bad message: answered if it can be, and nothing else happens."""
        answer = [item for item in self._shared.transactions.refuse(error, flow) if isinstance(item, Send)]
        if not answer and error.partial is not None:
            answer = _answered_to_source(error.partial, error.status, flow)
        return [*answer, MessageRefused(flow, error.status if answer else 0, error.reason)]

    # -- what the transaction layer tells -----------------------------------------------------------

    def _told(self, told: list[TransactionOutput], now: float) -> list[Output]:
        outputs: list[Output] = []
        for item in told:
            match item:
                case Send():
                    outputs.append(item)
                case RequestReceived():
                    outputs += apart(self._reception.request, item, now, self._cannot)
                case ResponseReceived():
                    outputs += apart(self._response, item, now, _owner_ended)
                case TimedOut():
                    outputs += apart(_timed_out, item, now, _owner_ended)
                case TransportFailed():
                    outputs += apart(_transport_failed, item, now, _owner_ended)
        return outputs

    def _cannot(self, item: RequestReceived, now: float) -> list[Output]:
        """A mistake of ours met this request."""
        transaction = item.transaction
        if transaction is None or (transaction.last_status or 0) >= 200:
            return []
        return self._shared.refuse(transaction, 500, now)

    def _response(self, item: ResponseReceived, now: float) -> list[Output]:
        transaction, response = item.transaction, item.response
        owner = _owner(transaction)
        try:
            return owner.response(transaction, response, now)
        except MessageError as error:
            fact = MessageRefused(transaction.flow, 0, f"unusable {response.status}: {error.reason}")
        if response.status < 200:
            return [fact]
        outputs = unusable.undo(self._shared, transaction, response, now)
        return [fact, *outputs, *owner.response(transaction, unusable.stand_in(transaction.request), now)]

    # -- what the backends' health tells ------------------------------------------------------------

    def _judged(self, judged: list[Judgement], now: float) -> list[Output]:
        return self._evacuation.carry_out(judged, now)

    def _doubt(self, backend: str, reason: str, now: float) -> list[Output]:
        """Passive signals only make a probe due; they never fell a backend, so nothing moves from in here."""
        return self._evacuation.carry_out(self.backends.doubt(backend, reason, now), now)

    def _targets(self) -> list[str]:
        """The backends that shall hold registrations."""
        pool = self.backends.pool
        if self._shared.config.registration == "mirror":
            return pool.occupied
        return [] if pool.active is None else [pool.active]

    # -- media --------------------------------------------------------------------------------------

    def _media_failed(self, event: MediaFailed, now: float) -> list[Output]:
        self._calls.cannot_bind(event.stream)
        return [MediaTrouble(event.stream, event.reason)]

    def _media_report(self, event: MediaReport, now: float) -> list[Output]:
        self._calls.fingerprints.forget(event.stream)
        client, backend = event.client, event.backend
        heard = (client.packets, client.lost, client.jitter, backend.packets, backend.lost, backend.jitter)
        return [MediaCarried(event.stream, *heard, *self._shared.removed.pop(event.stream, ("", "")))]

    def _media_prints(self, event: MediaPrints, now: float) -> list[Output]:
        for one in event.prints:
            self._calls.fingerprints.heard(one.stream, one.side, one.payload_hash, one.at)
        if not event.complete:
            self._calls.fingerprints.missed()
        return []

    def _backends_silent(self, event: BackendsSilent, now: float) -> list[Output]:
        """Media stopped: ask each of these backends at once whether it lives."""
        outputs: list[Output] = []
        for backend, (silent, calls) in self._calls.carriers_of(event.streams).items():
            outputs += self._judged(self.backends.media_silent(backend, silent, calls, now), now)
        return outputs

    def _media_refused(self, event: MediaRefused, now: float) -> list[Output]:
        backend = self._calls.carrier_of(event.stream) if event.side == Side.BACKEND else None
        return [] if backend is None else self._judged(self.backends.media_refused(backend, now), now)

    def _ports_taken(self, event: PortsTaken, now: float) -> list[Output]:
        self._inherited |= self._shared.ports.occupy(frozenset(event.ports))
        return []

    def _ports_free(self, event: PortsFree, now: float) -> list[Output]:
        for port in event.ports:
            if port in self._inherited:
                self._inherited.remove(port)
                self._shared.ports.give_back(port, now)
        return []

    def _relay_in_use(self, event: RelayInUse, now: float) -> list[Output]:
        self._admin.relay = event
        return []

    # -- people -------------------------------------------------------------------------------------

    def _command(self, event: Command, now: float) -> list[Output]:
        return self._admin.command(event, now)

    @property
    def bindings(self) -> Bindings:
        """Every contact of every user."""
        return self._registrar.bindings

    def replace_users(self, realm: str, credentials: Mapping[str, Credential]) -> None:
        """Know these users from now on; contacts of those who are gone run out."""
        self._shared.authentication.replace(realm, credentials)


def _answered_to_source(request: Request, status: int, flow: Flow) -> list[Send]:
    """For a request whose Via cannot be read: the flow it came by is as good (RFC 3581 section 4)."""
    data = response_to(request, status).encode()
    return [] if b"\0" in data else [Send(flow, data)]


def _timed_out(item: TimedOut, now: float) -> list[Output]:
    return _owner(item.transaction).failed(item.transaction, "no answer", now)


def _transport_failed(item: TransportFailed, now: float) -> list[Output]:
    return _owner(item.transaction).failed(item.transaction, "connection failed", now)


def _owner_ended(item: ResponseReceived | TimedOut | TransportFailed, now: float) -> list[Output]:
    return ended(_owner(item.transaction), now)


def _owner(transaction: ClientTransaction) -> Owner:
    """Every client transaction of ours has one (`Shared.ask`)."""
    return cast("Owner", transaction.owner)
