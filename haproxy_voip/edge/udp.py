"""UDP listeners: the hottest path of the edge.

A datagram costs one dict lookup, for the Flow of its remote address, and one Datagram.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections import Counter
from collections.abc import Callable

from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.events import Datagram
from haproxy_voip.edge.listening import bound_socket
from haproxy_voip.edge.queueing import Queue

# A flow is about 300 bytes. Two generations of this many are kept; an address unheard for so long is made anew.
MAX_FLOWS = 16_384
# A backend's worth of re-registrations in one burst: 10,000 datagrams of 600 bytes. The kernel may grant less.
RECEIVE_BUFFER_BYTES = 8 * 2**20
SEND_BUFFER_BYTES = 2 * 2**20

# Where we reach ourselves when we listen on every address.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}

# What uvloop hands over: (host, port), and for IPv6 (host, port, flow information, scope).
SocketAddress = tuple[str, int] | tuple[str, int, int, int]


class UdpListener(asyncio.DatagramProtocol):
    """One bound socket. Everything from or to a peer on it shares that peer's Flow object."""

    def __init__(self, receive: Callable[[Datagram], None]) -> None:
        self.errors: Counter[str] = Counter()  # by errno name: a peer's ICMP, a full buffer, a route that is gone
        self.local = Address("", 0)
        self._receive = receive
        self._transport: asyncio.DatagramTransport | None = None
        self._young: dict[SocketAddress, Flow] = {}
        self._old: dict[SocketAddress, Flow] = {}
        self._clogged = False
        self._ourselves = Address("", 0)
        self.queue = Queue(lambda data: self.send(self._ourselves, data), self._filled)

    @classmethod
    async def bind(cls, address: Address, receive: Callable[[Datagram], None]) -> UdpListener:
        """Listen. Raises CannotListen."""
        bound = bound_socket(Endpoint(Transport.UDP, address))
        _enlarge(bound, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        _enlarge(bound, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        loop = asyncio.get_running_loop()
        _, listener = await loop.create_datagram_endpoint(lambda: cls(receive), sock=bound)
        return listener

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens, with the port the kernel chose when 0 was asked for."""
        return Endpoint(Transport.UDP, self.local)

    def send(self, remote: Address, data: bytes) -> None:
        """Never blocks. UDP may lose: what the kernel has no room for is counted and dropped."""
        if self._transport is None or self._clogged:
            self.errors["dropped"] += 1
            return
        try:
            self._transport.sendto(data, remote)
        except ValueError:  # uvloop: the address is of the other family
            self.errors["EAFNOSUPPORT"] += 1

    def close(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()

    # -- asyncio.DatagramProtocol -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Bound."""
        self._transport = transport
        host, port, *_ = transport.get_extra_info("sockname")
        self.local = Address(host, port)
        self._ourselves = Address(LOOPBACK.get(host, host), port)

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by us."""
        self._transport = None

    def datagram_received(self, data: bytes, addr: SocketAddress) -> None:
        """The hot path."""
        self._receive(Datagram(data, self._young.get(addr) or self._flow(addr)))

    def error_received(self, exc: OSError) -> None:  # type: ignore[override]
        """An earlier send failed. Which one cannot be told on an unconnected socket, so it is only counted."""
        self.errors[errno.errorcode.get(exc.errno or 0, "unknown")] += 1

    def pause_writing(self) -> None:
        """More waits to be sent than the loop's buffer shall hold."""
        self._clogged = True

    def resume_writing(self) -> None:
        """There is room again."""
        self._clogged = False

    # -- flows --------------------------------------------------------------------------------------

    def _flow(self, address: SocketAddress) -> Flow:
        """A flow not used lately. A full young generation becomes the old one, and the old one is dropped."""
        flow = self._old.get(address)
        if address[:2] == self._ourselves:
            # Never kept in the table, so every mark comes by here and nothing else has to look for it.
            self.queue.read(asyncio.get_running_loop().time())
            return Flow(Transport.UDP, self.local, self._ourselves)
        if flow is None:
            flow = Flow(Transport.UDP, self.local, Address(address[0], address[1]))
        if len(self._young) >= MAX_FLOWS:
            self._old, self._young = self._young, {}
        self._young[address] = flow
        return flow

    def _filled(self) -> bool:
        """Whether anything waits to be read (SO_MEMINFO, sock_diag(7))."""
        if self._transport is None:
            return False
        memory: bytes = self._transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4)
        return bool(struct.unpack("I", memory)[0])


def _enlarge(bound: socket.socket, option: int, wanted_bytes: int) -> None:
    """Ask for a bigger buffer, past the system's limit when we may (SO_RCVBUFFORCE and SO_SNDBUFFORCE, socket(7))."""
    force = {socket.SO_RCVBUF: SO_RCVBUFFORCE, socket.SO_SNDBUF: SO_SNDBUFFORCE}[option]
    try:
        bound.setsockopt(socket.SOL_SOCKET, force, wanted_bytes)
    except OSError:
        bound.setsockopt(socket.SOL_SOCKET, option, wanted_bytes)


# Linux's numbers (asm-generic/socket.h); Python does not name them.
SO_MEMINFO = 55
SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
