"""What the parts of chat share: tables, alarms and the places everybody must reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from haproxy_voip.configuration.model import BackendChatConfig, BackendConfig, Config, XmppConfig
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.deadlines import Deadlines
from haproxy_voip.proxy.chat.accounts import Accounts
from haproxy_voip.proxy.chat.backends import ChatBackends
from haproxy_voip.proxy.chat.handover import Handover
from haproxy_voip.proxy.chat.heard import HeardBefore
from haproxy_voip.proxy.chat.phases import UNDER_WAY
from haproxy_voip.proxy.chat.rooms import AWAITED
from haproxy_voip.proxy.chat.sessions import Sessions
from haproxy_voip.proxy.events import TlsStarted
from haproxy_voip.proxy.shared import Output, Wakeable
from haproxy_voip.xmpp.parser import ParserPool
from haproxy_voip.xmpp.server_stream import ServerPolicy

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.backend_leg import BackendLeg
    from haproxy_voip.proxy.chat.failover import Failovers
    from haproxy_voip.proxy.chat.line import Line
    from haproxy_voip.proxy.chat.session import Session

ANYWHERE = {4: Address("0.0.0.0", 0), 6: Address("::", 0)}


class Leg(Protocol):
    """One connection, to a client or to a backend."""

    def opened(self, now: float) -> list[Output]:
        """It is connected."""

    def tls_started(self, event: TlsStarted, now: float) -> list[Output]:
        """It is encrypted."""

    def received(self, data: bytes, now: float) -> list[Output]:
        """Bytes came."""

    def closed(self, reason: str, now: float) -> list[Output]:
        """It is gone."""


@dataclass(slots=True, eq=False)
class ChatShared:
    """One for a node; see each part's own docstring."""

    config: Config
    policy: ServerPolicy
    chance: Chance
    epoch_offset: float  # wall-clock seconds at monotonic 0, for delay stamps and rooms' history
    next_connection: Callable[[], int]
    accounts: Accounts
    backends: ChatBackends
    sessions: Sessions
    parsers: ParserPool
    alarms: Deadlines[Wakeable] = field(default_factory=Deadlines)
    legs: dict[int, Leg] = field(default_factory=dict)  # by connection number
    lines: dict[str, Line] = field(default_factory=dict)  # by backend
    former: dict[str, BackendConfig] = field(default_factory=dict)  # those that were removed and are not gone yet
    mechanisms: dict[str, tuple[str, ...]] = field(default_factory=dict)  # what each backend offered last
    features: dict[str, frozenset[str]] = field(default_factory=dict)  # and what after logging in
    waiting_for: dict[str, dict[Session, None]] = field(default_factory=dict)  # bare address: who has something for it
    owing: dict[BackendLeg, None] = field(default_factory=dict)  # to be told what is handled, at the end of this step
    heard: HeardBefore = field(default_factory=HeardBefore)
    handover: Handover = field(default_factory=Handover)
    over: list[Session] = field(default_factory=list)  # ended in this step
    failovers: Failovers = field(init=False)  # what moves sessions; needs all of this itself

    @property
    def xmpp(self) -> XmppConfig:
        """Where and how clients chat."""
        assert self.config.proxy.xmpp is not None
        return self.config.proxy.xmpp

    def owner_comes(self, room: str, session: Session) -> bool:
        """Whether somebody else of ours owns that room and is about to enter it again."""
        for other in self.sessions.in_room(room):
            theirs = other.traffic.captured.rooms.get(room)
            if other is session or theirs is None or not theirs.owner:
                continue
            if theirs.state in AWAITED or other.residence.phase in UNDER_WAY:
                return True
        return False

    def endpoint(self, backend: str) -> Endpoint:
        """Where it speaks XMPP."""
        endpoint = self._backend(backend).xmpp
        assert endpoint is not None
        return endpoint

    def settings(self, backend: str) -> BackendChatConfig:
        """How sessions are held there."""
        return self._backend(backend).chat

    def _backend(self, name: str) -> BackendConfig:
        """The removed one where there is one: of that name no other speaks XMPP yet."""
        known = self.former.get(name)
        return known or next(one for one in self.config.backends if one.name == name)

    def flow_to(self, backend: str) -> Flow:
        """A new connection's. Always TCP: where TLS comes first, it is started once the name to ask for is known."""
        address = self.endpoint(backend).address
        return Flow(Transport.TCP, ANYWHERE[address.family], address, self.next_connection())
