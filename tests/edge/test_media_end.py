"""Who hears whom when a server dies and another takes its place, on real sockets."""

import asyncio
from dataclasses import replace

from haproxy_voip.rtp import rtcp
from haproxy_voip.rtp.g711 import MU_TO_A
from haproxy_voip.rtp.header import Header
from haproxy_voip.rtp.rtcp import ReceiverReport, ReportBlock, SenderReport
from tests.edge.media_bench import Bench, on_either_relay, on_uvloop
from tests.edge.media_scene import Conversation, Server, voiced

BEFORE, WHILE, AFTER = 20, 25, 25


def missing(turns: list[int]) -> set[int]:
    return set(range(turns[0], turns[-1] + 1)) - set(turns)


@on_either_relay
async def test_from_backend_to_bridge_to_the_next_backend_twice_no_phone_hears_a_break(bench: Bench) -> None:
    """Only what was sent to a dead server is lost; each phone hears one stream from beginning to end."""
    call, lost = Conversation(bench), set[int]()
    server = Server(bench, 1)
    call.through(server)
    await call.go_on(BEFORE)
    for number in (2, 3):
        server.die()
        died = call.talkers[0].sent
        await call.go_on(5)  # not yet known
        call.join()
        joined = call.talkers[0].sent
        lost |= set(range(died, joined))
        await call.go_on(WHILE)
        server = Server(bench, number)
        call.through(server)
        await call.go_on(AFTER)
    await call.settle()
    for talker in call.talkers:
        talker.check_continuous()
        assert missing(talker.turns) == lost
        assert talker.turns[-1] == talker.sent - 1  # the newest too
    for stream in (1, 2):
        counters = bench.relay.snapshot(stream)
        assert counters.client.lost == counters.client.dropped == counters.client.unsent == 0


@on_either_relay
async def test_timestamps_go_on_with_the_time_that_passed_and_a_marker_says_so(bench: Bench) -> None:
    """RFC 3551 section 4.1: the marker bit begins a talkspurt."""
    call, server = Conversation(bench), Server(bench, 1)
    call.through(server)
    await call.go_on(BEFORE)
    server.die()
    await asyncio.sleep(0.1)
    call.join()
    await call.go_on(10)
    await call.settle()
    headers = [header for header, _ in call.talkers[1].heard]
    marked = [index for index, header in enumerate(headers) if header.marker]
    assert len(marked) == 1
    step = headers[marked[0]].timestamp - headers[marked[0] - 1].timestamp
    assert 0.1 * 8000 <= step <= 0.2 * 8000


@on_either_relay
async def test_what_a_server_back_from_the_dead_still_sends_is_not_heard(bench: Bench) -> None:
    """SIGCONT."""
    call, server = Conversation(bench), Server(bench, 1)
    call.through(server)
    await call.go_on(BEFORE)
    call.join()
    for _ in range(30):
        server.legs[0].send(Header(0, 5000, 1, 0x5E5E0010).encode() + voiced(999_999), call.local[2])
    await call.go_on(WHILE)
    await call.settle()
    call.talkers[0].check_continuous()
    counters = bench.relay.snapshot(1)
    assert counters.backend.dropped >= 30
    assert 999_999 not in call.talkers[0].turns


@on_either_relay
async def test_mu_law_becomes_a_law_for_who_speaks_nothing_else(bench: Bench) -> None:
    call = Conversation(bench, second=((8, "pcma/8000"), (96, "telephone-event/8000")))
    call.through(Server(bench, 1))
    await call.go_on(3)
    call.join()
    await call.settle()
    for talker in call.talkers:
        talker.heard.clear()
    call.phones[0].send(Header(0, 3, 160, 0xAAAA).encode() + voiced(7), call.local[0])
    call.phones[0].send(Header(101, 4, 320, 0xAAAA, True).encode() + b"\x01\x0a\x00\xa0", call.local[0])
    call.phones[0].send(Header(18, 5, 320, 0xAAAA).encode() + voiced(8), call.local[0])  # G.729: never agreed
    call.phones[0].send(Header(8, 6, 480, 0xAAAA).encode() + voiced(9), call.local[0])
    await call.settle()
    heard = [(header.payload_type, payload) for header, payload in call.talkers[1].heard]
    assert heard == [(8, voiced(7).translate(MU_TO_A)), (96, b"\x01\x0a\x00\xa0"), (8, voiced(9))]
    numbers = [header.sequence for header, _ in call.talkers[1].heard]
    assert numbers == list(range(numbers[0], numbers[0] + 3))  # no gap where a packet was left out
    assert bench.relay.snapshot(1).client.unsent == 1


@on_uvloop()
async def test_who_are_joined_hear_what_waited_before_the_loop_reads_again(bench: Bench) -> None:
    """Other conversations may have to be joined first, and other things be done: milliseconds of silence."""
    call, server = Conversation(bench), Server(bench, 1)
    call.through(server)
    await call.go_on(5)
    await call.settle()
    before = [len(talker.turns) for talker in call.talkers]
    for talker in call.talkers:
        talker.speak()
    call.join()
    for talker in call.talkers:
        talker.listen()
    assert [len(talker.turns) for talker in call.talkers] == [count + 1 for count in before]


@on_either_relay
async def test_one_plan_alone_makes_no_bridge_and_a_stream_is_never_bridged_to_itself(bench: Bench) -> None:
    call, server = Conversation(bench), Server(bench, 1)
    call.through(server)
    call.install(0, bridge=2)
    call.install(1, bridge=2)
    await call.go_on(5)
    assert server.sent[0] == 1000 + 5
    call.install(1, bridge=1)
    await call.go_on(5)
    assert server.sent[0] == 1000 + 5
    bench.relay.remove(2)  # what is left goes its own way again
    await call.go_on(5)
    assert bench.relay.snapshot(1).client.unsent == 0


@on_either_relay
async def test_srtp_and_fax_are_never_joined_nor_changed(bench: Bench) -> None:
    for changes in ({"encrypted": True}, {"kind": "udptl"}):
        call, server = Conversation(bench), Server(bench, 1)
        call.plans = [replace(plan, **changes) for plan in call.plans]
        call.through(server)
        call.join()
        await call.go_on(5)
        await call.settle()
        assert server.sent == [1005, 30_006]
        assert call.talkers[0].heard[-1][0].ssrc == 0x5E5E0010
        bench.relay.remove(1)
        bench.relay.remove(2)


@on_either_relay
async def test_reports_name_what_their_reader_knows(bench: Bench) -> None:
    """RFC 3550 section 7: SSRCs, timestamps and sequence numbers are those of the stream on the reader's side."""
    call, server = Conversation(bench), Server(bench, 1)
    call.through(server)
    await call.go_on(5)
    known = call.talkers[1].heard[0][0].ssrc
    call.join()
    await call.go_on(5)
    await call.settle()
    first, second = call.phones
    newest, sent = call.talkers[1].heard[-1][0], call.talkers[0]
    timestamp = (7 * sent.first + 32 * (sent.sent - 1)) & 0xFFFFFFFF
    report = rtcp.encode([SenderReport(0xAAAA, 1 << 40, timestamp, 9, 9)])
    first.rtcp.sendto(report, (call.local[0].host, call.local[0].port + 1))
    (told,) = rtcp.parse(await second.hears_rtcp())
    assert isinstance(told, SenderReport)
    assert (told.ssrc, told.timestamp, told.packets) == (known, newest.timestamp, 10)
    block = ReportBlock(known, 0, 0, newest.sequence, 3, 1 << 24, 65536)
    second.rtcp.sendto(rtcp.encode([ReceiverReport(0xBBBB, (block,))]), (call.local[1].host, call.local[1].port + 1))
    (answer,) = rtcp.parse(await first.hears_rtcp())
    assert isinstance(answer, ReceiverReport)
    assert answer.ssrc == call.talkers[0].heard[-1][0].ssrc
    (mapped,) = answer.blocks
    assert mapped.ssrc == 0xAAAA and mapped.last_sender_report == 1 << 24
    assert mapped.highest_sequence & 0xFFFF == (sent.first + sent.sent - 1) & 0xFFFF
    bad = b"\x80\xc8\x00\xff" + bytes(8)
    first.rtcp.sendto(bad, (call.local[0].host, call.local[0].port + 1))
    await call.settle()
    assert bench.relay.snapshot(1).client.dropped == 1
