"""A stage for the chat of one node: clients and servers that do what the test says, on a virtual clock.

    stage = Stage()
    alice = stage.client("alice"); bob = stage.client("bob")
    alice.say(bob.jid, "hello")
    stage.kill("alpha")

Nothing takes time but what the node waits for; or, with a seed, everything that travels takes a random time. Bytes
arrive in the order in which they were sent.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from pathlib import Path
from random import Random

from haproxy_voip.configuration.model import (
    BackendChatConfig,
    BackendConfig,
    Config,
    ProxyConfig,
    SipConfig,
    XmppConfig,
)
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.core.events import StreamClosed, StreamData, StreamOpened
from haproxy_voip.embedded.chat_session import ChatSession
from haproxy_voip.proxy.chat.session import Session
from haproxy_voip.proxy.effects import (
    CloseCanary,
    LookForReply,
    OpenCanary,
    PauseReading,
    Probe,
    ProbeStream,
    Reply,
    Reset,
    ResumeReading,
    StartTls,
)
from haproxy_voip.proxy.events import (
    CanaryClosed,
    CanaryOpened,
    Command,
    Looked,
    ProbeRefused,
    StreamProbeReply,
    TlsStarted,
)
from haproxy_voip.proxy.facts import SessionFailed
from haproxy_voip.proxy.node import Node
from haproxy_voip.xmpp.client_stream import ClientStream, Login, TlsPolicy
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.management import Resume
from haproxy_voip.xmpp.outputs import TlsInfo
from haproxy_voip.xmpp.sasl.ladder import ByPassword
from tests.proxy.chat.client import Client
from tests.proxy.chat.server import DOMAIN, Link, Server

PROXY = Address("127.0.0.10", 5222)
NAMES = ("alpha", "beta", "charlie")
USERS = ("alice", "bob", "carol", "dave")


def config(standby: str = "hot", **changes: object) -> Config:
    """Three chat servers; tests change what they are about."""
    chat = BackendChatConfig(starttls="never", standby=standby)  # type: ignore[arg-type]
    fields: dict[str, object] = {
        "users": Path("users.yaml"),
        "proxy": ProxyConfig(
            domain=DOMAIN,
            sip=SipConfig(),
            xmpp=XmppConfig(listen=(Endpoint(Transport.TCP, PROXY),), starttls="optional"),
        ),
        "backends": tuple(
            BackendConfig(name=name, xmpp=Endpoint(Transport.TCP, Address(f"127.0.0.1{number}", 5222)), chat=chat)
            for number, name in enumerate(NAMES, 1)
        ),
    }
    fields.update(changes)
    return Config(**fields)  # type: ignore[arg-type]


class Stage:
    """See the module."""

    def __init__(
        self, configuration: Config | None = None, users: tuple[str, ...] = USERS, seed: int | None = None
    ) -> None:
        self.config = configuration or config()
        self.random = None if seed is None else Random(seed)
        self.now = 0.0
        self.passwords = {name: f"secret of {name}" for name in USERS}
        known = {name: Credential(name, DOMAIN, password=self.passwords[name]) for name in users}
        self.node = Node(self.config, (DOMAIN, known), Chance.seeded(1), self.now, 1_700_000_000.0)
        assert self.node.chat is not None
        self.chat = self.node.chat
        self.servers = {name: Server(name, self.passwords) for name in self.config.xmpp_endpoints}
        self.clients: dict[int, Client] = {}
        self.links: dict[int, tuple[Server, Link]] = {}
        self.facts: list[object] = []
        self.replies: list[Reply] = []
        self.canaries: set[str] = set()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._last: dict[Hashable, float] = {}  # when the last of what travels this way arrives
        self._count = 0
        self._busy = False
        self._numbers = 1
        self.run(0.1)

    @property
    def alpha(self) -> Server:
        return self.servers["alpha"]

    @property
    def beta(self) -> Server:
        return self.servers["beta"]

    # -- time ---------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        self.settle()
        while True:
            due = [at for at in (self.node.deadline, self._queue[0][0] if self._queue else None) if at is not None]
            if not due or min(due) > end:
                break
            self.now = max(min(due), self.now)
            if (at := self.node.deadline) is not None and at <= self.now:
                self.carry_out(self.node.wake(self.now))
            self.settle()
        self.now = end

    def feed(self, event: object) -> None:
        """From a client or the edge, to the node."""
        flow = getattr(event, "flow", None)
        self.later(None if flow is None else flow.connection, lambda: self._take(event))
        self.settle()

    def later(self, way: Hashable, act: Callable[[], None]) -> None:
        """It travels this way, in order."""
        at = self.now + (0.0 if self.random is None else self.random.uniform(0.0001, 0.003))
        at = self._last[way] = max(at, self._last.get(way, 0.0))
        self._count += 1
        heapq.heappush(self._queue, (at, self._count, act))

    def settle(self) -> None:
        """Let everything arrive that is due."""
        if self._busy:
            return
        self._busy = True
        for _ in range(100_000):
            if not self._queue or self._queue[0][0] > self.now:
                break
            if (at := self.node.deadline) is not None and at <= self.now:
                self.carry_out(self.node.wake(self.now))
            heapq.heappop(self._queue)[2]()
        else:
            raise AssertionError("it never becomes quiet")
        self._busy = False

    def _take(self, event: object) -> None:
        self.carry_out(self.node.receive(event, self.now))  # type: ignore[arg-type]

    # -- who is there -------------------------------------------------------------------------------

    def client(self, name: str, resource: str = "home", **login: object) -> Client:
        """Logged in, available, and everything that follows from it over."""
        client = self.connect(name, resource, **login)
        assert client.jid == f"{name}@{DOMAIN}/{resource}", (client.failed, client.error)
        client.send("<presence/>")
        for other in self.clients.values():
            other.inbox.clear()
        return client

    def connect(
        self,
        name: str,
        resource: str = "home",
        password: str | None = None,
        before: Client | None = None,
        **changes: object,
    ) -> Client:
        ways = (ByPassword(password or self.passwords[name]),)
        fields: dict[str, object] = {"jid": Jid(name, DOMAIN, resource), "ways": ways, "tls": TlsPolicy.NEVER}
        login = Login(**(fields | changes))  # type: ignore[arg-type]
        self._numbers += 2
        flow = Flow(Transport.TCP, PROXY, Address("192.0.2.9", 30000 + self._numbers), self._numbers)
        client = Client(self, name, login, flow, ClientStream(login, Chance.seeded(self._numbers)))
        if before is not None:
            client.jid, client.resumable, client.count = before.jid, before.resumable, before.count
            client.received, client.sent = before.received, before.sent
        self.clients[flow.connection] = client
        self.feed(StreamOpened(flow))
        client.perform(client.stream.connected(self.now))  # type: ignore[arg-type]
        if self.random is not None:
            self.run(0.3)
        return client

    def come_back(self, client: Client) -> Client:
        """On another connection, to the session it had."""
        assert client.resumable is not None
        resume = Resume(client.resumable, client.received.h)
        return self.connect(client.name, client.login.jid.resource, before=client, resume=resume)

    def session(self, client: Client) -> Session:
        return self.chat.shared.sessions.by_jid[client.jid]

    def backend_of(self, client: Client) -> str | None:
        return self.session(client).residence.backend

    def kill(self, name: str, *, quietly: bool = False) -> None:
        """kill -9: every connection is closed by the kernel, nothing is said."""
        server = self.servers[name]
        server.dead = True
        for number in [number for number, (one, _) in self.links.items() if one is server]:
            _, link = self.links.pop(number)
            flow = self._flow(number)
            if flow is not None and not quietly:
                self._tell(StreamClosed(flow, "closed"))
            server.links.pop(link.flow.connection, None)
        if name in self.canaries:
            self.canaries.discard(name)
            self.feed(CanaryClosed(name, "closed", "xmpp"))
        self.settle()

    def revive(self, name: str) -> None:
        """It starts anew."""
        self.begin_anew(name)
        self.run(3.0)

    def begin_anew(self, name: str) -> None:
        """It knows nothing but its users and what is stored for them."""
        old = self.servers[name]
        self.servers[name] = Server(name, self.passwords, old.life + 1)
        self.servers[name].offline = old.offline

    def freeze(self, name: str) -> None:
        self.servers[name].frozen = True

    def thaw(self, name: str) -> None:
        self.servers[name].thaw(self.now)
        self.settle()
        self.run(3.0)

    def shut_down(self, name: str) -> None:
        """SIGTERM: it says so to everybody, and ends."""
        server = self.servers[name]
        goodbye = b"<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
        for link in list(server.links.values()):
            link.write(goodbye + b"</stream:stream>")
        self.settle()
        self.kill(name)

    def mute(self, client: Client) -> None:
        """What its server sends it from now on is lost."""
        link = self.servers[self.backend_of(client) or ""].sessions[client.jid].link
        assert link is not None
        link.mute = True

    def stranger(self, server: Server, name: str) -> ChatSession:
        """Somebody who is at that server without us, and available."""
        jid = f"{name}@{DOMAIN}/elsewhere"
        session = server.sessions[jid] = ChatSession(server, jid, None)
        session.presence = f"<presence from='{jid}'/>".encode()
        server.routing.tell(session, session.presence)
        self.settle()
        return session

    def terminate(self, name: str) -> None:
        """SIGTERM, and no word of it to anybody."""
        self.servers[name].terminate()
        self.kill(name)

    def command(self, what: str, /, **arguments: str) -> dict[str, object]:
        self.feed(Command(len(self.replies) + 1, what, arguments))
        return self.replies[-1].result

    def _flow(self, number: int) -> Flow | None:
        leg = self.chat.shared.legs.get(number)
        return None if leg is None else leg.flow  # type: ignore[attr-defined, no-any-return]

    # -- effects ------------------------------------------------------------------------------------

    def carry_out(self, outputs: list[object]) -> None:
        for output in outputs:
            if self._on_the_wire(output):
                continue
            match output:
                case ProbeStream(backend, number, _):
                    self._probe(backend, number)
                case LookForReply(backend, number, "xmpp"):
                    self.feed(Looked(backend, number, "xmpp"))
                case LookForReply(backend, number):
                    self.feed(Looked(backend, number))
                case OpenCanary(backend, "xmpp"):
                    self._canary(backend)
                case CloseCanary(backend):
                    self.canaries.discard(backend)
                case Reply():
                    self.replies.append(output)
                case Probe():
                    pass
                case _:
                    assert not isinstance(output, SessionFailed), output
                    self.facts.append(output)

    def _on_the_wire(self, output: object) -> bool:
        match output:
            case Send(flow, data):
                self.later(-flow.connection, lambda: self._deliver(flow, data))
            case Open(flow):
                self._open(flow)
            case StartTls(flow, _):
                self._tls(flow)
            case Close(flow) | Reset(flow):
                self.later(-flow.connection, lambda: self._close(flow))
            case PauseReading(flow) | ResumeReading(flow):
                self.clients[flow.connection].paused = isinstance(output, PauseReading)
            case _:
                return False
        return True

    def _tell(self, event: object) -> None:
        flow = getattr(event, "flow", None)
        self.later(None if flow is None else flow.connection, lambda: self._take(event))

    def _deliver(self, flow: Flow, data: bytes) -> None:
        if flow.connection % 2:
            client = self.clients[flow.connection]
            if not client.ended and not client.cut:
                client.receive(data)
        elif flow.connection in self.links:
            self.links[flow.connection][1].receive(data, self.now)

    def _open(self, flow: Flow) -> None:
        server = next(
            self.servers[name] for name, at in self.config.xmpp_endpoints.items() if at.address == flow.remote
        )
        if server.dead:
            self._tell(StreamClosed(flow, "connection refused"))
            return

        def write(data: bytes) -> None:
            self._tell(StreamData(data, flow))

        def close() -> None:
            if self.links.pop(flow.connection, None) is not None:
                server.links.pop(link.flow.connection, None)
                self._tell(StreamClosed(flow, "closed by the peer"))

        link = server.accept(write, close, self.now)
        self.links[flow.connection] = (server, link)
        if not server.frozen:
            self._tell(StreamOpened(flow))
        else:
            self._tell(StreamOpened(flow))  # the kernel accepts for it

    def _tls(self, flow: Flow) -> None:
        self._tell(TlsStarted(flow, None, None))
        client = self.clients.get(flow.connection)
        if client is not None:
            self.later(
                -flow.connection,
                lambda: client.perform(client.stream.tls_started(TlsInfo(None), self.now)),  # type: ignore[arg-type]
            )

    def _close(self, flow: Flow) -> None:
        if flow.connection in self.links:
            server, link = self.links.pop(flow.connection)
            if server.frozen:
                return  # it will find out when it thaws
            server.lost(link, self.now)
        client = self.clients.get(flow.connection)
        if client is not None:
            client.ended = True
        self._tell(StreamClosed(flow, "closed by us"))

    def _probe(self, backend: str, number: int) -> None:
        server = self.servers[backend]
        if server.dead:
            self._tell(ProbeRefused(backend, "refused", "xmpp"))
        elif not server.frozen:
            self._tell(StreamProbeReply(backend, number))

    def _canary(self, backend: str) -> None:
        if self.servers[backend].dead:
            self._tell(CanaryClosed(backend, "refused", "xmpp"))
        else:
            self.canaries.add(backend)
            self._tell(CanaryOpened(backend, "xmpp"))
