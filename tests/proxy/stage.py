"""A stage for one node: clients and backends that do what the test says, on a virtual clock.

    stage = Stage()
    alice = stage.phone("1001"); bob = stage.phone("1002")
    call = alice.request("INVITE", "sip:1002@voip.test", body=OFFER)
    stage.alpha.take("INVITE")

Every message the node sends is kept by whom it was sent to until the test takes it. Whatever a client was sent is
searched for backend addresses and the other way round: topology hiding is checked in every test.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from haproxy_voip.configuration.model import (
    BackendConfig,
    Config,
    HealthConfig,
    LimitsConfig,
    MediaConfig,
    PortRange,
    ProxyConfig,
    SipConfig,
    TimersConfig,
)
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.core.events import Datagram, StreamData, StreamOpened
from haproxy_voip.proxy.effects import (
    CloseCanary,
    InstallStream,
    LookForReply,
    OpenCanary,
    Probe,
    RemoveStream,
    Reply,
    StirCanary,
)
from haproxy_voip.proxy.events import CanaryClosed, CanaryOpened, Command, Looked, ProbeRefused, ProbeReply
from haproxy_voip.proxy.facts import SessionFailed
from haproxy_voip.proxy.node import Node
from haproxy_voip.sip.digest import AuthenticationSession
from haproxy_voip.sip.message import Request, Response, header, parse, response_to
from haproxy_voip.sip.validation import validate

DOMAIN = "voip.test"
PROXY = Address("127.0.0.10", 5060)
NAMES = ("alpha", "beta", "charlie")
USERS = ("1001", "1002", "1003")

OFFER = (
    "v=0\r\no=phone 1 1 IN IP4 {host}\r\ns=talk\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
)


def config(**changes: object) -> Config:
    """Three backends on UDP; tests change what they are about."""
    listen = (Endpoint(Transport.UDP, PROXY), Endpoint(Transport.TCP, PROXY))
    fields: dict[str, object] = {
        "proxy": ProxyConfig(domain=DOMAIN, sip=SipConfig(listen=listen)),
        "users": Path("users.yaml"),
        "backends": tuple(
            BackendConfig(name=name, sip=Endpoint(Transport.UDP, Address(f"127.0.0.1{number}", 5060)))
            for number, name in enumerate(NAMES, 1)
        ),
        "health": HealthConfig(),
        "media": MediaConfig(ports=PortRange(20000, 20399)),
        "timers": TimersConfig(),
        "limits": LimitsConfig(),
    }
    fields.update(changes)
    return Config(**fields)  # type: ignore[arg-type]


@dataclass(eq=False)
class Peer:
    """A client or a backend: sends what the test says, keeps what it was sent."""

    stage: Stage
    flow: Flow  # as the node sees it
    user: str = ""
    inbox: list[Request | Response] = field(default_factory=list)
    seen: list[Request | Response] = field(default_factory=list)
    count: int = 0
    pongs: int = 0  # keep-alives that came back

    @property
    def host(self) -> str:
        return self.flow.remote.host

    @property
    def contact(self) -> str:
        return f"<sip:{self.user or 'pbx'}@{self.flow.remote}>"

    def offer(self, port: int = 7000) -> bytes:
        return OFFER.format(host=self.host, port=port).encode()

    # -- sending ------------------------------------------------------------------------------------

    def send(self, message: Request | Response | bytes) -> None:
        data = message if isinstance(message, bytes) else message.encode()
        reliable = self.flow.connection != 0
        self.stage.feed(StreamData(data, self.flow) if reliable else Datagram(data, self.flow))

    def via(self) -> str:
        self.count += 1
        transport = self.flow.transport.upper()
        return f"SIP/2.0/{transport} {self.flow.remote};branch=z9hG4bK-{self.user}-{self.host}-{self.count};rport"

    def new(self, method: str, uri: str, *, to: str | None = None, body: bytes = b"", **headers: str) -> Request:
        """A request outside any dialog. Header names with _ for -."""
        cseq = headers.pop("cseq", "1")
        call_id = headers.pop("call_id", f"call-{self.user}-{self.count}@{self.host}")
        sender = headers.pop("from_", f"<sip:{self.user or 'pbx'}@{self.stage.domain}>;tag=from{self.user}{self.count}")
        lines = [
            header("Via", self.via()),
            header("Max-Forwards", headers.pop("max_forwards", "70")),
            header("From", sender),
            header("To", to or f"<{uri}>"),
            header("Call-ID", call_id),
            header("CSeq", f"{cseq} {method}"),
            header("Contact", headers.pop("contact", self.contact)),
        ]
        if body:
            lines.append(header("Content-Type", headers.pop("content_type", "application/sdp")))
        lines += [header(name.replace("_", "-"), value) for name, value in headers.items()]
        return Request(method, uri, lines, body)

    def request(self, method: str, uri: str, **arguments: object) -> Request:
        """Send a request outside any dialog, answering the node's challenge; returns it as it was accepted."""
        request = self.new(method, uri, **arguments)  # type: ignore[arg-type]
        self.send(request)
        challenge = self.inbox[-1] if self.inbox else None
        if isinstance(challenge, Response) and challenge.status in (401, 407):
            self.inbox.pop()
            if method == "INVITE":
                self.send(self.ack_failure(request, challenge))
            request = self.authorized(request, challenge)
            self.send(request)
        return request

    def authorized(self, request: Request, challenge: Response) -> Request:
        session = AuthenticationSession.for_response(challenge, self.stage.credentials[self.user])
        assert session is not None
        again = request.copy()
        again.set("via", self.via())
        again.set("cseq", f"{request.cseq.number + 1} {request.method}")
        again.add(*session.authorization(request.method, request.uri, "cnonce"))
        return again

    def ack_failure(self, request: Request, response: Response) -> Request:
        lines = [line for line in request.headers if line[0] in ("via", "from", "call-id", "max-forwards")]
        lines += [header("To", response.get("to") or ""), header("CSeq", f"{request.cseq.number} ACK")]
        return Request("ACK", request.uri, lines)

    def cancel(self, request: Request) -> None:
        lines = [line for line in request.headers if line[0] in ("via", "from", "to", "call-id", "max-forwards")]
        self.send(Request("CANCEL", request.uri, [*lines, header("CSeq", f"{request.cseq.number} CANCEL")]))

    def answer(self, request: Request, status: int, *, tag: str = "", body: bytes = b"", **headers: str) -> Response:
        """Answer a request the node sent us."""
        response = response_to(request, status, None, tag or f"to{self.user}{self.host}")
        if 100 < status < 300 and request.method in ("INVITE", "SUBSCRIBE", "UPDATE", "REFER"):
            response.add("Contact", headers.pop("contact", self.contact))
        response.headers.extend(line for line in request.headers if line[0] == "record-route")
        if body:
            response.add("Content-Type", "application/sdp")
        for name, value in headers.items():
            response.add(name.replace("_", "-"), value)
        response.body = body
        self.send(response)
        return response

    # -- in a dialog --------------------------------------------------------------------------------

    def within(self, ours: Request | Response, theirs: Request | Response, method: str, cseq: int) -> Request:
        """A request in the dialog made by a request and its response; one of them is ours."""
        made = theirs if isinstance(theirs, Response) else ours
        asked = ours if isinstance(ours, Request) else theirs
        caller = isinstance(ours, Request)
        local, remote = (made.get("from"), made.get("to")) if caller else (made.get("to"), made.get("from"))
        target = str((made if caller else asked).contacts[0].uri)
        lines = [
            header("Via", self.via()),
            header("Max-Forwards", "70"),
            header("From", local or ""),
            header("To", remote or ""),
            header("Call-ID", made.call_id),
            header("CSeq", f"{cseq} {method}"),
        ]
        return Request(method, target, lines)

    def ack(self, request: Request, response: Response, body: bytes = b"") -> None:
        ack = self.within(request, response, "ACK", request.cseq.number)
        if body:
            ack.add("Content-Type", "application/sdp")
            ack.body = body
        self.send(ack)

    # -- taking -------------------------------------------------------------------------------------

    def take(self, what: str | int) -> Request | Response:
        """The first message of this method or status that was not taken yet."""
        for index, message in enumerate(self.inbox):
            kind = message.method if isinstance(message, Request) else message.status
            if kind == what:
                return self.inbox.pop(index)
        raise AssertionError(f"{self.user or self.host} was not sent {what}, but {self.inbox}")

    def take_request(self, method: str) -> Request:
        message = self.take(method)
        assert isinstance(message, Request)
        return message

    def take_response(self, status: int) -> Response:
        message = self.take(status)
        assert isinstance(message, Response)
        return message


class Stage:
    """One node, its backends and its clock."""

    def __init__(self, settings: Config | None = None, seed: int = 1, users: Iterable[str] = USERS) -> None:
        self.now = 100.0
        self.config = settings or config()
        self.domain = self.config.proxy.domain
        self.credentials = {user: Credential(user, self.domain, password=f"secret{user}") for user in users}
        self.node = Node(self.config, (self.domain, self.credentials), Chance.seeded(seed), self.now)
        self.facts: list[object] = []
        self.replies: list[Reply] = []
        self.plans: dict[int, InstallStream] = {}
        self.removed: list[int] = []
        self.peers: dict[Address, Peer] = {}
        self.streams: dict[int, Peer] = {}
        self.dead: set[str] = set()  # killed: probes are refused, the canary closes
        self.frozen: set[str] = set()  # silent
        self.mistakes_expected = False  # by a test that makes one
        self.backends: dict[str, Peer] = {}
        for backend in self.config.backends:
            flow = Flow(Transport.UDP, PROXY, backend.sip.address)
            self.backends[backend.name] = self.peers[backend.sip.address] = Peer(self, flow)
        self.carriers = {trunk.name: self._carrier(trunk.address) for trunk in self.config.trunks}
        self.registrar = True  # backends accept REGISTER by themselves
        self.pass_time(0.3)

    @property
    def alpha(self) -> Peer:
        return self.backends["alpha"]

    @property
    def beta(self) -> Peer:
        return self.backends["beta"]

    @property
    def charlie(self) -> Peer:
        return self.backends["charlie"]

    def _carrier(self, endpoint: Endpoint) -> Peer:
        new = Peer(self, Flow(endpoint.transport, PROXY, endpoint.address), "carrier")
        return self.peers.setdefault(endpoint.address, new)

    # -- making peers -------------------------------------------------------------------------------

    def client(self, user: str, host: str | None = None) -> Peer:
        address = Address(host or f"127.0.1.{user[-2:].lstrip('0')}", 5060)
        peer = self.peers[address] = Peer(self, Flow(Transport.UDP, PROXY, address), user)
        return peer

    def phone(self, user: str, host: str | None = None) -> Peer:
        """A client that is registered."""
        peer = self.client(user, host)
        peer.request("REGISTER", f"sip:{self.domain}", to=f"<sip:{user}@{self.domain}>", expires="600")
        peer.take(200)
        return peer

    def connected(self, user: str, connection: int, host: str | None = None) -> Peer:
        """A client on TCP."""
        remote = Address(host or f"127.0.1.{user[-2:].lstrip('0')}", 40000 + connection)
        flow = Flow(Transport.TCP, PROXY, remote, connection)
        peer = self.streams[connection] = Peer(self, flow, user)
        self.feed(StreamOpened(flow))
        return peer

    def token_of(self, user: str, number: int = 0) -> str:
        """The user part of our contact at the backends for this user's binding."""
        return self.node.bindings.of(user)[number].key

    # -- time and events ----------------------------------------------------------------------------

    def feed(self, event: object) -> None:
        if self.node.deadline is not None and self.node.deadline <= self.now:
            self.carry_out(self.node.wake(self.now))
        self.carry_out(self.node.receive(event, self.now))  # type: ignore[arg-type]

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while (at := self.node.deadline) is not None and at <= end:
            self.now = max(at, self.now)
            self.carry_out(self.node.wake(self.now))
        self.now = end

    def kill(self, name: str) -> None:
        """The process ends: its canary closes, nobody listens any more."""
        self.dead.add(name)
        self.feed(CanaryClosed(name, "reset"))
        self.pass_time(0.05)

    def freeze(self, name: str) -> None:
        self.frozen.add(name)
        self.pass_time(0.3)

    def revive(self, name: str) -> None:
        self.dead.discard(name)
        self.frozen.discard(name)
        self.pass_time(2.0)

    def command(self, name: str, /, **arguments: str) -> dict[str, object]:
        self.feed(Command(len(self.replies) + 1, name, arguments))
        return self.replies[-1].result

    # -- effects ------------------------------------------------------------------------------------

    def carry_out(self, outputs: list[object]) -> None:
        for output in outputs:
            match output:
                case Send(flow, data):
                    self._deliver(flow, data)
                case Probe(backend, data):
                    self._probe(backend, data)
                case LookForReply(backend, number):
                    self.feed(Looked(backend, number))
                case OpenCanary(backend):
                    if backend not in self.dead | self.frozen:
                        self.feed(CanaryOpened(backend))
                case InstallStream(plan):
                    self.plans[plan.stream] = output
                case RemoveStream(stream):
                    del self.plans[stream]
                    self.removed.append(stream)
                case Reply():
                    self.replies.append(output)
                case StirCanary() | CloseCanary() | Open() | Close():
                    pass
                case _:
                    assert self.mistakes_expected or not isinstance(output, SessionFailed), output
                    self.facts.append(output)

    def _probe(self, backend: str, data: bytes) -> None:
        if backend in self.dead:
            self.feed(ProbeRefused(backend, "refused"))
        elif backend not in self.frozen:
            options = parse(data)
            assert isinstance(options, Request)
            self.feed(ProbeReply(backend, response_to(options, 200, None, "probe").encode()))

    def _deliver(self, flow: Flow, data: bytes) -> None:
        peer = self.streams.get(flow.connection) or self.peers.get(flow.remote)
        assert peer is not None, f"sent to a stranger: {flow}"
        if not data.strip():
            peer.pongs += 1
            return
        message = parse(data)
        if isinstance(message, Request):
            validate(message)
        self._check_topology(peer, data)
        peer.seen.append(message)
        names = [name for name, backend in self.backends.items() if backend is peer]
        if names and names[0] in self.dead | self.frozen:
            return
        if names and self.registrar and isinstance(message, Request) and message.method == "REGISTER":
            accepted = response_to(message, 200, None, "registrar")
            accepted.headers += [header("Contact", value) for value in message.all("contact")]
            accepted.add("Expires", message.get("expires") or "3600")
            self.feed(Datagram(accepted.encode(), peer.flow))
            return
        peer.inbox.append(message)

    def _check_topology(self, peer: Peer, data: bytes) -> None:
        """No backend's address reaches a client, no client's a backend."""
        backends = {backend.host for backend in self.backends.values()}
        clients = {other.host for other in (*self.peers.values(), *self.streams.values())} - backends
        hidden = backends if peer.host not in backends else clients
        text = data.decode("utf-8", "surrogateescape")
        for host in hidden - {peer.host}:
            for place in _places(text, host) if host in text else ():
                raise AssertionError(f"{peer.host} was shown {host}: {place}")


def _places(text: str, host: str) -> list[str]:
    import re

    return re.findall(rf"[^\n]*(?<![\d.]){re.escape(host)}(?![\d])[^\n]*", text)
