"""The story of one call, as its record tells it.

A conversation of two phones is two calls of ours: the caller's to a backend, and the backend's to the callee's phone.
One record tells both: the first is its head, the other one of its `phones`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from haproxy_voip.cluster.detector import BackendDown
from haproxy_voip.proxy.call_facts import CallDialog
from haproxy_voip.proxy.facts import CallCarried, CallEnded, CallJoined, CallMoved, CallStarted, MediaCarried
from haproxy_voip.rtp.quality import G711, G729, Codec, mos

Record = dict[str, Any]

# Of one call. What is beyond is counted, so that a phone that holds and resumes all day fills no memory.
MAX_EVENTS = 100
MAX_DIALOGS = 40
MAX_FAILOVERS = 40
MAX_STREAMS = 40

# The E-model knows the impairment of these; of others no opinion is given.
CODECS: dict[str, Codec] = {"pcmu/8000": G711, "pcma/8000": G711, "g729/8000": G729}


@dataclass(slots=True)
class Down:
    """A backend's last end, by wall-clock."""

    at: float
    fact: BackendDown


@dataclass(slots=True)
class Failover:
    """One change of the backend. Times are milliseconds from the verdict that the former one was down."""

    after: float  # seconds from the INVITE
    former: str
    successor: str | None = None
    signal: str | None = None  # None: it was not down
    detected_ms: float | None = None  # from the first sign to the verdict
    joined_ms: float | None = None  # until the relay had joined the two phones
    carried_ms: float | None = None  # until the successor carried the call
    stays_joined: str | None = None  # why nobody carries it
    reason: str = ""

    def told(self) -> Record:
        """For the record."""
        return {
            "after": self.after,
            "from": self.former,
            "to": self.successor,
            "signal": self.signal,
            "detected_ms": self.detected_ms,
            "joined_ms": self.joined_ms,
            "carried_ms": self.carried_ms,
            "stays_joined": self.stays_joined,
            "reason": self.reason,
        }


@dataclass(slots=True, eq=False)
class Part:
    """One call of ours. Times are wall-clock seconds; in the record, seconds from the INVITE."""

    began: float
    start: CallStarted
    backend: str
    rang: Record | None = None
    answered_after: float | None = None
    ended_at: float | None = None
    end: CallEnded | None = None
    referring: bool = False  # a transfer is under way
    dialogs: list[Record] = field(default_factory=list)
    events: list[Record] = field(default_factory=list)
    failovers: list[Failover] = field(default_factory=list)
    streams: list[Record] = field(default_factory=list)
    untold: int = 0  # what there was no room for

    def after(self, at: float) -> float:
        """Seconds from the INVITE, to the millisecond."""
        return round(max(0.0, at - self.began), 3)

    def _add(self, where: list[Record], what: Record, limit: int) -> None:
        if len(where) < limit:
            where.append(what)
        else:
            self.untold += 1

    def happened(self, at: float, what: str, **more: object) -> None:
        """One event."""
        self._add(self.events, {"after": self.after(at), "what": what, **more}, MAX_EVENTS)

    def dialog(self, fact: CallDialog) -> None:
        """With whom it speaks, in which dialog."""
        told = {"party": fact.party, "backend": fact.backend, "address": fact.address, "call_id": fact.call_id}
        self._add(self.dialogs, told, MAX_DIALOGS)

    def ended(self, fact: CallEnded, at: float) -> None:
        """Nothing more comes but the counts of its media."""
        self.end, self.ended_at = fact, at

    # -- from one backend to another ----------------------------------------------------------------

    def failover(self, former: str, at: float, down: Down | None) -> Failover | None:
        """The change away from this backend that is under way; a new one if none is."""
        last = self.failovers[-1] if self.failovers else None
        if last is not None and last.former == former and last.carried_ms is None and last.stays_joined is None:
            return last
        if len(self.failovers) >= MAX_FAILOVERS:
            self.untold += 1
            return None
        found = Failover(self.after(at), former)
        if down is not None:
            found.signal, found.detected_ms = down.fact.signal, _ms(down.fact.detected_after)
        self.failovers.append(found)
        return found

    def joined(self, fact: CallJoined, at: float, down: Down | None) -> None:
        """The phones hear each other through the relay alone."""
        change = self.failover(fact.backend, at, down)
        if change is not None and down is not None:
            change.joined_ms = _ms(at - down.at)

    def moved(self, fact: CallMoved, at: float, down: Down | None) -> None:
        """Another backend is asked."""
        change = self.failover(fact.old, at, down)
        if change is not None:
            change.successor, change.reason = fact.new, fact.reason
        self.backend = fact.new

    def carried(self, fact: CallCarried) -> None:
        """It has the call."""
        self.backend = fact.backend
        if self.failovers:
            self.failovers[-1].successor, self.failovers[-1].carried_ms = fact.backend, _ms(fact.after)

    def stays_joined(self, backend: str, reason: str, at: float, down: Down | None) -> None:
        """Nobody has."""
        last = self.failovers[-1] if self.failovers else self.failover(backend, at, down)
        if last is not None:
            last.stays_joined = reason

    # -- media --------------------------------------------------------------------------------------

    def media(self, fact: MediaCarried) -> None:
        """What one stream had carried when it ended."""
        client = _direction(fact.client_packets, fact.client_lost, fact.client_jitter, fact.codec)
        backend = _direction(fact.backend_packets, fact.backend_lost, fact.backend_jitter, fact.codec)
        told = {"stream": fact.stream, "codec": fact.codec, "from_phone": client, "from_backend": backend}
        self._add(self.streams, told, MAX_STREAMS)

    # -- telling ------------------------------------------------------------------------------------

    def told(self) -> Record:
        """For the record."""
        start, end = self.start, self.end
        record: Record = {
            "call": start.call,
            "began": _clock(self.began),
            "caller": start.caller,
            "callee": start.callee,
            "dialogs": self.dialogs,
            "rang": self.rang,
            "answered_after": self.answered_after,
            "ended_after": None if self.ended_at is None else self.after(self.ended_at),
            "talked": 0.0 if end is None else round(end.talked, 3),
            "ended": None if end is None else {"by": end.by, "status": end.status or None, "reason": end.reason},
            "events": self.events,
            "failovers": [one.told() for one in self.failovers],
            "media": self.streams,
        }
        if start.trunk is not None:
            record["trunk"] = start.trunk
        return record | ({"untold": self.untold} if self.untold else {})


def _direction(packets: int, lost: int, jitter: float, codec: str) -> Record:
    """What came from one side. The opinion is of the way to us, without the delay, which a relay cannot know."""
    opinion = None
    if packets and codec in CODECS:
        opinion = round(mos(lost / (packets + lost), jitter, 0.0, CODECS[codec]), 2)
    return {"packets": packets, "lost": lost, "jitter_ms": _ms(jitter), "mos": opinion}


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _clock(at: float) -> str:
    """2030-01-31T12:00:00.123Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"
