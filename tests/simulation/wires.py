"""Streams of the simulated network: in order, nothing lost, ended once at each end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from haproxy_voip.core.address import Flow
from haproxy_voip.core.events import StreamClosed

if TYPE_CHECKING:
    from tests.simulation.world import Process, World

TIMED_OUT_AFTER = 4.0  # seconds until a connection that nobody answers is given up


class End:
    """One end of a stream, or of the attempt to make one."""

    def __init__(self, process: Process, flow: Flow) -> None:
        self.process = process
        self.flow = flow
        self.tell: Callable[[Any], None] = lambda event: None
        self.wired = False
        self.over = False
        self.wire: Wire
        self.last_at = 0.0  # when the last thing sent to this end arrives

    def fail(self, reason: str) -> None:
        """It is over; told once."""
        if not self.over:
            self.over = True
            if self.process.ends.get(self.flow.connection) is self:
                del self.process.ends[self.flow.connection]
            self.tell(StreamClosed(self.flow, reason))


class Wire:
    """What two ends are joined by."""

    def __init__(self, world: World, opener: End, acceptor: End) -> None:
        self._world = world
        self._ends = (opener, acceptor)
        for end in self._ends:
            end.wire, end.wired = self, True

    def other(self, end: End) -> End:
        """The far end."""
        opener, acceptor = self._ends
        return acceptor if end is opener else opener

    def deliver(self, target: End, arrive: Callable[[], None], at: float | None = None) -> None:
        """Let something reach `target`, after all that was sent to it before."""
        world, source = self._world, self.other(target)

        def send() -> None:
            delay = world.delay_between(source.process, target.process)
            target.last_at = max(target.last_at, at if at is not None else world.now + delay)
            world.at(target.last_at, reach)

        def reach() -> None:
            if not target.over:
                arrive()

        if world.cut_off(source.process, target.process):
            at = None
            world.when_healed(source.process, target.process, send)
        else:
            send()

    def hang_up(self, end: End, reason: str) -> None:
        """This end is gone; the other hears of it after all that was sent."""
        end.over = True
        end.process.ends.pop(end.flow.connection, None)
        far = self.other(end)
        self.deliver(far, lambda: far.fail(reason))
