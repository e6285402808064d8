"""What a SIP message costs: CPU time of the whole proxy process, against bare datagrams in the same run.

    python benchmarks/messages.py [--rounds 5] [--count 800]

A bare datagram goes in and out of a process that does nothing else, on uvloop, through asyncio-dgram on uvloop, and on
plain asyncio. The proxy gets, from the same load generator,

    OPTIONS     outside any dialog, answered by the proxy itself
    REGISTER    the refresh of a registered contact with digest credentials
    calls       INVITE challenged, INVITE again, 180, 200, ACK, BYE, through to a backend; SDP rewritten, media ports
                opened and closed, no media sent

All is counted as one datagram in and one out: the CPU time is divided by half of the datagrams received and sent. The
contestants take turns, every round has all of them, and the figures are medians over the rounds. *Busy* has 16
requests (or calls) under way at once, *alone* one: each datagram then wakes the process. What finished transactions
cost when they are forgotten, 32 s later, is measured at the end (--no-afterwards leaves that out). The load generator
never sleeps, so it wants a processor of its own. All traffic is within 127.0.0.0/8.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from parts import texts
from parts.load import Client, Sip, Traffic
from parts.processes import cpu_seconds, free_port, running, wait_bound
from parts.proxy import CLIENT_HOST, Proxy, proxy

ECHO = Path(__file__).parent / "parts" / "echo.py"
ECHO_HOST = "127.0.71.4"
BARE = ("uvloop", "asyncio-dgram", "asyncio")
ASKED = ("OPTIONS", "REGISTER", "calls")
MESSAGES_OF_A_CALL = 8  # received; so many calls make about as many messages as the other contestants get
BUSY, ALONE = 16, 1
ALONE_SHARE = 4  # waking a process for each datagram takes long: fewer of them
SETTLE_SECONDS = 1.5  # until the proxy has found its backend
IDLE_SECONDS = 2.0
FORGOTTEN_AFTER = 33.0  # 64*T1 and a little (RFC 3261 section 17)


@dataclass(frozen=True, slots=True)
class Contestant:
    """Something that is given `count` things to do, `window` at once, and the process that does them."""

    process: int
    do: Callable[[int, int], Traffic]


@dataclass(slots=True)
class Figures:
    """One contestant's microseconds of CPU for each datagram in and out, one figure for each round."""

    busy: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    received: int = 0
    sent: int = 0

    @property
    def pairs(self) -> float:
        """All datagrams in and out."""
        return (self.received + self.sent) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=800, help="messages for each contestant in each round")
    parser.add_argument("--no-afterwards", action="store_true", help="do not wait for transactions to be forgotten")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        client = stack.enter_context(closing(Client(CLIENT_HOST)))
        node = stack.enter_context(proxy(folder))
        sip = stack.enter_context(closing(Sip(node, client)))
        contestants = dict(bare(folder, client, stack)) | asked(node, sip)
        sip.wait(SETTLE_SECONDS)
        idle = idle_share(node, sip)
        sip.register()
        figures = {name: Figures() for name in contestants}
        for _ in range(options.rounds):
            for name, contestant in contestants.items():
                measure(contestant, options.count, figures[name])
        report(figures, options.rounds)
        if not options.no_afterwards:
            report_afterwards(figures, forgetting(node, sip, idle))


def bare(folder: Path, client: Client, stack: ExitStack) -> Iterator[tuple[str, Contestant]]:
    """The processes that do nothing but echo."""
    log = folder / "echo.log"
    for way in BARE:
        port = free_port(ECHO_HOST)
        argv = [sys.executable, str(ECHO), way, ECHO_HOST, str(port)]
        process = stack.enter_context(running(argv, log))
        wait_bound(ECHO_HOST, port, process, log)
        yield way, Contestant(process.pid, echo(client, (ECHO_HOST, port)))


def echo(client: Client, target: tuple[str, int]) -> Callable[[int, int], Traffic]:
    def do(count: int, window: int) -> Traffic:
        return client.exchange(target, (texts.options(client.place, number) for number in range(count)), window)

    return do


def asked(node: Proxy, sip: Sip) -> dict[str, Contestant]:
    """What the proxy is given to do."""

    def calls(count: int, window: int) -> Traffic:
        return sip.calls(max(1, count // MESSAGES_OF_A_CALL), window)

    ways = {"OPTIONS": sip.options, "REGISTER": sip.refresh, "calls": calls}
    return {name: Contestant(node.process, do) for name, do in ways.items()}


def measure(contestant: Contestant, count: int, figures: Figures) -> None:
    """One round."""
    for window, share, costs in ((BUSY, 1, figures.busy), (ALONE, ALONE_SHARE, figures.alone)):
        before = cpu_seconds(contestant.process)
        traffic = contestant.do(max(1, count // share), window)
        costs.append((cpu_seconds(contestant.process) - before) / traffic.pairs * 1e6)
        figures.received += traffic.received
        figures.sent += traffic.sent


def idle_share(node: Proxy, sip: Sip) -> float:
    """CPU seconds the proxy takes in a second when nobody asks it anything: it probes its backend."""
    before = node.cpu_seconds()
    sip.wait(IDLE_SECONDS)
    return (node.cpu_seconds() - before) / IDLE_SECONDS


def forgetting(node: Proxy, sip: Sip, idle: float) -> float:
    """CPU seconds the proxy takes until all finished transactions are forgotten."""
    before = node.cpu_seconds()
    sip.wait(FORGOTTEN_AFTER)
    return node.cpu_seconds() - before - idle * FORGOTTEN_AFTER


def report(figures: Mapping[str, Figures], rounds: int) -> None:
    print(f"CPU us for one datagram in and one out, and as a multiple of the bare one (medians of {rounds} rounds)")
    print(f"{'':34}{'busy':>8}{'':8}{'alone':>8}")
    floor = figures[BARE[0]]
    for name in BARE:
        print_row(f"bare, {name}{' on uvloop' if name == BARE[1] else ''}", figures[name], floor)
    for name in ASKED:
        print_row(f"proxy, {name}", figures[name], floor)


def print_row(title: str, row: Figures, floor: Figures) -> None:
    busy, alone = statistics.median(row.busy), statistics.median(row.alone)
    print(f"{title:34}{busy:8.1f}{ratio(row.busy, floor.busy):7.1f}x{alone:8.1f}{ratio(row.alone, floor.alone):7.1f}x")


def ratio(costs: list[float], floor: list[float]) -> float:
    """The median of the rounds' own ratios: a slow moment is slow for both."""
    return statistics.median(cost / least for cost, least in zip(costs, floor, strict=True))


def report_afterwards(figures: Mapping[str, Figures], seconds: float) -> None:
    pairs = sum(figures[name].pairs for name in ASKED)
    print(f"and when its transactions are forgotten, {FORGOTTEN_AFTER:.0f} s later: {seconds / pairs * 1e6:.1f}")


if __name__ == "__main__":
    main()
