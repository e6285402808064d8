"""The proxy under test: a process of its own, with defaults but for what the benchmark itself would disturb.

Probes have half a second: the load takes the processors, and a failover is not what is measured here.
Nobody is refused or banned: that is not what is measured either.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .processes import cpu_seconds, running, wait_bound

DOMAIN = "voip.example"
USERS = 200
FIRST_USER = 1000

# The proxy tells a backend from a client by its address, so each has one of its own.
SIP_PORT = 5060
CLIENT_HOST, PROXY_HOST, BACKEND_HOST = "127.0.71.1", "127.0.71.2", "127.0.71.3"

CONFIG = """\
proxy:
  domain: {domain}
  sip: {{listen: ["udp:{host}:{port}"]}}
  stop_after: 0s
users: users.yaml
backends:
  alpha: {{sip: "udp:{backend_host}:{backend_port}"}}
health: {{inter: 500ms, fastinter: 100ms, timeout: 500ms, rise: 1}}
media: {{ports: 10000-59999}}
limits: {{max_calls: 100000, max_lag: 10s, allow: [127.0.0.0/8]}}
control: {folder}/control.sock
"""
RECORDS = "call_records: {folder}/calls.jsonl\n"
# Whoever calls from where the phones are is a carrier, which nobody challenges.
TRUNK = f'trunks: {{{{carrier: {{{{address: "udp:{CLIENT_HOST}:{SIP_PORT}", max_calls: 100000}}}}}}}}\n'


def user(number: int) -> str:
    """One of the users, round and round."""
    return str(FIRST_USER + number % USERS)


def password(name: str) -> str:
    """What this user's secret is."""
    return f"secret-of-{name}"


def ha1(name: str) -> str:
    """What the proxy knows of it (RFC 7616 section 3.4.2). No SHA-256: SIPp knows MD5 only."""
    return hashlib.md5(f"{name}:{DOMAIN}:{password(name)}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy and its one backend's place."""

    process: int
    address: tuple[str, int]
    backend: tuple[str, int]

    def cpu_seconds(self) -> float:
        """Used so far."""
        return cpu_seconds(self.process)


@contextmanager
def proxy(folder: Path, more: str = "") -> Iterator[Proxy]:
    """A proxy that listens, until the block ends. Nobody is at its backend's address yet. `more` is configuration."""
    port, backend = SIP_PORT, (BACKEND_HOST, SIP_PORT)
    file, log = folder / "proxy.yaml", folder / "proxy.log"
    file.write_text(
        (CONFIG + more).format(
            domain=DOMAIN, host=PROXY_HOST, port=port, backend_host=backend[0], backend_port=backend[1], folder=folder
        )
    )
    users = folder / "users.yaml"
    names = [user(number) for number in range(USERS)]
    secrets = "".join(f'  "{name}": {{ha1: "{ha1(name)}"}}\n' for name in names)
    users.write_text(f"realm: {DOMAIN}\nusers:\n{secrets}")
    users.chmod(0o600)
    with running([sys.executable, "-m", "haproxy_voip", "run", "-c", str(file)], log) as process:
        wait_bound(PROXY_HOST, port, process, log)
        yield Proxy(process.pid, (PROXY_HOST, port), backend)
