"""Streams installed, changed and removed, on real sockets of 127.0.0.1 and ::1."""

import asyncio
import gc
import socket
from contextlib import ExitStack
from dataclasses import replace

from haproxy_voip.core.address import Address
from haproxy_voip.edge.media_end import End
from haproxy_voip.edge.media_kernel import LegShortcut
from haproxy_voip.edge.media_leg import Leg
from haproxy_voip.edge.media_sockets import bind_pair
from haproxy_voip.rtp.flow import Kind
from haproxy_voip.rtp.header import Header
from tests.edge.media_bench import STREAM, Bench, Phone, free_pair, nobody_at, on_either_relay, on_uvloop, rtp
from tests.edge.media_scene import Conversation, Server


@on_uvloop()
async def test_packets_go_both_ways_and_leave_from_the_advertised_port(bench: Bench) -> None:
    bench.install()
    bench.client.send(rtp(1), bench.to_relay)
    assert await bench.backend.hears_from() == (rtp(1), bench.from_relay)
    bench.backend.send(rtp(9), bench.from_relay)
    assert await bench.client.hears_from() == (rtp(9), bench.to_relay)
    await bench.until(("latched", STREAM, "client", bench.client.address))
    await bench.until(("latched", STREAM, "backend", bench.backend.address))
    await bench.both_speak()
    bench.client.send(rtp(1), bench.to_relay)
    assert await bench.backend.hears_from() == (rtp(1), bench.from_relay)


@on_uvloop("::1")
async def test_ipv6_is_relayed_too(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    assert bench.relay.snapshot(STREAM).client.packets == 3


@on_uvloop()
async def test_who_may_not_be_sent_to_gets_nothing_but_its_keepalives_still_latch(bench: Bench) -> None:
    bench.install(client=replace(bench.plan.client, receives=False))
    bench.backend.send(rtp(1), bench.from_relay)
    bench.client.send(rtp(1), bench.to_relay)
    assert await bench.backend.hears() == rtp(1)
    await bench.until(("latched", STREAM, "client", bench.client.address))
    await bench.until(("latched", STREAM, "backend", bench.backend.address))
    assert bench.relay.snapshot(STREAM).backend.unsent == 1
    bench.revise(client=replace(bench.plan.client, receives=True))
    bench.backend.send(rtp(2), bench.from_relay)
    assert await bench.client.hears() == rtp(2)


@on_uvloop()
async def test_after_failover_the_client_goes_on_by_the_same_port_to_the_new_backend(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    alpha, beta = bench.backend, Phone(bench.stack)
    for sequence in range(10, 20):
        bench.client.send(rtp(sequence), bench.to_relay)  # still in the socket when the plan changes
    bench.revise(backend=replace(bench.plan.backend, remote=beta.address))
    assert [await beta.hears() for _ in range(10)] == [rtp(sequence) for sequence in range(10, 20)]
    alpha.send(rtp(99, b"stale"), bench.from_relay)
    for sequence in range(70, 75):
        beta.send(rtp(sequence, ssrc=2), bench.from_relay)
        heard = Header.parse(await bench.client.hears())
        assert (heard.sequence, heard.ssrc) == (sequence - 70 + 3, 1)  # alpha's went up to 2
    assert bench.relay.snapshot(STREAM).backend.dropped == 1
    assert bench.relay.snapshot(STREAM).client.dropped == 0


@on_uvloop()
async def test_the_backend_side_may_move_to_other_ports_while_the_client_speaks(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    former, bench.from_relay = bench.from_relay, free_pair()
    for sequence in range(10, 20):
        bench.client.send(rtp(sequence), bench.to_relay)
    bench.revise(backend=replace(bench.plan.backend, local=bench.from_relay))
    received = [await bench.backend.hears_from() for _ in range(10)]
    assert received == [(rtp(sequence), bench.from_relay) for sequence in range(10, 20)]
    assert nobody_at(former)


@on_uvloop()
async def test_a_port_somebody_else_has_is_told_and_the_earlier_plan_goes_on(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    working = bench.plan
    bench.revise(backend=replace(bench.plan.backend, local=bench.client.address))
    await bench.until(("failed", STREAM, "media ports: Address already in use"))
    bench.plan = working
    await bench.both_speak()


@on_uvloop()
async def test_a_stream_whose_second_port_is_taken_holds_nothing(bench: Bench) -> None:
    local = bench.from_relay
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.bind((local.host, local.port + 1))
        bench.install()
        await bench.until(("failed", STREAM, "media ports: Address already in use"))
    assert bench.relay.remove(STREAM).client.packets == 0
    bench.install()
    await bench.both_speak()


@on_uvloop()
async def test_removing_leaves_nobody_at_the_ports_at_once_and_reports(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    counters = bench.relay.remove(STREAM)
    assert counters.client.packets == counters.backend.packets == 3
    assert counters.client.bytes == 3 * len(rtp(0))
    assert counters.client.lost == 0 and counters.client.last_arrival is not None
    assert nobody_at(bench.to_relay) and nobody_at(bench.from_relay)
    assert bench.relay.remove(STREAM) == bench.relay.snapshot(STREAM)
    assert bench.relay.snapshot(STREAM).client.last_arrival is None


@on_uvloop()
async def test_what_was_sent_to_the_last_stream_on_a_port_does_not_reach_the_next(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    bench.client.send(rtp(3, b"too late to be read"), bench.to_relay)
    bench.relay.remove(STREAM)
    bench.client.send(rtp(4, b"to nobody"), bench.to_relay)
    bench.told.clear()
    bench.install()
    await bench.both_speak()
    counters = bench.relay.snapshot(STREAM)
    assert (counters.client.packets, counters.client.dropped) == (3, 0)


@on_uvloop()
async def test_a_closed_relay_holds_no_port(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    bench.relay.remove(STREAM)
    bench.relay.close()
    bind_pair(bench.to_relay).close()
    bind_pair(bench.from_relay).close()


@on_uvloop()
async def test_audio_may_become_fax_on_the_same_ports(bench: Bench) -> None:
    """T.38 after a re-INVITE (RFC 6913)."""
    bench.install()
    await bench.both_speak()
    kind: Kind = "udptl"
    bench.revise(kind=kind)
    bench.client.send(b"fax", bench.to_relay)
    assert await bench.backend.hears() == b"fax"


@on_uvloop()
async def test_an_sdp_that_names_no_address_to_send_to_costs_its_packets_only(bench: Bench) -> None:
    for remote in (Address("phone.example", 4000), Address("224.0.0.1", 4000), bench.from_relay, None):
        bench.install(backend=replace(bench.plan.backend, remote=remote), generation=bench.plan.generation + 1)
    bench.client.send(rtp(1), bench.to_relay)
    await bench.until(("latched", STREAM, "client", bench.client.address))
    assert bench.relay.snapshot(STREAM).client.unsent == 1


@on_uvloop()
async def test_a_latch_of_a_stream_that_is_gone_is_not_told(bench: Bench) -> None:
    bench.install()
    bench.client.send(rtp(1), bench.to_relay)
    assert await bench.backend.hears() == rtp(1)
    bench.relay.tell_latched(STREAM + 1, "client", bench.client.address)
    await asyncio.sleep(0)
    assert [what[1] for what in bench.told] == [STREAM]


def test_it_runs_on_asyncios_own_loop_too() -> None:
    async def within() -> None:
        with ExitStack() as stack:
            bench = Bench(stack)
            bench.install()
            await bench.both_speak()

    asyncio.run(within())


@on_either_relay
async def test_what_a_stream_leaves_makes_no_circle(bench: Bench) -> None:
    """The process collects none."""
    gc.collect()
    gc.disable()
    try:
        for index in range(2):
            call, server = Conversation(bench), Server(bench, index)
            call.through(server)
            await call.go_on(15)
            server.die()
            call.join()
            await call.go_on(15)
            for stream in (1, 2):
                bench.relay.remove(stream)
        await asyncio.sleep(0.25)  # what waits for a tick or a time is over
        assert [each for each in gc.get_objects() if isinstance(each, End | Leg | LegShortcut)] == []
    finally:
        gc.enable()
