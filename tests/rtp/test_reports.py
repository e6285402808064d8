"""RTCP between parties whose streams are renumbered."""

from haproxy_voip.rtp.continuity import Outgoing
from haproxy_voip.rtp.header import Header
from haproxy_voip.rtp.reports import REPORTS_KEPT, Hearing, carried
from haproxy_voip.rtp.rtcp import OtherPacket, Packet, ReceiverReport, ReportBlock, SenderReport
from haproxy_voip.rtp.sequence import Newest

ALICE, BOB = 0xA11CE, 0xB0B  # what the phones call themselves
KNOWN = 0x5E5E  # what Bob knows his peer by: the dead server's SSRC
SDES = 202


def hearing(source: int = ALICE, known: int = KNOWN, first: int = 500, count: int = 3) -> Hearing:
    """A party that hears `source` as `known`, after ten packets up to number 1000."""
    outgoing = Outgoing(8000)
    outgoing.resume(Newest(known, 1000, 50_000, 0.0, 160), 10, 1600)
    for turn in range(count):
        speak(outgoing, first + turn, source, 0.02 * (turn + 1))
    return Hearing(outgoing)


def speak(outgoing: Outgoing, sequence: int, ssrc: int, now: float) -> None:
    packet = bytearray(Header(0, sequence & 0xFFFF, 160 * sequence & 0xFFFFFFFF, ssrc).encode() + bytes(160))
    assert outgoing.renumber(packet, len(packet), now)


def block(ssrc: int = KNOWN, highest: int = 1003, lost: int = 0, last: int = 0) -> ReportBlock:
    return ReportBlock(ssrc, 7, lost, highest, 5, last, 99 if last else 0)


def one(packets: list[Packet]) -> Packet:
    (packet,) = packets
    return packet


def test_where_nothing_is_renumbered_nothing_is_changed():
    report = SenderReport(ALICE, 1 << 40, 160, 5, 800, (block(1),))
    assert carried([report], None, None) == [report]


def test_a_sender_report_speaks_of_the_stream_its_reader_hears():
    bob = hearing()
    told = one(carried([SenderReport(ALICE, 77 << 32, 160 * 502, 3, 480)], None, bob))
    assert told == SenderReport(KNOWN, 77 << 32, 50_000 + 480, 13, 1600 + 480)


def test_a_sender_report_of_a_source_left_behind_is_no_more_than_a_receiver_report():
    told = one(carried([SenderReport(0xDEAD, 1, 2, 3, 4)], None, hearing()))
    assert told == ReceiverReport(KNOWN)
    nobody = Hearing(Outgoing(8000))
    assert one(carried([SenderReport(0xDEAD, 1, 2, 3, 4)], None, nobody)) == ReceiverReport(0xDEAD)


def test_blocks_are_told_in_the_sources_own_numbers():
    told = one(carried([ReceiverReport(BOB, (block(), block(0xDEAD)))], hearing(), None))
    assert told == ReceiverReport(BOB, (ReportBlock(ALICE, 7, 0, 502, 5, 0, 0),))


def test_losses_of_an_earlier_source_are_not_this_ones():
    bob = hearing()
    losses = [carried([ReceiverReport(BOB, (block(lost=lost),))], bob, None) for lost in (40, 42, 47)]
    assert [packet.blocks[0].lost for (packet,) in losses if isinstance(packet, ReceiverReport)] == [0, 2, 7]
    bob.outgoing.switch()
    speak(bob.outgoing, 9, 0xC, 1.0)
    told = one(carried([ReceiverReport(BOB, (block(highest=1004, lost=60),))], bob, None))
    assert isinstance(told, ReceiverReport) and told.blocks[0].lost == 0


def test_a_report_on_what_an_earlier_source_sent_is_left_out():
    told = one(carried([ReceiverReport(BOB, (block(highest=1000),))], hearing(), None))
    assert told == ReceiverReport(BOB)
    assert one(carried([ReceiverReport(BOB, (block(),))], hearing(count=0), None)) == ReceiverReport(BOB)


def test_a_round_trip_is_computed_only_from_a_report_of_the_present_source():
    bob = hearing()
    for second in range(REPORTS_KEPT + 1):
        carried([SenderReport(ALICE, second << 32, 1, 1, 1)], None, bob)
    lasts = []
    for second in range(REPORTS_KEPT + 2):
        told = one(carried([ReceiverReport(BOB, (block(last=(second << 16) or 5),))], bob, None))
        assert isinstance(told, ReceiverReport)
        lasts.append((told.blocks[0].last_sender_report >> 16, told.blocks[0].delay))
    assert lasts == [(0, 0), *((second, 99) for second in range(1, REPORTS_KEPT + 1)), (0, 0)]


def test_both_ends_of_a_bridge_are_mapped_at_once():
    alice, bob = hearing(BOB, 0xFACE, first=20), hearing()
    told = one(carried([ReceiverReport(ALICE, (block(0xFACE),))], alice, bob))
    assert told == ReceiverReport(KNOWN, (ReportBlock(BOB, 7, 0, 22, 5, 0, 0),))


def test_bye_is_swallowed_and_a_description_alone_says_nothing():
    """The stream goes on under the SSRC that would be gone."""
    bye = OtherPacket(203, 1, ALICE.to_bytes(4, "big"))
    report = ReceiverReport(ALICE)
    assert carried([report, bye], None, hearing()) == [ReceiverReport(KNOWN)]
    assert carried([description(b"\x01\x05alice\x00"), bye], None, hearing()) == []
    assert carried([bye], None, hearing()) == []


def description(items: bytes) -> OtherPacket:
    return OtherPacket(SDES, 1, ALICE.to_bytes(4, "big") + items)


def test_a_description_keeps_the_canonical_name_as_a_digest_and_nothing_else():
    items = b"\x02\x03Bob\x01\x0aalice@host\x04\x04+491\x00\x00"
    told = carried([ReceiverReport(ALICE), description(items)], None, hearing())
    assert len(told) == 2 and isinstance(told[1], OtherPacket)
    body = told[1].body
    assert body[:4] == KNOWN.to_bytes(4, "big") and body[4:6] == b"\x01\x10" and len(body) % 4 == 0
    assert b"alice" not in body and b"491" not in body
    again = carried([ReceiverReport(ALICE), description(b"\x01\x0aalice@host\x00")], None, hearing())
    assert isinstance(again[1], OtherPacket) and again[1].body == body


def test_a_description_cut_off_anywhere_says_nothing():
    items = b"\x02\x03Bob\x01\x0aalice@host"
    for size in range(len(items)):
        assert carried([description(items[:size])], None, hearing()) == []


def feedback(packet_type: int, form: int, items: bytes, media: int = KNOWN) -> OtherPacket:
    return OtherPacket(packet_type, form, BOB.to_bytes(4, "big") + media.to_bytes(4, "big") + items)


def test_feedback_asks_the_source_in_its_own_numbers():
    head = BOB.to_bytes(4, "big") + ALICE.to_bytes(4, "big")
    lost = (1002).to_bytes(2, "big") + b"\x00\x05"
    assert carried([feedback(205, 1, lost)], hearing(), None) == [
        OtherPacket(205, 1, head + (501).to_bytes(2, "big") + b"\x00\x05")
    ]
    assert carried([feedback(206, 1, b"")], hearing(), None) == [OtherPacket(206, 1, head)]
    wanted = KNOWN.to_bytes(4, "big") + b"\x09\x00\x00\x00"
    assert carried([feedback(206, 4, wanted, media=0)], hearing(), None) == [
        OtherPacket(206, 4, head[:4] + bytes(4) + ALICE.to_bytes(4, "big") + b"\x09\x00\x00\x00")
    ]


def test_feedback_to_a_client_that_is_not_renumbered_names_who_asks():
    asked = OtherPacket(206, 1, ALICE.to_bytes(4, "big") + BOB.to_bytes(4, "big"))
    (told,) = carried([asked], None, hearing())
    assert told == OtherPacket(206, 1, KNOWN.to_bytes(4, "big") + BOB.to_bytes(4, "big"))


def test_what_cannot_be_told_truthfully_is_left_out():
    for packet in (
        feedback(205, 15, bytes(8)),  # transport-wide congestion control: numbers of its own
        feedback(205, 1, b"\x00\x01"),
        feedback(206, 4, b"\x00"),
        OtherPacket(206, 1, b"\x00"),
        OtherPacket(204, 0, bytes(8)),
        OtherPacket(207, 0, bytes(8)),
    ):
        assert carried([packet], hearing(), None) == []
    assert carried([feedback(206, 1, b"")], hearing(count=0), None) == []
