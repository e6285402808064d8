"""How late we are: by the loop's own clock, and by how long a datagram waits in a listener's queue before it is read.

A timer that rings late says that one turn of the loop takes long. Under a flood turns stay short, as each takes only
some datagrams, and it is the kernel's queue that grows; so a mark, a datagram to ourselves, is put into it now and
then, and the time until it is read is what everybody waits there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from haproxy_voip.edge.udp import UdpListener
from haproxy_voip.proxy.events import Lagging

# Seconds between two looks: new calls are refused so much after it began to be too late.
EVERY = 0.1


class LagMeter:
    """Tells the node `Lagging` again and again."""

    def __init__(self, listeners: Callable[[], Iterable[UdpListener]], tell: Callable[[Lagging], None]) -> None:
        self._listeners = listeners
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look from now on."""
        self._due = self._loop.time() + EVERY
        self._timer = self._loop.call_at(self._due, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._loop.time()
        waits = [listener.queue.wait(now) for listener in self._listeners()]
        self._tell(Lagging(max(0.0, now - self._due, *waits)))
        self.start()
