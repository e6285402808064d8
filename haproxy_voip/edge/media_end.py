"""One party of a relayed stream: two sockets, what it sent, and what it hears."""

from __future__ import annotations

import secrets
from time import monotonic

from haproxy_voip.core.address import Address
from haproxy_voip.edge.media_leg import Leg, Retell, Surroundings
from haproxy_voip.edge.media_ports import MediaPorts, PortPair
from haproxy_voip.edge.media_tally import Tally
from haproxy_voip.rtp import rtcp
from haproxy_voip.rtp.comfort_noise import PACKET_SECONDS, ComfortNoise
from haproxy_voip.rtp.continuity import OURS, Outgoing
from haproxy_voip.rtp.flow import Latch, Party, Side, StreamPlan, rtcp_of, usable
from haproxy_voip.rtp.header import FIXED_BYTES, MalformedPacket
from haproxy_voip.rtp.joint import Joint
from haproxy_voip.rtp.payload_types import conversion
from haproxy_voip.rtp.reports import Hearing, carried
from haproxy_voip.rtp.sequence import NONE, Newest, Reception


class End:
    """See the module. `tell_refused` is called once for each plan, from within the reading loop."""

    __slots__ = (
        "_source",
        "hearing",
        "local",
        "noise",
        "pair",
        "party",
        "plan",
        "refusal_told",
        "rtcp",
        "rtp",
        "side",
        "tally",
    )

    def __init__(self, pair: PortPair, plan: StreamPlan, side: Side, media: Surroundings) -> None:
        party = party_of(plan, side)
        now = monotonic()
        self.side: Side = side
        self.plan = plan
        self.party = party
        self.local = party.local
        self.pair = pair
        self.refusal_told = False
        self.tally = Tally(Reception(plan.clock_hz))
        self.hearing: Hearing | None = None  # None: it is sent what its one source sends, as it comes
        self.noise: ComfortNoise | None = None
        self._source: End | None = None  # whom it hears

        def refused() -> None:
            if not self.refusal_told:
                self.refusal_told = True
                media.refused()

        around = Surroundings(media.latched, refused)
        control = Surroundings(lambda source: None, refused)
        self.rtp = Leg(
            pair.rtp, Latch(usable(party.local, party.remote), party.signalling_host, now), self.tally, around
        )
        self.rtcp = Leg(pair.rtcp, Latch(_rtcp_remote(party), party.signalling_host, now), self.tally, control)
        self.rtcp.control = True

    # -- sockets -------------------------------------------------------------------------------------

    def move(self, local: Address, pair: PortPair, ports: MediaPorts) -> None:
        """Take other ports."""
        ports.give_back(self.local, self.pair)
        self.pair, self.local = pair, local
        self.rtp.move(pair.rtp)
        self.rtcp.move(pair.rtcp)

    def close(self, ports: MediaPorts) -> None:
        """Give back both ports. Nobody is led to it any more, and it is not used again."""
        self.rtp.release()
        self.rtcp.release()
        ports.give_back(self.local, self.pair)
        self._source = None

    # -- what the kernel does for it ------------------------------------------------------------------

    def recall(self) -> None:
        """Let every packet of this party, and every packet for it, be relayed here."""
        if self.rtp.shortcut is not None:
            self.rtp.shortcut.recall()

    def refresh(self) -> None:
        """Let `tally`, and the numbers of what its listener hears, tell what the kernel has relayed as well."""
        if self.rtp.shortcut is not None:
            self.rtp.shortcut.refresh()

    def look(self) -> None:
        """The same for the time of the last arrival alone, which costs less."""
        if self.rtp.shortcut is not None:
            self.rtp.shortcut.look()

    # -- the plan ------------------------------------------------------------------------------------

    def renew(self, plan: StreamPlan, now: float) -> None:
        """A new generation: let the party be heard anew."""
        party = party_of(plan, self.side)
        self.refusal_told = False
        self.rtp.latch.renew(usable(party.local, party.remote), party.signalling_host, now)
        self.rtcp.latch.renew(_rtcp_remote(party), party.signalling_host, now)

    def follow(self, plan: StreamPlan) -> None:
        """Be as the plan says. `hear`, `lead_to` or `ignore`, and `route` have to follow."""
        self.plan, self.party = plan, party_of(plan, self.side)
        self.tally.reception.retime(plan.clock_hz)
        self.rtp.opaque = self.rtcp.opaque = plan.kind == "udptl"
        self.rtp.mux = self.party.mux and plan.kind == "rtp"
        self.rtp.receives = self.rtcp.receives = self.party.receives

    def hear(self, source: End, replaced: bool = False, late: bool = False) -> None:
        """From now on this party is sent what `source` sends. At any but the first change what it hears goes on.

        `replaced`: somebody else speaks there now. `late`: whom it heard before may be heard until `source` is.
        """
        former, self._source = self._source, source
        if former is None or (former is source and not replaced) or self.plan.encrypted or self.rtp.opaque:
            return
        if self.hearing is not None:
            self.hearing.outgoing.retime(self.plan.clock_hz)
            if not late:
                self.hearing.outgoing.switch()
            return
        if former is not source or former.tally.packets:
            hearing = self._begin_hearing(former)
            if late:
                hearing.outgoing.stay()

    def _begin_hearing(self, former: End) -> Hearing:
        """Number anew what this party hears, from where `former` has led it."""
        outgoing = Outgoing(self.plan.clock_hz)
        newest, sent = former.tally.reception.newest, former.tally
        if newest is not None:
            outgoing.resume(newest, sent.packets, sent.bytes - FIXED_BYTES * sent.packets)
        self.hearing = Hearing(outgoing)
        return self.hearing

    def lead_to(self, other: End) -> None:
        """What this party sends goes to `other`, whose `hear` has been called."""
        self.rtp.deaf = self.rtcp.deaf = False
        self.rtp.partner = other.rtp
        self.rtp.rtcp_partner = self.rtcp.rtcp_partner = other.rtp if other.rtp.mux else other.rtcp
        self.rtp.joint = self.rtp.retell = self.rtcp.retell = None
        if self.rtp.opaque or self.plan.encrypted:
            return
        agreed = self.plan.backend if self.side == "client" else self.plan.client
        outgoing = None if other.hearing is None else other.hearing.outgoing
        changes = conversion(self.party, agreed.payload_types, other.party)
        if outgoing is not None or changes is not None:
            self.rtp.joint = Joint(outgoing, changes)
        if self.hearing is not None or other.hearing is not None:
            self.rtp.retell = self.rtcp.retell = self._retelling(other)

    def _retelling(self, other: End) -> Retell:
        def retell(packet: memoryview) -> bytes:
            try:
                packets = rtcp.parse(packet)
            except MalformedPacket:
                self.tally.dropped += 1
                return b""
            self.refresh()
            other.refresh()
            return rtcp.encode(carried(packets, self.hearing, other.hearing))

        return retell

    def ignore(self) -> None:
        """What this party sends is dropped."""
        self.rtp.deaf = self.rtcp.deaf = True

    def route(self) -> None:
        """Act upon it, from the next packet on."""
        now = monotonic()
        self.rtp.route(now)
        self.rtcp.route(now)

    # -- noise ---------------------------------------------------------------------------------------

    def begin_noise(self, now: float) -> None:
        """Until media come. `hear` has been called, and `lead_to` comes after."""
        noise = ComfortNoise.begin(self.party.payload_types, now)
        if noise is None or self.plan.encrypted or self.rtp.opaque or self._source is None:
            return
        hearing = self.hearing or self._begin_hearing(self._source)
        outgoing = hearing.outgoing
        if outgoing.ssrc == NONE:  # RFC 3550 section 5.1: all three are random
            unknown = Newest(secrets.randbits(32), secrets.randbits(16), secrets.randbits(32), now, 0)
            outgoing.resume(unknown, 0, 0)
        outgoing.switch()
        noise.next_at = max(now, outgoing.sent_at + PACKET_SECONDS)
        self.noise = noise

    def make_noise(self, now: float) -> None:
        """Send what is due; stop for good when somebody speaks."""
        noise, hearing = self.noise, self.hearing
        if noise is None or hearing is None:
            return
        if hearing.outgoing.source not in (NONE, OURS) or now >= noise.until:
            self.noise = None
            return
        step = round(self.plan.clock_hz * PACKET_SECONDS)
        for payload in noise.due(now):
            packet = hearing.outgoing.make(noise.payload_type, payload, step, now)
            self.rtp.speak(packet)


def party_of(plan: StreamPlan, side: Side) -> Party:
    """This side of the plan."""
    return plan.client if side == "client" else plan.backend


def elsewhere(old: Party, new: Party) -> bool:
    """Whether a party is described otherwise, so that it must be heard anew whatever the generation says."""
    return (old.remote, old.remote_rtcp, old.signalling_host) != (new.remote, new.remote_rtcp, new.signalling_host)


def _rtcp_remote(party: Party) -> Address | None:
    return usable(Address(party.local.host, party.local.port + 1), rtcp_of(party))
