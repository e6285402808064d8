"""What a leg has not read yet when its flow is installed: it is not overtaken, and does not keep the leg out."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from haproxy_voip.edge.kernel_flow import KernelFlow
from haproxy_voip.edge.kernel_relay import KernelRelay
from haproxy_voip.edge.media_kernel import KernelCache
from haproxy_voip.edge.media_leg import DRAIN_LIMIT
from tests.edge.media_bench import Bench, on_uvloop, rtp
from tests.edge.media_scene import Conversation, Server


class Around:
    """Lets something be done before and after a function of the relay is called."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self.before: Callable[[Any], None] = lambda what: None
        self.after: Callable[[Any], None] = lambda what: None
        original = getattr(owner, name)

        def called(of: object, what: Any) -> None:
            self.before(what)
            original(of, what)
            self.after(what)

        patch.setattr(owner, name, called)


def heard_of(bench: Bench) -> tuple[list[bytes], list[bytes]]:
    """What backend and client have heard by now."""
    heard: tuple[list[bytes], list[bytes]] = ([], [])
    for phone, packets in zip((bench.backend, bench.client), heard, strict=True):
        while True:
            try:
                packets.append(phone.rtp.recv(4096))
            except BlockingIOError:
                break
    return heard


@on_uvloop(kernel=True)
async def test_what_comes_right_after_a_flow_waits_for_what_came_right_before(bench: Bench) -> None:
    sent = {"client": 3, "backend": 3}

    def speak(flow: KernelFlow) -> None:
        if sent[flow.side] < 12:
            phone, to = (
                (bench.client, bench.to_relay) if flow.side == "client" else (bench.backend, bench.from_relay)
            )
            phone.send(rtp(sent[flow.side]), to)
            sent[flow.side] += 1

    with pytest.MonkeyPatch.context() as patch:
        around = Around(patch, KernelRelay, "install")
        around.before = around.after = speak
        bench.install()
        await bench.both_speak()
        async with asyncio.timeout(5):
            while min(sent.values()) < 12:
                await asyncio.sleep(0.005)
        await bench.in_kernel(2)
    for packets in heard_of(bench):
        assert packets == [rtp(sequence) for sequence in range(3, 12)]
    counters = bench.relay.snapshot(bench.plan.stream)
    assert (counters.client.packets, counters.client.lost) == (counters.backend.packets, counters.backend.lost) == (12, 0)
