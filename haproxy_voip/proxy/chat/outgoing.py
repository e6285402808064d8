"""What a client has sent: on its way, acknowledged, seen, answered.

Custody: a message is delivered when every session of ours it is for had it from its backend, or the recipient is not
ours and the backend acknowledged it. Until then it is kept, for a while (`WATCH_SECONDS`) after the acknowledgement: a
backend that dies may take with it what it had acknowledged and not delivered. Then it is sent again, and a session
that had it already drops the repetition. So nothing is lost and nothing doubled, which XEP-0198 alone does not give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from haproxy_voip.proxy.chat.entry import Entry, Key

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.session import Session

# A backend that lives on for so long after it acknowledged a message has delivered it, stored it or refused it.
WATCH_SECONDS = 10.0
# What a server had when it was left may come out of it much later, when it is back: so many are remembered by key.
MAX_REPEATED = 200
# Followed at once for one session, and their bytes; more, and the oldest are taken for delivered.
MAX_WATCHED = 1000
MAX_WATCHED_BYTES = 2**21
# Requests whose answers are waited for, and their bytes; more, and the oldest is no longer asked again.
MAX_ASKED = 200
MAX_ASKED_BYTES = 2**20
# Stanzas, and bytes, that wait for a server; the next is answered with an error.
MAX_WAITING = 500
MAX_WAITING_BYTES = 2**20

# A request of an account's own that may be made twice: the second changes nothing (RFC 6121 section 2.3 and 2.4,
# XEP-0191, XEP-0280, XEP-0049, XEP-0054, XEP-0163 with item ids, XEP-0016).
HARMLESS_TWICE = (
    b"'jabber:iq:roster'", b"'urn:xmpp:blocking'", b"'urn:xmpp:carbons:2'", b"'jabber:iq:private'", b"'vcard-temp'",
    b"'jabber:iq:privacy'", b"'urn:ietf:params:xml:ns:xmpp-session'", b"'urn:xmpp:mam:2'", b"'jabber:iq:last'",
)  # fmt: skip


class Full(Exception):
    """No more can wait."""


class Outgoing:
    """See the module."""

    __slots__ = (
        "_asked", "_asked_bytes", "_by_key", "_repeated", "_watched", "_watched_bytes", "waiting", "waiting_bytes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.waiting: list[Entry] = []
        self.waiting_bytes = 0
        self._watched: dict[int, tuple[Key, Entry]] = {}  # by serial, oldest first
        self._watched_bytes = 0
        self._by_key: dict[Key, list[Entry]] = {}  # those of one key say the same: which is which does not matter
        self._repeated: dict[Key, list[Session]] = {}  # settled, and may come again: who has had it
        self._asked: dict[tuple[str, str], Entry] = {}  # (id, bare address) of requests without an answer
        self._asked_bytes = 0

    def wait(self, entry: Entry) -> None:
        """It cannot be sent now. Raises Full."""
        if len(self.waiting) >= MAX_WAITING or self.waiting_bytes + len(entry.raw) > MAX_WAITING_BYTES:
            raise Full
        self.waiting.append(entry)
        self.waiting_bytes += len(entry.raw)

    def release(self, blocked: Callable[[Entry], bool], most: int) -> list[Entry]:
        """What may be sent now, in order; what is for somebody who is blocked stays, with all that follows to it."""
        going: list[Entry] = []
        staying: list[Entry] = []
        for entry in self.waiting:
            (staying if len(going) >= most or blocked(entry) else going).append(entry)
        self.waiting = staying
        self.waiting_bytes = sum(len(entry.raw) for entry in staying)
        return going

    def sent(self, entry: Entry, now: float) -> None:
        """It went to a backend: follow it."""
        self._forget(now)
        if entry.is_request and entry.stanza is not None:
            self._ask((entry.stanza.id or "", entry.peer), entry)
        key = entry.key
        if key is None or entry.serial in self._watched:
            return
        self._watched[entry.serial] = (key, entry)
        self._watched_bytes += entry.size
        self._by_key.setdefault(key, []).append(entry)
        while len(self._watched) > MAX_WATCHED or self._watched_bytes > MAX_WATCHED_BYTES:
            self._unwatch(next(iter(self._watched)))

    def observed(self, key: Key, by: Session) -> bool:
        """A session of ours had this from its backend: whether that was news to it."""
        entries = self._by_key.get(key, [])
        if not entries:
            return by not in self._repeated.get(key, ())
        for entry in entries:
            if by not in entry.seen:
                entry.seen.append(by)
                return True
        return False

    def hearers(self, key: Key) -> list[Session]:
        """Sessions that had this and may be over since."""
        return [one for entry in self._by_key.get(key, ()) for one in entry.seen]

    def never_had(self, key: Key, by: Session) -> None:
        """That session is over, and its client did not get this in the end."""
        for entry in self._by_key.get(key, ()):
            if by in entry.seen:
                entry.seen.remove(by)

    def said_at(self, key: Key) -> float | None:
        """When the client said this last; None when that is not remembered any more."""
        return max((entry.at for entry in self._by_key.get(key, ())), default=None)

    def answered(self, id: str, peer: str) -> Entry | None:
        """An answer came: the request; None when there is none, or it was answered before."""
        entry = self._asked.get((id, peer))
        if entry is None or entry.answered:
            return None
        entry.answered = True
        if entry.sends < 2:
            self._not_asked((id, peer))
        return entry

    def is_late(self, id: str, peer: str) -> bool:
        """Whether this is the second answer to a request that was made twice."""
        entry = self._asked.get((id, peer))
        return entry is not None and entry.answered

    def doubtful(self, pending: Iterable[Entry], missing: Callable[[Entry], bool], now: float) -> list[Entry]:
        """The server these were sent to is gone: all that may not have arrived, in the order the client sent it.

        `pending` is what it had not acknowledged; `missing` tells whether somebody of ours has not had it.
        """
        self._forget(now)
        found = dict.fromkeys(pending)
        for _, entry in self._watched.values():
            entry.outlived = True
        found.update((entry, None) for _, entry in self._watched.values() if entry.acknowledged and missing(entry))
        found.update((entry, None) for entry in self._asked.values() if not entry.answered)
        return sorted(found, key=lambda entry: entry.serial)

    def put_first(self, entries: list[Entry]) -> None:
        """These go before everything else that waits. They were taken once, so there is no limit to keep."""
        again = dict.fromkeys(entries)
        self.waiting = [*again, *(entry for entry in self.waiting if entry not in again)]
        self.waiting_bytes = sum(len(entry.raw) for entry in self.waiting)

    def forget_request(self, entry: Entry) -> None:
        """It is answered by us."""
        if entry.stanza is not None:
            self._not_asked((entry.stanza.id or "", entry.peer))

    def clear(self) -> None:
        """The session is over."""
        for _, entry in self._watched.values():
            entry.seen.clear()
        self._watched.clear()
        self._by_key.clear()
        self._repeated.clear()
        self._asked.clear()
        self.waiting.clear()

    def _ask(self, key: tuple[str, str], entry: Entry) -> None:
        self._not_asked(key)
        self._asked[key] = entry
        self._asked_bytes += entry.size
        while len(self._asked) > MAX_ASKED or self._asked_bytes > MAX_ASKED_BYTES:
            self._not_asked(next(iter(self._asked)))

    def _not_asked(self, key: tuple[str, str]) -> None:
        entry = self._asked.pop(key, None)
        if entry is not None:
            self._asked_bytes -= entry.size

    def _forget(self, now: float) -> None:
        """Let go of what is settled, oldest first."""
        while self._watched:
            serial, (_, entry) = next(iter(self._watched.items()))
            if not entry.acknowledged or now - entry.at <= WATCH_SECONDS:
                return
            self._unwatch(serial)

    def _unwatch(self, serial: int) -> None:
        key, entry = self._watched.pop(serial)
        self._watched_bytes -= entry.size
        if entry.outlived:
            self._repeated[key] = list(entry.seen)
            if len(self._repeated) > MAX_REPEATED:
                del self._repeated[next(iter(self._repeated))]
        entry.seen.clear()
        same = self._by_key[key]
        same.remove(entry)
        if not same:
            del self._by_key[key]


def harmless_twice(entry: Entry) -> bool:
    """Whether a request that may have been carried out can be made again."""
    assert entry.stanza is not None
    if entry.stanza.type == "get":
        return True
    raw = entry.raw.replace(b'"', b"'")
    return any(namespace in raw for namespace in HARMLESS_TWICE)
