"""Who may send on a media stream, and where its packets go (RFC 4961, RFC 7362).

Pure: the decision both relays share. A relay that knows the answer already, be it a connected socket or an
entry in a kernel map, is a cache of it.

1. Until a party has been heard, it is sent to where its SDP says.
2. It is heard (latched) by the first packet from a source that signalling vouches for. Another host must first
   send `PROBATION` packets in a row, so that a port scan or a stray packet latches nothing.
3. A better source displaces a worse one, an equal or worse one displaces nobody: see `Rank`.
4. A new offer/answer (`generation`) lets a source of equal rank latch anew. Who was latched stays so until then,
   unless the SDP names another address now: the former one is fenced.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import lru_cache
from typing import Literal, NamedTuple

from haproxy_voip.core.address import Address

# Packets in a row before a host that no signalling named is believed; Asterisk's strictrtp asks for as many.
PROBATION = 4

# A source that could yet be displaced by a better one is taken for good after this many seconds. In that time
# a phone's first packets have come by whatever way they come.
SETTLE_SECONDS = 2.0

DEFAULT_CLOCK_HZ = 8000  # RFC 3551: every static audio payload type but a few

BROADCAST = ipaddress.ip_address("255.255.255.255")

Side = Literal["client", "backend"]
Kind = Literal["rtp", "udptl"]
# Payload type and what it means, "encoding/clock[/channels]" in lower case: (0, "pcmu/8000").
PayloadTypes = tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Party:
    """One end of a stream, as its SDP and its signalling describe it."""

    local: Address  # our RTP address on this side; RTCP is one port above, also when muxed
    remote: Address | None  # from its SDP; None when it has not sent one
    remote_rtcp: Address | None = None  # a=rtcp (RFC 3605); None: one port above `remote`
    signalling_host: str = ""  # where its SIP comes from
    mux: bool = False  # RTCP on the RTP port (RFC 5761), agreed with this party
    receives: bool = True  # False on hold, inactive or port 0: nothing is sent to it
    payload_types: PayloadTypes = ()  # what its SDP asks to be sent; empty: not known, nothing is converted
    sends: PayloadTypes = ()  # what it was told to send, where that is not what the other party asks for now


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What a relay is to do with one m-line."""

    stream: int
    kind: Kind
    client: Party
    backend: Party
    generation: int = 0  # grows with each offer/answer
    clock_hz: int = DEFAULT_CLOCK_HZ  # of the RTP timestamp, for the jitter
    # Another stream. While each names the other, what either client sends goes to the other client, and the
    # backends are neither heard nor sent to.
    bridge: int | None = None
    # When a bridge ends: the client goes on hearing the other until its backend is heard to carry their conversation.
    # When one begins: what the backend has on its way to the client is let through, until the other is heard.
    handover: bool = False
    comfort_noise: bool = False  # the client hears noise until media come for it
    prints: bool = False  # `fingerprint.Fingerprints` wants to know what passes
    encrypted: bool = False  # SRTP: not a byte may be changed, so no bridge, no renumbering, no noise


@dataclass(slots=True)
class Counters:
    """What arrived from one party of a stream."""

    packets: int = 0  # RTP or UDPTL accepted
    bytes: int = 0  # of these, UDP payload
    rtcp: int = 0  # RTCP packets accepted
    lost: int = 0  # missing RTP sequence numbers (RFC 3550 A.3), never below 0
    jitter: float = 0.0  # seconds, RFC 3550 A.8
    last_arrival: float | None = None  # monotonic seconds of the last accepted packet
    # Refused: not RTP, or not from this party. Strangers that the kernel turns away at a settled stream are not seen.
    dropped: int = 0
    unsent: int = 0  # accepted and not passed on: the other party is on hold, or could not be sent to
    refused: int = 0  # times its host said that nobody listens there (ICMP port unreachable)


class StreamCounters(NamedTuple):
    """Both directions of one stream."""

    client: Counters  # arrived from the client
    backend: Counters  # arrived from the backend


class Rank(IntEnum):
    """How far a source is to be believed (RFC 7362 section 4), least first."""

    NONE = 0
    OTHER = 1  # nothing vouches for it
    HOST = 2  # the host its SIP comes from, or the host in its SDP with another port
    ADDRESS = 3  # exactly what its SDP says


class Verdict(Enum):
    """What becomes of a packet."""

    DROP = "drop"
    RELAY = "relay"
    LATCH = "latch"  # relay it, and its source is where this party is from now on


@dataclass(slots=True)
class Candidate:
    """A host on probation."""

    source: Address
    ssrc: int
    sequence: int
    count: int = 1


class Latch:
    """Where one component (RTP or RTCP) of one party is. Times are monotonic seconds."""

    __slots__ = ("_candidate", "_fenced", "_host", "_provisional", "_rank", "_since", "peer", "remote")

    def __init__(self, remote: Address | None, signalling_host: str, now: float) -> None:
        self.remote = remote  # usable, or None: see `usable`
        self.peer: Address | None = None  # the latched source
        self._host = signalling_host
        self._rank = Rank.NONE
        self._since = now
        self._provisional = False  # latched in an earlier generation, not confirmed in this one
        self._fenced: Address | None = None  # the address an earlier SDP named: its sender was replaced
        self._candidate: Candidate | None = None

    @property
    def target(self) -> Address | None:
        """Where this party is to be sent to, or None when that is not known."""
        return self.peer or self.remote

    def settled(self, now: float) -> bool:
        """Whether nothing but a new generation can change the peer, so that a relay need not ask again.

        Never so for a host nobody vouches for: it must stay possible to displace it.
        """
        if self._rank is Rank.HOST:
            return not self._provisional and now >= self._since + SETTLE_SECONDS
        return self._rank is Rank.ADDRESS

    def renew(self, remote: Address | None, signalling_host: str, now: float) -> None:
        """A new offer/answer was made: let the party be heard anew.

        No address from the same signalling host (hold as 0.0.0.0) is no news; from another one it is a server that
        has not answered yet.
        """
        replaced = signalling_host != self._host
        if remote is None and not replaced:
            remote = self.remote
        moved, former = remote != self.remote, self.target
        was_where_its_sdp_said = self.peer is None or self._rank is Rank.ADDRESS
        self.remote, self._host = remote, signalling_host
        stranger = self.peer is not None and self._rank_of(self.peer) is Rank.OTHER
        if moved and (was_where_its_sdp_said or (replaced and stranger)):
            # Failover, or another device. Behind NAT the SDP says nothing about the source, so that one stays.
            self.peer, self._fenced = None, former or self._fenced
        self._rank = Rank.NONE if self.peer is None else self._rank_of(self.peer)
        self._provisional = self.peer is not None
        self._since = now
        self._candidate = None

    def accept(self, source: Address, ssrc: int, sequence: int, now: float) -> Verdict:
        """Judge a packet by where it came from. Where there is no RTP header, `ssrc` and `sequence` are -1."""
        if source == self.peer:
            if self._provisional and now >= self._since + SETTLE_SECONDS:
                self._provisional = False
            return Verdict.RELAY
        rank = self._rank_of(source)
        if rank < self._rank or (rank == self._rank and not self._provisional):
            return Verdict.DROP
        if rank is not Rank.ADDRESS and source == self._fenced:
            return Verdict.DROP
        if rank is Rank.OTHER and not self._proven(source, ssrc, sequence):
            return Verdict.DROP
        self.peer, self._rank, self._since = source, rank, now
        self._provisional, self._candidate = False, None
        return Verdict.LATCH

    def _rank_of(self, source: Address) -> Rank:
        if source == self.remote:
            return Rank.ADDRESS
        if source.host == self._host or (self.remote is not None and source.host == self.remote.host):
            return Rank.HOST
        return Rank.OTHER

    def _proven(self, source: Address, ssrc: int, sequence: int) -> bool:
        """Whether this packet ends the probation of its source. One candidate at a time, the latest: bounded."""
        known = self._candidate
        follows = sequence == -1 or (known is not None and sequence == (known.sequence + 1) & 0xFFFF)
        if known is None or known.source != source or known.ssrc != ssrc or not follows:
            self._candidate = Candidate(source, ssrc, sequence)
            return False
        known.sequence = sequence
        known.count += 1
        return known.count >= PROBATION


def usable(local: Address, remote: Address | None) -> Address | None:
    """`remote` with its host as the kernel writes it, or None when packets from `local` must not be sent there.

    An SDP is a stranger's word: a host name would mean a DNS query for each packet, a multicast group an
    amplifier, and our own port a loop.
    """
    if remote is None or not 0 < remote.port <= 65535:
        return None
    host = _unicast(remote.host)
    if host is None or (":" in host) != (":" in local.host):
        return None
    found = Address(host, remote.port)
    return None if found == local else found


# Calls are moved by the hundred when a server dies, and between the same hosts: reading them anew would take longest.
@lru_cache(maxsize=1024)
def _unicast(host: str) -> str | None:
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return None
    return None if literal.is_multicast or literal.is_unspecified or literal == BROADCAST else str(literal)


def rtcp_of(party: Party) -> Address | None:
    """Where the RTCP of a party that does not mux is to be sent (RFC 3605 section 2.1; RFC 3550 section 11)."""
    if party.remote_rtcp is not None or party.remote is None:
        return party.remote_rtcp
    return Address(party.remote.host, party.remote.port + 1)
