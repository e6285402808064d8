"""An ear that knows when it heard each packet, and what became of the sound when a server failed."""

import socket
import struct
import time
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import mode

from tests.interop.audio import SAMPLES_PER_PACKET, Address, Ear, decode_ulaw, share

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; the socket module has no name for it
TIMESPEC = struct.Struct("@qq")
ANCILLARY_BYTES = socket.CMSG_SPACE(TIMESPEC.size)
CLEAR = 0.6  # the share of a tone in a packet that holds it
WATCHED_SECONDS = 0.8


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet of sound, as it came."""

    at: float  # monotonic seconds, by the kernel's clock at its arrival: a busy test changes nothing
    ssrc: int
    sequence: int
    timestamp: int
    payload: bytes

    def holds(self, frequency: float) -> bool:
        return share(decode_ulaw(self.payload), frequency) > CLEAR


@dataclass(slots=True)
class TimedEar(Ear):
    """An `Ear` that keeps every packet with its time."""

    packets: list[Packet] = field(default_factory=list)

    def start(self) -> None:
        Ear.start(self)
        assert self._socket is not None
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def times_of(self, frequency: float, begin: float, end: float) -> list[float]:
        """When packets with this tone came."""
        return [packet.at for packet in list(self.packets) if begin <= packet.at <= end and packet.holds(frequency)]

    def mixed(self, frequency: float, begin: float) -> float:
        """The share of a tone in all that came since: others may sound with it."""
        payloads = [packet.payload for packet in list(self.packets) if packet.at >= begin]
        return share(decode_ulaw(b"".join(payloads)), frequency)

    def gap(self, frequency: float, begin: float, end: float) -> float:
        """The longest time between two packets with this tone; undisturbed it is 0.02 s."""
        times = [begin, *self.times_of(frequency, begin, end), end]
        return max(later - earlier for earlier, later in pairwise(times))

    def faults(self, begin: float, end: float) -> list[str]:
        """What a receiver would notice of the stream in a time: another source, packets doubled, missing, misplaced."""
        packets = [packet for packet in list(self.packets) if begin <= packet.at <= end]
        found = []
        for one, other in pairwise(packets):
            step = (other.sequence - one.sequence) & 0xFFFF
            passed = (other.timestamp - one.timestamp) & 0xFFFFFFFF
            if other.ssrc != one.ssrc:
                found.append(f"another SSRC at {other.at - begin:.3f} s")
            elif step != 1:
                found.append(f"sequence number {one.sequence} is followed by {other.sequence}")
            elif not SAMPLES_PER_PACKET <= passed < 1 << 31:
                found.append(f"timestamp {one.timestamp} is followed by {other.timestamp}")
        return found

    def _receive(self, opened: socket.socket) -> None:
        data, ancillary, _, source = opened.recvmsg(2048, ANCILLARY_BYTES)
        if len(data) >= 12:
            self._take(data, _arrived_at(ancillary), source)

    def _take(self, data: bytes, at: float, source: Address) -> None:
        _, kind, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        self.sources[source] = self.sources.get(source, 0) + 1
        self._hear(kind & 0x7F, timestamp, data[12:])
        if kind & 0x7F == self.kind:
            self.packets.append(Packet(at, ssrc, sequence, timestamp, data[12:]))
        if self.remote is None:
            self.remote = source


def _arrived_at(ancillary: list[tuple[int, int, bytes]]) -> float:
    """The kernel tells wall-clock."""
    now, wall = time.monotonic(), time.time()
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(data) >= TIMESPEC.size:
            stamp: tuple[int, int] = TIMESPEC.unpack_from(data)
            return now - (wall - (stamp[0] + stamp[1] / 1e9))
    return now


def missing(*ways: tuple[TimedEar, TimedEar]) -> list[int]:
    """How many packets fewer were heard than said on each way, from a speaker to a listener. At most moments none is
    under way."""
    until, found = time.monotonic() + WATCHED_SECONDS, list[list[int]]()
    while time.monotonic() < until:
        found.append([speaker.sent - len(listener.packets) for speaker, listener in ways])
        time.sleep(0.003)  # no divisor of the time between two packets
    return [mode(counts) for counts in zip(*found, strict=True)]
