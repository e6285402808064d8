"""What relaying one RTP packet costs: CPU in the relaying process, and latency added.

    python benchmarks/relay_userspace.py [--rounds 3] [--seconds 1] [--streams 100]

The load is 20 ms audio, in two shapes. *Spread*: evenly, one packet at a time; each one wakes the relaying process, and
that wake-up is most of what it costs. *Busy*: the packets of all streams at once, every 20 ms; what a process that has
much to do pays for one more packet. It goes through, in turn:

    direct         no relay at all: what the network and the generator themselves take
    bare loop      one blocking socket pair, recv_into and send, nothing else: the floor in Python
    uvloop         a forwarder of ten lines on uvloop's datagram transports
    relay          MediaRelay: latching, source check, counters, jitter

Each runs in a process of its own. Medians over the rounds. All traffic is within 127.0.0.0/8.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import select
import socket
import statistics
import struct
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import astuple, dataclass

HOST = "127.0.0.1"
PAYLOAD_BYTES = 160  # 20 ms of G.711
PACKETS_PER_SECOND = 50  # of one stream
STAMP = struct.Struct("!BBHIIQ")  # RTP header, then when it was sent, in ns
TAIL = bytes(PAYLOAD_BYTES - 8)
CONTESTANTS = ("direct", "bare loop", "uvloop", "relay")
FIRST_PORT = 12_000  # below the ephemeral ports


def udp(port: int = 0) -> socket.socket:
    """A bound socket with room for a burst."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind((HOST, port))
    return bound


# ---- the contestants: each is told where the backends are, says where it listens, and runs until its stdin ends


def announce(ports: list[int]) -> None:
    print(json.dumps(ports), flush=True)


def bare_loop(sinks: list[int]) -> None:
    """One stream only; the generator's whole load goes through it."""
    inside, outside = udp(), udp()
    outside.connect((HOST, sinks[0]))
    announce([inside.getsockname()[1]])
    buffer = bytearray(2048)
    view = memoryview(buffer)
    while (size := inside.recv_into(buffer)) > 4:
        outside.send(view[:size])


class Forwarder(asyncio.DatagramProtocol):
    """The least a forwarder on uvloop can do."""

    out: asyncio.DatagramTransport

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.out.sendto(data)


async def until_stdin_ends() -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


async def uvloop_forwarder(sinks: list[int]) -> None:
    loop = asyncio.get_running_loop()
    ports = []
    for sink in sinks:
        transport, protocol = await loop.create_datagram_endpoint(Forwarder, local_addr=(HOST, 0))
        protocol.out, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(HOST, sink))
        ports.append(transport.get_extra_info("sockname")[1])
    announce(ports)
    await until_stdin_ends()


async def relay(sinks: list[int], phones: list[int]) -> None:
    from haproxy_voip.core.address import Address
    from haproxy_voip.edge.media_userspace import Listener, MediaRelay
    from haproxy_voip.rtp.flow import Party, StreamPlan

    def failed(stream: int, reason: str) -> None:
        raise SystemExit(f"stream {stream}: {reason}")

    listener = Listener(lambda stream, side, source: None, failed, lambda stream, side: None)
    media = MediaRelay(asyncio.get_running_loop(), listener)
    for number, (sink, phone) in enumerate(zip(sinks, phones, strict=True)):
        port = FIRST_PORT + 4 * number
        client = Party(Address(HOST, port), Address(HOST, phone), signalling_host=HOST)
        backend = Party(Address(HOST, port + 2), Address(HOST, sink), signalling_host=HOST)
        media.install(StreamPlan(number, "rtp", client, backend))
    announce([FIRST_PORT + 4 * number for number in range(len(sinks))])
    await until_stdin_ends()
    media.close()


def serve(contestant: str, sinks: list[int], phones: list[int]) -> None:
    """Be one contestant until the generator has done."""
    if contestant == "bare loop":
        bare_loop(sinks)
    else:
        import uvloop

        uvloop.run(uvloop_forwarder(sinks) if contestant == "uvloop" else relay(sinks, phones))


# ---- the load


class Load:
    """Sends at a steady pace, receives at the sinks, and keeps every latency."""

    def __init__(self, streams: int, stack: ExitStack) -> None:
        self.phones = [stack.enter_context(udp()) for _ in range(streams)]
        self.sinks = [stack.enter_context(udp()) for _ in range(streams)]
        self.poll = stack.enter_context(select.epoll())
        self.by_descriptor = {sink.fileno(): sink for sink in self.sinks}
        for sink in self.sinks:
            sink.setblocking(False)
            self.poll.register(sink.fileno(), select.EPOLLIN)
        self.latencies: list[int] = []
        self.sent = 0

    def run(self, targets: list[int], seconds: float, together: int = 1) -> None:
        """Send each stream's packets, `together` at once. Receives while it waits, busily: no wake-ups of its own."""
        gap = int(together * 1e9 / (len(self.phones) * PACKETS_PER_SECOND))
        began = due = time.perf_counter_ns()
        while due - began < seconds * 1e9:
            for _ in range(together):
                self.send(targets)
            due += gap
            while time.perf_counter_ns() < due:
                self.receive(0)
        for _ in range(20):
            self.receive(0.005)

    def send(self, targets: list[int]) -> None:
        """The next stream's next packet."""
        turn, index = divmod(self.sent, len(self.phones))
        header = STAMP.pack(0x80, 0, turn & 0xFFFF, 160 * turn & 0xFFFFFFFF, index, time.perf_counter_ns())
        self.phones[index].sendto(header + TAIL, (HOST, targets[index % len(targets)]))
        self.sent += 1

    def receive(self, wait: float) -> None:
        """Take whatever has arrived."""
        for descriptor, _ in self.poll.poll(wait):
            data = self.by_descriptor[descriptor].recv(2048)
            self.latencies.append(time.perf_counter_ns() - STAMP.unpack_from(data)[5])

    def latch(self, contestant: str, targets: list[int]) -> None:
        """Backends talk too: that is how a relay learns that they are where their SDP says."""
        if contestant == "relay":
            for sink, target in zip(self.sinks, targets, strict=True):
                sink.sendto(STAMP.pack(0x80, 0, 0, 0, 1, 0), (HOST, target + 2))

    def cost(self, process: int, targets: list[int], seconds: float, together: int) -> float:
        """CPU us that the process takes for each packet."""
        self.latencies.clear()
        self.sent = 0
        before = cpu_seconds(process)
        self.run(targets, seconds, together)
        received = len(self.latencies)
        if received < 0.99 * self.sent:
            print(f"  only {received} of {self.sent} packets came through", file=sys.stderr)
        return (cpu_seconds(process) - before) / received * 1e6


def cpu_seconds(process: int) -> float:
    """User and system time of another process, from the scheduler (nanoseconds), not from ticks."""
    with open(f"/proc/{process}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


@dataclass
class Cost:
    """Microseconds."""

    spread: float = 0.0  # CPU for each packet
    busy: float = 0.0
    p50: float = 0.0  # latency, spread
    p99: float = 0.0


def measure(contestant: str, streams: int, seconds: float) -> Cost:
    """One round of one contestant."""
    with ExitStack() as stack:
        load = Load(streams, stack)
        sinks = [sink.getsockname()[1] for sink in load.sinks]
        if contestant == "direct":
            load.run(sinks, seconds)
            return Cost(0.0, 0.0, *percentiles(load))
        command = [sys.executable, __file__, "--serve", contestant, "--sinks", json.dumps(sinks)]
        command += ["--phones", json.dumps([phone.getsockname()[1] for phone in load.phones])]
        process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert process.stdout is not None and process.stdin is not None
        targets = json.loads(process.stdout.readline())
        load.latch(contestant, targets)
        load.run(targets, 0.3)  # to be warm
        cost = Cost()
        cost.busy = load.cost(process.pid, targets, seconds, streams)
        cost.spread = load.cost(process.pid, targets, seconds, 1)
        cost.p50, cost.p99 = percentiles(load)
        process.stdin.close()
        if contestant == "bare loop":
            load.phones[0].sendto(b"end", (HOST, targets[0]))
        process.wait(5)
        return cost


def percentiles(load: Load) -> tuple[float, float]:
    ordered = sorted(load.latencies)
    return ordered[len(ordered) // 2] / 1e3, ordered[len(ordered) * 99 // 100] / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run")
    parser.add_argument("--streams", type=int, default=100)
    for hidden in ("--serve", "--sinks", "--phones"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, json.loads(options.sinks), json.loads(options.phones))
        return
    runs: dict[str, list[Cost]] = {name: [] for name in CONTESTANTS}
    for _ in range(options.rounds):
        for name in CONTESTANTS:
            runs[name].append(measure(name, options.streams, options.seconds))
    report({name: middle(costs) for name, costs in runs.items()}, options)


def middle(costs: list[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(*(statistics.median(column) for column in zip(*(astuple(cost) for cost in costs), strict=True)))


def report(costs: dict[str, Cost], options: argparse.Namespace) -> None:
    rate = options.streams * PACKETS_PER_SECOND
    print(f"{options.streams} streams, {rate} packets/s, medians of {options.rounds} rounds, microseconds")
    print(f"{'':10}{'CPU busy':>16}{'CPU spread':>16}{'p50 added':>11}{'p99 added':>11}")
    floor, direct = costs["bare loop"], costs["direct"]
    for name in CONTESTANTS[1:]:
        cost = costs[name]
        cpu = f"{against(cost.busy, floor.busy)}{against(cost.spread, floor.spread)}"
        print(f"{name:10}{cpu}{cost.p50 - direct.p50:11.1f}{cost.p99 - direct.p99:11.1f}")
    print(f"without any relay: p50 {direct.p50:.1f}, p99 {direct.p99:.1f}")


def against(figure: float, floor: float) -> str:
    return f"{figure:9.1f} {figure / floor:5.2f}x"


if __name__ == "__main__":
    main()
