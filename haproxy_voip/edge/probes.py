"""Probes: one socket for each backend, apart from the listeners.

A UDP backend is probed from a connected socket, because only there the kernel tells of ICMP port unreachable.
A TCP or TLS backend is probed over a connection that is kept and made again when it ends.

asyncio_dgram hands an error to the next `recv` or `send` but does not wake a `recv` that waits already, and its
queue grows without end; `_TellingProtocol` does without both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any
from typing import Protocol as Shape

from asyncio_dgram import TransportClosed
from asyncio_dgram.aio import DatagramClient, Protocol

from haproxy_voip.core.address import Endpoint, Flow, Transport
from haproxy_voip.core.events import StreamClosed, StreamData, StreamOpened
from haproxy_voip.edge.connecting import Target, connect, is_refusal
from haproxy_voip.edge.stream import Stream, StreamEvent, reason_of
from haproxy_voip.proxy.effects import Probe
from haproxy_voip.proxy.events import ProbeRefused, ProbeReply
from haproxy_voip.sip.framing import StreamFramer
from haproxy_voip.sip.message import Message

if TYPE_CHECKING:
    from socket import _Address

# A probe is due every few milliseconds at most and answered within one: more than this waits only while we stall.
MAX_WAITING = 64

ProbeEvent = ProbeReply | ProbeRefused


class Prober(Shape):
    """What probes one backend."""

    target: Target  # another one is meant from the next connection on

    def send(self, data: bytes) -> None:
        """Send this, connecting first where that is needed. Never blocks, never raises."""

    async def stop(self) -> None:
        """Close the socket."""


class Probes:
    """All backends' probers by name."""

    def __init__(self, targets: Mapping[str, Target], receive: Callable[[ProbeEvent], None]) -> None:
        self._receive = receive
        self._probers: dict[str, Prober] = {}
        self.aim(targets)

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """Where each backend is probed."""
        return {name: prober.target.endpoint for name, prober in self._probers.items()}

    def aim(self, targets: Mapping[str, Target]) -> None:
        """Probe these as well, or as these say. The endpoint of one that is known does not change."""
        for name, target in targets.items():
            if name in self._probers:
                self._probers[name].target = target
                continue
            kind = DatagramProber if target.endpoint.transport is Transport.UDP else StreamProber
            self._probers[name] = kind(name, target, self._receive)

    def send(self, probe: Probe) -> None:
        """Carry out the effect."""
        self._probers[probe.backend].send(probe.data)

    def forget(self, backend: str) -> Coroutine[Any, Any, None]:
        """Probe it no more; its socket is closed when this is awaited."""
        return self._probers.pop(backend).stop()

    async def stop(self) -> None:
        """Close every socket."""
        for prober in self._probers.values():
            await prober.stop()


class DatagramProber:
    """Over a connected UDP socket.

    A loop that is busy takes a while for each turn, and a task takes a turn: so what is sent leaves at once when there
    is a socket, and what comes is told as it comes.
    """

    def __init__(self, backend: str, target: Target, receive: Callable[[ProbeEvent], None]) -> None:
        self._backend = backend
        self.target = target
        self._receive = receive
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)  # until there is a socket
        self._client: DatagramClient | None = None
        self._transport: asyncio.DatagramTransport | None = None
        connecting = asyncio.get_running_loop().create_task(self._connect_when_asked())
        self._connecting: asyncio.Task[None] | None = connecting

    def send(self, data: bytes) -> None:
        """A probe for which there is no room counts as one that was lost."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data)
        elif not self._outgoing.full():
            self._outgoing.put_nowait(data)

    async def stop(self) -> None:
        """Close the socket."""
        connecting, self._connecting = self._connecting, None  # it holds us
        if connecting is not None:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
        if self._client is not None:
            self._client.close()

    async def _connect_when_asked(self) -> None:
        while True:
            data = await self._outgoing.get()
            try:
                if self._client is None:
                    self._client, self._transport = await self._connected()
                await self._client.send(data)
            except TransportClosed:
                self._client = self._transport = None  # the next probe makes another
            except OSError as error:
                self._tell(error)

    async def _connected(self) -> tuple[DatagramClient, asyncio.DatagramTransport]:
        incoming: asyncio.Queue[tuple[bytes | None, _Address | None]] = asyncio.Queue()
        errors: asyncio.Queue[Exception] = asyncio.Queue()
        drained = asyncio.Event()
        target = self.target
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _TellingProtocol(incoming, errors, drained, self),
            local_addr=target.source,
            remote_addr=target.remote,
        )
        client = DatagramClient(transport, incoming, errors, drained)  # type: ignore[arg-type]  # its stub names the protocol
        return client, transport

    def heard(self, data: bytes) -> None:
        """A reply."""
        self._receive(ProbeReply(self._backend, data))

    def failed(self, error: Exception) -> None:
        """The socket says so."""
        if isinstance(error, OSError):
            self._tell(error)

    def _tell(self, error: OSError) -> None:
        if is_refusal(error):
            self._receive(ProbeRefused(self._backend, f"{reason_of(error)} (ICMP)"))


class _TellingProtocol(Protocol):
    """asyncio_dgram's, which tells what comes instead of keeping it until somebody asks."""

    def __init__(
        self,
        incoming: asyncio.Queue[tuple[bytes | None, _Address | None]],
        errors: asyncio.Queue[Exception],
        drained: asyncio.Event,
        prober: DatagramProber,
    ) -> None:
        super().__init__(incoming, errors, drained)
        self._prober = prober

    def datagram_received(self, data: bytes, addr: _Address) -> None:
        """A reply."""
        self._prober.heard(data)

    def error_received(self, exc: Exception) -> None:
        """ICMP."""
        self._prober.failed(exc)


class StreamProber:
    """Over one kept TCP or TLS connection.

    When the peer ends a connection that had answered, a new one is made at once: if nobody listens any more, that is
    known a round trip later and not at the next probe. One that never answered is made again by the next probe only.
    """

    def __init__(self, backend: str, target: Target, receive: Callable[[ProbeEvent], None]) -> None:
        self._backend = backend
        self.target = target
        self._receive = receive
        self._stream: Stream | None = None
        self._framer = StreamFramer()
        self._waiting: bytes | None = None  # the newest probe; older ones are worth nothing once it is connected
        self._answered = False
        self._dialling: asyncio.Task[None] | None = None
        self._stopped = False

    def send(self, data: bytes) -> None:
        """Send, or keep for the connection being made."""
        if self._stream is not None and self._stream.connected:
            self._stream.send(data)
            return
        self._waiting = data
        if self._stream is None:
            self._dial()

    async def stop(self) -> None:
        """End the connection."""
        self._stopped = True
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.gather(self._dialling, return_exceptions=True)
        if self._stream is not None:
            self._stream.fail("the proxy stops")

    def _dial(self) -> None:
        if self._stopped:
            return
        target = self.target
        flow = Flow(target.endpoint.transport, target.source or target.remote, target.remote, 0)
        stream = self._stream = Stream(flow, self._heard, lambda _: None)
        self._framer = StreamFramer()
        self._answered = False
        self._dialling = asyncio.get_running_loop().create_task(self._connect(stream))

    async def _connect(self, stream: Stream) -> None:
        try:
            await connect(lambda: stream, self.target)
        except OSError as error:
            stream.fail(reason_of(error))
            if is_refusal(error):
                self._receive(ProbeRefused(self._backend, reason_of(error)))

    def _heard(self, event: StreamEvent) -> None:
        match event:
            case StreamOpened():
                if self._waiting is not None and self._stream is not None:
                    self._stream.send(self._waiting)
                self._waiting = None
            case StreamData(data):
                self._read(data)
            case StreamClosed():
                self._stream = None
                if self._answered:
                    self._dial()

    def _read(self, data: bytes) -> None:
        for found in self._framer.feed(data):
            if isinstance(found, Message):
                self._answered = True
                self._receive(ProbeReply(self._backend, found.encode()))
        if self._framer.broken and self._stream is not None:
            self._answered = False
            self._stream.fail("sends what is not SIP")
