"""The demonstration's proxy, three PBXes and three chat servers: each a process of its own.

A PBX and a chat server make one machine, which has a loopback address of its own and dies as one.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, sleep, time
from types import MappingProxyType
from typing import Any

from haproxy_voip.core.address import Endpoint, Transport
from haproxy_voip.edge.control_client import request
from haproxy_voip.embedded.certificate import write_certificate
from haproxy_voip.embedded.children import Child
from haproxy_voip.embedded.demo_place import FIRST_BACKEND, PROXY, DemoFailed, Place
from haproxy_voip.embedded.process import LISTENING

DOMAIN = "voip.example"
BACKENDS = ("alpha", "beta", "charlie")  # in order of preference
USERS = {"1001": "silver-otter", "1002": "quiet-maple", "1003": "brave-comet", "1004": "early-heron"}
MEDIA_PORTS = "20000-29999"
START_PATIENCE = 20.0  # seconds; a loaded machine takes a while to import everything
ASK_EVERY = 0.02
MAX_COMPLAINTS = 10
ACTIVE = ("active", "chat_active")  # in the proxy's status


@dataclass(slots=True)
class Told:
    """One fact of the proxy's log; `at` is monotonic seconds."""

    at: float
    fact: str
    fields: dict[str, Any]


def servers(backend: str) -> tuple[str, str]:
    """The names of its two processes, the PBX first."""
    return backend, f"{backend}'s chat server"


class Cluster:
    """See the module. Everything is started by `start` and ended by `stop`."""

    def __init__(self, users: Mapping[str, str] = MappingProxyType(USERS), relay: str = "auto") -> None:
        """`users` have these passwords; `relay` is `media.relay`."""
        self._users = users
        self._relay = relay
        self.folder = Path(tempfile.mkdtemp(prefix="haproxy_voip-demo-"))
        self.control = self.folder / "control.sock"
        self.place = Place.claim()
        self.proxy_address = self.place.address(PROXY)
        self.chat_address = self.place.chat_address(PROXY)
        self.certificate = self.folder / "certificate.pem"
        self.told: list[Told] = []
        self._backends = {
            name: Endpoint(Transport.UDP, self.place.address(FIRST_BACKEND + number))
            for number, name in enumerate(BACKENDS)
        }
        self._chat = {
            name: Endpoint(Transport.TCP, self.place.chat_address(FIRST_BACKEND + number))
            for number, name in enumerate(BACKENDS)
        }
        self._children: dict[str, Child] = {}
        # The log says wall-clock, we measure on the monotonic clock.
        self._epoch_offset = time() - monotonic()

    def start(self) -> None:
        """Start all; returns when the proxy has found every server. Raises DemoFailed."""
        self._write_files()
        for name in self._backends:
            self.start_backend(name)
        for name in [server for backend in self._backends for server in servers(backend)]:
            self._wait(partial(self._listens, name), f"{name} listens", name)
        command = [sys.executable, "-m", "haproxy_voip", "run", "-c", str(self.folder / "haproxy_voip.yaml")]
        # SIGTERM would leave the calls that are up some time.
        self._children["proxy"] = Child("proxy", command, self._read_log, signal.SIGINT)
        self._wait(self._all_up, "the proxy has found all three", "proxy")
        # Whoever is found first is active. On a busy machine that need not be the first in order.
        if any(self.status()[service] != BACKENDS[0] for service in ACTIVE):
            request(self.control, "switch", {"name": BACKENDS[0]})

    def start_backend(self, name: str) -> None:
        """Start this machine's servers, or start them again."""
        for server in servers(name):
            if server in self._children:
                self._children[server].end()
        address = self._backends[name].address
        command = [sys.executable, "-m", "haproxy_voip.embedded.pbx_server", "--realm", DOMAIN, "--relay"]
        command += ["--passwords", str(self.folder / "passwords.json")]
        command += ["--listen", f"udp:{address}", "--listen", f"tcp:{address}"]
        pbx, chat = servers(name)
        self._children[pbx] = Child(pbx, command)
        command = [sys.executable, "-m", "haproxy_voip.embedded.chat_process", "--domain", DOMAIN]
        command += ["--passwords", str(self.folder / "passwords.json"), "--listen", str(self._chat[name])]
        self._children[chat] = Child(chat, command)

    def kill(self, name: str) -> float:
        """SIGKILL to both servers of a machine; when the first was sent, monotonic seconds."""
        return min([self._children[server].kill() for server in servers(name)])

    def stop(self) -> None:
        """End everything that still runs and remove all files. Safe to call at any time."""
        for name in ("proxy", *(server for backend in self._backends for server in servers(backend))):
            child = self._children.pop(name, None)
            if child is not None:
                child.end()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.place.give_back()

    def pids(self) -> dict[str, int]:
        """What runs."""
        return {name: child.pid for name, child in self._children.items() if child.alive}

    # -- asking the proxy ----------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """As `haproxy-voip status --json`. Raises ControlError."""
        return request(self.control, "status", {})

    def registrations(self, name: str) -> int:
        """How many registrations the proxy has made at this PBX."""
        return next((int(row["registrations"]) for row in self.status()["backends"] if row["name"] == name), 0)

    def facts(self, fact: str, after: float, **fields: str) -> list[Told]:
        """What the proxy told of this after a moment (monotonic seconds)."""
        return [
            told
            for told in list(self.told)
            if told.at >= after and told.fact == fact and all(told.fields.get(k) == v for k, v in fields.items())
        ]

    def _listens(self, name: str) -> bool:
        return LISTENING in self._children[name].last_words()

    def _all_up(self) -> bool:
        """Each is found as a PBX and as a chat server."""
        found = Counter(told.fields.get("backend") for told in list(self.told) if told.fact == "BackendUp")
        return all(found[name] >= len(servers(name)) for name in BACKENDS)

    def errors(self) -> int:
        """Mistakes of the proxy's own that it told of."""
        return sum(told.fact in ("Failed", "SessionFailed") for told in list(self.told))

    def complaints(self) -> list[str]:
        """What the proxy warned of, for whoever wonders why it did not work."""
        serious = [told for told in list(self.told) if told.fields.get("level") in ("warning", "error")]
        return [f"the proxy said: {told.fields.get('text')}" for told in serious[-MAX_COMPLAINTS:]]

    def _wait(self, done: Callable[[], bool], what: str, name: str) -> None:
        until = monotonic() + START_PATIENCE
        while not done():
            child = self._children[name]
            if not child.alive or monotonic() > until:
                raise DemoFailed(f"waited in vain until {what}; the last words of {name}:\n{child.last_words()}")
            sleep(ASK_EVERY)

    def _read_log(self, line: str) -> None:
        """One line of the proxy's log: a JSON object."""
        try:
            fields = json.loads(line)
        except ValueError:
            return
        if isinstance(fields, dict) and "at" in fields:
            self.told.append(Told(float(fields["at"]) - self._epoch_offset, str(fields.get("fact")), fields))

    # -- files ---------------------------------------------------------------------------------------

    def _write_files(self) -> None:
        users = "".join(f'  "{name}": {{password: {password}}}\n' for name, password in self._users.items())
        (self.folder / "users.yaml").write_text(f"realm: {DOMAIN}\nusers:\n{users}")
        (self.folder / "passwords.json").write_text(json.dumps(dict(self._users)))
        write_certificate(self.certificate, self.folder / "key.pem", [DOMAIN])
        backends = "".join(
            f'  {name}: {{sip: "{endpoint}", xmpp: "{self._chat[name]}", chat: {{starttls: never}}}}\n'
            for name, endpoint in self._backends.items()
        )
        address = self.proxy_address
        (self.folder / "haproxy_voip.yaml").write_text(
            f"proxy:\n  domain: {DOMAIN}\n"
            f"  tls: {{certificate: certificate.pem, key: key.pem}}\n"
            f'  sip: {{listen: ["udp:{address}", "tcp:{address}"]}}\n'
            f'  xmpp: {{listen: ["tcp:{self.chat_address}"]}}\n'
            f"users: users.yaml\nbackends:\n{backends}"
            f"media: {{ports: {MEDIA_PORTS}, relay: {self._relay}}}\n"
            f"log: {{level: debug, format: json}}\ncontrol: {self.control}\n"
        )
