"""Our media relay as the proxy runs it, and nothing else of the proxy.

    python benchmarks/parts/relaying.py userspace|kernel prints|no-prints < sessions.json

As in the proxy: uvloop, no garbage collection, payload prints of every stream told to the fingerprints; or none, as
if all streams were encrypted. It writes where the phones and servers are to send, and relays until its standard input
ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import uvloop

from haproxy_voip.core.address import Address
from haproxy_voip.edge.kernel_relay import KernelRelay
from haproxy_voip.edge.media_userspace import Listener, MediaRelay
from haproxy_voip.rtp.fingerprint import Fingerprints, Print
from haproxy_voip.rtp.flow import Party, StreamPlan

HOST = "127.0.72.3"
LOOPBACK, NAME = "lo", "benchmark"
FIRST_PORT, PORTS_EACH = 10_000, 4
PCMU = ((0, "pcmu/8000"), (101, "telephone-event/8000"))


def plans(sessions: list[list[list[object]]], prints: bool = True) -> list[StreamPlan]:
    """As the proxy plans a plain call; each session is the places of its phone and its server."""
    made = []
    for number, places in enumerate(sessions):
        phone, server = (Address(str(host), int(str(port))) for host, port in places)
        port = FIRST_PORT + PORTS_EACH * number
        client = Party(Address(HOST, port), phone, signalling_host=phone.host, payload_types=PCMU)
        backend = Party(Address(HOST, port + 2), server, signalling_host=server.host, payload_types=PCMU)
        made.append(StreamPlan(number, "rtp", client, backend, prints=prints))
    return made


def listener(fingerprints: Fingerprints) -> Listener:
    """Does with prints what the proxy's node does with them."""

    def failed(stream: int, reason: str) -> None:
        print(f"stream {stream}: {reason}", file=sys.stderr)
        asyncio.get_running_loop().stop()

    def prints(told: tuple[Print, ...], complete: bool) -> None:
        for one in told:
            fingerprints.heard(one.stream, one.side, one.payload_hash, one.at)
        if not complete:
            fingerprints.missed()

    return Listener(
        latched=lambda stream, side, source: None, failed=failed, refused=lambda stream, side: None, prints=prints
    )


async def relay(planned: list[StreamPlan], kernel: KernelRelay | None) -> None:
    """Until standard input ends."""
    loop = asyncio.get_running_loop()
    fingerprints = Fingerprints()
    media = MediaRelay(loop, listener(fingerprints), kernel)
    ways = []
    for plan in planned:
        media.install(plan)
        ways.append([plan.client.local, plan.backend.local])
    print(json.dumps(ways), flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    flows = media.kernel_flows
    counters = [media.snapshot(plan.stream) for plan in planned]
    packets = sum(one.client.packets + one.backend.packets for one in counters)
    print(json.dumps({"packets": packets, "pairs": len(fingerprints.pairs()), "in the kernel": flows}), flush=True)
    media.close()


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _, path, prints = sys.argv
    planned = plans(json.loads(sys.stdin.readline()), prints == "prints")
    with contextlib.ExitStack() as stack:
        kernel = None
        if path == "kernel":
            KernelRelay.clear(NAME)  # of a benchmark that was killed
            kernel = KernelRelay.open(NAME, [LOOPBACK])
            stack.callback(kernel.close)
        gc.collect()
        gc.disable()
        uvloop.run(relay(planned, kernel))


if __name__ == "__main__":
    main()
