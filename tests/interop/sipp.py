"""SIPp runs: bounded in time, with a failure's reason in readable form.

Scenarios are in scenarios/, each with its purpose and its keys (`-key`) in a comment at its head.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.interop.processes import Process, ProcessError, tail, wait_until
from tests.interop.servers import SIP_PORT, password

SCENARIOS = Path(__file__).parent / "scenarios"
GRACE_SECONDS = 5.0  # SIPp ends by itself at its own time limit; after this it is ended


class SippError(Exception):
    """Calls failed. The text has the counters, what was unexpected and the last messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What SIPp is asked to do."""

    scenario: str  # file name in scenarios/ without .xml
    local: str  # address
    local_port: int = 5060
    target: str | None = None  # address, or address:port; None for a scenario that waits for calls
    user: str = "1001"
    password: str | None = None  # None is the user's own
    keys: Mapping[str, str] = field(default_factory=dict)
    status: int = 0  # a scenario's @STATUS@: the answer it waits for
    rows: Sequence[Sequence[str]] = ()  # [field0], [field1] ... of each call in turn
    calls: int = 1
    rate: float = 10.0  # calls per second
    seconds: float = 20.0  # for everything
    pause_ms: int = 1000  # how long a caller talks, or a callee rings
    transport: str = "u1"  # u1: one UDP socket; t1: one TCP connection


@dataclass(slots=True)
class Sipp:
    """One SIPp. `folder` takes its logs."""

    run: Run
    folder: Path
    process: Process | None = None

    def start(self) -> None:
        self.process = Process(f"sipp {self.run.scenario}", self._argv(), self.folder / "output")
        self.process.start()

    def wait(self) -> None:
        """Returns when all calls have succeeded; raises SippError when one has not."""
        assert self.process is not None
        try:
            status = self.process.wait(self.run.seconds + GRACE_SECONDS)
        except ProcessError as error:
            raise SippError(f"{error}\n{self._story()}") from None
        if status != 0:
            raise SippError(f"sipp {self.run.scenario} ended with {status}\n{self._story()}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def wait_listening(self) -> None:
        """Returns when its UDP socket is bound: calls may be sent to it."""
        wanted = f"{_hex_address(self.run.local)}:{self.run.local_port:04X}"
        table = Path("/proc/net/udp" if self.run.transport.startswith("u") else "/proc/net/tcp")
        wait_until(lambda: wanted in table.read_text(), 5.0, f"sipp {self.run.scenario} listens")

    def wait_remote_audio(self, seconds: float = 10.0) -> tuple[str, int]:
        """Where the other side wants its audio: scenarios log it as `audio ADDRESS PORT` once they have its SDP."""
        log = self.folder / "logs"
        found: list[re.Match[str]] = []

        def is_logged() -> bool:
            text = log.read_text(errors="replace") if log.exists() else ""
            found[:] = re.finditer(r"^audio (\S+) (\d+)$", text, re.MULTILINE)
            return bool(found) or (self.process is not None and not self.process.is_running)

        wait_until(is_logged, seconds, f"sipp {self.run.scenario} has the other side's SDP")
        if not found:
            self.wait()
            raise SippError(f"sipp {self.run.scenario} ended without an SDP\n{self._story()}")
        return found[-1][1], int(found[-1][2])

    def messages(self) -> str:
        """Every SIP message it sent and received."""
        path = self.folder / "messages"
        return path.read_text(errors="replace") if path.exists() else ""

    def log(self) -> str:
        """What its scenario logged."""
        path = self.folder / "logs"
        return path.read_text(errors="replace") if path.exists() else ""

    def _argv(self) -> list[str]:
        run = self.run
        scenario = self.folder / f"{run.scenario}.xml"
        text = (SCENARIOS / scenario.name).read_text()
        scenario.write_text(text.replace("@STATUS@", str(run.status)))
        argv = ["sipp", "-sf", str(scenario), "-i", run.local, "-p", str(run.local_port)]
        argv += [
            "-m",
            str(run.calls),
            "-r",
            str(run.rate),
            "-t",
            run.transport,
            "-nostdin",
            "-nd",
            "-d",
            str(run.pause_ms),
        ]
        argv += ["-s", run.user, "-au", run.user, "-ap", password(run.user) if run.password is None else run.password]
        argv += ["-timeout", f"{run.seconds:.0f}s", "-timeout_error"]
        argv += ["-trace_err", "-error_file", str(self.folder / "errors"), "-error_overwrite", "true"]
        argv += ["-trace_msg", "-message_file", str(self.folder / "messages"), "-message_overwrite", "true"]
        argv += ["-trace_logs", "-log_file", str(self.folder / "logs"), "-log_overwrite", "true"]
        for name, value in run.keys.items():
            argv += ["-key", name, value]
        if run.rows:
            rows = self.folder / "rows.csv"
            rows.write_text("SEQUENTIAL\n" + "".join(";".join(row) + "\n" for row in run.rows))
            argv += ["-inf", str(rows)]
        if run.target is not None:
            argv.append(run.target if ":" in run.target else f"{run.target}:{SIP_PORT}")
        return argv

    def _story(self) -> str:
        output = self.folder / "output"
        counters = [line.rstrip() for line in output.read_text(errors="replace").splitlines() if " call" in line][-6:]
        return "\n".join([*counters, tail(self.folder / "errors"), tail(self.folder / "messages")])


def credentials(user: str) -> str:
    """A row's field that becomes the Authorization header."""
    return f"[authentication username={user} password={password(user)}]"


def _hex_address(address: str) -> str:
    """As /proc/net/udp has it: the octets backwards in hexadecimal."""
    return "".join(f"{int(octet):02X}" for octet in reversed(address.split(".")))
