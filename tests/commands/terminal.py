"""Somebody at a terminal: a command in a process of its own, whose questions are waited for and answered."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

SECONDS = 30.0  # a question usually comes within one
AGAIN_SECONDS = 0.5


class Terminal:
    """`haproxy-voip ...` at a pseudo-terminal (pty(7)) until the test ends."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._ours, theirs = os.openpty()
        self._seen = ""
        self._from = 0  # what came before it was waited for already
        argv = [sys.executable, "-m", "haproxy_voip", *arguments]
        # A session of its own, else a password would be asked for at the terminal of whoever runs the tests.
        self._process = subprocess.Popen(
            argv, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def until(self, text: str) -> None:
        """This was written, after what was waited for before."""
        until = time.monotonic() + SECONDS
        while (at := self._seen.find(text, self._from)) == -1:
            if not self._read(until):
                raise AssertionError(f"{text!r} did not come:\n{self._seen}")
        self._from = at + len(text)

    def answer(self, question: str, text: str) -> None:
        """Wait for the question and type."""
        self.until(question)
        os.write(self._ours, f"{text}\n".encode())

    def close(self) -> None:
        """Ctrl-D."""
        os.write(self._ours, b"\x04")

    def interrupt(self) -> None:
        """Ctrl-C: what the terminal makes of it, for it is not the process's controlling one.

        As people do, once more when nothing happens: Python takes no notice of one that comes just before it reads.
        """
        until = time.monotonic() + SECONDS
        while self._process.poll() is None and time.monotonic() < until:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(AGAIN_SECONDS)

    def end(self) -> tuple[int, str]:
        """Exit status, and all that was written."""
        until = time.monotonic() + SECONDS
        while self._read(until):
            pass
        return self._process.wait(SECONDS), self._seen

    def _read(self, until: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, until - time.monotonic()))
        try:
            data = os.read(self._ours, 65536) if ready else b""
        except OSError:  # EIO: the other end is closed
            data = b""
        self._seen += data.decode().replace("\r\n", "\n")
        return bool(data)
