"""A chat server and its clients in a simulated network, without a proxy between them."""

from __future__ import annotations

from typing import Any

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.embedded.chat_client import ChatClient
from haproxy_voip.embedded.chat_facts import ClientHeard
from haproxy_voip.embedded.chat_server import ChatServer, ChatStore
from haproxy_voip.embedded.settings import ChatClientSettings, ChatServerSettings
from tests.simulation.weather import CALM, Weather
from tests.simulation.world import World

SERVER = Endpoint(Transport.TCP, Address("192.0.2.20", 5222))
DOMAIN = "chat.example"
ROOMS = f"rooms.{DOMAIN}"
USERS = {name: f"secret of {name}" for name in ("alice", "bob", "carol")}


class Place:
    """Clients log in as they are added."""

    def __init__(self, seed: int = 1, weather: Weather = CALM, **settings: Any) -> None:
        self.world = World(seed, weather)
        self.store = ChatStore()
        self.settings = ChatServerSettings(users=USERS, domain=DOMAIN, **settings)
        self.start()
        self.clients: dict[str, ChatClient] = {}

    def start(self) -> None:
        """Start the server, or start it again: what is not in the store is forgotten."""
        server = ChatServer(self.settings, Chance.seeded(self.world.seed), self.store)
        self.server: ChatServer = self.world.add("server", server, [SERVER])

    def client(self, user: str, resource: str = "home", *, online: bool = True, **settings: Any) -> ChatClient:
        """Another client; its name in the world is `user/resource`."""
        wanted = ChatClientSettings(
            **{"password": USERS.get(user, ""), "secure": False, **settings},
            user=user,
            domain=DOMAIN,
            resource=resource,
            server=SERVER,
        )
        name = f"{user}/{resource}"
        client: ChatClient = self.world.add(name, ChatClient(wanted, Chance.seeded(len(self.clients))), [])
        self.clients[name] = client
        self.world.act(name, client.connect)
        if online:
            self.world.run_until(lambda: client.online, 10)
            self.world.run(0.1)
        return client

    def act(self, client: ChatClient, method: str, *arguments: Any, **options: Any) -> None:
        """Let a client do something, and everything that follows from it."""
        name = next(name for name, one in self.clients.items() if one is client)
        self.world.act(name, lambda now: getattr(client, method)(*arguments, now, **options))
        self.world.run(0.1)

    def cut(self, client: ChatClient) -> None:
        """Its connection breaks; both ends notice."""
        name = next(name for name, one in self.clients.items() if one is client)
        for end in list(self.world.processes[name].ends.values()):
            far = end.wire.other(end)
            self.world.after(0, lambda end=end: end.fail("reset"))  # type: ignore[misc]
            self.world.after(0, lambda far=far: far.fail("reset"))  # type: ignore[misc]

    def facts(self, client: ChatClient, kind: type) -> list[Any]:
        """What this client told."""
        name = next(name for name, one in self.clients.items() if one is client)
        return self.world.told(kind, name)

    def heard(self, client: ChatClient) -> list[str]:
        """What it was told in messages, copies included."""
        return [fact.text for fact in self.facts(client, ClientHeard)]
