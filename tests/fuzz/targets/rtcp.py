"""RTCP: compound packets read, written, and carried between two parties whose streams are renumbered.

1. MalformedPacket is all that is raised.
2. What is read and written again reads the same.
3. What is carried is RTCP again, names the reader's stream, and holds no BYE and no name but a digest.
"""

from __future__ import annotations

from haproxy_voip.rtp.continuity import Outgoing
from haproxy_voip.rtp.header import RTCP_MIN_BYTES, MalformedPacket
from haproxy_voip.rtp.reports import DESCRIPTION, Hearing, carried
from haproxy_voip.rtp.rtcp import GOODBYE, OtherPacket, ReceiverReport, SenderReport, encode, parse
from haproxy_voip.rtp.sequence import Newest

OURS, SOURCE = 0x0A0A_0A0A, 0x0B0B_0B0B
CNAME_BYTES = 24  # SSRC, two bytes, sixteen of digest, zeros


def hearing() -> Hearing:
    """A party that has heard us as OURS, and now hears SOURCE."""
    outgoing = Outgoing(8000)
    outgoing.resume(Newest(OURS, 100, 16_000, 0.0, 160), 100, 16_000)
    packet = bytearray(b"\x80\x00\x00\x07\x00\x00\x10\x00" + SOURCE.to_bytes(4, "big") + b"audio")
    assert outgoing.renumber(packet, len(packet), 0.02)
    return Hearing(outgoing)


def check(data: bytes) -> None:
    try:
        packets = parse(data)
    except MalformedPacket:
        return
    assert packets and len(packets) <= len(data) // 4
    written = encode(packets)
    assert len(written) < RTCP_MIN_BYTES or parse(written) == packets  # less is left where all was padding
    for author, reader in ((None, None), (hearing(), None), (None, hearing()), (hearing(), hearing())):
        told = carried(packets, author, reader)
        if not told:
            continue
        assert parse(encode(told)) == told
        for packet in told:
            match packet:
                case SenderReport(ssrc=ssrc) | ReceiverReport(ssrc=ssrc):
                    assert reader is None or ssrc == OURS
                    assert author is None or all(block.ssrc == SOURCE for block in packet.blocks)
                case OtherPacket(packet_type=packet_type, body=body):
                    assert packet_type != GOODBYE
                    assert packet_type != DESCRIPTION or len(body) == CNAME_BYTES
