"""The proxy under test: the real process, as an operator runs it, with a control socket and a log of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT
from typing import Any, Protocol

from haproxy_voip.core.address import Address
from haproxy_voip.edge.control_client import ControlError, request
from haproxy_voip.embedded.certificate import write_certificate
from tests.interop.naming import with_resolv_conf
from tests.interop.processes import Process, ProcessError, tail
from tests.interop.servers import REALM, SIP_PORT, password

ADDRESS = "127.0.0.10"
TLS_PORT = 5061
COMMAND = Path(sys.executable).with_name("haproxy-voip")
READY_SECONDS = 60.0  # 1 s is usual
COMMAND_SECONDS = 10.0
POLL_SECONDS = 0.01
MAX_LAG = "5s"  # a machine that also tests stands still now and then, which is no overload of the proxy's
LOG_LINES = 300  # of its log, shown when a test fails

Status = dict[str, Any]


class Behind(Protocol):
    """A server of whatever kind."""

    name: str
    address: str


class NotSo(Exception):
    """The proxy's status did not become what was waited for; the text has the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySetting:
    """What of the configuration tests vary; everything else is as by default."""

    registration: str = "mirror"
    digest: str = "MD5"  # SIPp, sipsak and baresip do not know SHA-256
    users: int = 10
    addresses: Sequence[str] = (ADDRESS,)
    tls: bool = False
    media_ports: str = "20000-27999"
    relay: str = "userspace"
    terms: Mapping[str, str] = field(default_factory=dict)  # more of a server's keys, by its name, as they are
    lines: Sequence[str] = ()  # more of the configuration, as it is


@dataclass(slots=True)
class Proxy:
    """One proxy in front of servers."""

    folder: Path
    servers: Sequence[Behind]
    setting: ProxySetting = field(default_factory=ProxySetting)
    process: Process | None = None
    resolv_conf: Path | None = None  # in place of the machine's; the backends are configured by host name

    @property
    def address(self) -> str:
        """Where phones send UDP and TCP, port 5060."""
        return self.setting.addresses[0]

    @property
    def certificate(self) -> Path:
        """PEM file of its certificate, which no authority has signed."""
        return self.folder / "tls.crt"

    @property
    def log(self) -> Path:
        """What it writes to standard error."""
        return self.folder / "log"

    # -- its life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts it; returns when every server is up in its eyes and the first is the active one."""
        self._launch()
        self.wait(lambda status: all(row["health"] == "up" for row in status["backends"]))
        first = self.servers[0].name
        # A busy machine may let the second one answer sooner than the first; then it is the active one.
        status = self.status()
        if status["active"] != first and status["balance"] == "failover":
            self.command("switch", first)

    def stop(self) -> None:
        """Ends it. Raises ProcessError when it had ended by itself, or its log has an error of ours."""
        if self.process is None:
            return
        died = not self.process.is_running
        self.process.stop()
        self.process = None
        if died:
            raise ProcessError(f"the proxy ended by itself\n{tail(self.log)}")
        if "Traceback" in self.text():
            raise ProcessError(f"the proxy met an error of its own\n{self.text()[-8000:]}")

    def kill(self) -> float:
        """SIGKILL; `start` brings it back. Returns the monotonic time of the kill."""
        assert self.process is not None
        process, self.process = self.process, None
        return process.kill()

    def text(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def story(self) -> str:
        """The end of its log, for a failure's message."""
        return "\n".join(self.text().splitlines()[-LOG_LINES:])

    # -- what an operator asks --------------------------------------------------------------------------

    def status(self) -> Status:
        """What `haproxy-voip status --json` prints. Raises ControlError while it does not listen."""
        return request(self.control, "status", {})

    def command(self, *words: str) -> Status:
        """Runs `haproxy-voip drain NAME` and the like as an operator does; returns what it prints."""
        argv = [str(COMMAND), *words, "--control", str(self.control), "--json"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        if done.returncode != 0:
            raise ProcessError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr}\n{tail(self.log)}")
        result: Status = json.loads(done.stdout)
        return result

    def reload(self, *servers: Behind, lines: Sequence[str] = ()) -> Status:
        """Has these servers from now on, in this order; `lines` are more of the configuration. Raises ProcessError."""
        self.servers = servers
        self._write_files(lines)
        return self.command("reload")

    def wait(self, wanted: Callable[[Status], bool], seconds: float = READY_SECONDS) -> Status:
        """Returns the first status that is as wanted. Raises NotSo when none is in time."""
        until = time.monotonic() + seconds
        while True:
            try:
                status = self.status()
                if wanted(status):
                    return status
            except ControlError as error:
                status = {"error": str(error)}
            if time.monotonic() > until or self.process is None or not self.process.is_running:
                raise NotSo(f"not within {seconds} s: {json.dumps(status, indent=2)}\n{tail(self.log)}")
            time.sleep(POLL_SECONDS)

    def wait_active(self, name: str, seconds: float = 5.0) -> Status:
        """Until everything new goes to this backend."""
        return self.wait(lambda status: bool(status["active"] == name), seconds)

    def wait_registered(self, contacts: int, *names: str, seconds: float = 10.0) -> Status:
        """Until each of these backends (all, when none is named) holds so many contacts and misses none."""
        wanted = names or tuple(server.name for server in self.servers)
        return self.wait(
            lambda status: all(
                (row["registrations"], row["registrations_missing"]) == (contacts, 0)
                for row in status["backends"]
                if row["name"] in wanted
            ),
            seconds,
        )

    def row(self, name: str) -> Status:
        """One backend's row of the status."""
        rows: list[Status] = self.status()["backends"]
        return next(row for row in rows if row["name"] == name)

    # -- its files --------------------------------------------------------------------------------------

    def _launch(self) -> None:
        self._write_files()
        argv = [str(COMMAND), "run", "-c", str(self._file)]
        if self.resolv_conf is not None:
            argv = with_resolv_conf(self.resolv_conf, argv)
        self.process = Process("haproxy-voip", argv, self.log, ending=SIGINT, ahead=True)  # not after the calls
        self.process.start()

    @property
    def control(self) -> Path:
        """Its control socket."""
        return self.folder / "control.sock"

    @property
    def _file(self) -> Path:
        return self.folder / "haproxy_voip.yaml"

    def _write_files(self, more: Sequence[str] = ()) -> None:
        setting = self.setting
        places = [str(Address(address, SIP_PORT)) for address in setting.addresses]
        listen = [f"{transport}:{place}" for place in places for transport in ("udp", "tcp")]
        lines = ["proxy:", f"  domain: {REALM}", f"  digest: [{setting.digest}]"]
        if setting.tls:
            listen += [f"tls:{Address(address, TLS_PORT)}" for address in setting.addresses]
            lines.append("  tls: {certificate: tls.crt, key: tls.key}")
            write_certificate(self.certificate, self.folder / "tls.key", [REALM, *setting.addresses])
        lines.append(f"  sip: {{listen: {json.dumps(listen)}}}")
        lines += ["users: users.yaml", "backends:"]
        for server in self.servers:
            terms = setting.terms.get(server.name, "")
            lines.append(f'  {server.name}: {{sip: "udp:{server.address}:{SIP_PORT}", {terms}}}')
        lines += [f"registration: {setting.registration}"]
        lines += [f"media: {{ports: {setting.media_ports}, relay: {setting.relay}}}"]
        more = [*setting.lines, *more]
        if not any(line.startswith("limits:") for line in more):
            more = [f"limits: {{max_lag: {MAX_LAG}}}", *more]
        lines += [f"control: {self.control}", *more]
        self._file.write_text("\n".join(lines) + "\n")
        users = self.folder / "users.yaml"
        rows = [f'  "{user}": {{password: {password(str(user))}}}' for user in range(1001, 1001 + setting.users)]
        users.write_text("\n".join([f"realm: {REALM}", "users:", *rows]) + "\n")
        users.chmod(0o600)
