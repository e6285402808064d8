"""From a server that lives to another one, by way of a bridge, on real sockets: nothing is lost and nothing doubled."""

from __future__ import annotations

import asyncio

from haproxy_voip.rtp.header import Header
from tests.edge.media_bench import Bench, on_either_relay
from tests.edge.media_scene import GAP, Conversation, Server


def let_go(call: Conversation) -> None:
    """Join the two; their server has something on its way to them."""
    for index in range(2):
        call.install(index, bridge=2 - index, handover=True)


@on_either_relay
async def test_what_the_old_server_is_just_passing_on_arrives(bench: Bench) -> None:
    await nothing_is_lost(bench, 0.0)


@on_either_relay
async def test_what_it_keeps_for_less_than_a_packets_time_arrives(bench: Bench) -> None:
    await nothing_is_lost(bench, 0.7 * GAP)


async def nothing_is_lost(bench: Bench, transit: float) -> None:
    call, old, new = Conversation(bench), Server(bench, 1, transit), Server(bench, 2, transit)
    call.talkers[1].sent = 500_000  # each in words of their own
    call.through(old)
    await call.go_on(10)
    for talker in call.talkers:
        talker.speak()
    await asyncio.sleep(0.25 * GAP)  # these are with the old server, or just back from it
    let_go(call)
    until = asyncio.get_running_loop().time() + 2.0
    while any(len(talker.heard) < 11 for talker in call.talkers) and asyncio.get_running_loop().time() < until:
        await call.settle()
    await call.go_on(10)
    call.through(new, handover=True)
    await call.go_on(30)
    await call.settle()
    for talker, other in zip(call.talkers, reversed(call.talkers), strict=True):
        talker.check_continuous()
        turns = talker.turns
        assert turns == list(range(turns[0], other.sent))


@on_either_relay
async def test_once_the_other_is_heard_the_old_server_is_not(bench: Bench) -> None:
    call, old = Conversation(bench), Server(bench, 1)
    call.through(old)
    await call.go_on(10)
    let_go(call)
    await call.go_on(5)
    heard = [len(talker.heard) for talker in call.talkers]
    for number, to in enumerate(call.local[2:]):
        packet = Header(0, old.sent[number] + 1 & 0xFFFF, 0, 0x5E5E0000 + 16 * old.number + number).encode()
        old.legs[number].send(packet + bytes(20), to)
    await call.settle()
    assert [len(talker.heard) for talker in call.talkers] == heard
