"""Flows that are installed while packets come: none is overtaken, and none keeps its leg out of the kernel."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from haproxy_voip.edge.kernel_flow import KernelFlow
from haproxy_voip.edge.kernel_relay import KernelRelay
from haproxy_voip.edge.media_kernel import KernelCache
from haproxy_voip.edge.media_leg import DRAIN_LIMIT
from tests.edge.media_bench import STREAM, Bench, Phone, on_uvloop, rtp
from tests.edge.media_scene import Conversation, Server

TIMES = 4


@contextmanager
def whenever(owner: type, name: str, before: Callable[[Any], None], after: Callable[[Any], None]) -> Iterator[None]:
    """Each time the relay calls this method, do so before and afterwards; given is its argument."""
    original = getattr(owner, name)

    def called(self: object, what: Any) -> None:
        before(what)
        original(self, what)
        after(what)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, called)
        yield


def heard(phone: Phone) -> list[bytes]:
    """What came by now."""
    packets = []
    while True:
        try:
            packets.append(phone.rtp.recv(4096))
        except BlockingIOError:
            return packets


@on_uvloop(kernel=True)
async def test_what_comes_right_after_a_flow_stays_behind_what_came_right_before(bench: Bench) -> None:
    ways = {"client": (bench.client, bench.to_relay), "backend": (bench.backend, bench.from_relay)}
    sent = {"client": 3, "backend": 3}

    def speak(flow: KernelFlow) -> None:
        if sent[flow.side] < 3 + 2 * TIMES:
            phone, to = ways[flow.side]
            phone.send(rtp(sent[flow.side]), to)
            sent[flow.side] += 1

    with whenever(KernelRelay, "install", speak, speak):
        bench.install()
        await bench.both_speak()
        await bench.in_kernel(2)
    for phone in (bench.client, bench.backend):
        assert heard(phone) == [rtp(sequence) for sequence in range(3, 3 + 2 * TIMES)]
    counters = bench.relay.snapshot(STREAM)
    assert (counters.client.packets, counters.client.lost) == (3 + 2 * TIMES, 0)


@on_uvloop(kernel=True)
async def test_more_packets_than_are_read_in_one_turn_keep_no_leg_out(bench: Bench) -> None:
    sequence = 2

    def speak(_: float) -> None:
        nonlocal sequence
        for _ in range(DRAIN_LIMIT + 4):
            sequence += 1
            bench.client.send(rtp(sequence), bench.to_relay)

    bench.install()
    await bench.both_speak()
    with whenever(KernelCache, "tick", speak, lambda now: None):
        await bench.in_kernel(2)
    assert heard(bench.backend) == [rtp(number) for number in range(3, sequence + 1)]


@on_uvloop(kernel=True)
async def test_a_bridge_that_enters_the_kernel_is_heard_in_order(bench: Bench) -> None:
    call, server = Conversation(bench), Server(bench, 1)
    call.through(server)
    await call.go_on(20)
    await bench.in_kernel(4)
    await call.settle()
    server.die()
    left = 2 * TIMES

    def speak(_: KernelFlow) -> None:
        nonlocal left
        if left:
            left -= 1
            for talker in call.talkers:
                talker.speak()

    with whenever(KernelRelay, "install", speak, speak):
        call.join()
        await call.go_on(20)
        await bench.in_kernel(2)
    await call.go_on(5)
    await call.settle()
    for talker, other in zip(call.talkers, reversed(call.talkers), strict=True):
        talker.check_continuous()
        assert talker.turns == list(range(talker.turns[0], other.sent))
