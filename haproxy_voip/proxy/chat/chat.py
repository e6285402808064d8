"""The chat part of the node: its connections, its health, its alarms. A machine like the node itself.

bytes -> framing -> negotiation -> session -> the backend that carries it, and back
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from haproxy_voip.configuration.model import WILDCARDS, Config
from haproxy_voip.core.address import Flow
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.core.effects import Close, Send
from haproxy_voip.core.events import StreamClosed, StreamData, StreamOpened
from haproxy_voip.proxy.backends import Judgement
from haproxy_voip.proxy.chat.accounts import Accounts
from haproxy_voip.proxy.chat.backend_leg import BackendLeg
from haproxy_voip.proxy.chat.backends import ChatBackends
from haproxy_voip.proxy.chat.client_leg import ClientLeg
from haproxy_voip.proxy.chat.failover import Failovers
from haproxy_voip.proxy.chat.line import Line
from haproxy_voip.proxy.chat.sessions import Sessions
from haproxy_voip.proxy.chat.shared import ChatShared, Leg
from haproxy_voip.proxy.departures import Departures
from haproxy_voip.proxy.events import (
    CanaryClosed,
    CanaryOpened,
    DeepProbeDone,
    Looked,
    ProbeRefused,
    StreamProbeReply,
    TlsStarted,
)
from haproxy_voip.proxy.facts import BackendGone
from haproxy_voip.proxy.isolation import apart
from haproxy_voip.proxy.network import Network
from haproxy_voip.proxy.shared import Output
from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.parser import ParserPool
from haproxy_voip.xmpp.server_stream import ServerPolicy

SECRET_BYTES = 32

ChatEvent = (
    StreamOpened
    | StreamData
    | StreamClosed
    | TlsStarted
    | StreamProbeReply
    | DeepProbeDone
    | ProbeRefused
    | Looked
    | CanaryOpened
    | CanaryClosed
)


def _with_users(config: Config) -> set[str]:
    """The domains whose users we know; of the others' only backends can tell if a password is right."""
    own = {config.proxy.domain} if config.users is not None else set()
    return own | {domain.name for domain in (config.proxy.xmpp and config.proxy.xmpp.domains) or () if domain.users}


class Chat:
    """See the module. Made only where `proxy.xmpp` is configured."""

    def __init__(
        self,
        config: Config,
        users: Mapping[str, Credential],
        network: Network,
        chance: Chance,
        now: float,
        epoch_offset: float = 0.0,
    ) -> None:
        assert config.proxy.xmpp is not None
        names = list(config.xmpp_endpoints)
        self.shared = ChatShared(
            config=config,
            policy=_policy(config, chance.bytes(SECRET_BYTES)),
            chance=chance,
            epoch_offset=epoch_offset,
            next_connection=network.next_connection,
            accounts=Accounts(config.proxy.domain, users, chance),
            backends=ChatBackends(config, network, chance, now),
            sessions=Sessions(names),
            parsers=ParserPool(),
        )
        self.shared.lines = {name: Line(self.shared, name) for name in names}
        self.shared.failovers = Failovers(self.shared)
        self.shared.backends.ask_session = self._ask_session
        self._departures = Departures(
            self.shared.alarms, self.shared.backends.pool, self._carries, lambda name: False, self._drop
        )
        self.shared.failovers.retired = self._departures.watch

    # -- the machine --------------------------------------------------------------------------------

    def owns(self, flow: Flow) -> bool:
        """Whether this stream is chat's: one it opened, or one accepted by a listener of its own."""
        if flow.connection in self.shared.legs:
            return True
        host, port = flow.local
        if flow.connection % 2 == 0:
            return port == 0  # ours, and given up: see `ChatShared.flow_to`
        listeners = (endpoint.address for endpoint in self.shared.xmpp.listen)
        return any(port == one and at in (host, *WILDCARDS) for at, one in listeners)

    def receive(self, event: ChatEvent, now: float) -> list[Output]:
        """Take one event."""
        match event:
            case StreamOpened(flow):
                outputs = self._opened(flow, now)
            case StreamData(data, flow):
                outputs = self._apart(flow, lambda leg, at: leg.received(data, at), now)
            case TlsStarted():
                outputs = self._apart(event.flow, lambda leg, at: leg.tls_started(event, at), now)
            case StreamClosed(flow, reason):
                outputs = self._apart(flow, lambda leg, at: leg.closed(reason, at), now)
            case _:
                outputs = self._judged(self._signal(event, now), now)
        return self._step_over(outputs)

    def wake(self, now: float) -> list[Output]:
        """Act on everything that is due."""
        outputs: list[Output] = []
        backends, alarms = self.shared.backends, self.shared.alarms
        if backends.deadline is not None and backends.deadline <= now:
            outputs += self._judged(backends.wake(now), now)
        for _ in range(len(alarms)):  # one by one: who wakes may end what was due as well; and no oftener, ever
            sleeper = alarms.pop(now)
            if sleeper is None:
                break
            outputs += apart(lambda one, at: one.wake(at), sleeper, now)
        return self._step_over(outputs)

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due."""
        health_at, alarm_at = self.shared.backends.deadline, self.shared.alarms.next
        return alarm_at if health_at is None or (alarm_at is not None and alarm_at < health_at) else health_at

    def replace_users(self, credentials: Mapping[str, Credential]) -> None:
        """Know these users from now on; sessions that are there go on."""
        self.shared.accounts.replace(credentials)

    def leave(self, now: float) -> list[Output]:
        """The process is about to end (RFC 6120 section 4.9.3.20). Servers keep what away clients never had."""
        error = StreamError(StreamCondition.SYSTEM_SHUTDOWN)
        legs = [leg for leg in self.shared.legs.values() if isinstance(leg, ClientLeg)]
        outputs = [out for leg in legs for out in apart(lambda one, at: one.close(error, at), leg, now)]
        away = list(self.shared.sessions.all)
        outputs += [out for session in away for out in apart(lambda one, at: one.finish(error, at), session, now)]
        return self._step_over(outputs)

    # -- another configuration ----------------------------------------------------------------------

    def reconfigured(self, config: Config, now: float) -> list[Output]:
        """It is in force. Sessions at backends that were removed move; streams that are there go on as they began."""
        shared = self.shared
        before = {backend.name: backend for backend in shared.config.backends}
        shared.config = config
        shared.policy = _policy(config, shared.policy.fake_secret)
        judged = shared.backends.reconfigure(config, now)
        known = before | shared.former
        leaving = [name for name, member in shared.backends.pool.members.items() if member.leaving]
        shared.former = {name: known[name] for name in leaving}
        for name in config.xmpp_endpoints:
            if name not in shared.lines:
                shared.lines[name] = Line(shared, name)
        return self._step_over(self._judged(judged, now))

    def _carries(self, backend: str) -> bool:
        shared = self.shared
        return (
            any(isinstance(leg, BackendLeg) and leg.backend == backend for leg in shared.legs.values())
            or bool(shared.sessions.by_backend[backend])
            or any(session.residence.reserve.target == backend for session in shared.sessions.all)
        )

    def _drop(self, backend: str, now: float) -> list[Output]:
        shared = self.shared
        for session in shared.sessions.all:
            session.residence.reserve.left.pop(backend, None)
        shared.alarms.set(shared.lines[backend], None)
        for table in (shared.sessions.by_backend, shared.lines, shared.former, shared.mechanisms, shared.features):
            table.pop(backend, None)
        return [*shared.backends.drop(backend), BackendGone(backend, "xmpp")]

    # -----------------------------------------------------------------------------------------------

    def _opened(self, flow: Flow, now: float) -> list[Output]:
        if flow.connection not in self.shared.legs:
            if flow.connection % 2 == 0:
                return [Close(flow)]  # given up while it was made
            self.shared.legs[flow.connection] = ClientLeg(self.shared, flow)
        return self._apart(flow, lambda leg, at: leg.opened(at), now)

    def _apart(self, flow: Flow, act: Callable[[Leg, float], list[Output]], now: float) -> list[Output]:
        leg = self.shared.legs.get(flow.connection)
        return [] if leg is None else apart(act, leg, now)

    def _signal(
        self, event: StreamProbeReply | DeepProbeDone | ProbeRefused | Looked | CanaryOpened | CanaryClosed, now: float
    ) -> list[Judgement]:
        backends = self.shared.backends
        match event:
            case StreamProbeReply(backend, number):
                return backends.probe_answered(backend, number, now)
            case DeepProbeDone():
                return backends.deep_probe_done(event, now)
            case ProbeRefused(backend):
                return backends.refused(backend, now)
            case Looked(backend, number):
                return backends.looked(backend, number, now)
            case CanaryOpened(backend):
                return backends.canary_opened(backend, now)
            case CanaryClosed(backend):
                return backends.canary_closed(backend, now)

    def _judged(self, judged: list[Judgement], now: float) -> list[Output]:
        return self.shared.failovers.carry_out(judged, now)

    def _ask_session(self, backend: str, number: int) -> list[Output] | None:
        """Have a session there ask for an acknowledgement; each has its turn."""
        sessions = self.shared.sessions.by_backend[backend]
        for _ in range(len(sessions)):
            session = next(iter(sessions))
            sessions[session] = sessions.pop(session)
            leg = session.residence.active
            if leg is not None and leg.ready:
                return leg.probe(number)
        return None

    def _step_over(self, outputs: list[Output]) -> list[Output]:
        """Let go of what has ended; bytes for one flow leave as one."""
        if self.shared.owing:
            for leg in self.shared.owing:
                outputs += leg.tell_handled()
            self.shared.owing.clear()
        if self.shared.over:
            for session in self.shared.over:
                session.cut()
            self.shared.over.clear()
        if len(outputs) < 2:
            return outputs
        joined: list[Output] = []
        pieces: list[bytes] = []
        for output in outputs:
            before = joined[-1] if joined else None
            if isinstance(output, Send) and isinstance(before, Send) and before.flow is output.flow:
                pieces = pieces or [before.data]
                pieces.append(output.data)
                continue
            if pieces and isinstance(before, Send):
                before.data, pieces = b"".join(pieces), []
            joined.append(output)
        if pieces and isinstance(joined[-1], Send):
            joined[-1].data = b"".join(pieces)
        return joined


def _policy(config: Config, fake_secret: bytes) -> ServerPolicy:
    xmpp = config.proxy.xmpp
    assert xmpp is not None
    return ServerPolicy(
        domains=frozenset(config.chat_domains),
        fake_secret=fake_secret,
        tls_offered=config.proxy.tls is not None or any(one.certificate for one in xmpp.domains),
        tls_required=xmpp.starttls == "required",
        mechanisms=xmpp.mechanisms,
        plain_only=frozenset(config.chat_domains) - _with_users(config),
    )
