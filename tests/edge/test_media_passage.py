"""From a bridge back to a server that takes its time, on real sockets."""

import asyncio
from itertools import pairwise

from haproxy_voip.core.address import Address
from haproxy_voip.edge import media_passage
from haproxy_voip.rtp.header import FIXED_BYTES
from tests.edge.media_bench import Bench, Phone, later, on_either_relay
from tests.edge.media_scene import Conversation, Server, Talker


async def bridged(bench: Bench) -> Conversation:
    """Two phones joined directly, after their server died."""
    call, server = Conversation(bench), Server(bench, 1)
    call.talkers[1].sent = 500_000  # each in words of their own
    call.through(server)
    await call.go_on(10)
    server.die()
    call.join()
    await call.go_on(10)
    return call


def heard_all(talker: Talker, other: Talker, under_way: int = 0) -> bool:
    """Without a gap, up to what the other said last."""
    turns = talker.turns
    return turns == list(range(turns[0], turns[-1] + 1)) and turns[-1] >= other.sent - 1 - under_way


@on_either_relay
async def test_a_server_that_needs_a_while_takes_over_without_a_packet_lost_or_heard_twice(bench: Bench) -> None:
    call = await bridged(bench)
    server = Server(bench, 2, delay=0.03)
    server.deaf = True
    call.through(server, handover=True)
    await call.go_on(15)  # addresses are learned, the two legs are being joined
    server.deaf = False
    await call.go_on(30)
    assert server.sent[0] > 2040  # it was given everything from the beginning
    await asyncio.sleep(0.05)
    await call.settle()
    for talker, other in zip(call.talkers, reversed(call.talkers), strict=True):
        talker.check_continuous()
        assert heard_all(talker, other)
    assert bench.relay.snapshot(1).backend.dropped == 0


def in_pairs(leg: Phone, first: int) -> None:
    """After this many packets what is sent from here comes out in pairs, what was said last first."""
    send, kept = leg.send, list[bytes]()
    sent = 0

    def overtaking(data: bytes, to: Address) -> None:
        nonlocal sent
        sent += 1
        if sent <= first:
            send(data, to)
            return
        kept.append(data)
        if len(kept) == 2:
            send(kept[0][:FIXED_BYTES] + kept[1][FIXED_BYTES:], to)
            send(kept[1][:FIXED_BYTES] + kept[0][FIXED_BYTES:], to)
            kept.clear()

    leg.send = overtaking  # type: ignore[method-assign]


@on_either_relay
async def test_a_server_that_changes_the_order_lets_nothing_be_heard_twice(bench: Bench) -> None:
    call = await bridged(bench)
    server = Server(bench, 2, delay=0.03)
    for first, leg in enumerate(server.legs):
        in_pairs(leg, first)
    call.through(server, handover=True)
    await call.go_on(30)
    await call.settle()
    for talker in call.talkers:
        assert len(set(talker.turns)) == len(talker.turns) >= 30
        sequences = [header.sequence for header, _ in talker.heard]
        assert all((after - before) & 0xFFFF == 1 for before, after in pairwise(sequences))


@on_either_relay
async def test_a_change_of_the_session_ends_it_and_nothing_is_heard_twice(bench: Bench) -> None:
    call = await bridged(bench)
    server = Server(bench, 2, delay=0.05)
    call.through(server, handover=True)
    await call.go_on(5)
    said = [talker.sent for talker in call.talkers]
    call.install(0, handover=False)
    await call.go_on(40)
    await call.settle()
    for talker, count in zip(call.talkers, reversed(said), strict=True):
        talker.check_continuous()
        assert talker.turns[-1] > count and {count - 1, count} <= {*talker.turns}


@on_either_relay
async def test_without_that_wish_the_switch_is_immediate(bench: Bench) -> None:
    call = await bridged(bench)
    server = Server(bench, 2)
    server.deaf = True
    call.through(server)
    await call.go_on(10)
    await call.settle()
    said = call.talkers[1].sent
    assert call.talkers[0].turns[-1] == said - 11


@on_either_relay
async def test_when_one_hangs_up_meanwhile_the_other_no_longer_hears_it(bench: Bench) -> None:
    call = await bridged(bench)
    call.through(Server(bench, 2, delay=0.5), handover=True)
    await call.go_on(3)
    bench.relay.remove(2)
    await call.settle()
    heard = len(call.talkers[0].heard)
    await call.go_on(3)
    assert len(call.talkers[0].heard) == heard
    assert bench.relay.snapshot(1).client.unsent == 0


@on_either_relay
async def test_being_joined_again_meanwhile_ends_it(bench: Bench) -> None:
    call = await bridged(bench)
    server = Server(bench, 2, delay=0.5)
    call.through(server, handover=True)
    await call.go_on(5)
    server.die()
    call.join()
    await call.go_on(10)
    await call.settle()
    for talker, other in zip(call.talkers, reversed(call.talkers), strict=True):
        talker.check_continuous()
        assert heard_all(talker, other)


@on_either_relay
async def test_a_server_that_stays_silent_is_left_to_its_silence_in_the_end(bench: Bench) -> None:
    call = await bridged(bench)
    server = Server(bench, 2)
    server.deaf = True
    call.through(server, handover=True)
    await call.go_on(3)
    await call.settle()
    heard = len(call.talkers[0].heard)
    with later(media_passage.OVER_SECONDS):
        await call.go_on(3)
        await call.settle()
    assert len(call.talkers[0].heard) == heard
    server.deaf = False
    await call.go_on(3)
    await call.settle()
    assert len(call.talkers[0].heard) == heard + 3
    call.talkers[0].check_continuous()
