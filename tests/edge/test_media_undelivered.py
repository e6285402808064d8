"""What a server was given when it died reaches the other phone, once, on real sockets."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from haproxy_voip.rtp import undelivered
from haproxy_voip.rtp.continuity import VIDEO_CLOCK_HZ
from tests.edge.media_bench import Bench, on_uvloop
from tests.edge.media_scene import STEP, Conversation, Server


async def bereaved(bench: Bench, packets: int, **what: object) -> Conversation:
    """Two who have said so many packets each to a server that passes none of them on; `what` of their plans."""
    call, server = Conversation(bench), Server(bench, 1)
    call.plans = [replace(plan, prints=True, **what) for plan in call.plans]
    call.talkers[1].sent = 500_000  # each in words of their own
    call.through(server)
    await call.go_on(10)
    await call.settle()
    server.deaf = True
    await call.go_on(packets)
    server.die()
    return call


@on_uvloop()
async def test_nothing_of_what_the_dead_server_had_is_missing_or_heard_twice(bench: Bench) -> None:
    call = await bereaved(bench, undelivered.KEPT)
    for talker in call.talkers:
        talker.speak()  # this one is still in our socket
    call.join()
    await call.go_on(10)
    await call.settle()
    for talker, other in zip(call.talkers, reversed(call.talkers), strict=True):
        talker.check_continuous()
        first = talker.turns[0]
        assert talker.turns == list(range(first, other.sent))
        # As if they had come when they were said.
        times = [header.timestamp for header, _ in talker.heard[10:]]
        assert {after - before for before, after in pairwise(times)} == {STEP}


@on_uvloop()
async def test_what_would_come_too_late_is_left_out(bench: Bench) -> None:
    call = await bereaved(bench, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(undelivered, "LATE_SECONDS", 0.0)
        call.join()
    await call.go_on(5)
    await call.settle()
    for talker, other in zip(call.talkers, reversed(call.talkers), strict=True):
        talker.check_continuous()
        assert len(talker.turns) == 15
        assert talker.turns[-1] == other.sent - 1


@on_uvloop()
async def test_whose_server_dies_right_after_another_died_misses_nothing_either(bench: Bench) -> None:
    """While what the second server has of what was heard directly is still left out."""
    call = await bereaved(bench, 3)
    call.join()
    await call.go_on(5)
    second = Server(bench, 2)
    call.through(second, handover=True)
    await call.go_on(10)
    await call.settle()
    second.deaf = True
    await call.go_on(3)
    second.die()
    call.join()
    await call.go_on(5)
    await call.settle()
    for talker, other in zip(call.talkers, reversed(call.talkers), strict=True):
        talker.check_continuous()
        assert talker.turns == list(range(talker.turns[0], other.sent))


@on_uvloop()
async def test_half_a_picture_is_not_sent_again(bench: Bench) -> None:
    call = await bereaved(bench, 3, clock_hz=VIDEO_CLOCK_HZ)
    call.join()
    await call.go_on(5)
    await call.settle()
    assert [len(talker.turns) for talker in call.talkers] == [15, 15]


@on_uvloop()
async def test_who_is_on_hold_is_sent_nothing(bench: Bench) -> None:
    call = await bereaved(bench, 3)
    held = replace(call.plans[0].client, receives=False)
    call.install(0, bridge=2, client=held)
    call.install(1, bridge=1)
    await call.settle()
    assert [len(talker.turns) for talker in call.talkers] == [10, 13]


@on_uvloop(kernel=True)
async def test_where_the_kernel_relays_nothing_is_heard_twice(bench: Bench) -> None:
    call = await bereaved(bench, 3)
    call.join()
    await call.go_on(10)
    await call.settle()
    for talker in call.talkers:
        talker.check_continuous()
        assert len(talker.turns) == 20
