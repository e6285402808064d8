"""The media ports of one process: watched by the loop as long as they are bound, and kept while they rest.

To bind four ports, have them watched and close them again costs a call more than all else that the relay does for it.
A port that rests is connected to itself. So whoever still sends to it is told by ICMP that nobody is there, as of a
closed one, and the stream that gets it next hears nothing of that.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from haproxy_voip.core.address import Address
from haproxy_voip.edge.media_sockets import bind_pair, loosen

# Two for each call that ended within `media.quarantine`: 200 calls a second with 5 s of it. 4,096 sockets.
MAX_RESTING = 2048
# Seconds. Ports come round again after `media.quarantine` while there are calls; what does not is not needed.
MAX_REST_SECONDS = 30.0
# Datagrams that may wait in a socket when its stream ends. It holds about 280: net.core.rmem_default.
MAX_WAITING = 512

NOTHING = bytearray(1)  # where these go: the rest of a datagram that does not fit is cut off


def nobody() -> None:
    """Reads while there is no stream."""


class Port:
    """A bound port. `reader` is called whenever there is something to read."""

    __slots__ = ("_local", "_loop", "reader", "sock")

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self.sock = sock
        self._local = sock.getsockname()
        self.reader: Callable[[], None] = nobody
        self.watch()

    def watch(self) -> None:
        """Have it watched; and anew after an error, on which libuv stops (see media_leg)."""
        self._loop.remove_reader(self.sock.fileno())
        self._loop.add_reader(self.sock.fileno(), self._read)

    def _read(self) -> None:
        self.reader()

    def close(self) -> None:
        """Free it."""
        self._loop.remove_reader(self.sock.fileno())
        self.sock.close()
        self.reader = nobody

    def seclude(self) -> bool:
        """Hear nobody from now on, and forget what has come; False when it cannot be used again."""
        try:
            self.sock.connect(self._local)
            for _ in range(MAX_WAITING):
                self.sock.recv_into(NOTHING)
        except BlockingIOError:
            return True
        except OSError:  # of a party that is gone: libuv may have stopped watching
            return False
        return False


class PortPair(NamedTuple):
    """RTP on an even port, RTCP on the next."""

    rtp: Port
    rtcp: Port

    def close(self) -> None:
        """Free both ports."""
        self.rtp.close()
        self.rtcp.close()


class MediaPorts:
    """All of them. Not more than `MAX_RESTING` pairs rest, and none for longer than `MAX_REST_SECONDS`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._resting: dict[Address, tuple[PortPair, float]] = {}  # and since when; the longest first
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._resting)

    def take(self, local: Address) -> PortPair:
        """Both ports of a party. Raises OSError when either cannot be had, and then holds neither."""
        pair = self._rested(local)
        if pair is not None:
            return pair
        try:
            return self._bind(local)
        except OSError:
            if not self._resting:
                raise
        self.close()  # ours may be in the way: the same port on every address, or the last file descriptor
        return self._bind(local)

    def _rested(self, local: Address) -> PortPair | None:
        pair, _ = self._resting.pop(local, (None, 0.0))
        if pair is None:
            return None
        try:
            for port in pair:
                loosen(port.sock)
                port.reader = nobody
        except OSError:
            pair.close()
            return None
        return pair

    def _bind(self, local: Address) -> PortPair:
        rtp, rtcp = bind_pair(local)
        return PortPair(Port(self._loop, rtp), Port(self._loop, rtcp))

    def give_back(self, local: Address, pair: PortPair) -> None:
        """No stream uses them any more."""
        if len(self._resting) >= MAX_RESTING or not (pair.rtp.seclude() and pair.rtcp.seclude()):
            pair.close()
            return
        pair.rtp.reader = pair.rtcp.reader = lambda: self._disturbed(local)
        self._resting[local] = pair, monotonic()
        if self._timer is None:
            self._timer = self._loop.call_later(MAX_REST_SECONDS, self._look)

    def _disturbed(self, local: Address) -> None:
        """Nothing can come there, so this is an error that was on its way: the ports are good for nothing."""
        self._resting.pop(local)[0].close()

    def _look(self) -> None:
        """Close those that have rested for too long."""
        self._timer = None
        now = monotonic()
        for local, (pair, since) in list(self._resting.items()):
            if since + MAX_REST_SECONDS > now:
                self._timer = self._loop.call_later(since + MAX_REST_SECONDS - now, self._look)
                break
            del self._resting[local]
            pair.close()

    def close(self) -> None:
        """Free all that rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for pair, _ in self._resting.values():
            pair.close()
        self._resting.clear()
