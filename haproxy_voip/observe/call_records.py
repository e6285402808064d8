"""One record for each call, as one line of JSON, when the last of it has ended.

Reads facts and the wall-clock; writes nothing (edge/record_file.py does). What belongs together is told by the facts
where a backend or the relay knew it, else by names: a backend that calls a phone in the name of 1001, while exactly
one call from 1001 is there that fits, does so for that call. Where two fit, the phone's call has a record of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import get_args

from haproxy_voip.cluster.detector import BackendDown
from haproxy_voip.observe.call_story import Down, Part, Record
from haproxy_voip.proxy.call_facts import (
    CallDialog,
    CallFact,
    CallHeld,
    CallReferred,
    CallResumed,
    CallRings,
    CallTransferred,
)
from haproxy_voip.proxy.facts import (
    CallAnswered,
    CallCarried,
    CallEnded,
    CallJoined,
    CallMoved,
    CallNotMoved,
    CallStarted,
    CallStaysJoined,
    MediaCarried,
)

# What comes after the end: the counts of the media at once, the last NOTIFY of a transfer a little later (seconds).
SETTLE_SECONDS = 1.0
TRANSFER_SECONDS = 10.0
# For so long a call may still move because of it: somebody with ten calls waits 6 s for each.
MOVED_SECONDS = 60.0
# A queue that rings a hundred phones for one caller; each more has a record of its own.
MAX_PHONES = 100
# Everybody without a name is called so: it tells nobody apart.
NOBODY = "anonymous"

Recorded = (
    CallStarted
    | CallAnswered
    | CallMoved
    | CallJoined
    | CallCarried
    | CallStaysJoined
    | CallNotMoved
    | CallEnded
    | MediaCarried
    | BackendDown
    | CallFact
)
RECORDED: frozenset[type] = frozenset({kind for kind in get_args(Recorded) if isinstance(kind, type)})


@dataclass(slots=True, eq=False)
class Story:
    """A caller's call and the phones that were called for it; or a call to a phone that nobody here asked for."""

    head: Part
    phones: list[tuple[Part, str]] = field(default_factory=list)  # and how it is known that they belong here

    @property
    def parts(self) -> Iterator[Part]:
        """All of it."""
        yield self.head
        for phone, _ in self.phones:
            yield phone

    @property
    def callees(self) -> set[str]:
        """Whom the caller talks to, by any name."""
        return {part.start.callee for part in self.parts}

    @property
    def settles_at(self) -> float | None:
        """When nothing more is expected; None while some of it goes on."""
        latest = 0.0
        for part in self.parts:
            if part.ended_at is None:
                return None
            latest = max(latest, part.ended_at + (TRANSFER_SECONDS if part.referring else SETTLE_SECONDS))
        return latest

    def line(self, finished: bool = True) -> str:
        """The record."""
        record: Record = self.head.told()
        record["phones"] = [phone.told() | {"known_by": how} for phone, how in self.phones]
        if not finished:
            record["unfinished"] = True
        return json.dumps(record) + "\n"


class CallRecords:
    """Makes lines out of facts."""

    wanted = RECORDED

    def __init__(self, limit: int) -> None:
        """`limit` is how many records may be open; beyond it the oldest is written as it is."""
        self._limit = limit
        self._stories: dict[Story, None] = {}  # in the order they began
        self._parts: dict[str, tuple[Part, Story]] = {}  # by call
        self._by_caller: dict[str, dict[Story, None]] = {}  # those whose head is a phone's call that goes on
        self._ending: dict[Story, None] = {}
        self._downs: dict[str, Down] = {}  # by backend
        self._transfers: dict[str, tuple[float, Story]] = {}  # to whom somebody is being sent, and since when

    def take(self, fact: object, at: float) -> list[str]:
        """One fact, told at this wall-clock time; lines of records that had to make room."""
        match fact:
            case CallStarted():
                return self._begin(fact, at)
            case BackendDown():
                self._downs[fact.backend] = Down(at, fact)
            case CallJoined():
                self._joined(fact, at)
            case CallStaysJoined():
                for call in (fact.call, fact.partner):
                    if call in self._parts:
                        down = self._why(fact.backend, at)
                        self._parts[call][0].stays_joined(fact.backend, fact.reason, at, down)
            case _:
                known = self._parts.get(getattr(fact, "call", ""))
                if known is not None:
                    self._tell(fact, at, *known)
        return []

    def due(self, at: float) -> list[str]:
        """The records of calls of which nothing more is to come."""
        lines = []
        for story in list(self._ending):
            settles_at = story.settles_at
            if settles_at is not None and settles_at <= at:
                lines.append(self._close(story))
        return lines

    def rest(self) -> list[str]:
        """All that is open, at the end of the process."""
        return [self._close(story, finished=story.settles_at is not None) for story in list(self._stories)]

    # -- what belongs together ----------------------------------------------------------------------

    def _begin(self, fact: CallStarted, at: float) -> list[str]:
        part = Part(at, fact, fact.backend)
        asked = None if fact.from_phone else self._asked_by(fact, at)
        if asked is not None:
            self._add(asked[0], part, asked[1])
            return []
        lines = []
        if len(self._stories) >= self._limit:
            lines = [self._close(next(iter(self._stories)), finished=False)]
        story = Story(part)
        self._stories[story] = None
        self._parts[fact.call] = (part, story)
        if fact.from_phone:
            self._by_caller.setdefault(fact.caller, {})[story] = None
        return lines

    def _asked_by(self, fact: CallStarted, at: float) -> tuple[Story, str] | None:
        """The caller's call for which a backend calls this phone, and how that is known."""
        named = self._parts.get(fact.origin or "")
        if named is not None and len(named[1].phones) < MAX_PHONES:
            return named[1], "token"
        if fact.caller == NOBODY:
            return None
        since, story = self._transfers.get(fact.callee, (0.0, None))
        if story is not None and at <= since + TRANSFER_SECONDS and fact.caller in story.callees:
            del self._transfers[fact.callee]
            return story, "transfer"
        here = [story for story in self._by_caller.get(fact.caller, ()) if story.head.backend == fact.backend]
        wanted = [story for story in here if story.head.start.callee == fact.callee] or here
        return (wanted[0], "names") if len(wanted) == 1 and len(wanted[0].phones) < MAX_PHONES else None

    def _add(self, story: Story, phone: Part, how: str) -> None:
        story.phones.append((phone, how))
        self._parts[phone.start.call] = (phone, story)
        self._ending.pop(story, None)

    def _joined(self, fact: CallJoined, at: float) -> None:
        """The relay joined two calls: they are one conversation, whatever the names say."""
        found = [self._parts.get(call) for call in (fact.call, fact.partner)]
        for known in found:
            if known is not None:
                known[0].joined(fact, at, self._why(fact.backend, at))
        if found[0] is None or found[1] is None or found[0][1] is found[1][1]:
            return
        for (part, alone), (_, other) in (found, reversed(found)):  # type: ignore[misc]
            if part is alone.head and not alone.phones and not part.start.from_phone:
                self._forget(alone)
                self._add(other, part, "media")
                return
        for (part, _), (other_part, _) in (found, reversed(found)):  # type: ignore[misc]
            part.happened(at, "joined", to_call=other_part.start.call)

    def _why(self, backend: str, at: float) -> Down | None:
        """The end of this backend that makes calls move now."""
        down = self._downs.get(backend)
        return None if down is None or down.at < at - MOVED_SECONDS else down

    # -- one part -----------------------------------------------------------------------------------

    def _tell(self, fact: object, at: float, part: Part, story: Story) -> None:
        match fact:
            case CallDialog():
                part.dialog(fact)
            case CallRings():
                part.rang = {"after": round(fact.after, 3), "status": fact.status}
            case CallAnswered():
                part.answered_after = round(fact.after, 3)
            case CallMoved():
                part.moved(fact, at, self._why(fact.old, at))
            case CallCarried():
                part.carried(fact)
            case CallNotMoved():
                part.happened(at, "stays", backend=fact.backend, reason=fact.reason)
            case CallHeld() | CallResumed():
                part.happened(at, "held" if isinstance(fact, CallHeld) else "resumed", by=fact.by)
            case CallReferred():
                part.referring = True
                part.happened(at, "transfer", by=fact.by, to=fact.to, replaces=fact.replaces)
                self._sent_on(fact, at, story)
            case CallTransferred():
                part.referring = False
                part.happened(at, "transferred", status=fact.status or None)
            case MediaCarried():
                part.media(fact)
            case CallEnded():
                part.ended(fact, at)
                self._ended(part, story)

    def _sent_on(self, fact: CallReferred, at: float, story: Story) -> None:
        """The backend will call somebody in the name of who is sent on. A takeover of another call calls nobody."""
        late = [to for to, (since, _) in self._transfers.items() if since + TRANSFER_SECONDS < at]
        for to in late:
            del self._transfers[to]
        if fact.replaces is None:
            self._transfers[fact.to] = (at, story)

    def _ended(self, part: Part, story: Story) -> None:
        if part is story.head:
            self._no_caller(story)
        if story.settles_at is not None:
            self._ending[story] = None

    def _no_caller(self, story: Story) -> None:
        caller = story.head.start.caller
        known = self._by_caller.get(caller, {})
        known.pop(story, None)
        if not known:
            self._by_caller.pop(caller, None)

    def _forget(self, story: Story) -> None:
        del self._stories[story]
        self._ending.pop(story, None)
        self._no_caller(story)
        self._transfers = {to: sent for to, sent in self._transfers.items() if sent[1] is not story}
        for part in story.parts:
            self._parts.pop(part.start.call, None)

    def _close(self, story: Story, finished: bool = True) -> str:
        self._forget(story)
        return story.line(finished)
