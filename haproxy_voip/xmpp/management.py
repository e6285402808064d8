"""Stream management: who has what (XEP-0198 version 1.6).

`Received` and `Unacknowledged` belong to one leg of a session and outlive the streams it is carried over. Their counts
are whole numbers that only grow; on the wire they wrap at 2**32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from haproxy_voip.xmpp.element import Element
from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.namespaces import MANAGEMENT, STANZA_ERRORS

Item = TypeVar("Item")

# Section 4: "In the unlikely case that the number of stanzas handled during a stream management session exceeds the
# number of digits that can be represented by the unsignedInt datatype ... the value of 'h' SHALL be reset from 2^32-1
# back to zero".
WRAP: Final = 2**32
# A phone that sleeps through ten minutes of a busy room comes to some hundreds; whoever leaves more unread is lost.
MAX_UNACKNOWLEDGED: Final = 2_000
MAX_UNACKNOWLEDGED_BYTES: Final = 4 * 1024 * 1024  # 2,000 of usual size are 1 MiB; 16 of the largest allowed
# Sent before an acknowledgement is asked for without waiting for quiet: what must be settled after a death stays small,
# and asking costs under a tenth of the stanzas' bytes.
REQUEST_EVERY: Final = 5
MAX_HANDLED_AHEAD: Final = MAX_UNACKNOWLEDGED  # stanzas handled before an earlier one is
# Of one <resume/>: ours are 16 characters; a server's may hold a signature.
MAX_ID_CHARACTERS: Final = 1_024

REQUEST: Final = b"<r xmlns='urn:xmpp:sm:3'/>"


class Received:
    """Stanzas that came from the peer: counted when they came, acknowledged when they are in safe hands.

    `count` numbers them from 1. `handled` is the longest prefix that may be acknowledged.
    """

    __slots__ = ("_ahead", "count", "handled")

    def __init__(self) -> None:
        self.count = 0
        self.handled = 0
        # Handled before one with a smaller number. Nearly always empty, and an empty set takes three times as much.
        self._ahead: dict[int, None] = {}

    def receive(self) -> int:
        """One more stanza came; its number, for `handle`."""
        self.count += 1
        return self.count

    def handle(self, number: int) -> None:
        """This one is handled; `handled` moves on when all before it are too."""
        if number != self.handled + 1:
            if number > self.handled and len(self._ahead) < MAX_HANDLED_AHEAD:
                self._ahead[number] = None
            return
        self.handled = number
        while self._ahead and self.handled + 1 in self._ahead:
            self.handled += 1
            del self._ahead[self.handled]

    @property
    def h(self) -> int:
        """What `h` says on the wire."""
        return self.handled % WRAP


class Unacknowledged(Generic[Item]):
    """Stanzas sent and not acknowledged yet, in order, each with its size in bytes."""

    __slots__ = ("_asked", "_queue", "acknowledged", "bytes")

    def __init__(self) -> None:
        self.acknowledged = 0  # so many the peer has
        self.bytes = 0  # of those it may not have
        # A deque takes 760 bytes even when it is empty, as it nearly always is, and there are three for each session.
        self._queue: list[tuple[Item, int]] = []
        self._asked = 0  # `sent` when an acknowledgement was last asked for

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def sent(self) -> int:
        """So many ever."""
        return self.acknowledged + len(self._queue)

    @property
    def full(self) -> bool:
        """Whether MAX_UNACKNOWLEDGED or MAX_UNACKNOWLEDGED_BYTES is reached: push no more."""
        return len(self._queue) >= MAX_UNACKNOWLEDGED or self.bytes >= MAX_UNACKNOWLEDGED_BYTES

    def push(self, item: Item, size: int) -> int:
        """Sent: its number, from 1."""
        self._queue.append((item, size))
        self.bytes += size
        return self.sent

    def acknowledge(self, h: int) -> list[Item]:
        """The peer has so many (mod 2**32): what is thereby done with, oldest first.

        Raises StreamError when never so many were sent.
        """
        count = self.check(h)
        done = self._queue[:count]
        del self._queue[:count]
        self.acknowledged += count
        self.bytes -= sum(size for _, size in done)
        return [item for item, _ in done]

    def check(self, h: int) -> int:
        """How many that acknowledges of what was not before. Raises StreamError when never so many were sent."""
        count = (h - self.acknowledged) % WRAP
        if count > len(self._queue):
            raise too_high(h, self.sent % WRAP)
        return count

    @property
    def wants_request(self) -> bool:
        """Whether REQUEST_EVERY stanzas went since the last `requested`."""
        return self.sent - self._asked >= REQUEST_EVERY

    @property
    def unasked(self) -> bool:
        """Whether anything unacknowledged went since the last `requested`: ask when it becomes quiet."""
        return bool(self._queue) and self.sent > self._asked

    def requested(self) -> None:
        """An `<r/>` went out."""
        self._asked = self.sent

    def pending(self) -> list[Item]:
        """What to send again after a resumption; it stays here. Call `requested` or ask again then."""
        return [item for item, _ in self._queue]

    def clear(self) -> list[Item]:
        """The same, and begin at zero: the peer has a new session."""
        left = self.pending()
        self._queue.clear()
        self.acknowledged = self.bytes = self._asked = 0
        return left


@dataclass(frozen=True, slots=True)
class Enable:
    """`<enable/>` (section 3). `max` is the client's preferred seconds of resumability, or None."""

    resume: bool = False
    max: int | None = None

    @classmethod
    def of(cls, attributes: dict[str, str]) -> Enable:
        """Read the nonza's attributes. A `max` that is no number is as good as none."""
        return cls(attributes.get("resume") in ("true", "1"), _number(attributes.get("max")))

    def encode(self) -> bytes:
        """As it goes on the wire."""
        return _nonza("enable", {"resume": "true" if self.resume else None, "max": self.max})


@dataclass(frozen=True, slots=True)
class Enabled:
    """`<enabled/>`. `id` is None when the stream cannot be resumed; `max` is in seconds."""

    id: str | None = None
    max: int | None = None
    location: str | None = None  # where the server prefers the resumption to happen

    @classmethod
    def of(cls, attributes: dict[str, str]) -> Enabled:
        """Read the nonza's attributes."""
        resumable = attributes.get("resume") in ("true", "1")
        id = attributes.get("id") if resumable else None
        return cls(id or None, _number(attributes.get("max")), attributes.get("location"))

    def encode(self) -> bytes:
        """As it goes on the wire."""
        resume = "true" if self.id else None
        return _nonza("enabled", {"id": self.id, "resume": resume, "max": self.max, "location": self.location})


@dataclass(frozen=True, slots=True)
class Resume:
    """`<resume/>` or `<resumed/>` (section 5): which session, and the `h` of who sends it."""

    previd: str
    h: int

    @classmethod
    def of(cls, attributes: dict[str, str]) -> Resume | None:
        """Read the nonza's attributes; None when one is missing or makes no sense."""
        previd, h = attributes.get("previd"), count_of(attributes)
        return None if not previd or len(previd) > MAX_ID_CHARACTERS or h is None else cls(previd, h)

    def encode(self, name: str = "resume") -> bytes:
        """As it goes on the wire; `name` is resume or resumed."""
        return _nonza(name, {"h": self.h, "previd": self.previd})


@dataclass(frozen=True, slots=True)
class Failed:
    """`<failed/>`: a stanza error condition, and `h` where the server still knows it."""

    condition: str
    h: int | None = None

    @classmethod
    def of(cls, nonza: Element) -> Failed:
        """Read the nonza."""
        condition = nonza.in_namespace(STANZA_ERRORS)
        return cls("undefined-condition" if condition is None else condition.name, count_of(dict(nonza.attributes)))

    def encode(self) -> bytes:
        """As it goes on the wire."""
        attributes = {} if self.h is None else {"h": str(self.h)}
        return Element("failed", MANAGEMENT, attributes, (Element(self.condition, STANZA_ERRORS),)).encode()


def answer(h: int) -> bytes:
    """`<a/>`: so many of the peer's stanzas are handled."""
    return b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % h


def count_of(attributes: dict[str, str]) -> int | None:
    """`h` of an `<a/>`, `<resumed/>` or `<failed/>`, or None when it is no unsignedInt."""
    number = _number(attributes.get("h"))
    return number if number is not None and number < WRAP else None


def too_high(h: int, sent: int) -> StreamError:
    """Section 4: the peer acknowledged stanzas that were never sent to it."""
    said = {"h": str(h), "send-count": str(sent)}
    application = Element("handled-count-too-high", MANAGEMENT, said).encode()
    return StreamError(
        StreamCondition.UNDEFINED_CONDITION,
        f"You acknowledged {h} stanzas, but I only sent you {sent} so far.",
        application,
    )


def _number(text: str | None) -> int | None:
    # 2**32-1 has ten digits.
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 10 else None


def _nonza(name: str, attributes: dict[str, str | int | None]) -> bytes:
    said = {key: str(value) for key, value in attributes.items() if value is not None}
    return Element(name, MANAGEMENT, said).encode()
