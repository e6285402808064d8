"""Chat servers that tests put behind the proxy: Prosody and ejabberd, started from backends/, and the embedded one."""

import json
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.interop.processes import Process, ProcessError
from tests.interop.servers import REPOSITORY, password

XMPP_PORT, DIRECT_TLS_PORT = 5222, 5223
READY_SECONDS = 30.0  # 1.5 s is usual for Prosody, 2.5 s for ejabberd
DOMAIN = "voip.example"
ANOTHER = "office.example"  # where a test wants two
ROOMS = f"rooms.{DOMAIN}"

ADDRESSES = {"alpha": "127.0.0.21", "beta": "127.0.0.22", "charlie": "127.0.0.23"}
FAMILIES = ("prosody", "ejabberd")


@dataclass(slots=True, kw_only=True)
class ChatServer:
    """One server: started, killed, frozen and stopped by the test that has it."""

    name: str
    family: str
    address: str
    process: Process
    port: int = XMPP_PORT

    def start(self) -> None:
        """Starts it and returns when it opens streams. Raises ProcessError with its output when it does not."""
        self.process.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        until = time.monotonic() + READY_SECONDS
        while not opens_streams(self.address, self.port):
            if not self.process.is_running or time.monotonic() > until:
                raise ProcessError(f"{self.name} opens no stream on {self.address}\n{self.process.tail()}")
            time.sleep(0.05)

    def kill(self) -> float:
        """kill -9. Returns the monotonic time of it."""
        return self.process.kill()

    def freeze(self) -> float:
        """SIGSTOP. Returns the monotonic time of it."""
        return self.process.freeze()

    def thaw(self) -> None:
        self.process.thaw()

    def stop(self) -> None:
        """SIGTERM: the server says goodbye to its clients."""
        self.process.stop()

    def ensure(self) -> None:
        """Running and not frozen, whatever the test before did to it."""
        if self.process.is_running:
            self.thaw()
            self.wait_ready()
        else:
            self.process.stop()
            self.start()


def chat_server(
    name: str,
    family: str,
    folder: Path,
    users: int = 10,
    contacts: bool = False,
    more: Mapping[str, str] = MappingProxyType({}),
) -> ChatServer:
    """A server that is not started yet. `folder` must exist and stay as long as the server.
    `more` are settings of its `run`. All users of an `embedded` one have each other as contacts."""
    if family == "embedded":
        argv = _embedded(ADDRESSES[name], folder, users)
        process = Process(f"{family} {name}", argv, folder / "output")
        return ChatServer(name=name, family=family, address=ADDRESSES[name], process=process)
    environment = {
        "HAPROXY_VOIP_RUN": str(folder),
        "USERS": str(users),
        "CONTACTS": "yes" if contacts else "no",
        **more,
    }
    argv = [str(REPOSITORY / f"backends/{family}/run"), name, ADDRESSES[name]]
    process = Process(f"{family} {name}", argv, folder / "output", environment)
    port = int(more.get("PORT", XMPP_PORT))
    return ChatServer(name=name, family=family, address=ADDRESSES[name], process=process, port=port)


def secret(user: int, domain: str = DOMAIN) -> str:
    """The password of a user at every server."""
    return password(str(user)) if domain == DOMAIN else f"another{user}"


def _embedded(address: str, folder: Path, users: int) -> list[str]:
    """The command line of this package's own server."""
    passwords = folder / "passwords.json"
    passwords.write_text(json.dumps({str(user): password(str(user)) for user in range(1001, 1001 + users)}))
    argv = [sys.executable, "-m", "haproxy_voip.embedded.chat_process", "--domain", DOMAIN]
    return [*argv, "--passwords", str(passwords), "--listen", f"tcp:{address}:{XMPP_PORT}"]


def opens_streams(address: str, port: int = XMPP_PORT, seconds: float = 1.0) -> bool:
    """Whether somebody answers a stream header there."""
    header = (
        f"<stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' "
        "xmlns:stream='http://etherx.jabber.org/streams'>"
    )
    try:
        with socket.create_connection((address, port), seconds) as asked:
            asked.settimeout(seconds)
            asked.sendall(header.encode())
            return asked.recv(4096) != b""
    except OSError:
        return False
