"""The node: everything that reaches the proxy comes in here, and is handed to the part that knows what to do.

bytes -> framing -> transactions -> who sent it? -> inside a dialog: the other leg
                                                 -> outside: registrar, calls, inquiries
      -> on a chat listener, or on a stream of chat's -> chat
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Flow
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.core.effects import Close, Send
from haproxy_voip.core.events import Datagram, StreamClosed, StreamData, StreamOpened
from haproxy_voip.proxy import unusable
from haproxy_voip.proxy.admin import Admin
from haproxy_voip.proxy.admission import Admission
from haproxy_voip.proxy.authentication import Authentication
from haproxy_voip.proxy.backends import Backends, Judgement
from haproxy_voip.proxy.calls import Calls
from haproxy_voip.proxy.chat.admin import ChatAdmin
from haproxy_voip.proxy.chat.chat import Chat
from haproxy_voip.proxy.effects import Left
from haproxy_voip.proxy.entrusted import Entrusted, registrar
from haproxy_voip.proxy.evacuation import Evacuation
from haproxy_voip.proxy.events import (
    AskedToStop,
    CanaryClosed,
    CanaryOpened,
    Command,
    DeepProbeDone,
    Lagging,
    Looked,
    NamesMissing,
    NodeEvent,
    ProbeRefused,
    ProbeReply,
    Reconfigured,
    RelayInUse,
    StreamProbeReply,
    TlsStarted,
)
from haproxy_voip.proxy.facts import MessageRefused
from haproxy_voip.proxy.inquiry import Inquiries
from haproxy_voip.proxy.isolation import apart
from haproxy_voip.proxy.leg import Legs
from haproxy_voip.proxy.network import Network
from haproxy_voip.proxy.owners import owner_ended, owner_of, timed_out, transport_failed
from haproxy_voip.proxy.passing import Passing
from haproxy_voip.proxy.reception import Parts, Reception
from haproxy_voip.proxy.reconfiguration import Reconfiguration
from haproxy_voip.proxy.relay_reports import RelayReports
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.sources import Sources, spared
from haproxy_voip.proxy.stopping import Stopping
from haproxy_voip.proxy.subscriptions import Subscriptions
from haproxy_voip.proxy.together import Together
from haproxy_voip.proxy.topology import Topology
from haproxy_voip.proxy.trunk_registration import TrunkRegistrations
from haproxy_voip.proxy.trunks import Trunks
from haproxy_voip.proxy.unfinished import Unfinished
from haproxy_voip.proxy.upstream import Upstream
from haproxy_voip.rtp.ports import PortPool
from haproxy_voip.sip.bindings import Bindings
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.framing import Keepalive
from haproxy_voip.sip.message import Request, Response, parse, response_to
from haproxy_voip.sip.timers import RFC_3261
from haproxy_voip.sip.transactions import (
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
        topology = Topology(config.proxy.domain, network.own_hosts, network.backend_hosts, legs)
        passing = Passing(on=config.authentication == "backend")
        callers = {} if passing.on else _callers(users[1])
        authentication = Authentication(users[0], callers, chance, epoch_offset, config.proxy.digest)
        ports = PortPool(config.media.ports.low, config.media.ports.high, config.media.quarantine)
        transactions = Transactions(chance, RFC_3261)
        sources = Sources(config.limits, spared(config.limits, network.backend_hosts, config.trunks))
        self._shared = Shared(
            config, chance, network, transactions, legs, topology, ports, authentication, RFC_3261,
            Admission(chance), sources, now=now, passing=passing,
        )  # fmt: skip
        self._sources, self._barred = sources, sources.barred
        self._unfinished = Unfinished(self._shared)
        self.backends = Backends(config, network, chance, now)
        chats = config.proxy.xmpp is not None
        self.chat = Chat(config, users[1], network, chance, now, epoch_offset) if chats else None
        self._upstream = Entrusted(self._shared) if passing.on else Upstream(self._shared, self._targets)
        self._calls = Calls(self._shared, self._doubt, self.backends.choice, self._upstream)
        self._subscriptions = Subscriptions(self._shared)
        self._inquiries = Inquiries(self._shared, self._subscriptions, self._doubt, self.backends.choice)
        self._registrar = registrar(self._shared, self._upstream, self._inquiries, self.backends.choice.home)
        trunks = Trunks(config.trunks, chance)
        self._trunks = TrunkRegistrations(self._shared, trunks, now)
        parts = Parts(
            self.backends, self._registrar, self._calls, self._inquiries, self._subscriptions, self._upstream, trunks,
        )  # fmt: skip
        self._reception = Reception(self._shared, parts)
        self._evacuation = Evacuation(
            self._shared, self.backends, self._calls, self._inquiries, self._subscriptions, self._upstream
        )
        self._reconfiguration = Reconfiguration(self._shared, parts, self._evacuation)
        self._admin = Admin(
            self._shared, self.backends, self._evacuation, self._registrar, self._upstream, self._calls,
            self._subscriptions,
        )  # fmt: skip
        self._relay_reports = RelayReports(self._shared, self._calls, self.backends, self._judged)
        self._stopping = Stopping(self._shared, self._calls, self._leave, lambda: self._admin.relay.relay)
        self._admin.trunks, self._admin.stopping = self._trunks, self._stopping
        if self.chat is not None:
            self._admin.chat = ChatAdmin(self.chat.shared)
        self._together: Together | None = None
        if self.chat is not None and config.failover.together:
            self._together = Together(self.backends, self._evacuation, self.chat)
        self._handlers = self._takers()

    # -- the machine --------------------------------------------------------------------------------

    def receive(self, event: NodeEvent, now: float) -> list[Output]:
        """Take one event."""
        self._shared.now = now
        outputs = self._handlers[type(event)](event, now)
        return outputs if self._together is None else [*outputs, *self._together.follow(now)]

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
        if self.chat is not None:
            at = self.chat.deadline
            if at is not None and at <= now:
                outputs += self.chat.wake(now)
        return outputs if self._together is None else [*outputs, *self._together.follow(now)]

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due. Asked after every event, so there is no list and no generator here."""
        earliest = self.backends.deadline
        at = self._shared.transactions.deadline
        if earliest is None or (at is not None and at < earliest):
            earliest = at
        at = self._shared.alarms.next
        if earliest is None or (at is not None and at < earliest):
            earliest = at
        if self.chat is None:
            return earliest
        at = self.chat.deadline
        return at if earliest is None or (at is not None and at < earliest) else earliest

    def _takers(self) -> dict[type, Callable[[Any, float], list[Output]]]:
        """Who takes which event."""
        return {
            Datagram: self._datagram,
            StreamOpened: self._for_chat(self._stream_opened, lambda chat, event: chat.owns(event.flow)),
            StreamData: self._for_chat(self._stream_data, lambda chat, event: chat.owns(event.flow)),
            StreamClosed: self._for_chat(self._stream_closed, lambda chat, event: chat.owns(event.flow)),
            TlsStarted: self._for_chat(lambda event, now: [], lambda chat, event: True),
            StreamProbeReply: self._for_chat(lambda event, now: [], lambda chat, event: True),
            DeepProbeDone: self._for_chat(lambda event, now: [], lambda chat, event: True),
            ProbeReply: lambda event, now: self._judged(self.backends.answered(event.backend, event.data, now), now),
            ProbeRefused: self._for_chat(
                lambda event, now: self._judged(self.backends.refused(event.backend, now), now), _of_chat
            ),
            Looked: self._for_chat(
                lambda event, now: self._judged(self.backends.looked(event.backend, event.number, now), now), _of_chat
            ),
            CanaryOpened: self._for_chat(
                lambda event, now: self._judged(self.backends.canary_opened(event.backend, now), now), _of_chat
            ),
            CanaryClosed: self._for_chat(
                lambda event, now: self._judged(self.backends.canary_closed(event.backend, now), now), _of_chat
            ),
            RelayInUse: self._admin.told,
            NamesMissing: self._admin.told,
            Lagging: self._lagging,
            **self._relay_reports.takers(),
            Reconfigured: self._reconfigured,
            Command: self._admin.command,
            AskedToStop: self._stopping.asked,
        }

    def _for_chat(
        self, otherwise: Callable[[Any, float], list[Output]], concerns: Callable[[Chat, Any], bool]
    ) -> Callable[[Any, float], list[Output]]:
        """Chat takes what concerns it."""
        chat = self.chat
        if chat is None:
            return otherwise
        return lambda event, now: chat.receive(event, now) if concerns(chat, event) else otherwise(event, now)

    # -- bytes --------------------------------------------------------------------------------------

    def _datagram(self, event: Datagram, now: float) -> list[Output]:
        if self._barred and self._sources.bars(event.flow, now):
            return []
        data = event.data
        if len(data) < SHORTEST_MESSAGE and not data.strip(b"\r\n\0 "):
            return []
        try:
            message = parse(data)
        except MessageError as error:
            return self._refuse(error, event.flow, now)
        return self._message(message, event.flow, now)

    def _stream_opened(self, event: StreamOpened, now: float) -> list[Output]:
        if self._barred and self._sources.bars(event.flow, now):
            return [Close(event.flow)]
        return list(self._shared.network.opened(event.flow))

    def _stream_data(self, event: StreamData, now: float) -> list[Output]:
        outputs: list[Output] = []
        if self._barred and self._sources.bars(event.flow, now):
            return [Close(event.flow)]
        for item in self._unfinished.read(event, now):
            match item:
                case MessageError():
                    outputs += self._refuse(item, event.flow, now)
                case Keepalive():
                    if item is Keepalive.PING:
                        outputs.append(Send(event.flow, b"\r\n"))
                case _:
                    outputs += self._message(item, event.flow, now)
        if self._shared.network.broken(event.flow):
            outputs.append(Close(event.flow))
        return outputs

    def _stream_closed(self, event: StreamClosed, now: float) -> list[Output]:
        self._unfinished.closed(event.flow)
        return self._told(self._shared.transactions.flow_failed(event.flow, now), now)

    def _message(self, message: Request | Response, flow: Flow, now: float) -> list[Output]:
        try:
            if isinstance(message, Request):
                validate(message)
            else:
                message.top_via, message.cseq  # noqa: B018 - what the transaction layer needs is there, or it is dropped
        except MessageError as error:
            return self._refuse(error, flow, now)
        backend = self._shared.network.backend_at(flow.remote)
        if backend is not None:
            self.backends.seen(backend, now)
        return self._told(self._shared.transactions.receive(message, flow, now), now)

    def _refuse(self, error: MessageError, flow: Flow, now: float) -> list[Output]:
        """A bad message: answered if it can be, and nothing else happens."""
        answer = [item for item in self._shared.transactions.refuse(error, flow) if isinstance(item, Send)]
        if not answer and error.partial is not None:
            answer = _answered_to_source(error.partial, error.status, flow)
        fact = MessageRefused(flow, error.status if answer else 0, error.reason)
        return [*answer, fact, *self._sources.malformed(flow, now)]

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
                    outputs += apart(self._response, item, now, owner_ended)
                case TimedOut():
                    outputs += apart(timed_out, item, now, owner_ended)
                case TransportFailed():
                    outputs += apart(transport_failed, item, now, owner_ended)
        return outputs

    def _cannot(self, item: RequestReceived, now: float) -> list[Output]:
        """A mistake of ours met this request."""
        transaction = item.transaction
        if transaction is None or (transaction.last_status or 0) >= 200:
            return []
        return self._shared.refuse(transaction, 500, now)

    def _response(self, item: ResponseReceived, now: float) -> list[Output]:
        transaction, response = item.transaction, item.response
        owner = owner_of(transaction)
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

    # -- people -------------------------------------------------------------------------------------

    def _lagging(self, event: Lagging, now: float) -> list[Output]:
        return list(self._shared.admission.measured(event.seconds, self._shared.config.limits.max_lag, now))

    def _reconfigured(self, event: Reconfigured, now: float) -> list[Output]:
        # First the trunks: a carrier that is left is told where it was, which the network forgets.
        outputs = self._trunks.reconfigured(event.config.trunks, now) + self._reconfiguration.take(event, now)
        if self.chat is not None:
            outputs += self.chat.reconfigured(event.config, now)
        if event.users is not None:
            self.replace_users(*event.users)
        return outputs

    def _leave(self, word: Left, now: float) -> list[Output]:
        """Chat clients and carriers are told; `word` comes when the latter have answered."""
        chat = [] if self.chat is None else self.chat.leave(now)
        return [*chat, *self._trunks.leave(word, now)]

    @property
    def bindings(self) -> Bindings:
        """Every contact of every user."""
        return self._registrar.bindings

    def replace_users(self, realm: str, credentials: Mapping[str, Credential]) -> None:
        """Know these users from now on; contacts of those who are gone run out."""
        if not self._shared.passing.on:
            self._shared.authentication.replace(realm, _callers(credentials))
        if self.chat is not None:
            self.chat.replace_users(credentials)


def _callers(users: Mapping[str, Credential]) -> Mapping[str, Credential]:
    """Those who may telephone: who is of another domain, or known by keys for chat alone, may not."""
    return {name: credential for name, credential in users.items() if credential.can_call and "@" not in name}


def _of_chat(chat: Chat, event: ProbeRefused | Looked | CanaryOpened | CanaryClosed) -> bool:
    return event.service == chat.shared.backends.service


def _answered_to_source(request: Request, status: int, flow: Flow) -> list[Send]:
    """For a request whose Via cannot be read: the flow it came by is as good (RFC 3581 section 4)."""
    data = response_to(request, status).encode()
    return [] if b"\0" in data else [Send(flow, data)]
