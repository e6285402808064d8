"""RTCP sender and receiver reports (RFC 3550 section 6.4), one dataclass each; other types are kept as they are."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from haproxy_voip.rtp.header import RTCP_MIN_BYTES, VERSION_BITS, VERSION_MASK, MalformedPacket

SENDER_REPORT = 200
RECEIVER_REPORT = 201
GOODBYE = 203

PADDING_BIT = 0x20
COUNT_MASK = 0x1F

COMMON = struct.Struct("!BBH")
BLOCK = struct.Struct("!IIIIII")
SENDER = struct.Struct("!IQIII")
SSRC = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """How one source is received (section 6.4.1)."""

    ssrc: int
    fraction_lost: int  # of 256, since the last report
    lost: int  # cumulative, signed 24 bits
    highest_sequence: int  # extended
    jitter: int  # timestamp units
    last_sender_report: int  # middle 32 bits of its NTP time; 0: none came yet
    delay: int  # 1/65536 s since that report came


@dataclass(frozen=True, slots=True)
class SenderReport:
    """SR."""

    ssrc: int
    ntp: int  # 64 bits, seconds since 1900 in the upper half
    timestamp: int  # RTP
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """RR."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class OtherPacket:
    """SDES, BYE, APP, feedback, extended reports: not read here."""

    packet_type: int
    count: int  # the five bits after version and padding
    body: bytes  # after the four common bytes


Packet = SenderReport | ReceiverReport | OtherPacket


def parse(data: bytes | memoryview) -> list[Packet]:
    """Every packet of a compound one. Raises MalformedPacket where section 6.1 or appendix A.2 is broken.

    Reduced-size RTCP (RFC 5506) may begin with any type, so that the first is SR or RR is not demanded.
    """
    if len(data) < RTCP_MIN_BYTES:
        raise MalformedPacket(f"{len(data)} bytes are too few for RTCP")
    packets: list[Packet] = []
    view, at = memoryview(data), 0
    while at < len(view):
        if len(view) - at < COMMON.size:
            raise MalformedPacket("an RTCP header is cut off")
        first, packet_type, words = COMMON.unpack_from(view, at)
        end = at + 4 * (words + 1)
        if first & VERSION_MASK != VERSION_BITS:
            raise MalformedPacket(f"RTCP version {first >> 6}")
        if end > len(view):
            raise MalformedPacket("an RTCP packet is longer than the datagram")
        if first & PADDING_BIT and end != len(view):
            raise MalformedPacket("padding before the last packet")  # A.2
        padding = view[end - 1] if first & PADDING_BIT else 0
        if padding > 4 * words:
            raise MalformedPacket("more padding than packet")
        if padding % 4:
            raise MalformedPacket(f"{padding} bytes of padding")  # 6.4.1: "it will be a multiple of four"
        packets.append(_packet(packet_type, first & COUNT_MASK, view[at + COMMON.size : end - padding]))
        at = end
    return packets


def _packet(packet_type: int, count: int, body: memoryview) -> Packet:
    match packet_type:
        case 200:
            if len(body) < SENDER.size:
                raise MalformedPacket("a sender report is cut off")
            ssrc, ntp, timestamp, packets, octets = SENDER.unpack_from(body)
            return SenderReport(ssrc, ntp, timestamp, packets, octets, _blocks(count, body[SENDER.size :]))
        case 201:
            if len(body) < SSRC.size:
                raise MalformedPacket("a receiver report is cut off")
            return ReceiverReport(SSRC.unpack_from(body)[0], _blocks(count, body[SSRC.size :]))
    return OtherPacket(packet_type, count, bytes(body))


def _blocks(count: int, body: memoryview) -> tuple[ReportBlock, ...]:
    if len(body) < count * BLOCK.size:
        raise MalformedPacket(f"{count} report blocks do not fit into {len(body)} bytes")
    blocks = []
    for ssrc, losses, highest, jitter, last, delay in BLOCK.iter_unpack(body[: count * BLOCK.size]):
        lost = losses & 0xFFFFFF
        signed = lost - (1 << 24) if lost & 0x800000 else lost
        blocks.append(ReportBlock(ssrc, losses >> 24, signed, highest, jitter, last, delay))
    return tuple(blocks)


def encode(packets: list[Packet]) -> bytes:
    """One compound packet."""
    return b"".join(_encoded(packet) for packet in packets)


def _encoded(packet: Packet) -> bytes:
    match packet:
        case SenderReport(ssrc, ntp, timestamp, count, octets, blocks):
            body = SENDER.pack(ssrc, ntp, timestamp, count, octets) + _encoded_blocks(blocks)
            return _framed(SENDER_REPORT, len(blocks), body)
        case ReceiverReport(ssrc, blocks):
            return _framed(RECEIVER_REPORT, len(blocks), SSRC.pack(ssrc) + _encoded_blocks(blocks))
        case OtherPacket(packet_type, count, body):
            return _framed(packet_type, count, body)


def _framed(packet_type: int, count: int, body: bytes) -> bytes:
    return COMMON.pack(VERSION_BITS | count, packet_type, len(body) // 4) + body


def _encoded_blocks(blocks: tuple[ReportBlock, ...]) -> bytes:
    return b"".join(
        BLOCK.pack(
            block.ssrc,
            block.fraction_lost << 24 | block.lost & 0xFFFFFF,
            block.highest_sequence,
            block.jitter,
            block.last_sender_report,
            block.delay,
        )
        for block in blocks
    )
