"""Canaries: an idle connection to each backend, whose end tells of the backend's end within a millisecond.

A killed process closes its sockets; the kernel says so at once (FIN or RST), while a frozen one says nothing here, that
is what probes are for. To a UDP backend it is plain TCP on the same port. Now and then something is said on it, so that
no server takes it for forgotten; what that answers is not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from haproxy_voip.core.address import Flow
from haproxy_voip.core.events import StreamClosed, StreamOpened
from haproxy_voip.edge.connecting import Target, connect
from haproxy_voip.edge.stream import Stream, StreamEvent, reason_of
from haproxy_voip.proxy.effects import CloseCanary, OpenCanary, Service, StirCanary
from haproxy_voip.proxy.events import CanaryClosed, CanaryOpened

CanaryEvent = CanaryOpened | CanaryClosed


@dataclass(slots=True)
class _Canary:
    stream: Stream
    dialling: asyncio.Task[None] | None = None


class Canaries:
    """At most one for each backend that has this service."""

    def __init__(
        self, targets: Mapping[str, Target], receive: Callable[[CanaryEvent], None], service: Service = "sip"
    ) -> None:
        self._targets = dict(targets)
        self._service: Service = service
        self._receive = receive
        self._canaries: dict[str, _Canary] = {}

    def aim(self, targets: Mapping[str, Target]) -> None:
        """These are the backends from now on, for the next connections."""
        self._targets.update(targets)

    def forget(self, backend: str) -> None:
        """It is gone; its connection was dropped before."""
        self._targets.pop(backend, None)

    def open(self, effect: OpenCanary) -> None:
        """Make the connection; CanaryOpened, or CanaryClosed when it cannot be made. One that is there stays."""
        backend = effect.backend
        if backend in self._canaries:
            return
        target = self._targets[backend]
        flow = Flow(target.endpoint.transport, target.source or target.remote, target.remote)
        canary = _Canary(Stream(flow, lambda event: self._heard(backend, canary, event), lambda _: None))
        self._canaries[backend] = canary
        canary.dialling = asyncio.get_running_loop().create_task(_dial(canary.stream, target))

    def stir(self, effect: StirCanary) -> None:
        """Say something on it, if it stands."""
        canary = self._canaries.get(effect.backend)
        if canary is not None and canary.stream.connected:
            canary.stream.send(effect.data)

    def close(self, effect: CloseCanary) -> None:
        """Drop the connection; no event follows."""
        canary = self._canaries.pop(effect.backend, None)
        if canary is not None:
            if canary.dialling is not None:
                canary.dialling.cancel()
            canary.stream.fail("closed by us")

    async def stop(self) -> None:
        """Drop all."""
        diallings = [canary.dialling for canary in self._canaries.values() if canary.dialling is not None]
        for backend in list(self._canaries):
            self.close(CloseCanary(backend))
        await asyncio.gather(*diallings, return_exceptions=True)

    def _heard(self, backend: str, canary: _Canary, event: StreamEvent) -> None:
        if self._canaries.get(backend) is not canary:
            return  # dropped; another may have taken its place
        match event:
            case StreamOpened():
                self._receive(CanaryOpened(backend, self._service))
            case StreamClosed(_, reason):
                del self._canaries[backend]
                self._receive(CanaryClosed(backend, reason, self._service))
            case _:
                pass  # a server that greets: not our concern


async def _dial(stream: Stream, target: Target) -> None:
    try:
        await connect(lambda: stream, target)
    except OSError as error:
        stream.fail(reason_of(error))
