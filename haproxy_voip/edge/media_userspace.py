"""The media relay in userspace: every packet passes through this process.

It decides nothing: `rtp.flow.Latch` says who may send and where to, a `Leg` acts on it. A second way, through the
kernel, can take over the streams whose latches have settled; this one then still sees the first packets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from haproxy_voip.core.address import Address
from haproxy_voip.edge.media_leg import Leg, Surroundings
from haproxy_voip.edge.media_sockets import Pair, bind_pair
from haproxy_voip.edge.media_tally import Tally
from haproxy_voip.rtp.flow import (
    Counters,
    Latch,
    Party,
    Side,
    StreamCounters,
    StreamPlan,
    rtcp_of,
    usable,
)
from haproxy_voip.rtp.sequence import Reception

# Four sockets each; more file descriptors than a process is commonly allowed anyway.
MAX_STREAMS = 16_384


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom the relay tells. Called from the event loop, never from within `install` or `remove`."""

    latched: Callable[[int, Side, Address], None]  # stream, side, where that party is from now on
    failed: Callable[[int, str], None]  # stream, why its ports cannot be had; an earlier plan stays in force
    refused: Callable[[int, Side], None]  # stream, side: ICMP says that nobody listens there; once for each plan


class End:
    """One party of an installed stream: its two sockets and what it sent."""

    __slots__ = ("local", "pair", "refusal_told", "rtcp", "rtp", "side", "tally")

    def __init__(self, pair: Pair, plan: StreamPlan, side: Side, relay: MediaRelay) -> None:
        party = _party(plan, side)
        now = monotonic()
        self.side: Side = side
        self.local = party.local
        self.pair = pair
        self.refusal_told = False
        self.tally = Tally(Reception(plan.clock_hz))
        stream = plan.stream

        def refused() -> None:
            if not self.refusal_told:
                self.refusal_told = True
                relay.tell_refused(stream, side)

        media = Surroundings(relay.loop, lambda source: relay.tell_latched(stream, side, source), refused)
        control = Surroundings(relay.loop, lambda source: None, refused)
        self.rtp = Leg(
            pair.rtp, Latch(usable(party.local, party.remote), party.signalling_host, now), self.tally, media
        )
        self.rtcp = Leg(pair.rtcp, Latch(_rtcp_remote(party), party.signalling_host, now), self.tally, control)
        self.rtcp.control = True

    def move(self, local: Address, pair: Pair) -> None:
        """Take other ports."""
        former, self.pair, self.local = self.pair, pair, local
        self.rtp.move(pair.rtp)
        self.rtcp.move(pair.rtcp)
        former.close()

    def close(self) -> None:
        """Free both ports."""
        self.rtp.close()
        self.rtcp.close()
        self.pair.close()

    def renew(self, plan: StreamPlan, now: float) -> None:
        """A new generation."""
        party = _party(plan, self.side)
        self.refusal_told = False
        self.rtp.latch.renew(usable(party.local, party.remote), party.signalling_host, now)
        self.rtcp.latch.renew(_rtcp_remote(party), party.signalling_host, now)

    def follow(self, plan: StreamPlan, other: End) -> None:
        """Do as the plan says from the next packet on; `other` is the stream's other end."""
        party = _party(plan, self.side)
        self.tally.reception.retime(plan.clock_hz)
        self.rtp.opaque = self.rtcp.opaque = plan.kind == "udptl"
        self.rtp.mux = party.mux and plan.kind == "rtp"
        self.rtp.receives = self.rtcp.receives = party.receives
        muxed = plan.kind == "rtp" and _party(plan, other.side).mux
        self.rtp.partner = other.rtp
        self.rtp.rtcp_partner = self.rtcp.rtcp_partner = other.rtp if muxed else other.rtcp
        now = monotonic()
        self.rtp.route(now)
        self.rtcp.route(now)


@dataclass(slots=True)
class Stream:
    """A plan in force."""

    plan: StreamPlan
    client: End
    backend: End

    def counters(self) -> StreamCounters:
        """Both directions, as of now."""
        return StreamCounters(self.client.tally.counters(), self.backend.tally.counters())


class MediaRelay:
    """All streams of one process."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: Listener) -> None:
        self.loop = loop
        self._listener = listener
        self._streams: dict[int, Stream] = {}

    def install(self, plan: StreamPlan) -> None:
        """Relay so from now on. A known stream number changes that stream, and its untouched side loses no packet."""
        stream = self._streams.get(plan.stream)
        try:
            if stream is None:
                stream = self._open(plan)
            else:
                self._revise(stream, plan)
        except OSError as error:
            self.loop.call_soon(self._listener.failed, plan.stream, f"media ports: {error.strerror or error}")
            return
        stream.client.follow(plan, stream.backend)
        stream.backend.follow(plan, stream.client)

    def remove(self, stream: int) -> StreamCounters:
        """Free the ports; what was counted. Zeros for a stream that is not known."""
        known = self._streams.pop(stream, None)
        if known is None:
            return StreamCounters(Counters(), Counters())
        counters = known.counters()
        known.client.close()
        known.backend.close()
        return counters

    def snapshot(self, stream: int) -> StreamCounters:
        """What was counted so far. Zeros for a stream that is not known."""
        known = self._streams.get(stream)
        return StreamCounters(Counters(), Counters()) if known is None else known.counters()

    def close(self) -> None:
        """Remove every stream."""
        for stream in list(self._streams):
            self.remove(stream)

    def tell_latched(self, stream: int, side: Side, source: Address) -> None:
        """For the legs, from within the reading loop: the listener may well install or remove something."""
        self.loop.call_soon(self._if_known, stream, lambda: self._listener.latched(stream, side, source))

    def tell_refused(self, stream: int, side: Side) -> None:
        """For the legs, as `tell_latched`."""
        self.loop.call_soon(self._if_known, stream, lambda: self._listener.refused(stream, side))

    def _if_known(self, stream: int, tell: Callable[[], None]) -> None:
        if stream in self._streams:
            tell()

    def _open(self, plan: StreamPlan) -> Stream:
        if len(self._streams) >= MAX_STREAMS:
            raise OSError(f"{MAX_STREAMS} streams are relayed already")
        client_pair = bind_pair(plan.client.local)
        try:
            backend_pair = bind_pair(plan.backend.local)
        except OSError:
            client_pair.close()
            raise
        client = End(client_pair, plan, "client", self)
        backend = End(backend_pair, plan, "backend", self)
        stream = self._streams[plan.stream] = Stream(plan, client, backend)
        return stream

    def _revise(self, stream: Stream, plan: StreamPlan) -> None:
        before = stream.plan
        self._rebind(stream, plan)
        now = monotonic()
        for end in (stream.client, stream.backend):
            if plan.generation != before.generation or _elsewhere(_party(before, end.side), _party(plan, end.side)):
                end.renew(plan, now)
        stream.plan = plan

    def _rebind(self, stream: Stream, plan: StreamPlan) -> None:
        """Take other ports where the plan says so: all of them, or none with OSError."""
        ends = (stream.client, stream.backend)
        moves = [(end, local) for end in ends if (local := _party(plan, end.side).local) != end.local]
        pairs: list[Pair] = []
        try:
            for _, local in moves:
                pairs.append(bind_pair(local))
        except OSError:
            for pair in pairs:
                pair.close()
            raise
        for (end, local), pair in zip(moves, pairs, strict=True):
            end.move(local, pair)


def _party(plan: StreamPlan, side: Side) -> Party:
    return plan.client if side == "client" else plan.backend


def _rtcp_remote(party: Party) -> Address | None:
    return usable(Address(party.local.host, party.local.port + 1), rtcp_of(party))


def _elsewhere(old: Party, new: Party) -> bool:
    """Whether a party is described otherwise, so that it must be heard anew whatever the generation says."""
    return (old.remote, old.remote_rtcp, old.signalling_host) != (new.remote, new.remote_rtcp, new.signalling_host)
