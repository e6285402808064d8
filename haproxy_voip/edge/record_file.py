"""A file that records are appended to, line by line, in a thread of its own: the event loop never waits for a disk.

Facts come in on the event loop and are only put aside there; the thread makes lines of them. Whoever rotates the file
renames it and sends SIGHUP: then it is opened anew.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Protocol, TextIO

from haproxy_voip.edge.facts import AskedToReload, RecordsLost, RecordsNotWritten

# Facts that wait for the thread: some seconds of a node at its limits. What is beyond is missing from the records.
MAX_WAITING = 100_000
# How often (seconds) to ask for records that are due when nothing happens.
LOOK_AGAIN = 0.25
# How long (seconds) to let facts gather. To be woken for each costs a call more than all else that makes its record.
GATHER_SECONDS = 0.05
# How long (seconds) the last lines may take at the end.
FAREWELL = 2.0
# Who called whom is nobody else's business.
MODE = 0o640


class Records(Protocol):
    """Makes lines of facts; only the thread speaks to it."""

    wanted: frozenset[type]

    def take(self, fact: object, at: float) -> list[str]:
        """One fact, told at this wall-clock time."""

    def due(self, at: float) -> list[str]:
        """Lines whose time has come."""

    def rest(self) -> list[str]:
        """All that is left, at the end."""


class Order(Enum):
    """What else the thread is told."""

    REOPEN = "reopen"
    END = "end"


class RecordFile:
    """A reader of facts."""

    def __init__(self, path: Path, records: Records, tell: Callable[[object], None]) -> None:
        """`tell` hears, in the thread, what became of lines that cannot be written.

        Raises OSError when the file cannot be opened.
        """
        self.dropped = 0  # facts
        self.path = path  # where the next records go
        self._records = records
        self._tell = tell
        self._current = path  # the same, as the thread has come to it
        self._lost = 0  # lines, since writing failed
        self._file: TextIO | None = _opened(path)
        self._waiting: queue.SimpleQueue[tuple[float, object] | Path | Order] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._run, name="records", daemon=True)
        self._writer.start()

    def __call__(self, fact: object) -> None:
        """Take one fact. At SIGHUP the file may have been renamed: go on in one of the same name."""
        if type(fact) is AskedToReload:
            self._waiting.put(Order.REOPEN)
        if type(fact) not in self._records.wanted:
            return
        if self._waiting.qsize() >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.put((time.time(), fact))

    def move(self, path: Path) -> None:
        """Go on in this file; calls that are up are recorded whole, and there."""
        if path != self.path:
            self.path = path
            self._waiting.put(path)

    def finish(self) -> None:
        """Write what is left, and nothing after that."""
        self._waiting.put(Order.END)

    def close(self) -> None:
        """The same, and wait for it, for FAREWELL seconds at most."""
        self.finish()
        self._writer.join(FAREWELL)

    # -- the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        looked_at = time.monotonic()
        while True:
            if time.monotonic() >= looked_at + LOOK_AGAIN:
                looked_at = time.monotonic()
                self._write(self._records.due(time.time()))
            if self._waiting.empty():
                time.sleep(GATHER_SECONDS)
            try:
                item = self._waiting.get(timeout=LOOK_AGAIN)
            except queue.Empty:
                continue
            if item is Order.END:
                self._write(self._records.rest())
                self._close()
                return
            if not isinstance(item, tuple):
                self._close()
                self._current = item if isinstance(item, Path) else self._current
                continue
            at, fact = item
            self._write(self._records.take(fact, at))

    def _write(self, lines: list[str]) -> None:
        if not lines:
            return
        try:
            self._file = self._file or _opened(self._current)
            self._file.write("".join(lines))
            self._file.flush()
        except OSError as error:
            if not self._lost:
                self._tell(RecordsNotWritten(str(self._current), error.strerror or str(error)))
            self._lost += len(lines)
            self._close()
            return
        if self._lost:
            self._tell(RecordsLost(str(self._current), self._lost))
            self._lost = 0

    def _close(self) -> None:
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        except OSError:
            return  # what it still held is counted as lost already


def _opened(path: Path) -> TextIO:
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
    return open(number, "w", encoding="utf-8")
