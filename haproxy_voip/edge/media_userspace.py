"""The media relay in userspace: every packet passes through this process.

It decides nothing: `rtp.flow.Latch` says who may send and where to, the plan who hears whom, a `Leg` acts on it. Where
there is a `KernelCache`, the kernel takes over from legs that have settled; before anything changes it is recalled, so
that nothing here needs to know of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from haproxy_voip.core.address import Address
from haproxy_voip.edge.kernel_relay import KernelRelay
from haproxy_voip.edge.media_end import End, elsewhere, party_of
from haproxy_voip.edge.media_kernel import KernelCache
from haproxy_voip.edge.media_leg import Look, Surroundings
from haproxy_voip.edge.media_passage import OVER_SECONDS, Passage
from haproxy_voip.edge.media_ports import MediaPorts, PortPair
from haproxy_voip.edge.media_watch import Listener, Stream, Watch
from haproxy_voip.rtp.flow import Counters, Side, StreamCounters, StreamPlan
from haproxy_voip.rtp.handover import Handover
from haproxy_voip.rtp.undelivered import undelivered

__all__ = ["Listener", "MediaRelay"]

# Four sockets each; more file descriptors than a process is commonly allowed anyway.
MAX_STREAMS = 16_384


class MediaRelay:
    """All streams of one process."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: Listener, kernel: KernelRelay | None = None) -> None:
        self._loop = loop
        self._listener = listener
        self._streams: dict[int, Stream] = {}
        self._ports = MediaPorts(loop)
        self._cache = None if kernel is None else KernelCache(kernel)
        self._watch = Watch(loop, listener, self._streams, self._cache)

    def install(self, plan: StreamPlan) -> None:
        """Relay so from now on. A known stream number changes that stream, and its untouched side loses no packet."""
        stream = self._streams.get(plan.stream)
        former = None if stream is None else self._bridged(stream)
        self._recall(stream, former, None if plan.bridge is None else self._streams.get(plan.bridge))
        try:
            replaced = stream is not None and self._revise(stream, plan)
            stream = stream or self._open(plan)
        except OSError as error:
            self._loop.call_soon(self._listener.failed, plan.stream, f"media ports: {error.strerror or error}")
            return
        partner = self._bridged(stream)
        if former is not None and partner is None and plan.handover:
            self._begin_passages(stream, former)
        elif stream.passage is not None and plan.bridge is not None:
            self._end_passages(stream)
        elif stream.passage is not None and not plan.handover:
            self._cut_short(stream.passage)
        self._hear(stream, replaced)
        changed = [stream, *(other for other in (former, partner) if other is not None)]
        for other in changed[1:]:
            self._hear(other)
        for each in changed:
            self._lead(each)
        if partner is not None:
            if former is None and not plan.handover:
                _deliver(stream, partner)
                _deliver(partner, stream)
            # Others may have to be joined for milliseconds before the loop reads again, and these two wait to be heard.
            stream.client.rtp.drain()
            partner.client.rtp.drain()
        self._watch.follow(stream, replaced)

    def remove(self, stream: int) -> StreamCounters:
        """Give the ports back; what was counted. Zeros for a stream that is not known."""
        known = self._streams.get(stream)
        if known is None:
            return StreamCounters(Counters(), Counters())
        partner = self._bridged(known)
        self._recall(known, partner)
        self._end_passages(known)
        del self._streams[stream]
        if partner is not None:
            self._hear(partner)
            self._lead(partner)
        counters = known.counters()
        known.client.close(self._ports)
        known.backend.close(self._ports)
        return counters

    def snapshot(self, stream: int) -> StreamCounters:
        """What was counted so far. Zeros for a stream that is not known."""
        known = self._streams.get(stream)
        return StreamCounters(Counters(), Counters()) if known is None else known.counters()

    def close(self, stay: bool = False) -> None:
        """Remove every stream; `stay`: but for what the kernel carries, which goes on there."""
        self._watch.stop()
        if stay and self._cache is not None:
            self._cache.let_go()
        for stream in list(self._streams):
            self.remove(stream)
        self._ports.close()

    @property
    def kernel_flows(self) -> int:
        """Directions of streams that the kernel carries at this moment."""
        return 0 if self._cache is None else len(self._cache)

    def tell_latched(self, stream: int, side: Side, source: Address) -> None:
        """For the legs, from within the reading loop: the listener may well install or remove something."""
        self._loop.call_soon(self._if_known, stream, lambda: self._listener.latched(stream, side, source))

    def tell_refused(self, stream: int, side: Side) -> None:
        """For the legs, as `tell_latched`."""
        self._loop.call_soon(self._if_known, stream, lambda: self._listener.refused(stream, side))

    def _if_known(self, stream: int, tell: Callable[[], None]) -> None:
        if stream in self._streams:
            tell()

    def _recall(self, *streams: Stream | None) -> None:
        """Let every packet of these streams come here: what is to be done to it is about to change."""
        for stream in streams:
            if stream is not None:
                stream.client.recall()
                stream.backend.recall()

    # -- who hears whom ------------------------------------------------------------------------------

    def _bridged(self, stream: Stream) -> Stream | None:
        """The stream whose client this one's talks with directly."""
        plan = stream.plan
        partner = None if plan.bridge is None else self._streams.get(plan.bridge)
        if partner is None or partner is stream or partner.plan.bridge != plan.stream:
            return None
        kinds = (plan.kind, plan.encrypted, partner.plan.kind, partner.plan.encrypted)
        return partner if kinds == ("rtp", False, "rtp", False) else None

    def _hear(self, stream: Stream, replaced: bool = False) -> None:
        """Take over the plan, and let the client hear whom it says; `replaced`: another backend."""
        partner = self._bridged(stream)
        stream.client.follow(stream.plan)
        stream.backend.follow(stream.plan)
        if partner is not None:
            stream.client.hear(partner.client, late=stream.plan.handover)
        elif stream.passage is None or stream.passage.done_at is not None:
            stream.client.hear(stream.backend, replaced)
        self._watch.noise(stream)

    def _lead(self, stream: Stream) -> None:
        """Send what arrives from either side where the plans say. All who are concerned hear by now."""
        client, backend = stream.client, stream.backend
        partner = self._bridged(stream)
        if partner is None:
            client.lead_to(backend)
            backend.lead_to(client)
        else:
            client.lead_to(partner.client)
            if stream.plan.handover:  # it lives: what it has on its way arrives yet
                backend.lead_to(client)
            else:
                backend.ignore()
        client.rtp.look, backend.rtp.look = self._looks(stream, partner)
        # From a bridge or to one, two may speak to a client.
        late = partner is not None and (stream.plan.handover or partner.plan.handover)
        client.rtp.steady = backend.rtp.steady = stream.passage is None and not late
        client.route()
        backend.route()

    def _looks(self, stream: Stream, partner: Stream | None) -> tuple[Look | None, Look | None]:
        """Who sees what arrives from client and backend before it is sent on."""
        plan, passage = stream.plan, stream.passage
        if partner is not None or plan.encrypted or plan.kind != "rtp":
            return None, None
        other = None if passage is None else self._streams[passage.other].passage
        if passage is not None and other is not None:
            return other.direct_way(plan, self._watch.said_by(stream)), passage.by_the_server()
        if plan.prints:
            return self._watch.print_of(stream, "client"), self._watch.print_of(stream, "backend")
        return None, None

    # -- from a bridge to the backends ---------------------------------------------------------------

    def _begin_passages(self, *streams: Stream) -> None:
        now = monotonic()
        for stream, other in zip(streams, reversed(streams), strict=True):
            passage = Passage(stream.client, stream.backend, other.plan.stream, Handover(now))
            stream.passage = passage
            self._loop.call_later(OVER_SECONDS, self._passages_over, stream, passage)

    def _cut_short(self, passage: Passage) -> None:
        """Both clients hear their backends. What these still have of what was heard directly is left out as before."""
        now, other = monotonic(), self._streams[passage.other].passage
        for each in (passage, other):
            if each is not None:
                each.end_now(now)

    def _passages_over(self, stream: Stream, passage: Passage) -> None:
        if self._streams.get(stream.plan.stream) is stream and stream.passage is passage:
            self._end_passages(stream)
            self._lead(stream)

    def _end_passages(self, stream: Stream) -> None:
        """Both clients hear their backends, whatever these say. `stream` itself is led anew by the caller."""
        passage = stream.passage
        if passage is None:
            return
        other = self._streams[passage.other]
        self._cut_short(passage)
        stream.passage = other.passage = None
        self._lead(other)

    # -- ports ---------------------------------------------------------------------------------------

    def _open(self, plan: StreamPlan) -> Stream:
        if len(self._streams) >= MAX_STREAMS:
            raise OSError(f"{MAX_STREAMS} streams are relayed already")
        client_pair = self._ports.take(plan.client.local)
        try:
            backend_pair = self._ports.take(plan.backend.local)
        except OSError:
            client_pair.close()
            raise
        client, backend = self._end(client_pair, plan, "client"), self._end(backend_pair, plan, "backend")
        stream = self._streams[plan.stream] = Stream(plan, client, backend)
        return stream

    def _end(self, pair: PortPair, plan: StreamPlan, side: Side) -> End:
        stream = plan.stream
        around = Surroundings(
            lambda source: self.tell_latched(stream, side, source),
            lambda: self.tell_refused(stream, side),
        )
        end = End(pair, plan, side, around)
        if self._cache is not None:
            end.rtp.shortcut = self._cache.shortcut(end.rtp, stream, side)
        return end

    def _revise(self, stream: Stream, plan: StreamPlan) -> bool:
        """Take over a new plan; whether somebody else is the backend now. Raises OSError, having changed nothing."""
        before = stream.plan
        self._rebind(stream, plan)
        now = monotonic()
        for end in (stream.client, stream.backend):
            if plan.generation != before.generation or elsewhere(party_of(before, end.side), party_of(plan, end.side)):
                end.renew(plan, now)
        stream.plan = plan
        return elsewhere(before.backend, plan.backend)

    def _rebind(self, stream: Stream, plan: StreamPlan) -> None:
        """Take other ports where the plan says so: all of them, or none with OSError."""
        ends = (stream.client, stream.backend)
        moves = [(end, local) for end in ends if (local := party_of(plan, end.side).local) != end.local]
        pairs: list[PortPair] = []
        try:
            for _, local in moves:
                pairs.append(self._ports.take(local))
        except OSError:
            for pair in pairs:
                pair.close()
            raise
        for (end, local), pair in zip(moves, pairs, strict=True):
            end.move(local, pair, self._ports)


def _deliver(talker: Stream, listener: Stream) -> None:
    """Give this client, who hears the other from now on, what their server had of them when it died."""
    for at, packet in undelivered(talker.said, listener.backend.tally.last_arrival, monotonic()):
        talker.client.rtp.pass_on_late(packet, at)
    talker.said.clear()
