"""How long datagrams wait in one UDP listener's queue in the kernel: measured with marks that are sent through it."""

from __future__ import annotations

from collections.abc import Callable

# Nothing is in it, so that it is taken for a keepalive wherever else it should arrive.
MARK = b"\0\0\0\0"
# Seconds after which a mark is taken for lost: the queue was full, or something between us and us drops it.
LOST_AFTER = 2.0


class Queue:
    """Sends one mark at a time. `send` sends it to ourselves, `filled` tells whether anything waits in the queue now.

    Where marks never arrive nothing is known, and the wait is taken for none. Times are seconds on the loop's clock.
    """

    __slots__ = ("_arrived", "_filled", "_send", "_sent_at", "_wait")

    def __init__(self, send: Callable[[bytes], None], filled: Callable[[], bool]) -> None:
        self._send = send
        self._filled = filled
        self._sent_at: float | None = None  # of the mark under way
        self._wait = 0.0  # of the last one that arrived
        self._arrived = False  # whether the last one did, or any did and it is plain why the last one did not

    def wait(self, now: float) -> float:
        """Seconds that a datagram waits, as far as is known now. Sends the next mark."""
        if self._sent_at is None:
            self._sent_at = now
            self._send(MARK)
            return self._wait
        age = now - self._sent_at
        filled = self._filled()
        if age >= LOST_AFTER:
            self._sent_at = None
            self._arrived = self._arrived and filled
            self._wait = age if self._arrived else 0.0
            return self._wait
        return max(self._wait, age) if filled and self._arrived else 0.0

    def read(self, now: float) -> None:
        """The mark was read."""
        if self._sent_at is not None:
            self._wait = now - self._sent_at
            self._sent_at = None
            self._arrived = True
