"""What relaying RTP costs and how late it makes it: our two relays, rtpengine and none, in one run.

    python benchmarks/relay.py [--streams 50,200,500,1000,2000] [--rounds 5] [--seconds 2] [--urgent]
    python benchmarks/relay.py --setup          # install what it compares with, as root

A stream is 50 packets per second one way, 20 ms of G.711 each; a call has two. In turn, every round all of them:

    no relay     phones and servers send to each other: what the network and the load itself take
    userspace    MediaRelay as the proxy runs it: latches settled, payload prints on and told to the fingerprints
    kernel       the same with `media.relay: kernel`, all flows installed; needs root
    kernel bare  the same without prints, as for encrypted streams
    rtpengine    Debian's, in userspace, with the threads and settings it comes with

Two runs of each. In the first the load (parts/rtp_load.c) sleeps between packets and nobody has to wake it: packets
delivered, and the CPU time of load, relay and the kernel's softirq threads, to the nanosecond. Over the loopback
interface a packet's way through the kernel, the BPF program included, is counted for the process that sent it; so what
a relay *adds* is all this time for each packet less the same with no relay in the same round. `machine` is the same for
everything the machine did, from /proc/stat: it has ticks of 10 ms and all other processes in it. In the second run the
load never sleeps: one-way latencies from before `sendto` to after `recv`.

Figures are medians over the rounds. All traffic is within 127.0.0.0/8.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from parts.processes import become_urgent
from parts.relay_clocks import PROCESSORS, clocks, softirq_threads
from parts.relay_figures import (
    Figures,
    Range,
    Sample,
    added_compared,
    calls_per_core,
    figures,
    latency_added,
    process_compared,
    sample,
    times_no_relay,
)
from parts.relays import CONTESTANTS, KERNEL, NOBODY, RTPENGINE, USERSPACE, Contestant
from parts.rtp_load import compiled, rtp_load

SETUP = Path(__file__).parent / "parts" / "install.sh"

Results = dict[tuple[int, str], list[Sample]]


def measure(contestant: Contestant, streams: int, seconds: float, program: Path) -> Sample:
    """One contestant, one round."""
    softirq = softirq_threads()
    with rtp_load(program, streams // 2) as load, contestant.start(load, program.parent) as relayed:
        load.lead(relayed.ways)
        load.run(contestant.warm_seconds, "ramp")
        before = clocks(load.process, relayed.process, softirq)
        run = load.run(seconds, "sleep")
        took = clocks(load.process, relayed.process, softirq) - before
        latencies = load.run(seconds / 2, "spin").latencies
    if contestant.name.startswith(KERNEL) and relayed.in_kernel != streams:
        print(f"  {relayed.in_kernel} of {streams} streams were in the kernel", file=sys.stderr)
    return sample(took, run.in_time / run.seconds, max(run.received, 1), latencies, PROCESSORS)


def rounds(contestants: Sequence[Contestant], sizes: Sequence[int], count: int, seconds: float) -> Results:
    """All of them, interleaved."""
    results: Results = {}
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(Path(folder))
        for _ in range(count):
            for streams in sizes:
                for contestant in contestants:
                    taken = measure(contestant, streams, seconds, program)
                    results.setdefault((streams, contestant.name), []).append(taken)
    return results


# ---- what is told

HEAD = (
    f"{'':11}{'packets/s':>10}{'relay us':>9}{'all us':>8}{'x none':>7}{'added':>7}{'machine':>8}"
    f"{'p50 us':>8}{'p99 us':>9}{'max us':>9}{'calls/core':>11}"
)


def table(streams: int, of: dict[str, Figures], direct: Sequence[Sample]) -> None:
    """One number of streams."""
    foreign = max(one.foreign for one in of.values())
    print(f"\n{streams} streams, {streams * 50} packets/s; others took up to {foreign:.0%} of the machine\n{HEAD}")
    for name, one in of.items():
        if name == NOBODY:
            own = sorted(direct, key=lambda each: each.p50)[len(direct) // 2]
            late = f"{own.p50:8.1f}{own.p99:9.1f}{own.longest:9.0f}"
            print(f"{name:11}{one.delivered:10.0f}{'':9}{one.ours:8.2f}{'':7}{'':7}{'':8}{late}  its own")
            continue
        calls = calls_per_core(one.added)
        late = f"{one.p50:8.1f}{one.p99:9.1f}{one.longest:9.0f}"
        cpu = f"{one.relay:9.2f}{one.ours:8.2f}{one.times:7.2f}{one.added:7.2f}{one.added_machine:8.2f}"
        print(f"{name:11}{one.delivered:10.0f}{cpu}{late}{'-' if calls is None else format(calls, '.0f'):>11}")


def targets(streams: int, of: dict[str, Figures]) -> None:
    """What the project promises, and what is: the median of the rounds, and the range."""

    def told(what: str, promised: str, found: Range, kept: str) -> None:
        spread = f"({found.low:.2f} to {found.high:.2f})"
        print(f"  {streams:5} {what:44}{promised:>8}{found.median:8.2f} {spread:20}{kept}")

    kernel, userspace, peer = of.get(KERNEL), of.get(USERSPACE), of.get(RTPENGINE)
    if kernel is not None:
        times, late = times_no_relay(kernel), latency_added(kernel)
        told("kernel: CPU, times that of no relay", "<= 1.3", times, times.kept(most=1.3))
        told("kernel: latency added, p50, us", "<= 2", late, late.kept(most=2.0))
    if kernel is not None and peer is not None:
        ratio = added_compared(peer, kernel)
        told("rtpengine: CPU added, times the kernel's", ">= 15", ratio, ratio.kept(least=15.0))
    if userspace is not None and peer is not None:
        ratio = process_compared(userspace, peer)
        told("userspace: CPU of the process, of rtpengine's", "<= 0.5", ratio, ratio.kept(most=0.5))


def report(results: Results, sizes: Sequence[int], contestants: Sequence[Contestant]) -> None:
    """Everything."""
    all_figures: dict[int, dict[str, Figures]] = {}
    for streams in sizes:
        direct = results[streams, NOBODY]
        of = {one.name: figures(results[streams, one.name], direct) for one in contestants}
        all_figures[streams] = of
        table(streams, of, direct)
    print("\nrelay: CPU of its process for each packet. all: with the load's and the kernel's. x none, added, machine:")
    print("against no relay. Latencies: one way, added. calls/core: two streams each, by what is added.\n\ntargets")
    for streams, of in all_figures.items():
        targets(streams, of)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", default="50,500", help="how many, even numbers; comma-separated")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run")
    parser.add_argument("--only", help="these contestants, comma-separated")
    parser.add_argument("--urgent", action="store_true", help="before all else the machine has to do; as root")
    parser.add_argument("--setup", action="store_true", help="install rtpengine and a compiler, and end")
    options = parser.parse_args()
    if options.setup:
        subprocess.run([SETUP, "rtpengine-daemon", "gcc", "libc6-dev"], check=True)
        return
    if options.urgent:
        become_urgent()
    wanted = None if options.only is None else {NOBODY, *options.only.split(",")}
    contestants = []
    for contestant in CONTESTANTS:
        if wanted is not None and contestant.name not in wanted:
            continue
        if missing := contestant.missing():
            print(f"without {contestant.name}: {missing}")
        else:
            contestants.append(contestant)
    sizes = [int(each) for each in options.streams.split(",")]
    report(rounds(contestants, sizes, options.rounds, options.seconds), sizes, contestants)


if __name__ == "__main__":
    main()
