"""A proxy and three embedded PBXes, each a process of its own, on loopback addresses nobody else uses."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from haproxy_voip.core.address import Address
from haproxy_voip.edge.control_client import ControlError, request
from haproxy_voip.embedded.children import Child
from haproxy_voip.embedded.demo_place import FIRST_BACKEND, PROXY, Place
from haproxy_voip.embedded.process import LISTENING

from .processes import make_urgent

DOMAIN = "voip.example"
BACKENDS = ("alpha", "beta", "charlie")  # in order of preference
PATIENCE_SECONDS = 60.0
ASK_EVERY = 0.01
Status = dict[str, Any]

# Nobody is to be refused or felled for being slow: that is what a crowded machine would do, not what is tried.
CONFIG = """\
proxy:
  domain: {domain}
  digest: [MD5]
  sip: {{listen: ["udp:{address}"]}}
users: users.yaml
backends:
{backends}
health: {{fall: 5}}
media: {{ports: 10000-59998}}
timers: {{max_expires: 24h}}
limits: {{max_calls: {max_calls}, max_registrations: 1000000, max_lag: 10s, allow: [127.0.0.0/8]}}
call_records: {folder}/calls.jsonl
log: {{level: warning}}
control: {folder}/control.sock
"""
MAX_CALLS = 100_000


def password(user: str) -> str:
    """What this user's secret is."""
    return f"secret-{user}"


class Exchange:
    """See the module. Ended by `stop`, whatever happened."""

    def __init__(self, users: Sequence[str], urgent: bool = False, more: str = "") -> None:
        """`more` is configuration."""
        self.place = Place.claim()
        self.folder = Path(tempfile.mkdtemp(prefix="haproxy_voip-exchange-"))
        self.control = self.folder / "control.sock"
        self.address: Address = self.place.address(PROXY)
        self._urgent = urgent
        self._more = more
        self._children: dict[str, Child] = {}
        self._endpoints = {name: self.place.address(FIRST_BACKEND + number) for number, name in enumerate(BACKENDS)}
        secrets = {user: password(user) for user in users}
        (self.folder / "passwords.json").write_text(json.dumps(secrets))
        lines = "".join(f'  "{user}": {{password: {secret}}}\n' for user, secret in secrets.items())
        (self.folder / "users.yaml").write_text(f"realm: {DOMAIN}\nusers:\n{lines}")
        (self.folder / "users.yaml").chmod(0o600)
        self.configure(BACKENDS, MAX_CALLS)

    def configure(self, order: Sequence[str], max_calls: int) -> None:
        """What the proxy reads next time."""
        rows = "\n".join(f'  {name}: {{sip: "udp:{self._endpoints[name]}"}}' for name in order)
        text = CONFIG.format(
            domain=DOMAIN, address=self.address, backends=rows, folder=self.folder, max_calls=max_calls
        )
        (self.folder / "proxy.yaml").write_text(text + self._more)

    def start(self) -> None:
        """Returns when the proxy has found all three. Raises SystemExit."""
        for name in BACKENDS:
            self.start_backend(name)
        for name in BACKENDS:
            self.wait(lambda name=name: LISTENING in self._children[name].last_words(), f"{name} listens")  # type: ignore[misc]
        command = [sys.executable, "-m", "haproxy_voip", "run", "-c", str(self.folder / "proxy.yaml")]
        self._start("proxy", command)
        self.wait(lambda: self.all_up(0), "the proxy has found its backends")

    def start_backend(self, name: str) -> None:
        """For the first time, or again. Signalling only: media pass between the proxy's own ports."""
        if name in self._children:
            self._children[name].end()
        endpoint = self._endpoints[name]
        command = [sys.executable, "-m", "haproxy_voip.embedded.pbx_server", "--realm", DOMAIN]
        command += ["--passwords", str(self.folder / "passwords.json")]
        command += ["--listen", f"udp:{endpoint}", "--listen", f"tcp:{endpoint}"]
        self._start(name, command)

    def _start(self, name: str, command: Sequence[str]) -> None:
        self._children[name] = Child(name, command)
        if self._urgent:
            make_urgent(self._children[name].pid)

    def kill(self, name: str) -> float:
        """SIGKILL; monotonic seconds."""
        return self._children[name].kill()

    def stop(self) -> None:
        """End everything and remove all files."""
        for child in reversed(self._children.values()):
            child.end()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.place.give_back()

    @property
    def pid(self) -> int:
        """Of the proxy."""
        return self._children["proxy"].pid

    def said(self) -> list[str]:
        """What the proxy warned of."""
        return list(self._children["proxy"].lines)

    def status(self) -> Status:
        """Raises ControlError."""
        return request(self.control, "status", {})

    def reload(self) -> Status:
        """Raises ControlError."""
        return request(self.control, "reload", {}, PATIENCE_SECONDS)

    def all_up(self, registrations: int) -> bool:
        """Whether each is up and holds so many."""
        rows = self._rows()
        return bool(rows) and all(row["health"] == "up" and row["registrations"] == registrations for row in rows)

    def at_active(self, what: str, count: int) -> bool:
        """Whether the active one is up and has so many `calls` or `registrations`."""
        return any(row["active"] and row["health"] == "up" and row[what] == count for row in self._rows())

    def _rows(self) -> list[Status]:
        try:
            rows: list[Status] = self.status()["backends"]
        except ControlError:
            return []
        return rows

    def wait(self, done: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Raises SystemExit. What is measured by it is as fine as ASK_EVERY."""
        until = time.monotonic() + seconds
        while not done():
            dead = [name for name, child in self._children.items() if name == "proxy" and not child.alive]
            if dead or time.monotonic() > until:
                words = "\n".join(child.last_words() for child in self._children.values())
                raise SystemExit(f"waited in vain until {what}\n{words}")
            time.sleep(ASK_EVERY)
