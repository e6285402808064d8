"""Processes that tests start: each a group of its own, killed whole, never left over.

Every process gets a session of its own, so that all of it can be stopped and killed by one number, and should the test
run itself be killed, the kernel kills the process too.
"""

import atexit
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STOP_SECONDS = 5.0  # a polite stop that takes longer is ended by force
TAIL_LINES = 40  # of a log, in a failure's message

DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
# For what forks: unshare dies with us, and its child, being the namespace's first process, takes all others with it.
# Not for what makes Call-IDs of its process id, as SIPp does: in there it is always 1.
WITH_ALL_CHILDREN = ("unshare", "--pid", "--fork", "--kill-child=KILL", "--")
# For servers and the proxy: a server that a busy machine keeps waiting looks dead, and to the proxy it is.
AHEAD = ("nice", "-n", "-10")

_running: "list[Process]" = []


class ProcessError(Exception):
    """A process did not do what it was started for; the text has the end of its output."""


@dataclass(slots=True)
class Process:
    """One program and whatever it starts. `log` takes its output."""

    name: str
    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)  # added to ours
    namespace: str | None = None  # network namespace; None is the machine's own
    forks: bool = False  # it starts processes of its own
    ending: signal.Signals = signal.SIGTERM  # what ends it politely, and soon
    ahead: bool = False  # of what else this machine does, if it lets us: see AHEAD
    _popen: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        assert self._popen is None, f"{self.name} runs already"
        children = WITH_ALL_CHILDREN if self.forks else ()
        inside = ("ip", "netns", "exec", self.namespace) if self.namespace else ()
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(
                [*DIES_WITH_US, *(AHEAD if self.ahead else ()), *children, *inside, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        _running.append(self)

    @property
    def group(self) -> int:
        """The process group's id, for signals."""
        assert self._popen is not None, f"{self.name} is not running"
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self.group, number)

    def kill(self) -> float:
        """SIGKILL for all of it. Returns the monotonic time of the kill."""
        at = time.monotonic()
        self.signal(signal.SIGKILL)
        self._reap()
        return at

    def freeze(self) -> float:
        """SIGSTOP for all of it. Returns the monotonic time of the freeze."""
        at = time.monotonic()
        self.signal(signal.SIGSTOP)
        return at

    def is_frozen(self) -> bool:
        """Whether it stands still by now: a busy processor finishes what it has begun."""
        return Path(f"/proc/{self.group}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ends it politely if it listens, by force if not; nothing if it does not run."""
        if self._popen is None:
            return
        if self.is_running:
            self.signal(signal.SIGCONT)
            self.signal(self.ending)
            try:
                self._popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
        self._reap()

    def wait(self, seconds: float) -> int:
        """The exit status. Raises ProcessError, having killed it, when it has not ended within `seconds`."""
        assert self._popen is not None, f"{self.name} is not running"
        try:
            status = self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProcessError(f"{self.name} was still running after {seconds} s\n{self.tail()}") from None
        self._reap()
        return status

    def tail(self) -> str:
        """The end of its output, for a failure's message."""
        return tail(self.log)

    def _reap(self) -> None:
        if self._popen is not None:
            self._popen.wait()
            self._popen = None
            _running.remove(self)


def tail(path: Path) -> str:
    """The last lines of a file under a heading, or a note that there is none."""
    if not path.exists():
        return f"--- {path}: not there"
    lines = path.read_text(errors="replace").splitlines()
    return "\n".join([f"--- {path} ({len(lines)} lines), its end:", *lines[-TAIL_LINES:]])


def wait_until(happened: Callable[[], bool], seconds: float, what: str, poll: float = 0.005) -> None:
    """Polls a condition every `poll` seconds. Raises ProcessError when it has not come true within `seconds`."""
    until = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > until:
            raise ProcessError(f"{what}: not within {seconds} s")
        time.sleep(poll)


@atexit.register
def stop_all() -> None:
    """Kills whatever a test forgot."""
    for process in list(_running):
        process.kill()
