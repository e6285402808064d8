"""Calls through the proxy from SIPp to SIPp: how many in a second, what each costs, how long it takes to be set up.

    python benchmarks/calls.py [--rates 50,100,200,400,800] [--seconds 4]

A call is: INVITE, challenged by the proxy, INVITE with credentials, 180, 200, ACK, half a second of silence, BYE,
200. Its audio is anchored (four ports opened and closed) but nothing is sent. At each rate the same caller then calls
the same callee straight, which is what the two SIPps and the network take by themselves. Rates rise until calls fail,
or take longer than they should, or the proxy uses a whole processor: that is a result, not a failure. CPU time is of
all threads of the proxy process. Setup time is from the first INVITE to the 200, challenge included; SIPp counts whole
milliseconds.

Needs `sipp` (Debian: sip-tester). All traffic is within 127.0.0.0/8.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from parts.proxy import Proxy, proxy
from parts.sipp import Called, Callee, SippFailed, call, callee

DIRECT_SHARE = 0.5  # how long straight calls are made, against calls through the proxy
SETTLE_SECONDS = 1.5  # until the proxy has found its backend
FULL = 0.95  # of one processor: nothing more to be had
LATE = 1.1  # times as long as it should take


@dataclass(frozen=True, slots=True)
class Step:
    """One rate."""

    rate: int
    through: Called
    direct: Called
    cpu_seconds: float  # of the proxy
    messages: int  # received and sent by the proxy
    callee_seconds: float  # CPU of the SIPp behind the proxy

    @property
    def us_per_call(self) -> float:
        return self.cpu_seconds / self.through.calls * 1e6

    @property
    def us_per_message(self) -> float:
        """One received and one sent: half of all messages."""
        return self.cpu_seconds / max(self.messages, 1) * 2e6

    @property
    def load(self) -> float:
        """Share of one processor."""
        return self.cpu_seconds / self.through.seconds

    @property
    def saturated(self) -> bool:
        late = self.through.seconds > LATE * self.direct.seconds * self.through.calls / self.direct.calls
        return self.through.failed > 0 or self.load > FULL or late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="50,100,200,400,800", help="calls per second")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each rate")
    options = parser.parse_args()
    if shutil.which("sipp") is None:
        sys.exit("sipp is missing (Debian: apt-get install sip-tester)")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        node = stack.enter_context(proxy(folder))
        answering = stack.enter_context(callee(folder / "callee", node.backend))
        time.sleep(SETTLE_SECONDS)
        bench = Bench(folder, node, answering, options.seconds)
        print_head()
        steps: list[Step] = []
        for rate in map(int, options.rates.split(",")):
            try:
                steps.append(bench.step(rate))
            except SippFailed as error:
                print(f"{rate:7} calls/s is too much: {error}")
                break
            print_step(steps[-1])
            if steps[-1].saturated:
                break
        if not steps:
            sys.exit("not even the least rate can be measured")
        print_summary(steps)


@dataclass(frozen=True, slots=True)
class Bench:
    """A proxy between two SIPps."""

    folder: Path
    node: Proxy
    callee: Callee
    seconds: float

    def step(self, rate: int) -> Step:
        """One rate, through the proxy and straight."""
        calls = max(1, int(rate * self.seconds))
        messages, proxy_cpu, callee_cpu = self.callee.messages(), self.node.cpu_seconds(), self.callee.cpu_seconds()
        through = self.call("through", self.node.address, rate, calls)
        used, callee_used = self.node.cpu_seconds() - proxy_cpu, self.callee.cpu_seconds() - callee_cpu
        messages = self.callee.messages() - messages + through.messages
        direct = self.call("direct", self.node.backend, rate, max(1, int(calls * DIRECT_SHARE)))
        return Step(rate, through, direct, used, messages, callee_used)

    def call(self, way: str, target: tuple[str, int], rate: int, calls: int) -> Called:
        """Raises SippFailed when there is nothing to count."""
        try:
            return call(self.folder / f"{way}-{rate}", target, rate, calls)
        except SippFailed as error:
            raise SippFailed(f"{way}: {error}") from None


def print_head() -> None:
    print(f"{'':23}{'proxy CPU':>30}{'setup through, ms':>20}{'straight, ms':>18}")
    print(
        f"{'calls/s':>7}{'calls':>7}{'failed':>8}{'load':>7}{'us/call':>9}{'us/msg':>8}{'msgs':>7}"
        f"{'median':>11}{'worst':>9}{'median':>10}{'worst':>8}"
    )


def print_step(step: Step) -> None:
    through, direct = step.through, step.direct
    per_call = step.messages / through.calls
    print(
        f"{step.rate:7}{through.calls:7}{through.failed:8}{step.load:7.0%}{step.us_per_call:9.0f}"
        f"{step.us_per_message:8.0f}{per_call:7.1f}{median(through):11.0f}{worst(through):9.0f}"
        f"{median(direct):10.0f}{worst(direct):8.0f}",
        flush=True,
    )


def median(called: Called) -> float:
    return statistics.median(called.setups) if called.setups else float("nan")


def worst(called: Called) -> float:
    return called.setups[-1] if called.setups else float("nan")


def print_summary(steps: list[Step]) -> None:
    good = [step for step in steps if not step.saturated]
    for step in steps:
        if step.saturated:
            print(f"{step.rate} calls/s is too much: {step.through.failed} failed, load {step.load:.0%}")
    if not good:
        return
    through = statistics.median(step.us_per_call for step in good)
    callee_side = statistics.median(step.callee_seconds / step.through.calls for step in good) * 1e6
    caller_side = statistics.median(step.through.cpu_seconds / step.through.calls for step in good) * 1e6
    print(f"most calls per second without trouble: {good[-1].rate}")
    print(f"1,000 calls take {through / 1e3:.2f} CPU seconds of the proxy,", end=" ")
    print(f"{caller_side / 1e3:.2f} of the calling SIPp, {callee_side / 1e3:.2f} of the answering one")


if __name__ == "__main__":
    main()
