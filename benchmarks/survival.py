"""What people who talk hear when the server their call is on is killed or freezes, or is drained with `--move`.

    python benchmarks/survival.py [--calls 1,20] [--rounds 5] [--failures kill,freeze,drain] [--relay userspace]

The proxy and three embedded PBXes, which carry the media of their calls, are processes of their own; the phones are
all in this one. Each sends a tone of its own every 20 ms and knows the other's. The server all calls are on gets
SIGKILL or SIGSTOP, and comes back after the calls have moved; no call is made anew between rounds. The gap of a call
is the longest time that one of its two phones waited for a packet with the other's tone, whichever waited longer, from
0.1 s before the failure until 1 s after the call was carried by the next server; `undisturbed` is the same in as long
a time before it, in which nothing happened: what machine and phones add by themselves. Lost is a call that ended.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvloop

from haproxy_voip.core.credential import Credential
from haproxy_voip.edge.control_client import request
from haproxy_voip.embedded.demo_cluster import DOMAIN, Cluster
from haproxy_voip.embedded.demo_phone import DemoPhone
from haproxy_voip.embedded.facts import PhoneAnswered, PhoneEnded

FIRST_HOST, HOSTS = 25, 220  # the last number of the phones' addresses
CALLS_MAX = HOSTS // 2
TONES = (450, 800)
PATIENCE = 15.0
BEFORE, AFTER = 0.1, 1.0  # seconds looked at around a failure
ASK_EVERY = 0.02
FAILURES = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}
DRAIN = "drain"
# Seconds, p50 and p99 that the project promises; None: nothing is promised.
TARGETS: dict[str, tuple[float | None, float | None]] = {
    "kill": (0.040, 0.100),
    "freeze": (None, 0.150),
    DRAIN: (None, None),  # no packet is lost; what remains is what `undisturbed` has
}


Status = dict[str, Any]


class Failed(Exception):
    """It cannot be measured; the text says why."""


@dataclass(slots=True)
class Figures:
    """One kind of failure with so many calls; seconds."""

    failure: str
    calls: int
    gaps: list[float] = field(default_factory=list)
    undisturbed: list[float] = field(default_factory=list)
    detected: list[float] = field(default_factory=list)
    carried: list[float] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    lost: int = 0


@dataclass(slots=True)
class Scene:
    """Phones in calls through a cluster. An even one calls the next."""

    cluster: Cluster
    phones: list[DemoPhone]
    ended: int = 0

    @property
    def pairs(self) -> list[tuple[DemoPhone, DemoPhone]]:
        return list(zip(self.phones[::2], self.phones[1::2], strict=True))

    async def begin(self) -> None:
        """Everybody registered, and talking."""
        for phone in self.phones:
            await phone.start()
        for phone in self.phones:
            if not await phone.registered(PATIENCE):
                raise Failed(f"{phone.user} could not register")
        await self._registered_everywhere()
        for caller, callee in self.pairs:
            since = monotonic()
            caller.call(callee.user)
            if await caller.told(PhoneAnswered, since, PATIENCE) is None:
                raise Failed(f"{caller.user}'s call was not answered")
        for phone in self.phones:
            if await phone.audio.heard_after(monotonic(), PATIENCE) is None:
                raise Failed(f"{phone.user} hears nothing")

    async def round(self, figures: Figures) -> None:
        """The server that carries the calls fails, and returns."""
        window = BEFORE + AFTER
        await asyncio.sleep(window)
        status = await _in_thread(self.cluster.status)
        active = str(status["active"])
        expected = sum(int(row["calls"]) for row in status["backends"])
        pid = self.cluster.pids()[active]
        failed_at = monotonic()
        if figures.failure == DRAIN:
            arguments = {"name": active, "move": "yes"}
            await _in_thread(lambda: request(self.cluster.control, "drain", arguments))
            down = failed_at
        else:
            os.kill(pid, FAILURES[figures.failure])
            down = await self._told("BackendDown", failed_at, 1, backend=active)
        moved = await self._told("CallCarried", failed_at, expected)
        await asyncio.sleep(max(0.0, moved + AFTER - monotonic()))
        for pair in self.pairs:
            if all(phone.phone.calls for phone in pair):
                figures.gaps.append(max(phone.audio.longest_gap(failed_at - BEFORE, monotonic()) for phone in pair))
                figures.undisturbed.append(
                    max(phone.audio.longest_gap(failed_at - window, failed_at) for phone in pair)
                )
        figures.detected.append(down - failed_at)
        figures.carried.append(moved - failed_at)
        figures.signals += [str(told.fields["signal"]) for told in self.cluster.facts("BackendDown", failed_at)]
        ended = sum(phone.heard_of((PhoneEnded,), 0.0) for phone in self.phones) // 2
        figures.lost += ended - self.ended
        self.ended = ended
        if figures.failure == DRAIN:
            await _in_thread(lambda: request(self.cluster.control, "ready", {"name": active}))
        elif figures.failure == "freeze":
            os.kill(pid, signal.SIGCONT)
        else:
            self.cluster.start_backend(active)
        await self._registered_everywhere()

    async def _told(self, fact: str, after: float, count: int, **fields: str) -> float:
        """When the proxy told so for the last of so many times."""
        until = monotonic() + PATIENCE
        while len(found := self.cluster.facts(fact, after, **fields)) < count:
            if monotonic() > until:
                raise Failed(f"the proxy told {len(found)} times, not {count}, of {fact} {fields}")
            await asyncio.sleep(ASK_EVERY)
        return found[count - 1].at

    async def _registered_everywhere(self) -> None:
        until = monotonic() + PATIENCE
        while True:
            rows = (await _in_thread(self.cluster.status))["backends"]
            if all(row["health"] == "up" and row["registrations"] == len(self.phones) for row in rows):
                return
            if monotonic() > until:
                raise Failed(f"not every phone is registered everywhere: {rows}")
            await asyncio.sleep(ASK_EVERY)


async def measure(cluster: Cluster, calls: int, failures: Sequence[str], rounds: int) -> list[Figures]:
    """All rounds with so many calls."""
    scene = Scene(cluster, [_phone(cluster, number) for number in range(2 * calls)])
    found = [Figures(failure, calls) for failure in failures]
    try:
        await scene.begin()
        for figures in found:
            for _ in range(rounds):
                await scene.round(figures)
        return found
    finally:
        for phone in scene.phones:
            await phone.stop()


def _phone(cluster: Cluster, number: int) -> DemoPhone:
    tones = TONES if number % 2 == 0 else (TONES[1], TONES[0])
    user = _user(number)
    address = cluster.place.address(FIRST_HOST + number)
    return DemoPhone(Credential(user, DOMAIN, _password(user)), address, cluster.proxy_address, tones)


def _user(number: int) -> str:
    return str(2000 + number)


def _password(user: str) -> str:
    return f"secret {user}"


async def _in_thread(work: Callable[[], Status]) -> Status:
    return await asyncio.get_running_loop().run_in_executor(None, work)


def table(rows: Sequence[Figures]) -> str:
    """Lines for people, milliseconds."""
    head = f"{'':8}{'calls':>6}{'rounds':>7}{'detected':>10}{'carried':>9}"
    head += (
        f"{'gap p50':>10}{'target':>8}{'p99':>7}{'target':>8}{'worst':>7}{'undisturbed p50':>17}{'worst':>7}{'lost':>6}"
    )
    lines = [head]
    for row in rows:
        p50, p99 = TARGETS[row.failure]
        lines.append(
            f"{row.failure:8}{row.calls:6}{len(row.detected):7}{_ms(statistics.median(row.detected)):>10}"
            f"{_ms(statistics.median(row.carried)):>9}{_ms(statistics.median(row.gaps)):>10}{_ms(p50):>8}"
            f"{_ms(_percentile(row.gaps, 99)):>7}{_ms(p99):>8}{_ms(max(row.gaps)):>7}"
            f"{_ms(statistics.median(row.undisturbed)):>17}{_ms(max(row.undisturbed)):>7}{row.lost:6}   "
            + ", ".join(f"{name} {row.signals.count(name)}x" for name in dict.fromkeys(row.signals))
        )
    return "\n".join(lines)


def _percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, -(-len(ordered) * percent // 100) - 1)]


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", default="1,20", help=f"how many at a time, at most {CALLS_MAX}")
    parser.add_argument("--rounds", type=int, default=5, help="of each kind of failure")
    parser.add_argument("--failures", default="kill,freeze")
    parser.add_argument("--relay", default="auto", help="media.relay of the proxy: auto, kernel or userspace")
    options = parser.parse_args()
    rows: list[Figures] = []
    print(f"milliseconds from the failure; {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    for calls in map(int, options.calls.split(",")):
        users = {_user(number): _password(_user(number)) for number in range(2 * calls)}
        cluster = Cluster(users, options.relay)
        try:
            cluster.start()
            rows += uvloop.run(measure(cluster, calls, options.failures.split(","), options.rounds))
        finally:
            cluster.stop()
    print(table(rows))
    return 1 if any(row.lost for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
