"""A node without sockets, phones that register at it, backends that challenge as a PBX does; a virtual clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path

from haproxy_voip.configuration.limits import LimitsConfig
from haproxy_voip.configuration.model import BackendConfig, Config, ProxyConfig, RegistrationMode, SipConfig
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.core.effects import Send
from haproxy_voip.core.events import Datagram, StreamData, StreamOpened
from haproxy_voip.proxy.effects import LookForReply, OpenCanary, Probe
from haproxy_voip.proxy.events import CanaryOpened, Looked, NodeEvent, ProbeReply
from haproxy_voip.proxy.node import Node
from haproxy_voip.sip.digest import AuthenticationSession
from haproxy_voip.sip.message import Request, Response, header, parse, response_to

DOMAIN = "voip.example"
PROXY = Address("192.0.2.1", 5060)
PHONES_OF_A_HOST, FIRST_PORT = 50_000, 1024
BACKENDS = {name: Address(f"192.0.2.1{number}", 5060) for number, name in enumerate(("alpha", "beta", "charlie"))}
EXPIRES_SECONDS = 3600

WAYS = (Transport.UDP, Transport.TCP)


def config(mode: RegistrationMode) -> Config:
    """What is not said is as usual."""
    listen = tuple(Endpoint(way, PROXY) for way in WAYS)
    return Config(
        proxy=ProxyConfig(domain=DOMAIN, sip=SipConfig(listen=listen)),
        users=Path("users.yaml"),
        backends=tuple(
            BackendConfig(name=name, sip=Endpoint(Transport.UDP, place)) for name, place in BACKENDS.items()
        ),
        registration=mode,
        limits=LimitsConfig(max_registrations=1_000_000, max_connections=1_000_000),
    )


def credentials(users: Iterable[str]) -> dict[str, Credential]:
    return {user: Credential(user, DOMAIN, password=f"secret-{user}") for user in users}


def flow_of(number: int, way: Transport) -> Flow:
    """Each phone has a port of its own, as behind a NAT."""
    host, port = divmod(number, PHONES_OF_A_HOST)
    remote = Address(f"198.51.100.{1 + host}", FIRST_PORT + port)
    return Flow(way, PROXY, remote, 0 if way is Transport.UDP else 2 * number + 1)


def register(user: str, flow: Flow) -> Request:
    """A phone's, without credentials."""
    contact = f"<sip:{user}@{flow.remote}>"
    if flow.connection:
        instance = f'"<urn:uuid:00000000-0000-1000-8000-{int(user):012x}>"'
        contact = f"<sip:{user}@{flow.remote};transport=tcp;ob>;reg-id=1;+sip.instance={instance}"
    return Request(
        "REGISTER",
        f"sip:{DOMAIN}",
        [
            header("Via", f"SIP/2.0/{flow.transport.upper()} {flow.remote};rport;branch=z9hG4bK-{user}"),
            header("Max-Forwards", "70"),
            header("From", f"<sip:{user}@{DOMAIN}>;tag=from-{user}"),
            header("To", f"<sip:{user}@{DOMAIN}>"),
            header("Call-ID", f"{user}-abcdef0123456789@{flow.remote.host}"),
            header("CSeq", "1 REGISTER"),
            header("Contact", contact),
            header("Supported", "path, outbound"),
            header("Expires", str(EXPIRES_SECONDS)),
            header("Content-Length", "0"),
        ],
    )


class World:
    """A node, its backends and its clock; the phones are known by nothing but what they are sent."""

    def __init__(self, mode: RegistrationMode, users: Iterable[str]) -> None:
        self.now = 100.0
        self._known = credentials(users)
        self.node = Node(config(mode), (DOMAIN, self._known), Chance.seeded(1), self.now)
        self._events: deque[NodeEvent] = deque()
        self._answer: Response | None = None  # what a phone was sent last
        self._nonces = 0
        self.pass_time(1.0)

    def register(self, user: str, flow: Flow) -> None:
        """From the first REGISTER to the last answer of a backend."""
        if flow.connection:
            self._take(StreamOpened(flow))
        request = register(user, flow)
        challenge = self._say(request, flow)
        session = AuthenticationSession.for_response(challenge, self._known[user])
        assert session is not None, challenge
        request.set("cseq", "2 REGISTER")
        request.set("via", f"{request.get('via')}-2")
        request.add(*session.authorization(request.method, request.uri, "cnonce"))
        answer = self._say(request, flow)
        assert answer.status == 200, answer

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while (at := self.node.deadline) is not None and at <= end:
            self.now = max(at, self.now)
            self._carry_out(self.node.wake(self.now))
            self._take()
        self.now = end

    def held(self) -> list[int]:
        """Registrations at each backend."""
        return [self.node._upstream.counts(backend)[0] for backend in BACKENDS]

    def _say(self, request: Request, flow: Flow) -> Response:
        """What the phone is answered last."""
        data = request.encode()
        self._take(StreamData(data, flow) if flow.connection else Datagram(data, flow))
        answer, self._answer = self._answer, None
        assert answer is not None
        return answer

    def _take(self, *events: NodeEvent) -> None:
        """These, and what follows from them."""
        self._events += events
        while self._events:
            self._carry_out(self.node.receive(self._events.popleft(), self.now))

    def _carry_out(self, outputs: Iterable[object]) -> None:
        for output in outputs:
            match output:
                case Send(flow, data) if flow.remote in BACKENDS.values():
                    self._events.append(Datagram(self._registrar(_request(data)).encode(), flow))
                case Send(_, data):
                    message = parse(data)
                    assert isinstance(message, Response)
                    self._answer = message
                case Probe(backend, data):
                    self._events.append(ProbeReply(backend, response_to(_request(data), 200, None, "probe").encode()))
                case LookForReply(backend, number):
                    self._events.append(Looked(backend, number))
                case OpenCanary(backend):
                    self._events.append(CanaryOpened(backend))
                case _:
                    pass

    def _registrar(self, request: Request) -> Response:
        """A backend's answer."""
        if request.get("authorization") is None:
            self._nonces += 1
            challenge = f'Digest realm="pbx", nonce="{self._nonces:032x}", algorithm=MD5, qop="auth"'
            return response_to(request, 401, None, "pbx", [header("WWW-Authenticate", challenge)])
        contact = f"{request.get('contact')};expires={request.get('expires')}"
        return response_to(request, 200, None, "pbx", [header("Contact", contact)])


def _request(data: bytes) -> Request:
    message = parse(data)
    assert isinstance(message, Request)
    return message
