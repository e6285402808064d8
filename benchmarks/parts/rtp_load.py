"""Phones and servers that send each other RTP: rtp_load.c, compiled on the spot with the C compiler that is there."""

from __future__ import annotations

import shutil
import subprocess
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from .processes import DIES_WITH_US

SOURCE = Path(__file__).with_suffix(".c")
PHONES, SERVERS = "127.0.72.1", "127.0.72.2"
PATIENCE_SECONDS = 10.0
COMPILERS = ("cc", "gcc", "clang")

Mode = Literal["ramp", "sleep", "spin"]
Place = tuple[str, int]


class Session(NamedTuple):
    """A phone and its server."""

    phone: Place
    server: Place


class Way(NamedTuple):
    """Where they send to."""

    from_phone: Place
    from_server: Place


@dataclass(frozen=True, slots=True)
class Run:
    """What became of the packets of one run."""

    sent: int
    in_time: int  # received while it was sending
    received: int  # in all
    wrong: int  # of these, not what was sent there
    seconds: float  # of sending
    latencies: Sequence[int] = ()  # ns one way, in the order of arrival; of `spin` only


class RtpLoad:
    """A running generator."""

    def __init__(self, process: subprocess.Popen[str], sessions: int, folder: Path) -> None:
        self._process = process
        self._latencies = folder / "latencies"
        ports = [int(self._line()) for _ in range(2 * sessions)]
        self.sessions = [Session((PHONES, ports[at]), (SERVERS, ports[at + 1])) for at in range(0, len(ports), 2)]

    @property
    def process(self) -> int:
        """Its number."""
        return self._process.pid

    def direct(self) -> list[Way]:
        """No relay."""
        return [Way(session.server, session.phone) for session in self.sessions]

    def lead(self, ways: Sequence[Way]) -> None:
        """Send there from now on."""
        places = (place for way in ways for place in way)
        self._ask("to\n" + "".join(f"{host} {port}\n" for host, port in places))

    def run(self, seconds: float, mode: Mode) -> Run:
        """Send for so long. Raises SystemExit when a packet comes where it does not belong."""
        answer = self._ask(f"run {seconds} {mode} {self._latencies}\n")
        sent, in_time, received, wrong, took = map(int, answer.split())
        if wrong:
            raise SystemExit(f"{wrong} of {received} packets were not what was sent there")
        latencies = array("I")
        if mode == "spin":
            latencies.frombytes(self._latencies.read_bytes())
        return Run(sent, in_time, received, wrong, took / 1e9, latencies)

    def _ask(self, what: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(what)
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the generator ended")
        return line


def compiled(folder: Path) -> Path:
    """The program. Raises SystemExit when there is no compiler."""
    program = folder / "rtp_load"
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise SystemExit("the load is written in C, and there is no compiler: benchmarks/relay.py --setup")
    subprocess.run([compiler, "-O2", "-o", str(program), str(SOURCE)], check=True)
    return program


@contextmanager
def rtp_load(program: Path, sessions: int) -> Iterator[RtpLoad]:
    """A generator until the block ends."""
    argv = [*DIES_WITH_US, str(program), PHONES, SERVERS, str(sessions)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        try:
            yield RtpLoad(process, sessions, program.parent)
            process.stdin.close()
            process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()
