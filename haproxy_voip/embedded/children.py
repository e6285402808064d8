"""Processes of the demonstration, none of which outlives it: each is killed by its id, and dies with us."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from time import monotonic

PR_SET_PDEATHSIG = 1  # prctl(2)
PATIENCE = 3.0  # seconds a process has to end by itself
MAX_LINES = 10_000

_LIBC = ctypes.CDLL(None, use_errno=True)

Reader = Callable[[str], None]


class Child:
    """One process; its output is read line by line, in threads, and kept."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        read: Reader | None = None,
        ending: signal.Signals = signal.SIGTERM,
    ) -> None:
        """`ending` is the signal that has it end soon."""
        self.name = name
        self._ending = ending
        self.lines: list[str] = []
        self._read = read
        parent = os.getpid()

        def before_exec() -> None:
            # Should we be killed ourselves, the kernel takes the child with us.
            _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        # A session of its own: Ctrl-C in the terminal is for us, and we end the children in order.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=before_exec,
        )
        self._reader = threading.Thread(target=self._read_all, name=f"output of {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def kill(self) -> float:
        """SIGKILL; the time (monotonic seconds) just before."""
        at = monotonic()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        return at

    def end(self) -> None:
        """Asked to, then by SIGKILL; returns when it is gone."""
        if self.alive:
            self._process.send_signal(self._ending)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._reader.join(PATIENCE)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def last_words(self, count: int = 10) -> str:
        """The end of what it said."""
        return "\n".join(self.lines[-count:])

    def _read_all(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        with contextlib.suppress(ValueError):  # closed while we read
            for line in stdout:
                text = line.rstrip("\n")
                if len(self.lines) < MAX_LINES:
                    self.lines.append(text)
                if self._read is not None:
                    self._read(text)
