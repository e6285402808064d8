"""The relay in the kernel for tests: whether it can be had, its flows by cases, and frames to let it see."""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import pytest

from haproxy_voip.core.address import Address
from haproxy_voip.edge.kernel_flow import FlowState, KernelFlow
from haproxy_voip.edge.kernel_relay import KernelRelay, Sizes
from haproxy_voip.edge.libbpf import library
from haproxy_voip.rtp.continuity import Outgoing
from haproxy_voip.rtp.sequence import Newest, Reception
from tests.conftest import REFUSED
from tests.edge.relay_cases import OUT_SSRC, SSRC, Case, packet

CLOCK_HZ = 8000
NAME = f"test_{os.getpid()}"
ARRAY = 2  # BPF_MAP_TYPE_ARRAY


def skip_if_refused() -> None:
    """The one good reason not to test it. That a library is missing is none."""
    made = library().bpf_map_create(ARRAY, b"may_we", 4, 4, 1, None)
    if made >= 0:
        os.close(made)
    elif -made in (errno.EPERM, errno.ENOSYS):
        pytest.skip(f"{REFUSED}: {os.strerror(-made)}")
    else:
        raise OSError(-made, os.strerror(-made))


@contextmanager
def kernel_relay(*interfaces: str, sizes: Sizes | None = None, name: str = NAME) -> Iterator[KernelRelay]:
    """One that leaves nothing behind."""
    skip_if_refused()
    relay = KernelRelay.open(name, interfaces, sizes)
    try:
        yield relay
    finally:
        relay.close()


def begun(case: Case) -> tuple[Reception, Outgoing | None]:
    """As they are when the case's first packet has passed, which came now."""
    now, first = monotonic(), case.first
    reception = Reception(CLOCK_HZ)
    reception.arrived(first.sequence, first.timestamp, SSRC, now)
    if not case.renumbered:
        return reception, None
    outgoing = Outgoing(CLOCK_HZ)
    # One packet's worth before the first that is to come.
    before = Newest(OUT_SSRC, (first.out_sequence - 1) & 0xFFFF, (first.out_timestamp - 160) & 0xFFFF_FFFF, now, 160)
    outgoing.resume(before, 7, 7 * 160)
    data = bytearray(packet(first.sequence, timestamp=first.timestamp))
    assert outgoing.renumber(data, len(data), now)
    return reception, outgoing


def flow_of(case: Case, *ways: Address) -> KernelFlow:
    """`ways`: where packets arrive, from whom, by which address they leave, and where to."""
    reception, outgoing = begun(case)
    known = reception.snapshot()
    assert known is not None
    local, peer, out_local, out_peer = ways
    return KernelFlow(
        stream=1 << 40,
        side="backend",
        local=local,
        peer=peer,
        out_local=out_local,
        out_peer=out_peer,
        payload_types=case.conversion,
        mux=case.mux,
        follows=case.follows,
        clock_hz=CLOCK_HZ,
        state=FlowState(reception=known, outgoing=None if outgoing is None else outgoing.snapshot()),
    )


# -- frames ----------------------------------------------------------------------------------------------

ETHERNET = struct.Struct("!6s6sH")
IPV4 = struct.Struct("!BBHHHBBH4s4s")
IPV6 = struct.Struct("!IHBB16s16s")
UDP = struct.Struct("!HHHH")
TOS = 0xB8  # EF, as RTP has it


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def pseudo(source: Address, destination: Address, size: int) -> bytes:
    """What a UDP checksum counts besides the datagram."""
    family = socket.AF_INET6 if source.family == 6 else socket.AF_INET
    hosts = socket.inet_pton(family, source.host) + socket.inet_pton(family, destination.host)
    return hosts + struct.pack("!II", size, socket.IPPROTO_UDP)


def frame(source: Address, destination: Address, data: bytes, *, unsummed: bool = False, hops: int = 64) -> bytes:
    """An Ethernet frame as it comes by loopback; `unsummed`: without UDP checksum."""
    size = UDP.size + len(data)
    datagram = UDP.pack(source.port, destination.port, size, 0) + data
    check = 0 if unsummed else checksum(pseudo(source, destination, size) + datagram) or 0xFFFF
    datagram = datagram[:6] + struct.pack("!H", check) + data
    if source.family == 6:
        hosts = [socket.inet_pton(socket.AF_INET6, address.host) for address in (source, destination)]
        header = IPV6.pack(6 << 28 | TOS << 20, size, socket.IPPROTO_UDP, hops, *hosts)
        return ETHERNET.pack(bytes(6), bytes(6), 0x86DD) + header + datagram
    hosts = [socket.inet_aton(address.host) for address in (source, destination)]
    header = IPV4.pack(0x45, TOS, IPV4.size + size, 77, 0x4000, hops, socket.IPPROTO_UDP, 0, *hosts)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return ETHERNET.pack(bytes(6), bytes(6), 0x0800) + header + datagram
