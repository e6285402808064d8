"""The proxy and a chat server as processes, two people who chat through them all the time, and strangers on sockets."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from haproxy_voip.core.address import Address
from haproxy_voip.embedded.certificate import write_certificate
from haproxy_voip.embedded.demo_chat import DemoChat

Result = TypeVar("Result")

DOMAIN = "chat.example"
PASSWORDS = {"1001": "one", "1002": "two", "1003": "three"}
STREAMS = "http://etherx.jabber.org/streams"
HEADER = f"<stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='{STREAMS}'>"
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
CLOSING = b"</stream:stream>"
PLAIN, DIRECT = 5222, 5223
# Half of them for one host (edge/places.py).
MAX_CONNECTIONS = 3_000
# Whatever a test waits for comes within milliseconds; a machine that does much else may take longer.
PATIENCE = 20.0
START_SECONDS = 90.0  # two processes that import everything, on a machine with twenty others waiting: 20 s were seen
# Addresses of our own, whoever else runs the same on this machine.
NET = f"127.{2 + os.getpid() // 250 % 250}.{2 + os.getpid() % 250}"
PROXY, SERVER, STRANGER, HONEST = (f"{NET}.{number}" for number in (1, 2, 3, 4))

CONFIG = f"""
proxy:
  domain: {DOMAIN}
  tls: {{certificate: proxy.crt, key: proxy.key}}
  xmpp: {{listen: ["tcp:{PROXY}:{PLAIN}", "tls:{PROXY}:{DIRECT}"]}}
users: users.yaml
backends: {{alpha: {{xmpp: "tcp:{SERVER}:5222", chat: {{starttls: never}}}}}}
health: {{inter: 1s, timeout: 1s, fall: 10}}  # on a busy machine the one server is slow, and not dead
limits: {{max_connections: {MAX_CONNECTIONS}}}
control: control
log: {{level: warning}}
media: {{relay: userspace}}
"""


def auth(user: str, password: str) -> str:
    said = b64encode(f"\0{user}\0{password}".encode()).decode()
    return f"<auth {SASL} mechanism='PLAIN'>{said}</auth>"


class Wire:
    """A stranger's connection. Everything it waits for has a deadline."""

    def __init__(self, trust: ssl.SSLContext, port: int = PLAIN, source: str = STRANGER) -> None:
        self._trust = trust
        self.said = b""
        self.sock: socket.socket = socket.create_connection((PROXY, port), PATIENCE, (source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if port == DIRECT:
            self.encrypt()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def encrypt(self) -> None:
        self.sock = self._trust.wrap_socket(self.sock, server_hostname=DOMAIN)

    def send(self, data: str | bytes) -> None:
        """As much of it as the proxy still takes."""
        with suppress(ConnectionError, ssl.SSLError):  # what it said before it closed is still to be read
            self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def hear(self, word: bytes) -> bytes:
        """What comes, up to this."""
        before = len(self.said)
        while word not in self.said[before:]:
            data = self.sock.recv(65_536)
            assert data, f"closed before {word!r}: {self.said[before:]!r}"
            self.said += data
        return self.said[before:]

    def hear_all(self) -> bytes:
        """What comes until the proxy closes."""
        before = len(self.said)
        try:
            while data := self.sock.recv(65_536):
                self.said += data
        except (ConnectionError, ssl.SSLEOFError):
            pass
        return self.said[before:]

    def secure(self) -> None:
        """By STARTTLS."""
        self.send(HEADER)
        self.hear(b"</stream:features>")
        self.send(STARTTLS)
        self.hear(PROCEED)
        self.encrypt()

    def log_in(self, user: str = "1003", resource: str = "x") -> None:
        self.send(HEADER + auth(user, PASSWORDS[user]))
        self.hear(b"<success")
        bind = f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind>"
        self.send(f"{HEADER}<iq type='set' id='b'>{bind}</iq><enable xmlns='urn:xmpp:sm:3'/>")
        self.hear(b"<enabled")


class House:
    """See the module."""

    def __init__(self, folder: Path) -> None:
        write_certificate(folder / "proxy.crt", folder / "proxy.key", [DOMAIN])
        (folder / "proxy.yaml").write_text(CONFIG)
        (folder / "passwords.json").write_text(json.dumps(PASSWORDS))
        users = "".join(f'  "{name}": {{password: {password}}}\n' for name, password in PASSWORDS.items())
        (folder / "users.yaml").write_text(f"realm: {DOMAIN}\nusers:\n{users}")
        self.trust = ssl.create_default_context(cafile=str(folder / "proxy.crt"))
        self._folder = folder
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.chat: DemoChat | None = None

    def start(self) -> None:
        server = ["haproxy_voip.embedded.chat_process", "--listen", f"tcp:{SERVER}:5222", "--domain", DOMAIN]
        for command in (
            [*server, "--passwords", str(self._folder / "passwords.json")],
            ["haproxy_voip", "run", "-c", str(self._folder / "proxy.yaml")],
        ):
            asked = [sys.executable, "-m", *command]
            self._processes.append(subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=self._words(command[0])))
        until(self._listens, START_SECONDS)
        self._thread.start()
        self.chat = self._do(self._make())
        assert self._do(self.chat.start(PATIENCE)), self.words

    def stop(self) -> None:
        try:
            if self.chat is not None:
                self._do(self.chat.settle(PATIENCE))
                self._do(self.chat.stop())
        finally:
            if self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join(PATIENCE)
            self._loop.close()
            for process in self._processes:
                process.kill()
                process.wait()

    def wire(self, port: int = PLAIN, source: str = STRANGER) -> Wire:
        return Wire(self.trust, port, source)

    # -- how it is ----------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        return all(process.poll() is None for process in self._processes)

    @property
    def words(self) -> str:
        """What was written to standard error by the proxy."""
        return (self._folder / "haproxy_voip.err").read_text()

    @property
    def cpu(self) -> float:
        """Seconds of processor time the proxy took so far."""
        fields = Path(f"/proc/{self._processes[1].pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, field: str = "VmRSS") -> int:
        """Bytes the proxy has in memory, or had at most since `forget_peak` (VmHWM)."""
        text = Path(f"/proc/{self._processes[1].pid}/status").read_text()
        [line] = [line for line in text.splitlines() if line.startswith(f"{field}:")]
        return int(line.split()[1]) * 1024

    def forget_peak(self) -> None:
        """proc(5): 5 "resets the peak resident set size"."""
        Path(f"/proc/{self._processes[1].pid}/clear_refs").write_text("5")

    def unharmed_since(self, began_at: float) -> float:
        """The longest that a message of the two took since; all that were written have arrived, once each."""
        now, chat = time.monotonic(), self.chat
        assert chat is not None
        until(lambda: chat.figures(began_at, now).lost == 0)
        figures = chat.figures(began_at, now)
        assert (figures.lost, figures.doubled, chat.complaint()) == (0, 0, "")
        return figures.longest_wait

    # -----------------------------------------------------------------------------------------------

    def _words(self, program: str) -> int:
        return os.open(self._folder / f"{program}.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _listens(self) -> bool:
        assert self.alive, self.words
        try:
            for address in ((SERVER, 5222), (PROXY, DIRECT)):
                socket.create_connection(address, 1.0).close()
        except OSError:
            return False
        return True

    async def _make(self) -> DemoChat:
        pair = {user: PASSWORDS[user] for user in ("1001", "1002")}
        return DemoChat(Address(PROXY, PLAIN), self._folder / "proxy.crt", DOMAIN, pair)

    def _do(self, doing: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(2 * PATIENCE)


def until(done: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + patience
    while not done():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
