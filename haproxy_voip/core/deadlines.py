"""Many deadlines, one alarm: a heap in which a deadline may be moved or dropped at any time."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

# A heap mostly of stale entries is rebuilt; below this size that is not worth doing.
COMPACT_ABOVE = 1024


class Deadlines(Generic[Key]):
    """At most one absolute time (monotonic seconds) for each key. Equal times come due in the order they were set.

    What was moved or dropped stays in the heap as a stale entry, but never on top: `next` is asked after every event.
    """

    __slots__ = ("_entries", "_heap", "_serial")

    def __init__(self) -> None:
        self._entries: dict[Key, tuple[float, int, Key]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._serial = 0  # no two entries have the same, so keys are never compared

    def __len__(self) -> int:
        return len(self._entries)

    def set(self, key: Key, at: float | None) -> None:
        """Let `key` come due at `at`; None means never."""
        known = self._entries.get(key)
        if at is None:
            if known is not None:
                del self._entries[key]
                self._clear_top()
            return
        if known is not None and known[0] == at:
            return
        self._serial += 1
        entry = self._entries[key] = (at, self._serial, key)
        heapq.heappush(self._heap, entry)
        if known is not None:
            self._clear_top()
        if len(self._heap) > COMPACT_ABOVE and len(self._heap) > 4 * len(self._entries):
            self._compact()

    def at(self, key: Key) -> float | None:
        """When `key` is due, or None."""
        known = self._entries.get(key)
        return None if known is None else known[0]

    @property
    def next(self) -> float | None:
        """The earliest deadline, or None."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[Key]:
        """Remove and return every key whose time has come, earliest first."""
        keys = []
        while (key := self.pop(now)) is not None:
            keys.append(key)
        return keys

    def pop(self, now: float) -> Key | None:
        """Remove and return the earliest key whose time has come, or None.

        For those whose coming due may move or drop the deadlines of others.
        """
        if not self._heap or self._heap[0][0] > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._entries[key]
        self._clear_top()
        return key

    def _clear_top(self) -> None:
        """Take stale entries off the top of the heap."""
        heap, entries = self._heap, self._entries
        while heap and entries.get(heap[0][2]) is not heap[0]:
            heapq.heappop(heap)

    def _compact(self) -> None:
        self._heap = list(self._entries.values())
        heapq.heapify(self._heap)
