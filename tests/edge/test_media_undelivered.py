"""What a server was given when it died reaches the other phone, once, on real sockets."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from haproxy_voip.rtp import undelivered
from tests.edge.media_bench import Bench, on_uvloop
from tests.edge.media_scene import STEP, Conversation, Server


async def bereaved(bench: Bench, packets: int) -> Conversation:
    """Two who have said so many packets each to a server that passes none of them on."""
    call, server = Conversation(bench), Server(bench, 1)
    call.plans = [replace(plan, prints=True) for plan in call.plans]
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
