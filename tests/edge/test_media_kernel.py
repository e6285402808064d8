"""Streams that the kernel relays, on the real kernel: what is in it, what is recalled, and that nobody can tell."""

import asyncio
import time
from dataclasses import replace

import pytest

from haproxy_voip.core.address import Address
from haproxy_voip.edge import media_kernel, media_userspace
from haproxy_voip.edge.media_kernel import payload_types
from haproxy_voip.edge.media_watch import SILENCE_SECONDS
from haproxy_voip.rtp import rtcp
from haproxy_voip.rtp.flow import Kind
from haproxy_voip.rtp.header import Header
from haproxy_voip.rtp.payload_types import Becomes
from haproxy_voip.rtp.rtcp import SenderReport
from tests.edge.media_bench import REPORT, STREAM, Bench, Phone, on_uvloop, rtp
from tests.edge.media_scene import Conversation, Server

PATIENCE = 0.5  # seconds


def hears(phone: Phone) -> bytes:
    """What comes while our event loop stands still."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return phone.rtp.recv(4096)
        except BlockingIOError:
            assert time.monotonic() < until, "nothing came without the relay's event loop"
            time.sleep(0.001)


def speak_without_us(bench: Bench, sequences: range) -> None:
    for sequence in sequences:
        bench.client.send(rtp(sequence), bench.to_relay)
        assert hears(bench.backend) == rtp(sequence)
        bench.backend.send(rtp(sequence), bench.from_relay)
        assert hears(bench.client) == rtp(sequence)


@on_uvloop(kernel=True)
async def test_a_stream_that_has_settled_goes_on_without_us_and_is_counted_as_a_whole(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    await bench.in_kernel(2)
    speak_without_us(bench, range(3, 10))
    bench.client.send(rtp(12), bench.to_relay)
    assert hears(bench.backend) == rtp(12)
    counters = bench.relay.snapshot(STREAM)
    assert (counters.client.packets, counters.client.lost, counters.backend.packets) == (11, 2, 10)
    assert counters.client.bytes == 11 * len(rtp(1))
    bench.client.send(rtp(13), bench.to_relay)
    assert hears(bench.backend) == rtp(13)
    assert bench.relay.remove(STREAM).client.packets == 12
    assert bench.relay.kernel_flows == 0


@on_uvloop("::1", kernel=True)
async def test_ipv6_too(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    await bench.in_kernel(2)
    speak_without_us(bench, range(3, 6))
    assert bench.relay.snapshot(STREAM).backend.packets == 6


@on_uvloop(kernel=True)
async def test_who_speaks_alone_goes_on_without_us_and_who_answers_later_too(bench: Bench) -> None:
    bench.install()
    bench.client.send(rtp(1), bench.to_relay)
    assert await bench.backend.hears() == rtp(1)
    await bench.in_kernel(1)
    bench.client.send(rtp(2), bench.to_relay)
    assert hears(bench.backend) == rtp(2)
    bench.backend.send(rtp(1), bench.from_relay)
    assert await bench.client.hears() == rtp(1)
    await bench.in_kernel(2)


@on_uvloop(kernel=True)
async def test_encrypted_media_pass_as_they_are(bench: Bench) -> None:
    bench.install(encrypted=True)
    await bench.both_speak()
    await bench.in_kernel(2)
    speak_without_us(bench, range(3, 5))


@on_uvloop(kernel=True)
async def test_a_third_address_and_what_is_no_rtp_change_nothing(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    await bench.in_kernel(2)
    intruder = Phone(bench.stack)
    for sequence in range(5):
        intruder.send(rtp(sequence, b"evil"), bench.to_relay)
        for junk in (b"", b"\x80", b"\x00" * 40, b"\xc0" * 40):
            bench.client.send(junk, bench.to_relay)
    speak_without_us(bench, range(3, 6))
    await asyncio.sleep(0.03)
    assert bench.relay.kernel_flows == 2
    counters = bench.relay.snapshot(STREAM).client
    assert (counters.packets, counters.dropped) == (6, 25)


@on_uvloop(kernel=True)
async def test_a_new_source_is_heard_at_once_and_goes_on_without_us_too(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    await bench.in_kernel(2)
    for sequence in (500, 501):
        bench.client.send(rtp(sequence, ssrc=2), bench.to_relay)
        assert await bench.backend.hears() == rtp(sequence, ssrc=2)
    assert bench.relay.kernel_flows == 1
    await bench.in_kernel(2)
    bench.client.send(rtp(502, ssrc=2), bench.to_relay)
    assert hears(bench.backend) == rtp(502, ssrc=2)
    assert bench.relay.snapshot(STREAM).client.lost == 0


@on_uvloop(kernel=True)
async def test_who_keeps_changing_is_left_to_userspace_for_longer_and_longer(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    waits = []
    for turn in range(3):
        await bench.in_kernel(2)
        began = time.monotonic()
        bench.client.send(rtp(1, ssrc=100 + turn), bench.to_relay)
        assert await bench.backend.hears() == rtp(1, ssrc=100 + turn)
        await bench.in_kernel(2)
        waits.append(time.monotonic() - began)
    assert waits[2] > 1.5 * waits[1] > 1.5 * waits[0]


@on_uvloop(kernel=True)
async def test_rtcp_stays_with_us_and_a_muxed_report_disturbs_no_flow(bench: Bench) -> None:
    bench.install(client=replace(bench.plan.client, mux=True))
    await bench.both_speak()
    await bench.in_kernel(2)
    bench.client.send(REPORT, bench.to_relay)
    assert await bench.backend.hears_rtcp() == REPORT
    assert bench.relay.kernel_flows == 2
    speak_without_us(bench, range(3, 6))
    assert bench.relay.snapshot(STREAM).client.rtcp == 1


@on_uvloop(kernel=True)
async def test_a_new_plan_is_in_force_from_the_next_packet_on(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    await bench.in_kernel(2)
    alpha, beta = bench.backend, Phone(bench.stack)
    bench.revise(backend=replace(bench.plan.backend, remote=beta.address))
    for sequence in range(3, 6):
        bench.client.send(rtp(sequence), bench.to_relay)
        assert await beta.hears() == rtp(sequence)
    alpha.send(rtp(99, b"stale"), bench.from_relay)
    beta.send(rtp(7, ssrc=0xBE7A), bench.from_relay)
    heard = await bench.client.hears()
    assert heard.endswith(b"voice") and Header.parse(heard)[1:4:2] == (3, 1)  # as one stream with what alpha said
    bench.backend = beta
    await bench.in_kernel(2)
    bench.client.send(rtp(6), bench.to_relay)
    assert hears(beta) == rtp(6)
    beta.send(rtp(8, ssrc=0xBE7A), bench.from_relay)
    assert Header.parse(hears(bench.client))[1:4:2] == (4, 1)


@on_uvloop(kernel=True)
async def test_on_hold_nothing_is_sent_and_afterwards_it_goes_on(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    await bench.in_kernel(2)
    bench.revise(client=replace(bench.plan.client, receives=False))
    await asyncio.sleep(0.1)
    bench.backend.send(rtp(3), bench.from_relay)
    bench.client.send(rtp(3), bench.to_relay)
    assert await bench.backend.hears() == rtp(3)
    await bench.in_kernel(1)  # only from the one on hold
    assert bench.relay.snapshot(STREAM).backend.unsent == 1
    bench.revise(client=replace(bench.plan.client, receives=True))
    bench.backend.send(rtp(4), bench.from_relay)
    assert await bench.client.hears() == rtp(4)
    await bench.in_kernel(2)


@on_uvloop(kernel=True)
async def test_fax_stays_with_us(bench: Bench) -> None:
    kind: Kind = "udptl"
    bench.install(kind=kind)
    for _ in range(20):
        bench.client.send(b"\x00\x00\x01", bench.to_relay)
        assert await bench.backend.hears() == b"\x00\x00\x01"
        await asyncio.sleep(0.01)
    assert bench.relay.kernel_flows == 0


@on_uvloop(kernel=True)
async def test_two_streams_that_meet_in_the_relay_do_so_in_the_kernel(bench: Bench) -> None:
    """What a backend with direct media makes of a call between two of our clients."""
    call = Conversation(bench)
    call.install(0, backend=replace(call.plans[0].backend, remote=call.local[3]))
    call.install(1, backend=replace(call.plans[1].backend, remote=call.local[2]))
    await call.go_on(10)
    await bench.in_kernel(4)
    for _ in range(5):
        speak_at_once(call)
    for talker in call.talkers:
        talker.listen()
        talker.check_continuous()
        assert talker.turns == list(range(talker.turns[0], 15))


@on_uvloop(kernel=True)
async def test_a_server_that_was_killed_is_told_by_icmp_as_soon_as_it_is_sent_to(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    await bench.in_kernel(2)
    bench.backend.rtp.close()
    bench.client.send(rtp(3), bench.to_relay)
    began = time.monotonic()
    await bench.until(("refused", STREAM, "backend"))
    assert time.monotonic() - began < 0.1
    assert bench.relay.snapshot(STREAM).backend.refused == 1 and bench.relay.kernel_flows == 2


def speak_at_once(call: Conversation) -> None:
    """Both, while our event loop stands still."""
    for talker in call.talkers:
        talker.speak()
    time.sleep(0.005)


async def talk(bench: Bench, packets: int, backend: bool = True) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(packets):
        sequence = int(loop.time() * 1000) & 0x7FFF
        bench.client.send(rtp(sequence), bench.to_relay)
        if backend:
            bench.backend.send(rtp(sequence), bench.from_relay)
        await asyncio.sleep(0.01)


@on_uvloop(kernel=True)
async def test_a_backend_that_falls_silent_in_the_kernel_is_told_as_soon_as_ever(bench: Bench) -> None:
    bench.install()
    loop = asyncio.get_running_loop()
    for times in (1, 2):
        await talk(bench, 6)
        await bench.in_kernel(2)
        await talk(bench, 8)
        stopped = loop.time()
        while len([what for what in bench.told if what[0] == "silent"]) < times:
            await talk(bench, 1, backend=False)
            assert loop.time() < stopped + 1.0
        # It last spoke 10 ms before; there is a tick to wait for, and whatever this machine does besides.
        assert SILENCE_SECONDS - 0.015 < loop.time() - stopped < SILENCE_SECONDS + 0.15
        await asyncio.sleep(0.1)


@on_uvloop(kernel=True)
async def test_a_call_moves_from_server_to_bridge_to_server_and_no_phone_can_tell(bench: Bench) -> None:
    call, server = Conversation(bench), Server(bench, 1)
    call.through(server)
    await call.go_on(20)
    await bench.in_kernel(4)
    await call.settle()  # nothing is under way that would die with it
    server.die()
    call.join()
    await call.go_on(20)
    await bench.in_kernel(2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media_userspace, "OVER_SECONDS", 0.2)
        call.through(Server(bench, 2, delay=0.02), handover=True)
        await call.go_on(20)
        await bench.in_kernel(4)
        await call.go_on(10)
    await asyncio.sleep(0.05)
    await call.settle()
    for talker, other in zip(call.talkers, reversed(call.talkers), strict=True):
        talker.check_continuous()
        assert talker.turns == list(range(talker.turns[0], other.sent))
    for stream in (1, 2):
        counters = bench.relay.snapshot(stream)
        assert counters.client.packets == call.talkers[0].sent
        assert counters.client.lost == counters.client.dropped == counters.client.unsent == 0


@on_uvloop(kernel=True)
async def test_a_sender_report_on_the_bridge_tells_what_the_kernel_has_sent(bench: Bench) -> None:
    call, server = Conversation(bench), Server(bench, 1)
    call.through(server)
    await call.go_on(20)
    server.die()
    call.join()
    await call.go_on(30)
    await bench.in_kernel(2)
    await call.go_on(20)
    await call.settle()
    header, _ = call.talkers[0].heard[-1]
    report = SenderReport(0xBBBB, 1 << 60, header.timestamp, 1, 1, ())
    control = Address(call.local[1].host, call.local[1].port + 1)
    call.phones[1].rtcp.sendto(rtcp.encode([report]), control)
    [told] = rtcp.parse(memoryview(await call.phones[0].hears_rtcp()))
    assert isinstance(told, SenderReport)
    assert (told.ssrc, told.packets) == (header.ssrc, len(call.talkers[0].heard))


@on_uvloop(kernel=True)
async def test_payloads_are_told_of_whichever_way_they_went(bench: Bench) -> None:
    call = Conversation(bench)
    call.plans = [replace(plan, prints=True) for plan in call.plans]
    call.talkers[1].sent = 500_000
    call.through(Server(bench, 1))
    await call.go_on(20)
    await bench.in_kernel(4)
    await call.go_on(50)
    await asyncio.sleep(0.25)
    prints = [each for what in bench.told if what[0] == "prints" for each in what[1]]  # type: ignore[attr-defined]
    assert [each.at for each in prints] == sorted(each.at for each in prints)
    for stream, other in ((1, 2), (2, 1)):
        said = {each.payload_hash for each in prints if (each.stream, each.side) == (stream, "client")}
        heard = {each.payload_hash for each in prints if (each.stream, each.side) == (other, "backend")}
        assert said == heard and said


@on_uvloop(kernel=True)
async def test_more_flows_than_one_tick_takes_follow_in_the_next(bench: Bench) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media_kernel, "INSTALLING_SHARE", 0.0)
        bench.install()
        await bench.both_speak()
        await bench.in_kernel(2)


def test_payload_types_are_for_the_kernel_only_where_payloads_stay() -> None:
    same = [Becomes(number) for number in range(128)]
    assert payload_types([*same[:96], Becomes(101), None, *same[98:]]) == bytes(
        [*range(96), 101, 0xFF, *range(98, 128)]
    )
    assert payload_types([Becomes(8, bytes(256)), *same[1:]]) is None
