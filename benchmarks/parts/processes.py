"""Processes that a benchmark starts: they die with it, and their CPU time is read from a clock of their own."""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

STOP_SECONDS = 5.0  # a polite stop that takes longer is ended by force
# Should the benchmark itself be killed, the kernel kills what it started (prctl(2), PR_SET_PDEATHSIG).
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")

# With a process it makes a clock, as clock_getcpuclockid(3) does. /proc has its time in ticks, or, where the kernel
# keeps no statistics of its scheduler, not at all.
CPU_TIME = 2
URGENT = -15  # nice


@contextmanager
def running(argv: Sequence[str], log: Path, folder: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process until the block ends; `log` takes what it writes. `folder` is where it runs; None: where we do."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*DIES_WITH_US, *argv], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=folder
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def become_urgent() -> None:
    """Ourselves and all we start in our session. What is in a session of its own wants `make_urgent`."""
    with contextlib.suppress(OSError):
        group = Path("/proc/self/autogroup")
        before = group.read_text().rpartition(" ")[2].strip()
        # The shell we were started from is of our session.
        atexit.register(group.write_text, before)
    make_urgent(os.getpid())


def make_urgent(process: int) -> None:
    """Before what is not. Where there are groups by session, niceness counts within its own only (sched(7))."""
    os.setpriority(os.PRIO_PROCESS, process, URGENT)
    with contextlib.suppress(FileNotFoundError):
        Path(f"/proc/{process}/autogroup").write_text(str(URGENT))


def cpu_seconds(process: int) -> float:
    """User and system time of all threads of another process, those that ended too, in nanoseconds and not in ticks."""
    return time.clock_gettime((~process << 3) | CPU_TIME)


def family(process: int) -> list[int]:
    """A process and all that descend from it, as they are now."""
    found = [process]
    for one in found:  # grows meanwhile
        for task in Path(f"/proc/{one}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def free_port(host: str) -> int:
    """A UDP port nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_bound(host: str, port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 10.0) -> None:
    """Returns once the process has bound this UDP port. Raises SystemExit, with its output, when it does not."""
    _wait_in("/proc/net/udp", (host, port), process, log, seconds)


def wait_listening(host: str, port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 10.0) -> None:
    """The same for TCP."""
    _wait_in("/proc/net/tcp", (host, port), process, log, seconds)


def _wait_in(table: str, place: tuple[str, int], process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    host, port = place
    octets = "".join(f"{int(octet):02X}" for octet in reversed(host.split(".")))  # as the kernel writes them there
    until = time.monotonic() + seconds
    while f" {octets}:{port:04X} " not in Path(table).read_text():
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"{host}:{port} was never bound\n{log.read_text(errors='replace')}")
        time.sleep(0.02)
