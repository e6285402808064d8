"""RTCP on its way between two parties whose streams are renumbered (RFC 3550 sections 6 and 7, RFC 4585, RFC 5104).

What its author calls itself, and what it calls those it hears, becomes what the reader knows them by; numbers are
moved as `continuity.Outgoing` moved them. What cannot be said truthfully is left out:

- The sender's packet and octet counts are those of the stream the reader hears, which has had other sources.
- Losses are told from the first report after a change of source on: before, they were not this source's.
- A round trip can be computed only from a sender report that this reader has sent itself.
- BYE is swallowed: its SSRC is the reader's stream, which goes on. SDES keeps CNAME alone, as a digest: who hides
  behind a server must not be told, but two streams of one source must be seen to belong together.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace

from haproxy_voip.rtp.continuity import Outgoing
from haproxy_voip.rtp.rtcp import OtherPacket, Packet, ReceiverReport, ReportBlock, SenderReport
from haproxy_voip.rtp.sequence import NONE

DESCRIPTION = 202
TRANSPORT_FEEDBACK = 205
PAYLOAD_FEEDBACK = 206
CNAME = 1
# Packet type and format.
NACK = (TRANSPORT_FEEDBACK, 1)  # RFC 4585 section 6.2.1
PICTURE_LOSS = (PAYLOAD_FEEDBACK, 1)  # section 6.3.1
FULL_INTRA = (PAYLOAD_FEEDBACK, 4)  # RFC 5104 section 4.3.1

SSRCS = struct.Struct("!II")
LOST_ITEM = struct.Struct("!HH")
FULL_INTRA_ITEM = struct.Struct("!II")
CNAME_DIGEST_BYTES = 8


@dataclass(slots=True)
class Hearing:
    """What one party hears, and what is known of its reports."""

    outgoing: Outgoing
    changes: int = 0  # as of `lost_before`
    lost_before: int | None = None  # cumulative loss it reported when the present source was new
    sender_reports: tuple[int, ...] = ()  # middle NTP bits of the latest that were passed to it, of the present source


# A report answers one of the last few; they come every 5 s, and the way back takes less.
REPORTS_KEPT = 4


def carried(packets: list[Packet], author: Hearing | None, reader: Hearing | None) -> list[Packet]:
    """What `reader` is to be told of what `author` said. None: what that party hears is not renumbered."""
    result: list[Packet] = []
    for packet in packets:
        match packet:
            case SenderReport():
                result.append(_sender_report(packet, author, reader))
            case ReceiverReport(ssrc, blocks):
                result.append(ReceiverReport(_named(ssrc, reader), _blocks(blocks, author)))
            case OtherPacket():
                other = _other(packet, author, reader)
                if other is not None:
                    result.append(other)
    # Feedback alone is allowed (RFC 5506), a lone description is not (RFC 3550 section 6.1) and says nothing.
    return [] if all(isinstance(p, OtherPacket) and p.packet_type == DESCRIPTION for p in result) else result


def _named(ssrc: int, reader: Hearing | None) -> int:
    """The author, as the reader knows it."""
    return ssrc if reader is None or reader.outgoing.ssrc == NONE else reader.outgoing.ssrc


def _sender_report(report: SenderReport, author: Hearing | None, reader: Hearing | None) -> Packet:
    blocks = _blocks(report.blocks, author)
    if reader is None:
        return replace(report, blocks=blocks)
    outgoing = reader.outgoing
    if report.ssrc != outgoing.source:  # of a source left behind, or not heard yet
        return ReceiverReport(_named(report.ssrc, reader), blocks)
    _follow(reader)
    middle = report.ntp >> 16 & 0xFFFF_FFFF
    reader.sender_reports = (*reader.sender_reports[1 - REPORTS_KEPT :], middle)
    timestamp = outgoing.outgoing_timestamp(report.timestamp)
    counts = outgoing.packets & 0xFFFF_FFFF, outgoing.octets & 0xFFFF_FFFF
    return SenderReport(outgoing.ssrc, report.ntp, timestamp, *counts, blocks)


def _follow(hearing: Hearing) -> None:
    """Forget what was known of an earlier source."""
    if hearing.changes != hearing.outgoing.changes:
        hearing.changes = hearing.outgoing.changes
        hearing.lost_before, hearing.sender_reports = None, ()


def _blocks(blocks: tuple[ReportBlock, ...], author: Hearing | None) -> tuple[ReportBlock, ...]:
    if author is None:
        return blocks
    _follow(author)
    mapped = (_block(block, author) for block in blocks if block.ssrc == author.outgoing.ssrc)
    return tuple(block for block in mapped if block is not None)


def _block(block: ReportBlock, author: Hearing) -> ReportBlock | None:
    outgoing = author.outgoing
    highest = outgoing.incoming_highest(block.highest_sequence)
    if outgoing.source < 0 or highest is None:
        return None
    if author.lost_before is None:
        author.lost_before = block.lost
    known = block.last_sender_report in author.sender_reports
    return ReportBlock(
        outgoing.source,
        block.fraction_lost,
        block.lost - author.lost_before,
        highest,
        block.jitter,
        block.last_sender_report if known else 0,
        block.delay if known else 0,
    )


def _other(packet: OtherPacket, author: Hearing | None, reader: Hearing | None) -> OtherPacket | None:
    if packet.packet_type == DESCRIPTION:
        return _description(packet, reader)
    if packet.packet_type in (TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK):
        return _feedback(packet, author, reader)
    return None  # BYE; APP and extended reports name sources in ways of their own


def _description(packet: OtherPacket, reader: Hearing | None) -> OtherPacket | None:
    name = _cname(packet.body)
    if name is None:
        return None
    ssrc = _named(int.from_bytes(packet.body[:4], "big"), reader)
    digest = hashlib.blake2s(name, digest_size=CNAME_DIGEST_BYTES).hexdigest().encode()
    items = bytes((CNAME, len(digest))) + digest
    items += bytes(4 - len(items) % 4)  # section 6.5: at least one zero ends the list
    return OtherPacket(DESCRIPTION, 1, ssrc.to_bytes(4, "big") + items)


def _cname(body: bytes) -> bytes | None:
    """Of the first chunk: a source of ours has one SSRC."""
    at = 4
    while at + 2 <= len(body) and body[at] != 0:
        item, size = body[at], body[at + 1]
        if item == CNAME:
            name = body[at + 2 : at + 2 + size]
            return name if len(name) == size else None
        at += 2 + size
    return None


def _feedback(packet: OtherPacket, author: Hearing | None, reader: Hearing | None) -> OtherPacket | None:
    if len(packet.body) < SSRCS.size:
        return None
    sender, media = SSRCS.unpack_from(packet.body)
    outgoing = None if author is None else author.outgoing
    items = packet.body[SSRCS.size :]
    if outgoing is None:
        return OtherPacket(packet.packet_type, packet.count, SSRCS.pack(_named(sender, reader), media) + items)
    if outgoing.source < 0:
        return None
    mapped = _items(packet, items, outgoing)
    if mapped is None:
        return None
    media = outgoing.source if media == outgoing.ssrc else media
    return OtherPacket(packet.packet_type, packet.count, SSRCS.pack(_named(sender, reader), media) + mapped)


def _items(packet: OtherPacket, items: bytes, outgoing: Outgoing) -> bytes | None:
    """What is asked for, in the source's own numbers; None when we cannot tell."""
    asked = packet.packet_type, packet.count
    if asked == NACK and len(items) % LOST_ITEM.size == 0:
        pairs = LOST_ITEM.iter_unpack(items)
        return b"".join(LOST_ITEM.pack(outgoing.incoming_sequence(first), mask) for first, mask in pairs)
    if asked == FULL_INTRA and len(items) % FULL_INTRA_ITEM.size == 0:
        wanted = (rest for ssrc, rest in FULL_INTRA_ITEM.iter_unpack(items) if ssrc == outgoing.ssrc)
        return b"".join(FULL_INTRA_ITEM.pack(outgoing.source, rest) for rest in wanted)
    return items if asked == PICTURE_LOSS else None
