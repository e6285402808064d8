"""SIPp as caller and as callee, and what it wrote down."""

from __future__ import annotations

import csv
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .processes import DIES_WITH_US, cpu_seconds, running, wait_bound
from .proxy import CLIENT_HOST, SIP_PORT, USERS, password, user

SCENARIOS = Path(__file__).parents[1] / "scenarios"
HOLD_SECONDS = 0.5  # how long a call stays, so that calls overlap
GRACE_SECONDS = 6.0  # for calls under way when the last one has begun
WRITES_EVERY = 1.0  # seconds between two lines of its counters: its least
BUFFER_BYTES = 4 * 2**20
COUNTED = ("_Sent", "_Recv", "_Retrans")


class SippFailed(Exception):
    """It ended without having done what it was told; the text has the end of its output."""


@dataclass(frozen=True, slots=True)
class Callee:
    """A SIPp that answers."""

    process: int
    folder: Path

    def messages(self) -> int:
        """SIP messages sent and received so far; waits until they are written down."""
        time.sleep(WRITES_EVERY + 0.2)
        return _messages(self.folder)

    def cpu_seconds(self) -> float:
        """Used so far."""
        return cpu_seconds(self.process)


@dataclass(frozen=True, slots=True)
class Called:
    """What became of the calls of one caller."""

    calls: int
    failed: int
    seconds: float  # from the first to the end of the last
    cpu_seconds: float  # of SIPp itself
    messages: int  # sent and received
    setups: list[float]  # from the first INVITE to the 200, milliseconds, in order of size


@contextmanager
def callee(folder: Path, place: tuple[str, int], rings_seconds: float = 0.0) -> Iterator[Callee]:
    """A SIPp that answers calls here until the block ends."""
    folder.mkdir()
    log = folder / "log"
    argv = ["sipp", "-sf", str(SCENARIOS / "callee.xml"), "-i", place[0], "-p", str(place[1])]
    argv += ["-d", str(int(1000 * rings_seconds)), *_written(folder)]
    with running(argv, log, folder) as process:
        wait_bound(*place, process, log)
        yield Callee(process.pid, folder)


def call(folder: Path, target: tuple[str, int], rate: int, calls: int) -> Called:
    """Make `calls` calls, `rate` in a second. Raises SippFailed when it cannot even do that."""
    folder.mkdir()
    rows = folder / "users.csv"
    names = [user(number) for number in range(USERS)]
    rows.write_text(
        "SEQUENTIAL\n"
        + "".join(f"{name};[authentication username={name} password={password(name)}]\n" for name in names)
    )
    patience = calls / rate + HOLD_SECONDS + GRACE_SECONDS
    argv = [*DIES_WITH_US, "sipp", "-sf", str(SCENARIOS / "caller.xml"), "-i", CLIENT_HOST, "-p", str(SIP_PORT)]
    argv += [
        "-inf",
        str(rows),
        "-m",
        str(calls),
        "-r",
        str(rate),
        "-l",
        str(calls),
        "-d",
        str(int(1000 * HOLD_SECONDS)),
    ]
    argv += ["-trace_stat", "-stf", str(folder / "statistics.csv"), "-trace_rtt", "-rtt_freq", "1"]
    argv += [*_written(folder), "-timeout", f"{patience:.0f}s", f"{target[0]}:{target[1]}"]
    began = time.monotonic()
    with (folder / "log").open("ab") as log, subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log) as process:
        used = _wait(process, patience + GRACE_SECONDS)
    return _told(folder, calls, used, time.monotonic() - began)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> float:
    """CPU seconds it has taken in all."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status, usage = os.wait4(process.pid, os.WNOHANG)
        if found:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime
        time.sleep(0.02)
    process.kill()
    raise SippFailed(f"SIPp was still running after {seconds:.0f} s")


def _told(folder: Path, calls: int, used: float, seconds: float) -> Called:
    final = last_row(folder / "statistics.csv")
    if "SuccessfulCall(C)" not in final or not int(final["TotalCallCreated"]):
        raise SippFailed((folder / "log").read_text(errors="replace")[-2000:])
    failed = calls - int(final["SuccessfulCall(C)"])
    times = [line.split(";") for path in folder.glob("*_rtt.csv") for line in path.read_text().splitlines()[1:]]
    setups = sorted(float(fields[1]) for fields in times if len(fields) == 3)
    return Called(calls, failed, seconds, used, _messages(folder), setups)


def _written(folder: Path) -> list[str]:
    argv = ["-nostdin", "-buff_size", str(BUFFER_BYTES), "-fd", f"{WRITES_EVERY:.0f}", "-trace_counts"]
    return [*argv, "-trace_err", "-error_file", str(folder / "errors")]


def _messages(folder: Path) -> int:
    row = last_row(next(folder.glob("*_counts.csv")))
    return sum(int(value) for name, value in row.items() if name.endswith(COUNTED) and value.isdigit())


def last_row(path: Path) -> dict[str, str]:
    """The last line that is whole: SIPp may be in the middle of one."""
    with path.open(newline="") as file:
        lines = [line for line in csv.reader(file, delimiter=";") if line]
    head = lines[0]
    whole = [line for line in lines[1:] if len(line) == len(head)]
    return dict(zip(head, whole[-1], strict=True)) if whole else {}
