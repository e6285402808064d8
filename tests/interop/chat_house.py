"""Chat servers, the proxy in front of them and clients, all at once: what tests and benchmarks of chat play in."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.interop.chat_proxy import ChatProxy, ChatSetting
from tests.interop.chat_servers import ADDRESSES, ChatServer, chat_server
from tests.interop.naming import naming
from tests.interop.talkers import Talker, Talkers

MEMORY = Path("/dev/shm")  # an archive that waits for a disk makes a server look frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be built."""

    families: Sequence[str]  # of alpha, beta and charlie; fewer: only the first ones
    users: int = 10
    contacts: bool = True  # everybody has everybody in the contact list
    setting: ChatSetting = field(default_factory=ChatSetting)
    named: bool = False  # the proxy has the servers by host name
    servers: Mapping[str, str] = field(default_factory=dict)  # settings of their `run`; {folder} is one they share


@dataclass(slots=True)
class House:
    """All of it, running."""

    servers: list[ChatServer]
    proxy: ChatProxy
    talkers: Talkers

    def server(self, name: str) -> ChatServer:
        return next(server for server in self.servers if server.name == name)

    def active(self) -> ChatServer:
        """The one that carries the sessions."""
        return self.server(self.proxy.status()["chat_active"])

    def company(self, users: int, second: int = 0, room: str | None = None) -> list[Talker]:
        """So many users online through the proxy, the first `second` of them with two resources; all with carbons,
        and in that room."""
        talkers = self.talkers.online(self.proxy.address, *range(1001, 1001 + users))
        tablets = [self.talkers.talker(user, "tablet", self.proxy.address) for user in range(1001, 1001 + second)]
        for tablet in tablets:
            tablet.connect()
        for tablet in tablets:
            tablet.wait_online()
        talkers += tablets
        for talker in talkers:
            talker.carbons()
            if room is not None:
                talker.enter(room, talker.full.partition("@")[0] + talker.full.rpartition("/")[2])
        return talkers

    def restore(self, seconds: float = 15.0) -> None:
        """Every server runs, and every session is settled and has its reserve."""
        for server in self.servers:
            server.ensure()
        self.proxy.wait_ready(self.proxy.status()["chat_active"], seconds)


@contextmanager
def chat_house(plan: Plan) -> Iterator[House]:
    """Built, and pulled down at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)))
        servers, settings = [], {name: value.format(folder=folder) for name, value in plan.servers.items()}
        for name, family in zip(ADDRESSES, plan.families, strict=False):
            (folder / name).mkdir()
            server = chat_server(name, family, folder / name, plan.users, plan.contacts, settings)
            server.process.start()
            stack.callback(server.stop)
            servers.append(server)
        for server in servers:
            server.wait_ready()
        (folder / "proxy").mkdir()
        named = stack.enter_context(naming(folder, servers)) if plan.named else None
        proxy = ChatProxy(folder / "proxy", servers, chat=plan.setting, resolv_conf=named)
        proxy.start()
        stack.callback(proxy.stop)
        yield House(servers, proxy, stack.enter_context(Talkers()))
