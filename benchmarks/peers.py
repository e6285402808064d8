"""What a call costs, and how many a second go without failure: this proxy and Kamailio, side by side in one run.

    python benchmarks/peers.py [--rate 200] [--rounds 5] [--climb 200,400,...] [--climbs 3]
    python benchmarks/peers.py --setup          # install what it compares with, as root

One after the other, every round all of them, between the same two SIPps (a call: INVITE, 180, 50 ms later 200, ACK,
half a second, BYE, 200):

    kamailio bare      dispatcher, stateful, in the path of the whole call (Record-Route); nothing else
    kamailio dialogs   besides: dialog, and rtpengine for the media, in userspace
    kamailio hiding    besides: topos, which keeps what it hides in Redis (topos_redis)
    proxy trunk        this proxy with everything on: two dialogs, nothing of one side shown to the other, media
                       anchored, call records written; callers are a carrier's, so nobody is challenged
    proxy phones       the same, callers are phones: INVITE is challenged, credentials are checked

No audio is sent: that is what relay.py measures. CPU time is of all processes of a set, from the call's begin until
nothing of it is kept any more, less what the same processes take when nothing happens. `x bare` is the median of each
round's own ratio to the bare dispatcher. In a climb the rate rises until a call fails, or calls take so long that they
end late; load and sets share the processors.

All traffic is within 127.0.0.0/8.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from parts.peer_figures import Climb, Cost, climb, median_by_program, per_call, ratios
from parts.processes import become_urgent, cpu_seconds
from parts.proxy import BACKEND_HOST, PROXY_HOST, SIP_PORT
from parts.sip_proxies import REFERENCE, SIP_PROXIES, Processes, SipProxy
from parts.sipp import HOLD_SECONDS, Called, SippFailed, call, callee

SETUP = Path(__file__).parent / "parts" / "install.sh"
PACKAGES = ("sip-tester", "kamailio", "kamailio-redis-modules", "redis-server", "rtpengine-daemon")
SETTLE_SECONDS = 2.0  # until the server has been found
IDLE_SECONDS = 2.0
WARM_SECONDS = 1.0
# Workers overtake each other, and SIPp takes a 180 after its 200 for a mistake of the other side.
RINGS_SECONDS = 0.05
TRIES = 3
LATE = 1.15  # times as long as it should take
LATE_SECONDS = 0.5  # SIPp looks at its clock now and then only
SERVER = (BACKEND_HOST, SIP_PORT)
TARGET = (PROXY_HOST, SIP_PORT)


@dataclass(slots=True)
class Ready:
    """A set that runs, and the SIPp behind it."""

    processes: Processes
    folder: Path
    called: int = 0

    def clocks(self) -> dict[str, float]:
        """CPU seconds of each program."""
        return {name: sum(map(cpu_seconds, found)) for name, found in self.processes.items()}

    def call(self, rate: int, seconds: float) -> Called:
        """Raises SippFailed."""
        self.called += 1
        return call(self.folder / f"calls-{self.called}", TARGET, rate, max(1, int(rate * seconds)))


@contextmanager
def ready(of: SipProxy) -> Iterator[Ready]:
    """Everything between the caller and the server, and the server."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        processes = stack.enter_context(of.start(folder))
        stack.enter_context(callee(folder / "callee", SERVER, RINGS_SECONDS))
        time.sleep(SETTLE_SECONDS)
        yield Ready(processes, folder)


def cost(of: SipProxy, rate: int, seconds: float) -> Cost:
    """One set, one round; again when the machine was so busy with other things that SIPp did not end."""
    for _ in range(TRIES - 1):
        try:
            return _cost(of, rate, seconds)
        except SippFailed as error:
            print(f"{of.name}, once more: {error}", file=sys.stderr)
    return _cost(of, rate, seconds)


def _cost(of: SipProxy, rate: int, seconds: float) -> Cost:
    with ready(of) as bench:
        bench.call(rate, WARM_SECONDS)
        time.sleep(of.linger_seconds)
        idle = bench.clocks()
        time.sleep(IDLE_SECONDS)
        before, began = bench.clocks(), time.monotonic()
        called = bench.call(rate, seconds)
        time.sleep(of.linger_seconds)
        after, took = bench.clocks(), time.monotonic() - began
    anyway = {name: (before[name] - idle[name]) / IDLE_SECONDS * took for name in idle}
    worst = called.setups[-1] if called.setups else float("nan")
    return Cost(per_call(before, after, anyway, called.calls), called.failed, worst)


def climbed(of: SipProxy, rates: Sequence[int], seconds: float) -> Climb:
    """How far it gets."""
    tried: list[tuple[int, int, bool]] = []
    with ready(of) as bench:
        bench.call(rates[0], WARM_SECONDS)
        for rate in rates:
            try:
                called = bench.call(rate, seconds)
            except SippFailed:
                tried.append((rate, int(rate * seconds), True))
                break
            late = called.seconds > (seconds + RINGS_SECONDS + HOLD_SECONDS) * LATE + LATE_SECONDS
            tried.append((rate, called.failed, late))
            if called.failed or late:
                break
    return climb(tried)


def print_costs(found: Mapping[str, Sequence[Cost]], rate: int) -> None:
    print(f"\n{rate} calls/s; CPU seconds for 1,000 calls, medians of {len(found[REFERENCE])} rounds; {machine()}")
    print(f"{'':18}{'all':>7}{'x bare':>8}{'least':>7}{'most':>7}{'failed':>8}{'worst ms':>10}   by program")
    for name, costs in found.items():
        times = ratios(costs, found[REFERENCE])
        parts = ", ".join(f"{program} {seconds * 1e3:.2f}" for program, seconds in median_by_program(costs).items())
        print(
            f"{name:18}{statistics.median(one.all for one in costs) * 1e3:7.2f}{statistics.median(times):8.2f}"
            f"{min(times):7.2f}{max(times):7.2f}{sum(one.failed for one in costs):8}"
            f"{max(one.worst_ms for one in costs):10.0f}   {parts}"
        )


def print_climbs(found: Mapping[str, Sequence[Climb]]) -> None:
    print(f"\ncalls per second without failure, medians of {len(found[REFERENCE])} climbs; {machine()}")
    for name, climbs in found.items():
        each = ", ".join(f"{one.most} ({one.stopped_by})" for one in climbs)
        print(f"{name:18}{statistics.median(one.most for one in climbs):7.0f}   {each}")


def machine() -> str:
    return f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"


def taking_part(wanted: set[str]) -> list[SipProxy]:
    """Nobody, when there is nothing to compare with."""
    found = []
    for one in SIP_PROXIES:
        if wanted and one.name not in wanted | {REFERENCE}:
            continue
        if missing := one.missing():
            print(f"without {one.name}: install {' '.join(missing)}, or run benchmarks/peers.py --setup as root")
        else:
            found.append(one)
    if REFERENCE not in [one.name for one in found]:
        print("skipped: without the bare dispatcher there is nothing to compare with")
        return []
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=200, help="calls per second while costs are measured")
    parser.add_argument("--rounds", type=int, default=3, help="of costs; 0: none")
    parser.add_argument("--seconds", type=float, default=5.0, help="of calls, each time")
    parser.add_argument("--climb", default="100,200,300,400,500,600,700,800,1000,1200,1400,1600,2000,2400,2800")
    parser.add_argument("--climbs", type=int, default=1, help="how often; 0: never")
    parser.add_argument("--only", default="", help="these besides the bare dispatcher, comma-separated")
    parser.add_argument("--setup", action="store_true", help=f"install {' '.join(PACKAGES)} and end")
    parser.add_argument("--urgent", action="store_true", help="before all else the machine has to do; as root")
    options = parser.parse_args()
    if options.urgent:
        become_urgent()
    if options.setup:
        subprocess.run([SETUP, *PACKAGES], check=True)
        return
    sets = taking_part(set(filter(None, options.only.split(","))))
    if not sets:
        return
    costs: dict[str, list[Cost]] = {one.name: [] for one in sets}
    for number in range(options.rounds):
        for one in sets:
            costs[one.name].append(cost(one, options.rate, options.seconds))
            print(f"round {number + 1}, {one.name}: {costs[one.name][-1].all * 1e3:.2f}", file=sys.stderr, flush=True)
    if options.rounds:
        print_costs(costs, options.rate)
    climbs: dict[str, list[Climb]] = {one.name: [] for one in sets}
    rates = [int(rate) for rate in options.climb.split(",")]
    for number in range(options.climbs):
        for one in sets:
            climbs[one.name].append(found := climbed(one, rates, options.seconds))
            print(f"climb {number + 1}, {one.name}: {found.most}, {found.stopped_by}", file=sys.stderr, flush=True)
    if options.climbs:
        print_climbs(climbs)


if __name__ == "__main__":
    main()
