"""Probes of chat servers: a connection of its own for each, because a stream can be opened only once.

A server that answers the opening of a stream lives: its kernel alone would take the connection and say nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from haproxy_voip.core.address import Endpoint, Flow
from haproxy_voip.core.events import StreamClosed, StreamData
from haproxy_voip.edge.connecting import Target, connect, is_refusal
from haproxy_voip.edge.stream import Stream, StreamEvent, reason_of
from haproxy_voip.proxy.effects import ProbeStream
from haproxy_voip.proxy.events import ProbeRefused, StreamProbeReply

# Open at the same time to one backend: it answers none of them, so the oldest have waited longer than any time-out.
MAX_OPEN = 8

ProbeEvent = StreamProbeReply | ProbeRefused


class StreamProbes:
    """All probes of all backends. Whoever asks has a time-out of its own; a probe that fails otherwise says nothing."""

    def __init__(self, targets: Mapping[str, Target], receive: Callable[[ProbeEvent], None]) -> None:
        self._targets = dict(targets)
        self._receive = receive
        self._open: dict[str, deque[_Probe]] = {name: deque() for name in targets}

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """Where each backend is probed."""
        return {name: target.endpoint for name, target in self._targets.items()}

    def aim(self, targets: Mapping[str, Target]) -> None:
        """These are the backends from now on, for the next probes."""
        self._targets.update(targets)
        for name in targets:
            self._open.setdefault(name, deque())

    def forget(self, backend: str) -> Coroutine[Any, Any, None]:
        """Probe it no more; what is open is closed when this is awaited."""
        del self._targets[backend]
        return self._drop(self._open.pop(backend))

    def send(self, effect: ProbeStream) -> None:
        """Carry out the effect."""
        probes = self._open[effect.backend]
        if len(probes) >= MAX_OPEN:
            probes[0].drop()
        _Probe(effect, self._targets[effect.backend], self._receive, probes)

    async def stop(self) -> None:
        """Drop all."""
        for probes in self._open.values():
            await self._drop(probes)

    async def _drop(self, probes: deque[_Probe]) -> None:
        while probes:
            task = probes[0].task
            probes[0].drop()
            await asyncio.gather(task, return_exceptions=True)


class _Probe:
    def __init__(
        self, asked: ProbeStream, target: Target, receive: Callable[[ProbeEvent], None], among: deque[_Probe]
    ) -> None:
        self._asked = asked
        self._receive = receive
        self._among = among
        flow = Flow(target.endpoint.transport, target.source or target.remote, target.remote)
        self._stream = Stream(flow, self._heard, lambda _: None)
        self._stream.send(asked.data)
        among.append(self)
        self.task = asyncio.get_running_loop().create_task(self._connect(target))

    def drop(self) -> None:
        """Whatever comes of it, nobody wants to know any more."""
        if self in self._among:
            self._among.remove(self)
            self.task.cancel()
            self._stream.fail("closed by us")

    async def _connect(self, target: Target) -> None:
        try:
            await connect(lambda: self._stream, target)
        except OSError as error:
            if is_refusal(error) and self in self._among:
                self._receive(ProbeRefused(self._asked.backend, reason_of(error), "xmpp"))
            self._stream.fail(reason_of(error))

    def _heard(self, event: StreamEvent) -> None:
        if self not in self._among:
            return
        match event:
            case StreamData():
                self._receive(StreamProbeReply(self._asked.backend, self._asked.number))
                self.drop()
            case StreamClosed():
                self._among.remove(self)
            case _:
                pass  # connected, which the kernel does for a frozen server as well
