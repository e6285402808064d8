"""Chat servers, and what stands before them: HAProxy in TCP mode, and the proxy. Each is a process of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.parts.chat_clients import DOMAIN, Way, password, user
from benchmarks.parts.processes import running
from haproxy_voip.edge.control_client import ControlError, Result, request
from haproxy_voip.embedded.certificate import write_certificate

PORT, TLS_PORT = 5222, 5223
HAPROXY_HOST, PROXY_HOST = "127.0.73.2", "127.0.73.3"
SINK_HOSTS = ("127.0.73.4", "127.0.73.5")
SINK = Path(__file__).parent / "chat_sink.py"
START_SECONDS = 60.0  # a second, but on a crowded machine
READY_SECONDS = 120.0  # a reserve for each of 2,000 sessions

# One thread, as the proxy has one: with more HAProxy is faster, and a message costs it the same.
HAPROXY = """\
global
  nbthread 1
  maxconn 8000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen plain
  bind {host}:{port}
  server alpha {server}
listen secure
  bind {host}:{tls_port} ssl crt {certificate} alpn xmpp-client
  server alpha {server}
"""

PROXY = """\
proxy:
  domain: {domain}
  tls: {{certificate: tls.crt, key: tls.key}}
  xmpp: {{listen: ["tcp:{host}:{port}", "tls:{host}:{tls_port}"], starttls: optional}}
users: users.yaml
backends:
{backends}health: {{inter: 1s, fastinter: 500ms, timeout: 1s, rise: 1}}
limits: {{max_connections: 16000}}
control: {folder}/control.sock
log: {{level: warning}}
"""
BACKEND = '  {name}: {{xmpp: "tcp:{place}", chat: {{starttls: never, standby: {standby}}}, tls: {{verify: false}}}}\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Something clients connect to."""

    process: int
    host: str
    ports: tuple[int, int] = (PORT, TLS_PORT)  # plain, TLS

    def way(self, *, tls: bool = False, mechanism: str = "PLAIN", managed: bool = False) -> Way:
        """How to log in here."""
        return Way(host=self.host, port=self.ports[tls], tls=tls, mechanism=mechanism, managed=managed)

    @property
    def resident_kib(self) -> float:
        """The process's memory (proc(5), VmRSS)."""
        lines = Path(f"/proc/{self.process}/status").read_text().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxied(Place):
    """The proxy, with its control socket."""

    control: Path

    def wait_ready(self, reserves: int = 0, seconds: float = READY_SECONDS) -> None:
        """Until a server is up, and so many sessions are kept ready elsewhere. Raises SystemExit."""
        until = time.monotonic() + seconds
        status: Result = {}
        while time.monotonic() < until:
            try:
                status = request(self.control, "status", {})
            except ControlError:
                time.sleep(0.1)
                continue
            if status["chat_active"] and sum(row["reserves"] for row in status["chat_backends"]) >= reserves:
                return
            time.sleep(0.1)
        raise SystemExit(f"the proxy is not ready: {status}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What of the proxy's configuration varies."""

    users: int
    standby: str = "cold"
    ports: tuple[int, int] = (PORT, TLS_PORT)
    servers: tuple[str, ...] = field(default_factory=lambda: (f"{SINK_HOSTS[0]}:{PORT}",))


@contextmanager
def sink(folder: Path, port: int = PORT) -> Iterator[Place]:
    """The bare server, at both of its addresses."""
    log = folder / "sink.log"
    with running([sys.executable, str(SINK), str(port), *SINK_HOSTS], log) as process:
        _wait_listening(SINK_HOSTS[1], port, process, log)
        yield Place(process=process.pid, host=SINK_HOSTS[0], ports=(port, 0))


@contextmanager
def haproxy(folder: Path, server: str) -> Iterator[Place]:
    """HAProxy before a server (`host:port`), plain and ending TLS."""
    certificate, key, both = folder / "haproxy.crt", folder / "haproxy.key", folder / "haproxy.pem"
    write_certificate(certificate, key, [DOMAIN])
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    file, log = folder / "haproxy.cfg", folder / "haproxy.log"
    file.write_text(
        HAPROXY.format(host=HAPROXY_HOST, port=PORT, tls_port=TLS_PORT, certificate=both, server=server),
        encoding="utf-8",
    )
    with running(["haproxy", "-db", "-f", str(file)], log) as process:
        _wait_listening(HAPROXY_HOST, TLS_PORT, process, log)
        yield Place(process=process.pid, host=HAPROXY_HOST)


def has_haproxy() -> bool:
    """Whether it is installed (Debian: haproxy)."""
    return shutil.which("haproxy") is not None


@contextmanager
def proxy(folder: Path, setting: Setting) -> Iterator[Proxied]:
    """The proxy before servers of which the first is active, plain and TLS. Returns when that is up."""
    write_certificate(folder / "tls.crt", folder / "tls.key", [DOMAIN])
    names = ("alpha", "beta", "charlie")
    backends = "".join(
        BACKEND.format(name=name, place=place, standby=setting.standby)
        for name, place in zip(names, setting.servers, strict=False)
    )
    file, log, (port, tls_port) = folder / "proxy.yaml", folder / "proxy.log", setting.ports
    said = {"domain": DOMAIN, "host": PROXY_HOST, "port": port, "tls_port": tls_port, "folder": folder}
    file.write_text(PROXY.format(**said, backends=backends), encoding="utf-8")
    users = folder / "users.yaml"
    rows = "".join(f'  "{user(number)}": {{password: {password(user(number))}}}\n' for number in range(setting.users))
    users.write_text(f"realm: {DOMAIN}\nusers:\n{rows}", encoding="utf-8")
    users.chmod(0o600)
    with running([sys.executable, "-m", "haproxy_voip", "run", "-c", str(file)], log) as process:
        _wait_listening(PROXY_HOST, tls_port, process, log)
        place = Proxied(process=process.pid, host=PROXY_HOST, ports=setting.ports, control=folder / "control.sock")
        place.wait_ready(seconds=START_SECONDS)
        yield place


def _wait_listening(host: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns once somebody accepts there. Raises SystemExit, with what the process wrote."""
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((host, port), 1.0).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"nobody listens on {host}:{port}\n{log.read_text(errors='replace')}") from None
            time.sleep(0.05)
        else:
            return
