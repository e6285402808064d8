"""TCP and TLS: listeners, outgoing connections, and the table of all streams.

Accepted connections get odd numbers here; the node gives even ones to those it opens.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass

from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.edge.connecting import Target, connect
from haproxy_voip.edge.facts import HandshakeFailed
from haproxy_voip.edge.listening import bound_socket, tune
from haproxy_voip.edge.places import Places
from haproxy_voip.edge.stream import Stream, StreamEvent, reason_of
from haproxy_voip.edge.tls import ClientTls

# Out of file descriptors or memory: others need time to give some back.
PAUSE_WHEN_EXHAUSTED = 0.5
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# At the end, how long all streams together have to take what was sent to them.
FAREWELL = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """Durations are seconds."""

    connections: int = 10_000  # accepted ones, those still in their TLS handshake included
    handshake: float = 5.0  # to finish a TLS handshake
    connect: float = 4.0  # to reach a peer
    first_bytes: float = 30.0  # an accepted connection that has said nothing for so long is no phone
    idle: float = 7200.0  # twice the longest usual registration: a phone that lives has refreshed by then
    sweep: float = 10.0  # how often the last two are looked at


class Streams:
    """All streams by number. `receive` is the driver's, `tell` takes facts."""

    def __init__(
        self,
        receive: Callable[[StreamEvent], None],
        tell: Callable[[object], None],
        limits: StreamLimits | None = None,
        peers: Mapping[Address, ClientTls] | None = None,
        encrypted: Callable[[Flow, ssl.SSLObject], None] | None = None,
    ) -> None:
        """`peers` says how TLS is opened to whom; to any other address it is not opened. `encrypted` is told of every
        finished TLS handshake, between the stream's StreamOpened and what comes encrypted."""
        self._receive = receive
        self._tell = tell
        self._limits = limits or StreamLimits()
        self._peers = peers or {}
        self._encrypted = encrypted
        self._places = Places(self._limits.connections, tell)
        self._streams: dict[int, Stream] = {}
        self._next_accepted = 1
        self._tasks: dict[int, asyncio.Task[None]] = {}  # one for each stream that is being made
        self._acceptors: dict[Endpoint, _Acceptor] = {}  # by endpoint, with its real port
        self._sweep: asyncio.TimerHandle | None = None
        self._all_gone = asyncio.Event()

    def __len__(self) -> int:
        return len(self._streams)

    def of(self, flow: Flow) -> Stream | None:
        """The stream of this flow; None when it has ended."""
        return self._streams.get(flow.connection)

    # -- effects ------------------------------------------------------------------------------------

    def send(self, flow: Flow, data: bytes) -> None:
        """What is sent on a stream that has ended is lost; its StreamClosed is on the way or was told already."""
        stream = self._streams.get(flow.connection)
        if stream is not None:
            stream.send(data)

    def open(self, flow: Flow) -> None:
        """Connect; StreamOpened or StreamClosed follows."""
        stream = self._streams[flow.connection] = Stream(flow, self._receive, self._gone, self._encrypted)
        tls = self._peers.get(flow.remote)
        if flow.transport is Transport.TLS and tls is None:
            stream.fail(f"nothing is configured about the certificate of {flow.remote}")
            return
        if flow.transport is not Transport.TLS:
            tls = None
        target = Target(Endpoint(flow.transport, flow.remote), flow.local.host, tls, self._limits.connect)
        self._start(stream, self._connect(stream, target))

    def close(self, flow: Flow) -> None:
        """End it once what was sent has left; StreamClosed follows."""
        stream = self._streams.get(flow.connection)
        if stream is not None:
            stream.close()

    # -- listening ----------------------------------------------------------------------------------

    def listen(self, endpoint: Endpoint, context: ssl.SSLContext | None = None, may_be_idle: bool = False) -> Endpoint:
        """Accept on this endpoint; returns it with its real port. Raises CannotListen.

        `may_be_idle`: whoever was accepted here and has spoken may be silent for as long as they like.
        """
        loop = asyncio.get_running_loop()
        bound = bound_socket(endpoint)
        host, port, *_ = bound.getsockname()
        acceptor = _Acceptor(bound, endpoint.transport, context, may_be_idle)
        acceptor.task = loop.create_task(self._accept(acceptor))
        real = Endpoint(endpoint.transport, Address(host, port))
        self._acceptors[real] = acceptor
        if self._sweep is None:
            self._sweep = loop.call_later(self._limits.sweep, self._close_idle)
        return real

    def renew(self, endpoint: Endpoint, context: ssl.SSLContext | None) -> None:
        """Who connects there from now on is shown the certificate of this context."""
        self._acceptors[endpoint].context = context

    async def unlisten(self, endpoint: Endpoint) -> None:
        """Accept no more there; what was accepted stays."""
        acceptor = self._acceptors.pop(endpoint)
        await acceptor.stop()

    def limit(self, connections: int) -> None:
        """Accept no more than so many at the same time from now on."""
        self._places.resize(connections)

    def meet(self, peers: Mapping[Address, ClientTls]) -> None:
        """Open TLS like this from now on."""
        self._peers = peers

    async def stop(self) -> None:
        """Stop listening, let what was sent leave, end every stream."""
        for endpoint in list(self._acceptors):
            await self.unlisten(endpoint)
        if self._sweep is not None:
            self._sweep.cancel()
        for stream in list(self._streams.values()):
            stream.close()
        await self._wait_until_all_are_gone()
        for stream in list(self._streams.values()):
            stream.fail("the proxy stops")
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait_until_all_are_gone(self) -> None:
        self._all_gone.clear()
        if self._streams:
            try:
                async with asyncio.timeout(FAREWELL):
                    await self._all_gone.wait()
            except TimeoutError:
                return

    async def _accept(self, acceptor: _Acceptor) -> None:
        loop = asyncio.get_running_loop()
        bound, transport = acceptor.bound, acceptor.transport
        while True:
            try:
                accepted, (host, port, *_) = await loop.sock_accept(bound)
            except OSError as error:
                # Anything but exhaustion is the end of that one connection before we had it (accept(2)).
                if error.errno in EXHAUSTED:
                    await asyncio.sleep(PAUSE_WHEN_EXHAUSTED)
                continue
            if not _tuned(accepted) or not self._places.take(host):
                accepted.close()
                continue
            own_host, own_port, *_ = accepted.getsockname()
            flow = Flow(transport, Address(own_host, own_port), Address(host, port), self._next_accepted)
            self._next_accepted += 2
            stream = self._streams[flow.connection] = Stream(flow, self._receive, self._gone, self._encrypted)
            stream.may_be_idle = acceptor.may_be_idle
            self._start(stream, self._welcome(accepted, stream, acceptor.context))

    # -- making a stream ----------------------------------------------------------------------------

    def _start(self, stream: Stream, making: Coroutine[None, None, None]) -> None:
        number = stream.flow.connection
        task = self._tasks[number] = asyncio.get_running_loop().create_task(making)
        task.add_done_callback(lambda _: self._tasks.pop(number, None))

    async def _connect(self, stream: Stream, target: Target) -> None:
        try:
            await connect(lambda: stream, target)
        except OSError as error:
            stream.fail(reason_of(error))

    async def _welcome(self, accepted: socket.socket, stream: Stream, context: ssl.SSLContext | None) -> None:
        timeout = self._limits.handshake if context else None
        try:
            # The socket is uvloop's now, which closes it whatever happens.
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: stream, accepted, ssl=context, ssl_handshake_timeout=timeout
            )
        except OSError as error:
            stream.fail(reason_of(error))
            if context is not None:
                self._tell(HandshakeFailed(str(stream.flow.remote), reason_of(error)))

    def _gone(self, stream: Stream) -> None:
        number = stream.flow.connection
        if self._streams.pop(number, None) is None:
            return
        if stream.accepted:
            self._places.give_back(stream.flow.remote.host)
        making = self._tasks.get(number)
        if making is not None and making is not asyncio.current_task():
            making.cancel()
        if not self._streams:
            self._all_gone.set()

    def _close_idle(self) -> None:
        limits = self._limits
        for stream in list(self._streams.values()):
            stream.silence += limits.sweep
            if stream.spoke and stream.may_be_idle:
                continue
            if stream.accepted and stream.silence > (limits.idle if stream.spoke else limits.first_bytes):
                stream.fail(f"silent for {stream.silence:.0f} s")
        self._sweep = asyncio.get_running_loop().call_later(limits.sweep, self._close_idle)


@dataclass(slots=True)
class _Acceptor:
    """A listening socket and the task that accepts on it."""

    bound: socket.socket
    transport: Transport
    context: ssl.SSLContext | None
    may_be_idle: bool
    task: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        task, self.task = self.task, None  # it holds us: nothing but the collector would free the two
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.bound.close()


def _tuned(accepted: socket.socket) -> bool:
    """False when the peer has gone again already."""
    try:
        tune(accepted)
    except OSError:
        return False
    return True
