"""An embedded machine on real sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar, cast

from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.core.events import NetworkEvent
from haproxy_voip.core.machine import Machine
from haproxy_voip.edge.chat import HANDSHAKE_SECONDS
from haproxy_voip.edge.driver import Driver, Reader
from haproxy_voip.edge.tcp import Streams
from haproxy_voip.edge.udp import UdpListener
from haproxy_voip.proxy.effects import StartTls
from haproxy_voip.proxy.events import TlsStarted

Event = TypeVar("Event")
Output = TypeVar("Output")


class Sockets(Generic[Event, Output]):
    """Listeners for one machine, and the driver between them. To be made inside the loop it runs on."""

    def __init__(
        self, machine: Machine[Event, Output], readers: Iterable[Reader] = (), tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls` is for streams the machine opens and then wants encrypted."""
        self.driver: Driver[Event, Output] = Driver(machine, readers)
        self._udp: dict[Address, UdpListener] = {}
        self._tls = tls
        self._handshakes: set[asyncio.Task[None]] = set()
        # What the network tells is what every machine takes that is run here.
        receive = cast("Callable[[NetworkEvent | TlsStarted], None]", self.driver.receive)
        self._receive = receive
        self._streams = Streams(
            receive, self.driver.tell, encrypted=lambda flow, handshake: receive(TlsStarted(flow, None, None))
        )

    async def start(self, listen: Sequence[Endpoint]) -> None:
        """Listen. Raises CannotListen; call `stop` then too."""
        for endpoint in listen:
            if endpoint.transport is Transport.UDP:
                listener = await UdpListener.bind(endpoint.address, self._receive)
                self._udp[endpoint.address] = listener
            else:
                self._streams.listen(endpoint)
        self.driver.on(Send, self._send)
        self.driver.on(Open, self._open)
        self.driver.on(StartTls, self._start_tls)
        self.driver.on(Close, lambda effect: self._streams.close(effect.flow))
        self.driver.start()

    def act(self, command: Callable[[float], Sequence[Output]]) -> None:
        """Let the machine do something that is no event."""
        self.driver.act(command)

    async def stop(self) -> None:
        """Close everything."""
        self.driver.stop()
        for listener in self._udp.values():
            listener.close()
        for handshake in self._handshakes:
            handshake.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)
        await self._streams.stop()

    def _send(self, effect: Send) -> None:
        flow: Flow = effect.flow
        if flow.connection:
            self._streams.send(flow, effect.data)
        elif (listener := self._udp.get(flow.local)) is not None:
            listener.send(flow.remote, effect.data)

    def _open(self, effect: Open) -> None:
        self._streams.open(effect.flow)

    def _start_tls(self, effect: StartTls) -> None:
        stream = self._streams.of(effect.flow)
        if stream is None or self._tls is None:
            return
        stream.pause_reading()
        securing = stream.start_tls(self._tls, effect.server_name, HANDSHAKE_SECONDS)
        handshake = asyncio.get_running_loop().create_task(securing)
        self._handshakes.add(handshake)
        handshake.add_done_callback(self._handshakes.discard)
