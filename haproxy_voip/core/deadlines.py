"""Many deadlines, one alarm: a heap in which a deadline may be moved or dropped at any time."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

# A heap mostly of stale entries is rebuilt; below this size that is not worth doing.
COMPACT_ABOVE = 1024


class Deadlines(Generic[Key]):
    """At most one absolute time (monotonic seconds) for each key. Equal times come due in the order they were set."""

    __slots__ = ("_at", "_heap", "_serial")

    def __init__(self) -> None:
        self._at: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._at)

    def set(self, key: Key, at: float | None) -> None:
        """Let `key` come due at `at`; None means never."""
        known = self._at.get(key)
        if at is None:
            if known is not None:
                del self._at[key]
            return
        if known is not None and known[0] == at:
            return
        self._serial += 1
        self._at[key] = (at, self._serial)
        heapq.heappush(self._heap, (at, self._serial, key))
        if len(self._heap) > COMPACT_ABOVE and len(self._heap) > 4 * len(self._at):
            self._compact()

    def at(self, key: Key) -> float | None:
        """When `key` is due, or None."""
        known = self._at.get(key)
        return None if known is None else known[0]

    @property
    def next(self) -> float | None:
        """The earliest deadline, or None."""
        heap = self._heap
        while heap:
            at, serial, key = heap[0]
            if self._at.get(key) == (at, serial):
                return at
            heapq.heappop(heap)
        return None

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
        at = self.next
        if at is None or at > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._at[key]
        return key

    def _compact(self) -> None:
        self._heap = [(at, serial, key) for key, (at, serial) in self._at.items()]
        heapq.heapify(self._heap)
