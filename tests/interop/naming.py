"""Host names for servers: a name server in a thread of its own, and a resolv.conf(5) that has no other."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.edge.name_server import NameServer, host, service

# resolv.conf knows no ports; in a network of our own nobody else has this one.
NAME_SERVER, PORT = "127.0.0.53", 53
SECONDS = 5.0  # for its beginning or end


class Named(Protocol):
    """A chat server."""

    name: str
    address: str
    port: int


def host_name(name: str) -> str:
    """What the server of this name is called; that name has no address, only SRV tells where it is."""
    return f"{name}.example"


@contextmanager
def naming(folder: Path, servers: Sequence[Named]) -> Iterator[Path]:
    """Names for these servers until the end; the file says where to ask for them."""
    zone = {
        f"_xmpp-client._tcp.{host_name(one.name)}": [service(0, 0, one.port, f"{one.name}.host")] for one in servers
    }
    zone |= {f"{one.name}.host": host(one.address) for one in servers}
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = NameServer(NAME_SERVER, PORT)
    server.zone = zone
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(SECONDS)
    try:
        (file := folder / "resolv.conf").write_text(f"nameserver {NAME_SERVER}\n")
        yield file
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS)
        loop.close()


def with_resolv_conf(file: Path, argv: Sequence[str]) -> list[str]:
    """This command, to which that file is /etc/resolv.conf."""
    return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(file), *argv]
