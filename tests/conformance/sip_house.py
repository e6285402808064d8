"""The proxy as a process, a phone that does everything right, and strangers on sockets."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from haproxy_voip.core.credential import Credential
from haproxy_voip.edge.control_client import ControlError, request
from haproxy_voip.embedded.certificate import write_certificate
from haproxy_voip.sip.digest import AuthenticationSession
from haproxy_voip.sip.framing import StreamFramer
from haproxy_voip.sip.message import Response, parse

DOMAIN = "voip.example"
USER = "1001"
PASSWORD = "secret"
SIP, SIPS = 5060, 5061
# Addresses of our own, whoever else runs the same on this machine.
NET = f"127.{2 + os.getpid() // 250 % 250}.{2 + os.getpid() % 250}"
PROXY, HONEST, ALLOWED = f"{NET}.1", f"{NET}.2", f"{NET}.3"
FAILURES, REQUESTS = 50, 200  # a minute
MAX_CONNECTIONS = 400
START_SECONDS = 90.0  # a process that imports everything, on a machine with twenty others waiting: 20 s were seen
# Whatever is waited for comes within milliseconds; a machine that does much else may take longer.
PATIENCE = 60.0
AGAIN_SECONDS = 1.0  # what was sent over UDP may be lost where somebody floods
DATAGRAM = 65_535

CONFIG = f"""
proxy:
  domain: {DOMAIN}
  tls: {{certificate: proxy.crt, key: proxy.key}}
  sip: {{listen: ["udp:{PROXY}:{SIP}", "tcp:{PROXY}:{SIP}", "tls:{PROXY}:{SIPS}"]}}
users: users.yaml
backends: {{alpha: {{sip: "udp:{NET}.9:5060"}}}}
limits: {{failures: {FAILURES}, requests: {REQUESTS}, ban: 1h, max_ban: 24h, allow: [{ALLOWED}/32],
          max_connections: {MAX_CONNECTIONS}, max_lag: 10s}}
control: control
log: {{level: warning}}
media: {{relay: userspace}}
"""

ASKED = (
    "{method} sip:{target} SIP/2.0\r\nVia: SIP/2.0/{transport} {host}:5060;branch=z9hG4bK{key};rport\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:{user}@{domain}>;tag={key}\r\nTo: <sip:{user}@{domain}>\r\n"
    "Call-ID: {key}@{host}\r\nCSeq: {number} {method}\r\nContact: <sip:{user}@{host}:5060>\r\n{more}"
    "Content-Length: 0\r\n\r\n"
)


def asked(method: str, key: str, host: str, more: str = "", **fields: object) -> bytes:
    """A request as anybody sends it."""
    usual = {"target": DOMAIN, "transport": "UDP", "user": USER, "domain": DOMAIN, "number": 1}
    return ASKED.format(method=method, key=key, host=host, more=more, **{**usual, **fields}).encode()


class Phone:
    """Registers, over UDP or over a connection, and keeps at it until it is answered."""

    def __init__(self, sock: socket.socket, transport: str = "UDP", host: str = HONEST) -> None:
        self.sock, self.transport, self.host = sock, transport, host
        self.count = 0
        self._framer = StreamFramer()
        sock.settimeout(AGAIN_SECONDS if transport == "UDP" else PATIENCE)

    def registers(self) -> int:
        """The final status; 503 is tried again."""
        ends_at = time.monotonic() + PATIENCE
        while (status := self._try()) == 503 and time.monotonic() < ends_at:
            time.sleep(AGAIN_SECONDS)
        return status

    def _try(self) -> int:
        self.count += 1
        key = f"{self.transport}{self.count}"
        challenge = self._exchange(asked("REGISTER", f"{key}a", self.host, transport=self.transport))
        session = AuthenticationSession.for_response(challenge, Credential(USER, DOMAIN, password=PASSWORD))
        if challenge.status != 401 or session is None:
            return challenge.status
        name, value = session.authorization("REGISTER", f"sip:{DOMAIN}", "cnonce")
        proof = f"{name}: {value}\r\nExpires: 600\r\n"
        again = asked("REGISTER", f"{key}b", self.host, proof, transport=self.transport, number=2)
        return self._exchange(again).status

    def _exchange(self, data: bytes) -> Response:
        """What this is answered in the end."""
        ends_at = time.monotonic() + PATIENCE
        call_id = parse(data).call_id
        self.sock.sendall(data)
        while time.monotonic() < ends_at:
            try:
                came = self.sock.recv(DATAGRAM)
            except TimeoutError:
                self.sock.sendall(data)
                continue
            for answer in self._read(came):
                if isinstance(answer, Response) and answer.call_id == call_id and answer.status >= 200:
                    return answer
        raise AssertionError("a good phone is not answered")

    def _read(self, data: bytes) -> list[object]:
        """An empty line that keeps a NAT open is no message."""
        if self.transport != "UDP":
            assert data, "a good phone was disconnected"
            return list(self._framer.feed(data))
        return [parse(data)] if data.strip() else []


class House:
    """See the module."""

    def __init__(self, folder: Path) -> None:
        write_certificate(folder / "proxy.crt", folder / "proxy.key", [DOMAIN])
        (folder / "proxy.yaml").write_text(CONFIG)
        (folder / "users.yaml").write_text(f'realm: {DOMAIN}\nusers:\n  "{USER}": {{password: {PASSWORD}}}\n')
        self.trust = ssl.create_default_context(cafile=str(folder / "proxy.crt"))
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "haproxy_voip", "run", "-c", str(self._folder / "proxy.yaml")]
        with (self._folder / "words").open("wb") as words:
            self._process = subprocess.Popen(command, stdout=words, stderr=words)
        ends_at = time.monotonic() + START_SECONDS
        while self.alive and time.monotonic() < ends_at:
            with suppress(ControlError):
                self.status()
                return
            time.sleep(0.05)
        raise AssertionError(self.words)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def words(self) -> str:
        """What the proxy wrote."""
        return (self._folder / "words").read_text()

    def status(self) -> dict[str, Any]:
        return request(self._folder / "control", "status", {}, PATIENCE)

    def banned(self) -> dict[str, str]:
        """Why, by address."""
        return {row["source"]: row["reason"] for row in self.status()["banned"]}

    def memory(self, field: str = "VmRSS") -> int:
        """Bytes the proxy has in memory, or had at most since `forget_peak` (VmHWM)."""
        assert self._process is not None
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        [line] = [line for line in text.splitlines() if line.startswith(f"{field}:")]
        return int(line.split()[1]) * 1024

    def forget_peak(self) -> None:
        """proc(5): 5 "resets the peak resident set size"."""
        assert self._process is not None
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def datagrams(self, source: str, port: int = 0) -> socket.socket:
        """A socket of somebody there."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((source, port))
        sock.connect((PROXY, SIP))
        return sock

    def connection(self, source: str, port: int = SIP) -> socket.socket:
        return socket.create_connection((PROXY, port), PATIENCE, (source, 0))


def until(true: Any) -> None:
    ends_at = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < ends_at, "it does not come to pass"
        time.sleep(0.05)


def ended(sock: socket.socket) -> bytes:
    """What the proxy says until it closes the connection, which it must."""
    sock.settimeout(PATIENCE)
    said = b""
    with suppress(ConnectionError):
        while data := sock.recv(DATAGRAM):
            said += data
    return said


def is_closed(sock: socket.socket) -> bool:
    """Whether the proxy has closed this connection; what it said before is read."""
    sock.setblocking(False)
    try:
        while sock.recv(DATAGRAM):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True
