"""Pairs of media ports (RFC 3550 section 11: RTP even, RTCP the next odd one).

Deterministic: the port that has rested longest is given out next, and while none has rested a new one, going upwards.
So no more ports are in use than are needed, and the relay has those bound already.
Times are monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

# Somebody else holds the port. Long enough not to try it on every call, short enough to have it back the same day.
BROKEN_SECONDS = 300.0


class NoPorts(Exception):
    """Every pair is in use or resting; answer 503 with Retry-After, or refuse the m-line."""


class PortPool:
    """The pairs whose even port is in `low`-`high` and whose odd port is too.

    A pair given back rests for `quarantine` seconds: what its last peer still sends must not reach the next call.
    """

    __slots__ = ("_broken", "_free", "_ours", "_quarantine", "_resting", "_taken")

    def __init__(self, low: int, high: int, quarantine: float) -> None:
        """Raises ValueError when there is not one pair between 1 and 65535."""
        self._ours = _pairs(low, high)
        self._free = deque(self._ours)
        self._taken: set[int] = set()
        # Each in the order of its times, because each has one duration only.
        self._resting: deque[tuple[float, int]] = deque()
        self._broken: deque[tuple[float, int]] = deque()
        self._quarantine = quarantine

    def resize(self, low: int, high: int, quarantine: float) -> None:
        """Give others from now on; those that are taken stay so until they are given back. Raises ValueError.

        What rests already rests as long as it was to, and what comes behind it no less.
        """
        self._quarantine = quarantine
        ours = _pairs(low, high)
        if ours == self._ours:
            return
        self._ours = ours
        elsewhere = self._taken | {port for _, port in (*self._resting, *self._broken)}
        free = [port for port in self._free if port in ours]
        known = elsewhere.union(free)
        self._free = deque([*free, *(port for port in ours if port not in known)])

    def take(self, now: float) -> int:
        """An even port that nobody uses. Raises NoPorts."""
        port = self._next(now)
        if port is None:
            raise NoPorts(
                f"{len(self._taken)} port pairs in use, {len(self._resting)} resting, {len(self._broken)} broken"
            )
        self._taken.add(port)
        return port

    def occupy(self, ports: Collection[int]) -> set[int]:
        """Somebody else uses these pairs, named by their even ports: those that are ours to give count as taken."""
        found = {port for port in self._free if port in ports}
        self._free = deque(port for port in self._free if port not in found)
        self._taken |= found
        return found

    def give_back(self, port: int, now: float) -> None:
        """This pair is no longer used. Giving back what was not taken is our mistake."""
        self._taken.remove(port)
        self._resting.append((now + self._quarantine, port))

    def broken(self, port: int, now: float) -> None:
        """This pair, taken before, cannot be bound: leave it alone for a while."""
        self._taken.remove(port)
        self._broken.append((now + BROKEN_SECONDS, port))

    @property
    def in_use(self) -> int:
        """How many pairs are taken."""
        return len(self._taken)

    def _next(self, now: float) -> int | None:
        while self._resting and self._resting[0][0] <= now:
            port = self._resting.popleft()[1]
            if port in self._ours:
                return port
        while self._broken and self._broken[0][0] <= now:
            port = self._broken.popleft()[1]
            if port in self._ours:
                self._free.append(port)
        return self._free.popleft() if self._free else None


def _pairs(low: int, high: int) -> range:
    first = low + low % 2
    if not 0 < low <= high <= 65535 or first + 1 > high:
        raise ValueError(f"{low}-{high} holds no pair of an even and the next odd port")
    return range(first, high, 2)
