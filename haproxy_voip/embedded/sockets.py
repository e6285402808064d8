"""An embedded machine on real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.core.events import NetworkEvent
from haproxy_voip.core.machine import Machine
from haproxy_voip.edge.driver import Driver, Reader
from haproxy_voip.edge.tcp import Streams
from haproxy_voip.edge.udp import UdpListener
from haproxy_voip.embedded.facts import Output


class Sockets:
    """Listeners for one machine, and the driver between them. To be made inside the loop it runs on."""

    def __init__(self, machine: Machine[NetworkEvent, Output], readers: Iterable[Reader] = ()) -> None:
        self.driver: Driver[NetworkEvent, Output] = Driver(machine, readers)
        self._udp: dict[Address, UdpListener] = {}
        self._streams = Streams(self.driver.receive, self.driver.tell)

    async def start(self, listen: Sequence[Endpoint]) -> None:
        """Listen. Raises CannotListen; call `stop` then too."""
        for endpoint in listen:
            if endpoint.transport is Transport.UDP:
                listener = await UdpListener.bind(endpoint.address, self.driver.receive)
                self._udp[endpoint.address] = listener
            else:
                self._streams.listen(endpoint)
        self.driver.on(Send, self._send)
        self.driver.on(Open, self._open)
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
        await self._streams.stop()

    def _send(self, effect: Send) -> None:
        flow: Flow = effect.flow
        if flow.connection:
            self._streams.send(flow, effect.data)
        elif (listener := self._udp.get(flow.local)) is not None:
            listener.send(flow.remote, effect.data)

    def _open(self, effect: Open) -> None:
        self._streams.open(effect.flow)
