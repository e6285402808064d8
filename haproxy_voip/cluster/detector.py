"""Judges whether one backend lives: many signals, one verdict.

Sans-I/O. Times are seconds on the caller's monotonic clock. The owner carries out what is returned (`ProbeDue`: send
a SIP OPTIONS; `CanaryDue`: connect) and reports what comes of it.

1. A time-out counts against HAProxy's score (health.py): `fall` of them in a row bring the backend down.
2. A refused probe after another refused one, or after the canary closed, brings it down at once, because both say that
   the process is gone. One of these alone does not: ICMP can be stray, servers close idle connections.
3. Media that stop on half of its calls at once, or more, have us ask twice at once: if neither probe is answered in a
   short time, it is down. It did not just lose a probe, and has not begun to be away just now. Media refused on several
   calls say as much as a refused probe.
4. What else looks bad (a transaction timed out, 503, one silent call: a mute button) makes us ask at once, and decides
   nothing.
5. Our own pauses are not the backend's (probes.py).
6. One that was given another's work has more time (`burdened`); so has the last one that is up, and all are forgiven
   much while many log in (`busy`).
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from enum import StrEnum

from haproxy_voip.cluster.canary import Canary
from haproxy_voip.cluster.health import Health, HealthCounter, HealthTiming
from haproxy_voip.cluster.probes import Probes
from haproxy_voip.cluster.round_trip import FLOOR_SECONDS, HURRIED_SECONDS
from haproxy_voip.cluster.suspicion import Calls, Grudges, Suspicion

# A backend that talks to us but leaves probes unanswered is busy. One whose timers still retransmit while it takes
# nothing in is dead, so its talking excuses only this many probes in a row.
EXCUSES_MAX = 5

# The last backend that is up may leave probes unanswered for so long: if it is only busy, to go from it to none helps
# nobody. Then clients ought to hear that nobody is there.
LAST_SECONDS = 3.0

# A login may cost a server tens of milliseconds of its processors: PBKDF2 as SCRAM has it. A thousand made a healthy
# ejabberd leave probes unanswered for 394 ms; it was left, and to log all in elsewhere took 25 s.
BUSY_SECONDS = 1.0

# A dying process may lose its connections a moment before its UDP port: a probe sent in that moment is swallowed, so a
# second one follows this much later. Of 25 kills, 6 swallowed the first; the second was refused each time.
CONFIRM_AGAIN_SECONDS = 0.002

# The share of a backend's calls whose media must stop at the same time. The others may have had none: who leaves a
# message hears nothing either. While most go on, it lives.
SILENT_SHARE = 0.5
# So many whose media stop, or are refused, at the same time do so for a reason that is none of theirs.
SEVERAL_CALLS = 3


class Signal(StrEnum):
    """What first spoke against a backend. Passive ones are named by whoever reports them."""

    TIMEOUT = "probe timeout"
    REFUSED = "connection refused (ICMP)"
    CANARY_CLOSED = "canary closed"
    MEDIA_REFUSED = "media refused (ICMP)"
    SHUTDOWN = "it said that it shuts down"


@dataclass(slots=True)
class ProbeDue:
    """Probe the backend now; hand its answer to `answered` with this number."""

    backend: str
    number: int


@dataclass(slots=True)
class CanaryDue:
    """Connect the canary to the backend, in place of any earlier one."""

    backend: str


@dataclass(slots=True)
class LookDue:
    """Probe `number` is not answered: hand in what waits in the socket, then call `looked` with this number.

    A busy owner may wake us several times before it reads anything.
    """

    backend: str
    number: int


@dataclass(slots=True)
class StirDue:
    """Say something on the canary that the backend answers; the answer means nothing."""

    backend: str


@dataclass(slots=True)
class BackendUp:
    """The backend may be trusted."""

    backend: str

    def __str__(self) -> str:
        return f"{self.backend} is up"


@dataclass(slots=True)
class BackendDown:
    """The backend is down; whatever was on it must move, and its canary be closed."""

    backend: str
    signal: str  # what first spoke against it, see `Signal`
    detected_after: float  # seconds from that signal (a time-out: from that probe's sending) to this verdict
    silent_for: float | None  # seconds since it last gave a sign of life; None when it never did

    def __str__(self) -> str:
        silent = "never heard" if self.silent_for is None else f"silent for {self.silent_for * 1000:.0f} ms"
        return f"{self.backend} is down: {self.signal}, judged after {self.detected_after * 1000:.0f} ms, {silent}"


DetectorOutput = ProbeDue | LookDue | CanaryDue | StirDue | BackendUp | BackendDown


@dataclass(slots=True, eq=False)
class Detector:
    """The judge of one backend. It asks for the first probe on its first `wake`."""

    name: str
    timing: HealthTiming
    now: InitVar[float]
    last: bool = False  # no other backend could take over
    _counter: HealthCounter = field(init=False)
    _probes: Probes = field(init=False)
    _canary: Canary = field(init=False, default_factory=Canary)
    _next_probe_at: float | None = field(init=False)  # None while one is pending
    _suspicion: Suspicion | None = field(init=False, default=None)
    _grudges: Grudges = field(init=False, default_factory=Grudges)
    _silent: Calls = field(init=False, default_factory=Calls)
    _media_refused: Calls = field(init=False, default_factory=Calls)
    _alive_at: float | None = field(init=False, default=None)
    _confirm_at: float | None = field(init=False, default=None)  # when the second probe after a closed canary is due
    _busy_until: float = field(init=False, default=float("-inf"))

    def __post_init__(self, now: float) -> None:
        self._counter = HealthCounter(self.timing.rise, self.timing.fall)
        self._probes = Probes(self.timing.timeout)
        self._next_probe_at = now

    def retime(self, timing: HealthTiming) -> None:
        """Probe by this from the next probe on; the verdict stays."""
        if timing != self.timing:
            self.timing = timing
            self._counter.retime(timing.rise, timing.fall)
            self._probes.round_trip.ceiling = timing.timeout

    @property
    def health(self) -> Health:
        """The verdict so far."""
        return self._counter.health

    @property
    def up(self) -> bool:
        """Whether the backend is known to be up."""
        return self._counter.up

    @property
    def suspected_for(self) -> str | None:
        """The signal that is being looked into, or None."""
        return None if self._suspicion is None else self._suspicion.signal

    @property
    def probe_timeout(self) -> float:
        """Seconds the next probe may stay unanswered."""
        return self._probes.round_trip.timeout

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due; never None, as a backend is probed for ever."""
        pending = self._probes.pending
        due_at = self._next_probe_at if pending is None else pending.expires_at
        assert due_at is not None
        for other_at in (self._canary.due_at, self._canary.stir_at, self._confirm_at):
            if other_at is not None and other_at < due_at:
                due_at = other_at
        return due_at

    def wake(self, now: float) -> list[DetectorOutput]:
        """Act on what is due."""
        outputs: list[DetectorOutput] = []
        expired = self._probes.expired(now)
        if expired is not None and expired.looked_for:
            outputs += self.looked(expired.number, now)
        elif expired is not None:
            expired.looked_for = True
            outputs.append(LookDue(self.name, expired.number))
        if any(at is not None and at <= now for at in (self._next_probe_at, self._confirm_at)):
            outputs += self._probe(now)
        if self._canary.due_at is not None and self._canary.due_at <= now:
            self._canary.due_at = None
            outputs.append(CanaryDue(self.name))
        if self._canary.stir_at is not None and self._canary.stir_at <= now:
            self._canary.stirred(now)
            outputs.append(StirDue(self.name))
        return outputs

    def looked(self, number: int, now: float) -> list[DetectorOutput]:
        """Whatever waited in the probe's socket was handed in since the `LookDue` with this number."""
        expired = self._probes.looked(number)
        return [] if expired is None else self._timed_out(expired.sent_at, now)

    def answered(self, number: int, now: float) -> list[DetectorOutput]:
        """The backend answered probe `number` with anything at all. Numbers that are not known do nothing."""
        sent_at = self._probes.answered(number)
        if sent_at is None:
            return []
        pending = self._probes.pending
        in_time = pending is not None and pending.number == number
        if self.health is Health.DOWN and not in_time:
            # Thawed after a freeze it answers everything it finds in its buffer; that is one success, not `rise`.
            return []
        self._probes.measured(number, now - sent_at, now)
        self._alive_at = now
        if self._suspicion is not None and self._suspicion.strong and number <= self._suspicion.probes:
            # It answered, and died: this was on its way when the signal came.
            return []
        return self._passed(sent_at, in_time, now)

    def refused(self, now: float) -> list[DetectorOutput]:
        """The backend's host says that nobody listens there. Refusals carry no number: it is the pending probe's."""
        if self._probes.pending is None:
            return self.passive_failure(Signal.REFUSED, now)
        self._probes.settle()
        if self.health is not Health.DOWN:
            self._suspect(Signal.REFUSED, now, strong=True)
        self._grudges.refused += 1
        closed = self._suspicion is not None and self._suspicion.closed
        return self._failed(now, certain=closed or self._grudges.refused > 1)

    def canary_opened(self, now: float) -> None:
        """The canary is connected."""
        if self.up:
            self._canary.opened(now)

    def canary_closed(self, now: float) -> list[DetectorOutput]:
        """The canary ended or could not be made. Not to be called for one the owner closed itself."""
        if not self.up or not self._canary.closed(now):
            return []
        known = self._suspect(Signal.CANARY_CLOSED, now, strong=True)
        known.closed = True
        if known.media:
            return self._failed(now, certain=True)
        first = self._probe(now)
        self._confirm_at = now + CONFIRM_AGAIN_SECONDS
        return first

    def passive_failure(self, reason: str, now: float) -> list[DetectorOutput]:
        """Real traffic went wrong: ask now, but not more often than each `fastinter`."""
        if not self.up or self._suspicion is not None:
            return []
        self._suspect(reason, now)
        if self._next_probe_at is None:
            return []
        self._next_probe_at = min(self._next_probe_at, max(now, self._probes.sent_at + self.timing.fastinter))
        return self._probe(now) if self._next_probe_at <= now else []

    def media_silent(self, calls: int, of: int, now: float) -> list[DetectorOutput]:
        """Its media stopped on so many calls more, `of` those it carries, while their clients speak."""
        calls = self._silent.add(calls, now)
        signal = f"no media on {calls} of {max(of, calls)} calls"
        if calls < SILENT_SHARE * of:
            return self.passive_failure(signal, now)
        known = self._suspicion
        if not self.up or (known is not None and known.strong):
            return []
        self._suspect(signal, now, strong=True).silent = True
        self._probes.round_trip.floor = HURRIED_SECONDS if calls >= SEVERAL_CALLS else FLOOR_SECONDS
        first = self._probe(now)
        self._confirm_at = now + CONFIRM_AGAIN_SECONDS
        return first

    def media_refused(self, now: float) -> list[DetectorOutput]:
        """The backend's host says that nobody listens where the media of one more call go."""
        if self._media_refused.add(1, now) < SEVERAL_CALLS:
            return self.passive_failure(Signal.MEDIA_REFUSED, now)
        known = self._suspicion
        if not self.up or (known is not None and known.media):
            return []
        if known is not None and (known.closed or self._grudges.refused):
            return self._failed(now, certain=True)
        self._suspect(Signal.MEDIA_REFUSED, now, strong=True).media = True
        self._grudges.refused += 1
        return self._probe(now)

    def shuts_down(self, now: float) -> list[DetectorOutput]:
        """The backend itself says that it is about to end (RFC 6120 section 4.9.3.20)."""
        if not self.up:
            return []
        self._suspect(Signal.SHUTDOWN, now, strong=True)
        self._probes.settle()
        return self._failed(now, certain=True)

    def burdened(self) -> None:
        """Much is put on it at once; it may be slow until that is done."""
        self._probes.burden()

    def busy(self, now: float) -> None:
        """Many log in, here or where its machine may be: for a while its silence says little."""
        self._busy_until = now + BUSY_SECONDS

    def seen_alive(self, now: float) -> None:
        """Any valid message came from the backend."""
        self._alive_at = now
        if self._suspicion is not None and not self._suspicion.strong and self._counter.settled:
            self._suspicion = None

    def _probe(self, now: float) -> list[DetectorOutput]:
        self._next_probe_at = self._confirm_at = None
        return [ProbeDue(self.name, self._probes.send(now))]

    def _timed_out(self, sent_at: float, now: float) -> list[DetectorOutput]:
        strong = self._suspicion is not None and self._suspicion.strong
        silent = self._suspicion is not None and self._suspicion.silent
        talked = self._alive_at is not None and self._alive_at >= sent_at
        if self.up and talked and not strong and self._grudges.excused < EXCUSES_MAX:
            self._grudges.excused += 1
            self._next_probe_at = now + self.timing.fastinter
            return []
        if self.health is not Health.DOWN:
            known = self._suspect(Signal.TIMEOUT, sent_at)
            if self.up and not strong and now - known.since < self._forgiven(now):
                self._next_probe_at = now + self.timing.fastinter
                return []
        return self._failed(now, certain=silent)

    def _suspect(self, signal: str, since: float, *, strong: bool = False) -> Suspicion:
        """Note a signal. The first one stays, unless it was weak and this one is strong."""
        known = self._suspicion
        if known is None or (strong and not known.strong):
            since = since if known is None else known.since
            known = self._suspicion = Suspicion(signal, since, strong)
        if strong:
            known.probes = self._probes.number
        return known

    def _passed(self, sent_at: float, in_time: bool, now: float) -> list[DetectorOutput]:
        self._suspicion = None
        self._confirm_at = None
        self._probes.round_trip.floor = None
        self._grudges = Grudges()
        came_up = self._counter.passed()
        if in_time:
            self._probes.settle()
        if self._probes.pending is None:
            self._next_probe_at = max(now, sent_at + self._interval)
        if not came_up:
            return []
        self._canary.being_made()
        return [BackendUp(self.name), CanaryDue(self.name)]

    def _failed(self, now: float, *, certain: bool) -> list[DetectorOutput]:
        went_down = self._counter.failed_for_certain() if certain else self._counter.failed()
        self._next_probe_at = now + self._interval
        return [self._down(now)] if went_down else []

    def _down(self, now: float) -> BackendDown:
        suspicion, self._suspicion = self._suspicion, None
        self._confirm_at = None
        assert suspicion is not None
        self._grudges = Grudges()
        self._canary.drop()
        self._probes.round_trip.forget()
        silent_for = None if self._alive_at is None else now - self._alive_at
        return BackendDown(self.name, suspicion.signal, now - suspicion.since, silent_for)

    def _forgiven(self, now: float) -> float:
        """How many seconds of leaving probes unanswered."""
        if self.last:
            return LAST_SECONDS
        return BUSY_SECONDS if now < self._busy_until else 0.0

    @property
    def _interval(self) -> float:
        timing = self.timing
        if not self._counter.settled:
            return timing.fastinter
        if self.up or timing.downinter is None:
            return timing.inter
        return timing.downinter
