"""A whole chat cluster in the simulated network: one proxy, alpha, beta and charlie, and chat clients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from haproxy_voip.configuration.model import (
    BackendChatConfig,
    BackendConfig,
    Config,
    HealthConfig,
    ProxyConfig,
    SipConfig,
    TlsConfig,
    XmppConfig,
)
from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.core.events import StreamClosed
from haproxy_voip.embedded.chat_client import ChatClient
from haproxy_voip.embedded.chat_server import ChatServer, ChatStore
from haproxy_voip.embedded.settings import ChatClientSettings, ChatServerSettings
from haproxy_voip.proxy.effects import StartTls
from haproxy_voip.proxy.events import Reconfigured
from haproxy_voip.proxy.facts import SessionFailed
from haproxy_voip.proxy.node import Node
from tests.simulation.chat_edge import ChatEdge, shake_hands
from tests.simulation.weather import CALM, Weather
from tests.simulation.world import World

DOMAIN = "chat.example"
ROOMS = f"rooms.{DOMAIN}"
PROXY = Endpoint(Transport.TCP, Address("192.0.2.1", 5222))
BACKENDS = {"alpha": "198.51.100.11", "beta": "198.51.100.12", "charlie": "198.51.100.13"}
USERS = {name: f"secret of {name}" for name in ("alice", "bob", "carol", "dave", "erin", "frank")}
EPOCH_OFFSET = 1_700_000_000.0
# How apart the seeds of the machines in one world are.
SPREAD = 1_000


class ChatCluster:
    """See the module. Everything has its own chance, made from the one seed."""

    def __init__(
        self,
        seed: int,
        weather: Weather = CALM,
        *,
        standby: str = "hot",
        shared_store: bool = True,
        secure: bool = False,
        servers: Weather = CALM,
        **xmpp: Any,
    ) -> None:
        """`shared_store`: the servers keep their offline messages in one place; else each has a place of its own.

        `servers` is the weather between them and the proxy, `weather` that between clients and the proxy.
        """
        self.world = World(seed, weather)
        self.world.readers.append(_no_mistake)
        self.secure = secure
        self.clients: dict[str, ChatClient] = {}
        self._chances = iter(range(seed * SPREAD, (seed + 1) * SPREAD))
        one = ChatStore()
        self.stores = {name: one if shared_store else ChatStore() for name in BACKENDS}
        for name in BACKENDS:
            self.world.links[frozenset((name, "proxy"))] = servers
            self.start_backend(name)
        self.config = _config(standby, secure, xmpp)
        self._known: dict[str, BackendConfig] = {}
        credentials = {user: Credential(user, DOMAIN, password) for user, password in USERS.items()}
        node = Node(self.config, (DOMAIN, credentials), self.chance(), self.world.now, EPOCH_OFFSET)
        self.proxy = ChatEdge(self.world, "proxy", node, self.config)
        assert node.chat is not None
        self.chat = node.chat
        self.world.run_until(lambda: self.active is not None, 5.0)
        self.world.run(0.5)

    def chance(self) -> Chance:
        """Another one from the seed."""
        return Chance.seeded(next(self._chances))

    def reload(self, *names: str) -> None:
        """The proxy has these backends from now on, in this order."""
        self._known.update({backend.name: backend for backend in self.config.backends})
        self.config = replace(self.config, backends=tuple(self._known[name] for name in names))
        self.proxy.tell(Reconfigured(self.config))

    @property
    def configured(self) -> list[str]:
        """The backends that the proxy was told last."""
        return [backend.name for backend in self.config.backends]

    def start_backend(self, name: str) -> None:
        """Start a server, or start it again after it was killed: all it knows is in its store."""
        settings = ChatServerSettings(users=USERS, domain=DOMAIN, name=name, epoch_offset=EPOCH_OFFSET, resumable=10.0)
        server = ChatServer(settings, self.chance(), self.stores[name])
        self.world.add(name, server, [Endpoint(Transport.TCP, Address(BACKENDS[name], 5222))])

    def server(self, name: str) -> ChatServer:
        """The server of this name as it runs now."""
        machine: ChatServer = self.world.machine(name)
        return machine

    def terminate(self, name: str) -> None:
        """SIGTERM: it tells everybody, and is gone."""
        self.world.act(name, self.server(name).shut_down)
        self.world.kill(name)

    @property
    def active(self) -> str | None:
        """The backend that new sessions go to."""
        return self.chat.shared.backends.pool.active

    # -- clients -------------------------------------------------------------------------------------

    def client(self, user: str, resource: str, **settings: Any) -> ChatClient:
        """Another client, which logs in; its name in the world is `user/resource`."""
        wanted = ChatClientSettings(
            user=user,
            password=USERS[user],
            domain=DOMAIN,
            resource=resource,
            server=PROXY,
            host=f"203.0.113.{10 + len(self.clients)}",
            secure=self.secure,
            **settings,
        )
        name = f"{user}/{resource}"
        client = self.clients[name] = ChatClient(wanted, self.chance())
        self.world.add(name, client, [])
        process = self.world.processes[name]
        self.world.on(name, StartTls, lambda effect: shake_hands(self.world, process, effect.flow))
        self.world.act(name, client.connect)
        return client

    def online(self, *names: str) -> None:
        """Clients that are, with everything that follows from it over."""
        for name in names:
            self.client(*name.split("/"))
        self.world.run_until(lambda: all(self.clients[name].online for name in names), 10.0)
        self.world.run(0.5)

    def act(self, name: str, method: str, *arguments: Any, **options: Any) -> None:
        """Let a client do something."""
        client = self.clients[name]
        self.world.act(name, lambda now: getattr(client, method)(*arguments, now, **options))

    def cut(self, name: str, *, client_notices: float = 0.0, proxy_notices: float = 0.0) -> None:
        """A client's connection is lost with all that is on its way; each end notices in its own time."""
        process = self.world.processes[name]
        for end in [end for end in process.ends.values() if end.wired]:
            for one, notices in ((end, client_notices), (end.wire.other(end), proxy_notices)):
                one.over = True
                one.process.ends.pop(one.flow.connection, None)
                self.world.after(notices, lambda one=one: one.tell(StreamClosed(one.flow, "lost")))  # type: ignore[misc]


def _no_mistake(at: float, who: str, fact: object) -> None:
    """The proxy lives on after a mistake of its own; a test shall not pass over it."""
    assert not isinstance(fact, SessionFailed), f"{at:.3f} {who}: {fact}"


def _config(standby: str, secure: bool, xmpp: dict[str, Any]) -> Config:
    chat = BackendChatConfig(starttls="never", standby=standby)  # type: ignore[arg-type]
    nowhere = Path("nobody reads this")
    health = xmpp.pop("health", HealthConfig())
    return Config(
        proxy=ProxyConfig(
            domain=DOMAIN,
            sip=SipConfig(),
            tls=TlsConfig(certificate=nowhere, key=nowhere) if secure else None,
            xmpp=XmppConfig(listen=(PROXY,), starttls="required" if secure else "optional", **xmpp),
        ),
        backends=tuple(
            BackendConfig(name=name, xmpp=Endpoint(Transport.TCP, Address(host, 5222)), chat=chat)
            for name, host in BACKENDS.items()
        ),
        users=nowhere,
        health=health,
    )
