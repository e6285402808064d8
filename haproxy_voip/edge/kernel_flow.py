"""A flow as the kernel keeps it: what `relay.bpf.h` calls `struct flow`, and back.

A kernel flow is a cache of what one leg (`media_leg`) does with the ordinary next packet: it comes to `local` from
exactly `peer`, with the SSRC known, and its sequence number is a small step ahead or slightly late. The kernel passes
up all else untouched, except what comes to `local` from a third address, which it drops and counts.

Hosts are kept as 16 bytes, IPv4 as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2). Numbers are in the machine's byte
order, ports and hosts in the network's. `LAYOUT` grows with every change of a map, `PROGRAM` with every other change
of the program.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from socket import htons
from typing import NamedTuple

from haproxy_voip.core.address import Address
from haproxy_voip.edge.routes import Route
from haproxy_voip.rtp.continuity import OutgoingState
from haproxy_voip.rtp.flow import Side
from haproxy_voip.rtp.sequence import ReceptionState

LAYOUT = 1
PROGRAM = 2

PAYLOAD_TYPES = 128
PASS_UP = 0xFF  # in `KernelFlow.payload_types`: userspace must decide
MASK_32 = 0xFFFF_FFFF
NANOSECONDS = 1_000_000_000
JITTER_SCALE = 16  # RFC 3550 A.8

# `flags` of struct flow.
RENUMBER = 1
PRINTS = 2
TYPES = 4
MUX = 8
FOLLOWS = 16

MAPPED = bytes(10) + b"\xff\xff"
ENDPOINT = struct.Struct("!16sH2x")
FLOW = struct.Struct("=4xI20s20s20sI16s10IQ128s6Q4Q3Ii2IiIII")
HOST_WORDS = struct.Struct("=8H")
# Phones and servers; reading a host anew takes as long as all else in a flow.
KNOWN_HOSTS = 16_384
SIDES: tuple[Side, Side] = ("client", "backend")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowState:
    """What changes while packets pass. Carried into the kernel by `install`, and back by `states` and `remove`."""

    reception: ReceptionState  # of who sends: `Reception.snapshot()` before, `Reception.restore` after
    outgoing: (
        OutgoingState | None
    )  # of who is sent to, the same with `Outgoing`; None: it is given the sender's numbers
    packets: int = 0  # `Tally.packets`: of the sender, in the kernel and before
    bytes: int = 0  # of these, UDP payload
    unsent: int = 0  # of these, too late to be sent on
    dropped: int = 0  # came from a third address
    last_arrival: float = 0.0  # monotonic seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFlow:
    """One direction of one stream. `local`, `peer`, `out_local` and `out_peer` are all of one IP version."""

    stream: int
    side: Side  # whose packets these are
    local: Address  # where they arrive: the flow's key
    peer: Address  # from exactly where
    out_local: Address  # which of our addresses they leave by
    out_peer: Address  # where to
    # 128 entries: what each payload type becomes, or `PASS_UP`. The marker bit is kept. None: as they are.
    payload_types: bytes | None = None
    mux: bool = False  # RTCP comes to the same port: the payload types that mean RTCP (RFC 5761) are passed up
    clock_hz: int
    prints: bool = False  # sampled payloads are told of, `fingerprint.sampled`
    # It begins with the packet after `state.reception.highest`. Until that one has come all others are passed up: one
    # in between may be on its way to userspace, and must not be overtaken.
    follows: bool = False
    state: FlowState

    @property
    def ssrc(self) -> int:
        """By what the sender calls itself."""
        return self.state.reception.ssrc

    @property
    def out_ssrc(self) -> int:
        """By what it is known to the receiver."""
        return self.ssrc if self.state.outgoing is None else self.state.outgoing.ssrc

    @property
    def sequence_offset(self) -> int:
        """Outgoing less incoming sequence number."""
        return 0 if self.state.outgoing is None else self.state.outgoing.sequence_offset

    @property
    def timestamp_offset(self) -> int:
        """Outgoing less incoming timestamp."""
        return 0 if self.state.outgoing is None else self.state.outgoing.timestamp_offset


class Place(NamedTuple):
    """What the kernel must know of a flow besides: the way out, and which place in `arrivals` is its own."""

    route: Route
    slot: int


def key_of(local: Address) -> bytes:
    """What a flow is found by. Raises OSError for a wildcard, which is no address that packets are sent to."""
    return ENDPOINT.pack(_host(local.host), local.port)


def address_of(key: bytes) -> Address:
    """And back."""
    host, port = ENDPOINT.unpack(key)
    return Address(_literal(host), port)


def slot_of(value: bytes) -> int:
    """Its place in `arrivals`."""
    slot: int = FLOW.unpack(value)[14]
    return slot


def encode(flow: KernelFlow, place: Place) -> bytes:
    """`struct flow`. Raises OSError for what the kernel cannot do: another IP version on the way out."""
    if len({address.family for address in (flow.local, flow.peer, flow.out_local, flow.out_peer)}) != 1:
        raise OSError(errno.EAFNOSUPPORT, "the kernel cannot relay between IPv4 and IPv6")
    assert flow.payload_types is None or len(flow.payload_types) == PAYLOAD_TYPES
    outgoing, route = flow.state.outgoing, place.route
    flags = (
        (RENUMBER if outgoing is not None else 0)
        | (PRINTS if flow.prints else 0)
        | (TYPES if flow.payload_types is not None else 0)
        | (MUX if flow.mux else 0)
        | (FOLLOWS if flow.follows else 0)
    )
    return FLOW.pack(
        flags,
        *(key_of(address) for address in (flow.peer, flow.out_local, flow.out_peer)),
        *(route.ifindex, _host(route.next_hop)),
        *_changes(flow),
        *(flow.ssrc, flow.out_ssrc, flow.timestamp_offset, flow.sequence_offset),
        *(route.mtu, flow.clock_hz, place.slot, SIDES.index(flow.side), flow.stream),
        flow.payload_types or bytes(PAYLOAD_TYPES),
        *_encoded_state(flow.state),
    )


def decode(key: bytes, value: bytes) -> KernelFlow:
    """The flow as it is now."""
    fields = FLOW.unpack(value)
    flags = fields[0]
    peer, out_local, out_peer = (address_of(endpoint) for endpoint in fields[1:4])
    return KernelFlow(
        stream=fields[16],
        side=SIDES[fields[15]],
        local=address_of(key),
        peer=peer,
        out_local=out_local,
        out_peer=out_peer,
        payload_types=fields[17] if flags & TYPES else None,
        mux=bool(flags & MUX),
        clock_hz=fields[13],
        prints=bool(flags & PRINTS),
        follows=bool(flags & FOLLOWS),
        state=_state(fields),
    )


def decode_state(value: bytes) -> FlowState:
    """The same without what never changes."""
    return _state(FLOW.unpack(value))


# ----------------------------------------------------------------------------------------------------


def _encoded_state(state: FlowState) -> tuple[int, ...]:
    reception, outgoing = state.reception, state.outgoing
    newest = first = timestamp = step = sent = octets = 0
    sent_at = 0.0
    if outgoing is not None:
        newest, first, timestamp, sent_at, step, sent, octets = outgoing[4:]
    return (
        *(state.packets, state.bytes, sent, octets, state.unsent, state.dropped),
        *(_nanoseconds(at) for at in (state.last_arrival, sent_at, reception.timed_at, reception.newest_at)),
        *(reception.highest & MASK_32, newest & MASK_32, first & MASK_32, reception.missing),
        *(reception.timestamp, reception.newest_timestamp, _signed(reception.step)),
        *(round(reception.jitter * JITTER_SCALE) & MASK_32, timestamp, step & MASK_32),
    )


def _state(fields: tuple[int, ...]) -> FlowState:
    ssrc, out_ssrc, timestamp_offset, sequence_offset = fields[8:12]
    packets, received, sent, octets, unsent, dropped = fields[18:24]
    last_arrival, sent_at, timed_at, newest_at = (at / NANOSECONDS for at in fields[24:28])
    highest, newest, first, missing, timestamp, newest_timestamp, step, jitter, out_timestamp, out_step = fields[28:]
    outgoing = None
    if fields[0] & RENUMBER:
        outgoing = OutgoingState(
            *(out_ssrc, ssrc, sequence_offset, timestamp_offset, newest, first),
            *(out_timestamp, sent_at, out_step, sent, octets),
        )
    return FlowState(
        reception=ReceptionState(
            *(ssrc, highest, missing, jitter / JITTER_SCALE, timestamp, timed_at),
            *(newest_timestamp, newest_at, step),
        ),
        outgoing=outgoing,
        packets=packets,
        bytes=received,
        unsent=unsent,
        dropped=dropped,
        last_arrival=last_arrival,
    )


def _nanoseconds(at: float) -> int:
    return max(0, round(at * NANOSECONDS))


def _signed(step: int) -> int:
    """The difference of two timestamps that go round."""
    return (step + (1 << 31) & MASK_32) - (1 << 31)


def _changes(flow: KernelFlow) -> tuple[int, int]:
    """What the new hosts and the new ports add to a checksum: one's complement sums of words as they lie in memory."""
    came, goes = (flow.peer, flow.local), (flow.out_local, flow.out_peer)
    hosts = sum(_sum(each.host) for each in goes) - sum(_sum(each.host) for each in came)
    ports = sum(htons(each.port) for each in goes) - sum(htons(each.port) for each in came)
    return hosts % 0xFFFF, ports % 0xFFFF  # RFC 1624: to take away is to add the complement


@lru_cache(maxsize=KNOWN_HOSTS)
def _sum(host: str) -> int:
    return sum(HOST_WORDS.unpack(_host(host)))


@lru_cache(maxsize=KNOWN_HOSTS)
def _host(host: str) -> bytes:
    literal = ip_address(host)
    if literal.is_unspecified or literal.is_multicast:
        raise OSError(errno.EADDRNOTAVAIL, f"{host} is not the address of one host")
    return literal.packed if literal.version == 6 else MAPPED + literal.packed


@lru_cache(maxsize=KNOWN_HOSTS)
def _literal(host: bytes) -> str:
    return str(ip_address(host[len(MAPPED) :]) if host.startswith(MAPPED) else IPv6Address(host))
