"""Messages on streams that begin and do not end.

A connection keeps its place, and what came of the message its memory, for as long as it is open; so whoever begins a
message ends it in time, or is hung up on and judged like whoever sends what cannot be read. Backends are left alone:
their health is watched by other means.
"""

from __future__ import annotations

from haproxy_voip.core.address import Flow
from haproxy_voip.core.effects import Close
from haproxy_voip.core.events import StreamData
from haproxy_voip.proxy.facts import MessageRefused
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.framing import Keepalive
from haproxy_voip.sip.message import Request, Response

# 64*T1: by then whoever sent a request has given it up (RFC 3261 section 17.1.2.2, timer F).
MESSAGE_SECONDS = 32.0


class Unfinished:
    """Every stream in the middle of a message, the longest first. One alarm for all; no more than there are streams."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._begun: dict[int, tuple[Flow, float]] = {}  # by connection: since when, at the latest

    def __len__(self) -> int:
        return len(self._begun)

    def read(self, event: StreamData, now: float) -> list[Request | Response | MessageError | Keepalive]:
        """The messages these bytes complete."""
        network, flow = self._shared.network, event.flow
        items = network.read(event)
        if items:
            self._begun.pop(flow.connection, None)  # what waits now has begun since
        if not network.waits(flow):
            self._begun.pop(flow.connection, None)
        elif flow.connection not in self._begun and network.backend_at(flow.remote) is None:
            self._begun[flow.connection] = flow, now
            if self._shared.alarms.at(self) is None:
                self._shared.alarms.set(self, now + MESSAGE_SECONDS)
        return items

    def closed(self, flow: Flow) -> None:
        """The stream is gone."""
        self._begun.pop(flow.connection, None)
        self._shared.network.closed(flow)

    def wake(self, now: float) -> list[Output]:
        """Hang up on those whose time is over."""
        outputs: list[Output] = []
        while self._begun:
            flow, since = next(iter(self._begun.values()))
            if since + MESSAGE_SECONDS > now:
                self._shared.alarms.set(self, since + MESSAGE_SECONDS)
                break
            del self._begun[flow.connection]
            fact = MessageRefused(flow, 0, f"a message that did not end within {MESSAGE_SECONDS:.0f} s")
            outputs += [Close(flow), fact, *self._shared.sources.malformed(flow, now)]
        return outputs
