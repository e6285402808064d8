"""What one socket of a stream lets pass, from whom, and what it counts."""

import socket
from dataclasses import replace

from haproxy_voip.core.address import Address
from haproxy_voip.edge.media_leg import DRAIN_LIMIT, MAX_DATAGRAM
from haproxy_voip.rtp.flow import SETTLE_SECONDS, Kind
from tests.edge.media_bench import REPORT, STREAM, Bench, Phone, later, on_either_relay, rtp


@on_either_relay
async def test_before_the_backend_speaks_the_client_is_heard_at_the_address_in_its_sdp(bench: Bench) -> None:
    bench.install()
    for sequence in range(40):
        bench.client.send(rtp(sequence), bench.to_relay)
    assert [await bench.backend.hears() for _ in range(40)] == [rtp(sequence) for sequence in range(40)]


@on_either_relay
async def test_rtcp_goes_by_its_own_ports(bench: Bench) -> None:
    bench.install()
    bench.client.rtcp.sendto(REPORT, (bench.to_relay.host, bench.to_relay.port + 1))
    assert await bench.backend.hears_rtcp() == REPORT
    bench.backend.rtcp.sendto(REPORT * 2, (bench.from_relay.host, bench.from_relay.port + 1))
    assert await bench.client.hears_rtcp() == REPORT * 2
    counters = bench.relay.snapshot(STREAM)
    assert (counters.client.rtcp, counters.client.packets, counters.backend.rtcp) == (1, 0, 1)
    assert bench.told == []  # RTCP is no news of where the media are


@on_either_relay
async def test_muxed_rtcp_of_one_side_reaches_the_rtcp_port_of_the_other_and_back(bench: Bench) -> None:
    """RFC 5761 section 5.1.1: each side has agreed on mux for itself."""
    bench.install(client=replace(bench.plan.client, mux=True))
    await bench.both_speak()
    bench.client.send(REPORT, bench.to_relay)
    assert await bench.backend.hears_rtcp() == REPORT
    bench.backend.rtcp.sendto(REPORT, (bench.from_relay.host, bench.from_relay.port + 1))
    assert await bench.client.hears() == REPORT
    assert bench.relay.snapshot(STREAM).client.rtcp == 1


HOSTILE = [
    b"",
    b"\x80",
    b"\x80" * 11,
    b"\x00" * 172,
    b"\x40" + bytes(171),
    b"\xc0" + bytes(171),
    b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),  # STUN
    b"\x16\xfe\xfd" + bytes(60),  # DTLS
    b"OPTIONS sip:x SIP/2.0\r\n\r\n",
    b"\x80" + bytes(MAX_DATAGRAM),
    b"\x80" + bytes(60_000),
]


@on_either_relay
async def test_what_is_no_rtp_is_dropped_and_counted_before_and_after_latching(bench: Bench) -> None:
    bench.install()
    for packet in HOSTILE:
        bench.client.send(packet, bench.to_relay)
    await bench.both_speak()
    assert bench.relay.snapshot(STREAM).client.dropped == len(HOSTILE)
    for packet in HOSTILE:
        bench.client.send(packet, bench.to_relay)
        bench.client.rtcp.sendto(packet, (bench.to_relay.host, bench.to_relay.port + 1))
    await bench.both_speak()
    bench.client.rtcp.sendto(REPORT, (bench.to_relay.host, bench.to_relay.port + 1))
    assert await bench.backend.hears_rtcp() == REPORT
    counters = bench.relay.snapshot(STREAM).client
    assert (counters.dropped, counters.packets) == (3 * len(HOSTILE), 6)


@on_either_relay
async def test_the_largest_datagram_passes_whole(bench: Bench) -> None:
    bench.install()
    whole = rtp(0) + bytes(MAX_DATAGRAM - len(rtp(0)))
    bench.client.send(whole, bench.to_relay)
    assert await bench.backend.hears() == whole


@on_either_relay
async def test_a_third_address_can_neither_inject_nor_steal(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    intruder = Phone(bench.stack)
    for sequence in range(100):
        intruder.send(rtp(sequence, b"evil"), bench.to_relay)
        intruder.send(rtp(sequence, b"evil"), bench.from_relay)
    await bench.both_speak()
    counters = bench.relay.snapshot(STREAM)
    assert (counters.client.packets, counters.backend.packets) == (6, 6)
    assert len(bench.told) == 2


@on_either_relay
async def test_a_port_scan_before_anybody_speaks_changes_nothing(bench: Bench) -> None:
    bench.install(client=replace(bench.plan.client, remote=Address("192.0.2.5", 4000)))
    for _ in range(50):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as scanner:
            scanner.sendto(rtp(1), bench.to_relay)
    bench.client.send(rtp(2), bench.to_relay)  # behind NAT, and nothing vouches for it: on probation itself
    for sequence in range(3, 7):
        bench.client.send(rtp(sequence), bench.to_relay)
    assert await bench.backend.hears() == rtp(5)
    assert bench.relay.snapshot(STREAM).client.dropped == 53


@on_either_relay
async def test_what_was_queued_by_others_before_the_socket_was_connected_is_still_checked(bench: Bench) -> None:
    bench.install()
    intruder = Phone(bench.stack)
    bench.client.send(rtp(1), bench.to_relay)
    for sequence in range(2 * DRAIN_LIMIT):
        intruder.send(rtp(sequence, b"evil"), bench.to_relay)
    bench.client.send(rtp(2), bench.to_relay)
    assert [await bench.backend.hears(), await bench.backend.hears()] == [rtp(1), rtp(2)]
    assert bench.relay.snapshot(STREAM).client.dropped == 2 * DRAIN_LIMIT


@on_either_relay
async def test_a_client_behind_nat_is_answered_where_it_speaks_from(bench: Bench) -> None:
    """RFC 4961; the host its SIP comes from vouches for it."""
    bench.install(client=replace(bench.plan.client, remote=Address("192.0.2.5", 4000), signalling_host="127.0.0.1"))
    await bench.both_speak()
    intruder = Phone(bench.stack)
    intruder.send(rtp(1, b"evil"), bench.to_relay)
    await bench.both_speak()
    with later(SETTLE_SECONDS + 1.0):
        await bench.both_speak()  # from here on the kernel refuses the intruder
        intruder.send(rtp(1, b"evil"), bench.to_relay)
        await bench.both_speak()
    assert bench.relay.snapshot(STREAM).client.dropped == 1


@on_either_relay
async def test_loss_is_counted_for_each_direction(bench: Bench) -> None:
    bench.install()
    for sequence in (1, 2, 5, 6, 10):
        bench.client.send(rtp(sequence), bench.to_relay)
        assert await bench.backend.hears() == rtp(sequence)
    counters = bench.relay.snapshot(STREAM)
    assert (counters.client.lost, counters.backend.lost) == (5, 0)


@on_either_relay
async def test_a_backend_that_died_is_told_by_icmp_once_and_its_successor_on_the_port_is_heard(bench: Bench) -> None:
    bench.install()
    await bench.both_speak()
    bench.backend.rtp.close()
    for sequence in range(10, 20):
        bench.client.send(rtp(sequence), bench.to_relay)
    await bench.until(("refused", STREAM, "backend"))
    reborn = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    bench.stack.enter_context(reborn)
    reborn.bind(bench.backend.address)
    bench.backend.rtp = reborn
    bench.client.send(rtp(60), bench.to_relay)
    while await bench.backend.hears() != rtp(60):
        pass
    reborn.sendto(rtp(50), bench.from_relay)
    assert await bench.client.hears() == rtp(50)
    counters = bench.relay.snapshot(STREAM)
    assert counters.client.packets == 14 and counters.backend.refused > 0
    assert counters.client.unsent == 0  # an ICMP error told in place of sending costs no packet
    assert bench.told.count(("refused", STREAM, "backend")) == 1


@on_either_relay
async def test_fax_is_opaque_and_its_source_is_checked(bench: Bench) -> None:
    kind: Kind = "udptl"
    bench.install(kind=kind)
    bench.client.send(b"\x00\x00\x01", bench.to_relay)
    assert await bench.backend.hears() == b"\x00\x00\x01"
    intruder = Phone(bench.stack)
    intruder.send(b"evil", bench.to_relay)
    bench.client.send(b"", bench.to_relay)
    bench.client.send(b"\x00\x01\x01", bench.to_relay)
    assert await bench.backend.hears() == b"\x00\x01\x01"
    assert bench.relay.snapshot(STREAM).client.packets == 2
