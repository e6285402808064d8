"""Registrars behind the node, which challenge, grant, refuse and tire as real ones do, and TCP between both.

stage = Servers()
stage.server("alpha").capacity = 100
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from haproxy_voip.configuration.model import BackendConfig, Config, HealthConfig
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.credential import Credential
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.core.events import Datagram, StreamClosed, StreamData, StreamOpened
from haproxy_voip.sip.digest import Authenticator, Verified
from haproxy_voip.sip.framing import StreamFramer
from haproxy_voip.sip.message import Request, Response, header, response_to
from tests.proxy.stage import NAMES, USERS, Peer, Stage, config

# Probes are not what these tests are about, and each costs time; a killed backend is noticed without them.
SLOW_PROBES = HealthConfig(inter=5.0, timeout=0.060)
TCP_BACKENDS = tuple(
    BackendConfig(name=name, sip=Endpoint(Transport.TCP, Address(f"127.0.0.1{number}", 5060)))
    for number, name in enumerate(NAMES, 1)
)


@dataclass
class Server:
    """One registrar. Contacts are kept by the user part of their URI."""

    passwords: dict[str, str]
    algorithms: tuple[str, ...] = ()  # none: no questions asked
    capacity: int = 0  # REGISTERs taken per second; 0: all
    retry_after: str = ""  # beyond it
    least: int = 0  # Min-Expires
    granted: int | None = None
    silent: bool = False
    contacts: dict[str, float] = field(default_factory=dict)  # until when
    asked: list[tuple[float, Request]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    nonce_life: float = 300.0
    _second: tuple[int, int] = (0, 0)
    _authenticator: Authenticator | None = None
    _made: float = 0.0

    def register(self, request: Request, now: float) -> Response | None:
        self.asked.append((now, request))
        if self.silent:
            return None
        response = self._answer(request, now)
        self.statuses.append(response.status)
        return response

    def _answer(self, request: Request, now: float) -> Response:
        if self.capacity and self._tired(now):
            extra = (header("Retry-After", self.retry_after),) if self.retry_after else ()
            return response_to(request, 503, None, "server", extra)
        if self.algorithms:
            challenge = self._challenge(request, now)
            if challenge is not None:
                return challenge
        expires = int(request.get("expires") or 0)
        if 0 < expires < self.least:
            return response_to(request, 423, None, "server", (header("Min-Expires", str(self.least)),))
        contact = request.contacts[0]
        granted = expires if self.granted is None else min(expires, self.granted)
        self.contacts.pop(contact.uri.user or "", None)
        if granted:
            self.contacts[contact.uri.user or ""] = now + granted
        value = f"{request.get('contact')};expires={granted}"
        return response_to(request, 200, None, "server", (header("Contact", value),))

    def _tired(self, now: float) -> bool:
        second, count = self._second
        self._second = (int(now), count + 1 if second == int(now) else 1)
        return self._second[1] > self.capacity

    def _challenge(self, request: Request, now: float) -> Response | None:
        if self._authenticator is None or now - self._made > self.nonce_life:
            known = {user: Credential(user, "pbx", password=password) for user, password in self.passwords.items()}
            self._authenticator = Authenticator("pbx", known.get, bytes(str(now), "ascii") * 4, self.algorithms)
            self._made = now
        outcome = self._authenticator.authenticate(request, now)
        if isinstance(outcome, Verified):
            return None
        values = self._authenticator.challenge(now, outcome.stale)
        return response_to(request, 401, None, "server", [header("WWW-Authenticate", value) for value in values])

    def restart(self) -> None:
        self.contacts.clear()
        self._authenticator = None


class Servers(Stage):
    """A stage whose backends are registrars, reached in `delay` seconds, over UDP or TCP."""

    def __init__(self, settings: Config | None = None, users: Iterable[str] = USERS, **changes: object) -> None:
        self.delay = 0.001
        self.no_tcp: set[str] = set()  # backends that refuse connections
        self.streams_of: dict[str, Flow] = {}
        self.opened: list[Flow] = []
        self._framers: dict[int, StreamFramer] = {}
        self._servers: dict[str, Server] = {}
        self._later: list[tuple[float, int, object]] = []
        self._serial = 0
        super().__init__(settings or config(**{"health": SLOW_PROBES, **changes}), users=users)

    def server(self, name: str) -> Server:
        if name not in self._servers:
            self._servers[name] = Server({user: f"secret{user}" for user in self.credentials})
        return self._servers[name]

    # -- time ---------------------------------------------------------------------------------------

    def later(self, seconds: float, event: object) -> None:
        self._serial += 1
        heapq.heappush(self._later, (self.now + seconds, self._serial, event))

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            due = self.node.deadline
            later = self._later[0][0] if self._later else end + 1
            at = later if due is None else min(due, later)
            if at > end:
                break
            self.now = max(at, self.now)
            if at == due:
                self.carry_out(self.node.wake(self.now))
            else:
                self.feed(heapq.heappop(self._later)[2])
        self.now = end

    # -- effects ------------------------------------------------------------------------------------

    def carry_out(self, outputs: list[object]) -> None:
        for output in outputs:
            match output:
                case Open(flow):
                    self._open(flow)
                case Close(flow):
                    self.later(0.0, StreamClosed(flow, "closed"))
                case Send(flow, data) if flow.connection and not flow.connection % 2:
                    self._by_stream(flow, data)
                case _:
                    super().carry_out([output])

    def backend_at(self, flow: Flow) -> str:
        return next(name for name, peer in self.backends.items() if peer.flow.remote == flow.remote)

    def _open(self, flow: Flow) -> None:
        name = self.backend_at(flow)
        self.opened.append(flow)
        if name in self.no_tcp | self.dead:
            self.later(self.delay, StreamClosed(flow, "refused"))
            return
        self._framers[flow.connection] = StreamFramer()
        self.later(self.delay, StreamOpened(flow))

    def _by_stream(self, flow: Flow, data: bytes) -> None:
        if flow.connection not in self._framers:
            return
        peer = self.backends[self.backend_at(flow)]
        peer.flow = flow
        self.streams[flow.connection] = peer
        super().carry_out([Send(flow, data)])

    def cut(self, name: str) -> None:
        """The TCP connection to this backend ends."""
        flow = self.backends[name].flow
        self._framers.pop(flow.connection, None)
        self.feed(StreamClosed(flow, "reset"))

    def _check_topology(self, peer: Peer, data: bytes) -> None:
        if len(self.peers) < 50:  # with many phones it takes longer than all the rest
            super()._check_topology(peer, data)

    def _deliver(self, flow: Flow, data: bytes) -> None:
        name = next((name for name, peer in self.backends.items() if peer.flow.remote == flow.remote), None)
        if name is None or not self.registrar or not data.startswith(b"REGISTER"):
            super()._deliver(flow, data)
            return
        if name in self.dead | self.frozen:
            return
        peer = self.backends[name]
        request = _parsed(data)
        self._check_topology(peer, data)
        answer = self.server(name).register(request, self.now)
        if answer is not None:
            event = StreamData if flow.connection else Datagram
            self.later(self.delay, event(answer.encode(), flow))

    # -- the end ------------------------------------------------------------------------------------

    def assert_nothing_left(self, registered: bool = False) -> None:
        """When all is said, nothing is kept but what registrations need."""
        self.pass_time(75)
        shared = self.node._shared
        assert len(shared.transactions) == 0
        assert len(shared.legs) == 0
        assert shared.ports.in_use == 0
        assert not self.plans
        assert len(self.node._subscriptions) == 0
        assert not self.node._subscriptions._asked
        assert not self.node._subscriptions._renewals
        assert not any(self.node._inquiries._by_backend.values())
        if registered:
            return
        for peer in [*self.peers.values(), *self.streams.values()]:
            if peer.user in self.credentials and self.node.bindings.of(peer.user):
                unregister(peer)
        self.pass_time(75)
        # The registrar's one alarm may still be set for contacts that are gone.
        assert set(shared.alarms._entries) <= {self.node._registrar}
        assert len(shared.transactions) == 0
        assert not self.node._upstream._made
        assert not any(len(line) for line in self.node._upstream._lines.values())


def register(peer: Peer, *, status: int = 200, **headers: str) -> Response:
    """A REGISTER, and its answer. All of one peer's share a Call-ID, as a phone's do."""
    peer.count += 1
    domain = peer.stage.domain
    headers = {"expires": "600", "call_id": f"reg-{peer.host}", "cseq": str(2 * peer.count), **headers}
    peer.request("REGISTER", f"sip:{domain}", to=f"<sip:{peer.user}@{domain}>", **headers)
    return peer.take_response(status)


def unregister(peer: Peer) -> Response:
    return register(peer, contact="*", expires="0")


def _parsed(data: bytes) -> Request:
    from haproxy_voip.sip.message import parse

    message = parse(data)
    assert isinstance(message, Request)
    return message
