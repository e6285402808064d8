"""What relays the packets of a benchmark's sessions, each a process of its own: ours, rtpengine, or nobody."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import rtpengine
from .processes import DIES_WITH_US
from .rtp_load import RtpLoad, Way

RELAYING = Path(__file__).with_name("relaying.py")
# At most so many flows are installed in a second, and a leg is looked at again after a while.
INSTALLING_SECONDS = 3.5
PATIENCE_SECONDS = 10.0


@dataclass(slots=True)
class Relayed:
    """A relay that is ready."""

    ways: list[Way]
    process: int | None = None  # None: nobody
    in_kernel: int = 0  # streams that the kernel carried in the end


Relay = Callable[[RtpLoad, Path], AbstractContextManager[Relayed]]


@dataclass(frozen=True, slots=True)
class Contestant:
    """One that takes part."""

    name: str
    start: Relay
    warm_seconds: float  # until it works as it does from then on
    missing: Callable[[], str]  # why it cannot take part; empty: it can


@contextmanager
def nobody(load: RtpLoad, folder: Path) -> Iterator[Relayed]:
    """The phones send to the servers."""
    yield Relayed(load.direct())


@contextmanager
def of_rtpengine(load: RtpLoad, folder: Path) -> Iterator[Relayed]:
    """See `rtpengine`."""
    with rtpengine.rtpengine(folder, load.sessions) as (process, ways):
        yield Relayed(ways, process)


def of_ours(path: str, prints: str = "prints") -> Relay:
    """See `relaying`."""

    @contextmanager
    def start(load: RtpLoad, folder: Path) -> Iterator[Relayed]:
        argv = [*DIES_WITH_US, sys.executable, str(RELAYING), path, prints]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(json.dumps(load.sessions) + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
                if not answer:
                    raise SystemExit(f"our relay ({path}) ended")
                ways = [Way(tuple(phone), tuple(server)) for phone, server in json.loads(answer)]
                relayed = Relayed(ways, process.pid)
                yield relayed
                process.stdin.close()
                relayed.in_kernel = json.loads(process.stdout.readline())["in the kernel"]
            finally:
                _end(process)

    return start


def _end(process: subprocess.Popen[str]) -> None:
    """By itself, so that it takes back what the kernel was told; by force when that takes too long."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _always() -> str:
    return ""


def _no_kernel_path() -> str:
    return "" if os.geteuid() == 0 else "it needs root"


def _no_rtpengine() -> str:
    return "" if rtpengine.installed() else "rtpengine is not installed: benchmarks/relay.py --setup"


NOBODY, USERSPACE, KERNEL, KERNEL_BARE, RTPENGINE = "no relay", "userspace", "kernel", "kernel bare", "rtpengine"

CONTESTANTS = (
    Contestant(NOBODY, nobody, 0.3, _always),
    Contestant(USERSPACE, of_ours("userspace"), 1.0, _always),
    Contestant(KERNEL, of_ours("kernel"), INSTALLING_SECONDS, _no_kernel_path),
    Contestant(KERNEL_BARE, of_ours("kernel", "no-prints"), INSTALLING_SECONDS, _no_kernel_path),
    Contestant(RTPENGINE, of_rtpengine, rtpengine.LEARNING_SECONDS, _no_rtpengine),
)
