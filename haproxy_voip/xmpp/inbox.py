"""What a peer sent and nobody has dealt with yet: it waits while the owner of the stream is asked something."""

from __future__ import annotations

from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.framing import Framed, StreamFramer


class Inbox:
    """A framer that can be made to wait. What arrives meanwhile is kept as bytes, up to the framer's `max_bytes`."""

    __slots__ = ("_ahead", "_items", "_next", "framer", "waiting")

    def __init__(self, framer: StreamFramer) -> None:
        self.framer = framer
        self.waiting = False
        self._items: list[Framed] = []  # a deque takes 760 bytes for each idle stream
        self._next = 0  # of them, to be taken
        self._ahead = bytearray()

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing must: `framer.feed` may be called directly."""
        return not (self.waiting or self._items or self._ahead)

    def put(self, data: bytes) -> None:
        """Bytes came. Raises StreamError when more comes ahead of an answer than one stanza may take."""
        if not self.waiting and not self._ahead:
            self._items += self.framer.feed(data)
            return
        if len(self._ahead) + len(data) > self.framer.max_bytes:
            raise StreamError(StreamCondition.POLICY_VIOLATION, f"more than {self.framer.max_bytes} bytes ahead")
        self._ahead += data

    def put_back(self, items: list[Framed]) -> None:
        """These were framed directly and are not dealt with."""
        self._items += items

    def take(self) -> Framed | None:
        """The next item, or None when there is none yet or it must wait."""
        if self.waiting:
            return None
        if not self._items and self._ahead:
            data, self._ahead = bytes(self._ahead), bytearray()
            self._items += self.framer.feed(data)
        if not self._items:
            return None
        item = self._items[self._next]
        self._next += 1
        if self._next == len(self._items):
            self._items.clear()
            self._next = 0
        return item

    def restart(self) -> None:
        """A new stream begins behind what is here (RFC 6120 section 6.4.6)."""
        self._items += self.framer.restart()

    def discard(self) -> None:
        """Forget everything that came: a new stream begins, and what came ahead of it was not protected."""
        self._items.clear()
        self._next = 0
        self._ahead.clear()
        self.framer.restart(keep=False)
