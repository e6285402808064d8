"""Facts as lines: for people, or as JSON for programs.

The event loop never waits for whoever reads the lines: a thread writes them, and when it falls behind by
MAX_WAITING, lines are dropped and counted. What comes in floods is told once and then counted: see repeats.py.
"""

from __future__ import annotations

import dataclasses
import json
import queue
import threading
import time
from collections.abc import Mapping
from typing import TextIO, get_args

from haproxy_voip.cluster.detector import BackendDown
from haproxy_voip.configuration.model import LogFormat, LogLevel
from haproxy_voip.observe.repeats import Repeated, Repeats
from haproxy_voip.proxy.call_facts import CallFact
from haproxy_voip.proxy.chat_facts import (
    ChatEnded,
    ChatFailover,
    ChatLeft,
    ChatLoginRefused,
    ChatRefused,
    ChatResumed,
    ChatStarted,
    DeepProbeFailed,
)
from haproxy_voip.proxy.facts import (
    AuthenticationFailed,
    BackendRestarted,
    CallAnswered,
    CallEnded,
    CallStarted,
    FailoverRecord,
    MediaCarried,
    MediaTrouble,
    MessageRefused,
    Registered,
    RegistrationRefused,
    RegistrationsPaused,
    SessionFailed,
    TooFewBackends,
    Unregistered,
)
from haproxy_voip.proxy.guard_facts import BackendUnguarded
from haproxy_voip.proxy.limit_facts import LimitFact
from haproxy_voip.proxy.stop_facts import CallsCut
from haproxy_voip.proxy.trunk_facts import TrunkRegistrationFailed

# Some megabytes; at a fact for each call and registration, seconds of work.
MAX_WAITING = 10_000
# How long (seconds) the last lines may take at the end.
FAREWELL = 2.0
# How often (seconds) to look for repeats to tell of when nothing else happens.
LOOK_AGAIN = 1.0

ORDER: dict[LogLevel, int] = {"debug": 0, "info": 1, "warning": 2, "error": 3}

# What is not named here is `info`.
LEVELS: dict[type, LogLevel] = {
    CallStarted: "debug",
    CallAnswered: "debug",
    CallEnded: "debug",
    **dict.fromkeys(get_args(CallFact), "debug"),
    Registered: "debug",
    Unregistered: "debug",
    MessageRefused: "debug",
    AuthenticationFailed: "warning",
    **dict.fromkeys(get_args(LimitFact), "warning"),
    CallsCut: "warning",
    RegistrationRefused: "warning",
    RegistrationsPaused: "warning",
    TrunkRegistrationFailed: "warning",
    BackendRestarted: "warning",
    BackendUnguarded: "warning",
    MediaTrouble: "warning",
    MediaCarried: "debug",
    SessionFailed: "error",
    BackendDown: "warning",
    FailoverRecord: "warning",
    TooFewBackends: "warning",
    ChatStarted: "debug",
    ChatLeft: "debug",
    ChatResumed: "debug",
    ChatEnded: "debug",
    ChatRefused: "debug",
    ChatLoginRefused: "warning",
    DeepProbeFailed: "warning",
    ChatFailover: "warning",
}

Line = tuple[float, LogLevel, str, str]  # wall-clock, level, name of the fact, text or JSON


@dataclasses.dataclass(slots=True)
class LinesDropped:
    """The log itself is not complete."""

    count: int

    def __str__(self) -> str:
        return f"{self.count} lines were dropped: whoever reads this is too slow"


class Log:
    """A reader of facts that writes them to a stream."""

    def __init__(
        self,
        stream: TextIO,
        level: LogLevel = "info",
        form: LogFormat = "text",
        levels: Mapping[type, LogLevel] = LEVELS,
    ) -> None:
        """`level` is the least that is written, `levels` how much each kind of fact matters."""
        self.dropped = 0
        self._levels = levels
        self._stream = stream
        self._least = ORDER[level]
        self._describe = str if form == "text" else _as_json
        self._lay_out = _text_line if form == "text" else _json_line
        self._repeats = Repeats()
        self._counting = threading.Lock()  # the writer tells of repeats when nobody else does
        self._waiting: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._writer.start()

    def __call__(self, fact: object) -> None:
        """Take one fact."""
        level = self._levels.get(type(fact), "info")
        if ORDER[level] < self._least:
            return
        now = time.monotonic()
        with self._counting:
            repeated = self._repeats.due(now)
            told = self._repeats.told(fact, now)
        self._tell(repeated)
        if told:
            self._put(level, fact)

    def write_from(self, level: LogLevel) -> None:
        """The least that is written from now on."""
        self._least = ORDER[level]

    def close(self) -> None:
        """Write what waits, for FAREWELL seconds at most."""
        with self._counting:
            repeated = self._repeats.rest()
        self._tell(repeated)
        self._waiting.put(None)
        self._writer.join(FAREWELL)

    def _tell(self, repeated: list[Repeated]) -> None:
        for each in repeated:
            self._put(self._levels.get(type(each.last), "info"), each)

    def _put(self, level: LogLevel, fact: object) -> None:
        if self._waiting.qsize() >= MAX_WAITING:
            self.dropped += 1
            return
        # Described now: a fact may hold what changes later.
        self._waiting.put((time.time(), level, type(fact).__name__, self._describe(fact)))

    def _next(self) -> Line | None:
        """The next line, None at the end; repeats are told of meanwhile."""
        while True:
            try:
                return self._waiting.get(timeout=LOOK_AGAIN)
            except queue.Empty:
                with self._counting:
                    repeated = self._repeats.due(time.monotonic())
                self._tell(repeated)

    def _write_all(self) -> None:
        told = 0
        try:
            while (line := self._next()) is not None:
                self._stream.write(self._lay_out(line))
                if self.dropped > told:
                    dropped, told = LinesDropped(self.dropped - told), self.dropped
                    self._stream.write(
                        self._lay_out((line[0], "warning", type(dropped).__name__, self._describe(dropped)))
                    )
                if self._waiting.empty():
                    self._stream.flush()
        except (OSError, ValueError):
            return  # nobody reads any more, or it was closed: the proxy goes on without a log


def _text_line(line: Line) -> str:
    """`2030-01-31 12:00:00.123 warning: text`; further lines are indented, so that no peer can forge one."""
    at, level, _, text = line
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    printable = "\n    ".join(map(_printable, text.splitlines()))
    return f"{clock}.{int(at % 1 * 1000):03d} {level}: {printable}\n"


def _json_line(line: Line) -> str:
    at, level, name, body = line
    head = json.dumps({"at": round(at, 6), "level": level, "fact": name})
    return f"{head[:-1]}, {body[1:]}\n"


def _as_json(fact: object) -> str:
    fields: dict[str, object] = {"text": str(fact)}
    if dataclasses.is_dataclass(fact) and not isinstance(fact, type):
        fields |= {field.name: getattr(fact, field.name) for field in dataclasses.fields(fact)}
    return json.dumps(fields, default=str)


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
