"""How speed, memory, CPU and failover grow with registrations, and with calls that are up.

    python benchmarks/growth.py [--registrations 1000,5000,20000] [--calls 10,100,500,2000] [--modes mirror,active]

The proxy and three embedded PBXes are processes of their own; SIPp is the phones. For each size everything starts anew.

Registrations: all users register, one after the other, as fast as answers come, 50 under way; `new` and `refresh` are
phones' registrations, challenge included. In mirror mode each is made at three PBXes besides, in active mode at one;
the CPU time is the proxy's, has that in it, and lasts until transactions are forgotten. Failover: SIGKILL for the
active PBX; from there until another is active, and until that holds every registration.

Calls: phones call phones through the PBX, so a conversation is two calls for the proxy, which is what is counted. Once
all are up and the transactions of setting them up are gone: CPU while nothing happens, and from SIGKILL until another
PBX is active and until that carries every call. No audio is sent.

KiB is what is resident more for each of the second half: the first one makes room for transactions, which the second
finds. Both are looked at when their transactions have been forgotten.

Needs `sipp` (Debian: sip-tester). All traffic is within 127.0.0.0/8.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.parts.exchange import Exchange
from benchmarks.parts.processes import become_urgent, cpu_seconds, running
from benchmarks.parts.soak_figures import rss_kib
from benchmarks.parts.soak_load import Calling, Phones, answer, call, outcome, register
from haproxy_voip.embedded.demo_place import CALLEE, CALLER, SECOND_CALLER

FIRST_USER = 100_000
WINDOW = 50  # registrations under way at once
AS_FAST_AS_ANSWERS_COME = 5_000.0  # a second
CALL_RATE = 25.0
FORGOTTEN_SECONDS = 36.0  # transactions live 32 s
IDLE_SECONDS = 4.0
PATIENCE_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Spell:
    """All users registered once."""

    per_second: float
    cpu_us: float  # of the proxy, for each


@dataclass(frozen=True, slots=True)
class Failover:
    """Seconds from a kill."""

    active: float  # until another one is
    whole: float  # until that has everything


@contextmanager
def exchange(users: int, urgent: bool, mode: str = "mirror") -> Iterator[Exchange]:
    """A running one with so many users."""
    names = [str(FIRST_USER + number) for number in range(users)]
    found = Exchange(names, urgent, f"registration: {mode}\n")
    try:
        found.start()
        yield found
    finally:
        found.stop()


def phones(of: Exchange, number: int) -> Phones:
    return Phones(of.place.host(number), of.place.port, str(of.address))


def folder(of: Exchange, name: str) -> Path:
    made = of.folder / name
    made.mkdir()
    return made


def everybody_registers(of: Exchange, name: str, users: range) -> float:
    """Seconds it took. Raises SystemExit when somebody could not."""
    place, names = folder(of, name), [str(user) for user in users]
    argv = register(phones(of, CALLEE), place, names, AS_FAST_AS_ANSWERS_COME)
    began = time.monotonic()
    with running([*argv[:-1], "-l", str(WINDOW), argv[-1]], place / "log", place) as process:
        process.wait()
    took = time.monotonic() - began
    if (found := outcome(place)).failed:
        raise SystemExit(f"{found.failed} of {len(names)} could not register\n{found.errors}")
    return took


def idle_load(process: int) -> float:
    """Share of a processor that it takes when nothing happens."""
    before = cpu_seconds(process)
    time.sleep(IDLE_SECONDS)
    return (cpu_seconds(process) - before) / IDLE_SECONDS


def fail(of: Exchange, whole: Callable[[], bool]) -> Failover:
    """Kill the active one."""
    dead = of.status()["active"]
    at = of.kill(dead)
    of.wait(lambda: of.status()["active"] not in (None, dead), "another one is active")
    active = time.monotonic() - at
    of.wait(whole, "the next one has everything", PATIENCE_SECONDS)
    return Failover(active, time.monotonic() - at)


@dataclass(slots=True)
class Growing:
    """Registrations of one exchange."""

    of: Exchange
    mode: str
    idle: float  # share of a processor, before the first one
    spells: dict[str, list[Spell]] = field(default_factory=dict)

    def spell(self, name: str, users: range, whole: int) -> None:
        """They register, until that is everywhere, where `whole` are then, and forgotten."""
        cpu, began = cpu_seconds(self.of.pid), time.monotonic()
        took = everybody_registers(self.of, f"{name}-{users.start}", users)
        self.of.wait(lambda: self.everywhere(whole), "everybody is registered at the backends", PATIENCE_SECONDS)
        time.sleep(FORGOTTEN_SECONDS)
        anyway = self.idle * (time.monotonic() - began)
        used = max(0.0, cpu_seconds(self.of.pid) - cpu - anyway)
        self.spells.setdefault(name, []).append(Spell(len(users) / took, used / len(users) * 1e6))

    def everywhere(self, count: int) -> bool:
        return self.of.all_up(count) if self.mode == "mirror" else self.of.at_active("registrations", count)

    def column(self, name: str) -> str:
        spells = self.spells[name]
        speed = statistics.harmonic_mean([one.per_second for one in spells])
        return f"{speed:10.0f}{statistics.mean(one.cpu_us for one in spells):8.0f}"


def registrations(count: int, mode: str, urgent: bool) -> str:
    """A line of the table."""
    half = FIRST_USER + count // 2
    with exchange(count, urgent, mode) as of:
        time.sleep(IDLE_SECONDS)
        growing = Growing(of, mode, idle_load(of.pid))
        growing.spell("new", range(FIRST_USER, half), count // 2)
        half_kib = rss_kib(of.pid)
        growing.spell("new", range(half, FIRST_USER + count), count)
        each = (rss_kib(of.pid) - half_kib) / (count - count // 2)
        growing.spell("refresh", range(FIRST_USER, FIRST_USER + count), count)
        idle = idle_load(of.pid)
        failed = fail(of, lambda: of.at_active("registrations", count))
    return (
        f"{count:14,} {mode:8}{growing.column('new')}{growing.column('refresh')}{each:7.1f}{idle:8.1%}"
        f"{failed.active * 1e3:13.0f}{failed.whole * 1e3:10.0f}{load():>7}"
    )


@contextmanager
def conversations(of: Exchange, host: int, users: range, hold: float) -> Iterator[None]:
    """The first half of the users call the second, from an address of their own."""
    pairs = len(users) // 2
    who = [(str(caller), str(callee)) for caller, callee in zip(users[:pairs], users[pairs:], strict=True)]
    place = folder(of, f"call-{host}")
    argv = call(phones(of, host), place, Calling(who, pairs, CALL_RATE, hold))
    with running(argv, place / "log", place):
        yield


def calls(count: int, urgent: bool) -> str:
    """A line of the table."""
    users = range(FIRST_USER, FIRST_USER + count)
    hold = count / CALL_RATE + 4 * FORGOTTEN_SECONDS + PATIENCE_SECONDS
    with ExitStack() as stack:
        of = stack.enter_context(exchange(count, urgent))
        everybody_registers(of, "register", users)
        of.wait(lambda: of.all_up(count), "everybody is registered everywhere", PATIENCE_SECONDS)
        ringing = folder(of, "answer")
        stack.enter_context(running(answer(phones(of, CALLEE), ringing), ringing / "log", ringing))
        sizes, up = [], 0
        for host, some in ((CALLER, users[: count // 4 * 2]), (SECOND_CALLER, users[count // 4 * 2 :])):
            stack.enter_context(conversations(of, host, some, hold))
            up += len(some)
            of.wait(lambda up=up: of.at_active("calls", up), f"{up} calls are up", PATIENCE_SECONDS)  # type: ignore[misc]
            time.sleep(FORGOTTEN_SECONDS)
            sizes.append(rss_kib(of.pid))
        each, idle = (sizes[1] - sizes[0]) / len(some), idle_load(of.pid)
        failed = fail(of, lambda: of.at_active("calls", count))
    return f"{count:14,}{each:8.1f}{idle:8.1%}{failed.active * 1e3:13.0f}{failed.whole * 1e3:10.0f}{load():>7}"


def load() -> str:
    return f"{os.getloadavg()[0]:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registrations", default="1000,5000,20000", help="how many; empty: none")
    parser.add_argument("--calls", default="10,100,500,2000", help="even numbers; empty: none")
    parser.add_argument("--modes", default="mirror", help="of registration: mirror, active")
    parser.add_argument("--urgent", action="store_true", help="before all else the machine has to do; as root")
    options = parser.parse_args()
    if shutil.which("sipp") is None:
        sys.exit("sipp is missing (Debian: apt-get install sip-tester)")
    if options.urgent:
        become_urgent()
    print(f"{os.cpu_count()} processors; the load average stands at the end of each line")
    if options.registrations:
        print(
            f"\n{'registrations':>14} {'mode':8}{'new/s':>10}{'CPU us':>8}{'refresh/s':>10}{'CPU us':>8}{'KiB':>7}"
            f"{'idle':>8}{'active in ms':>13}{'whole ms':>10}{'load':>7}"
        )
    for mode in options.modes.split(","):
        for count in map(int, filter(None, options.registrations.split(","))):
            print(registrations(count, mode, options.urgent), flush=True)
    if options.calls:
        print(f"\n{'calls':>14}{'KiB':>8}{'idle':>8}{'active in ms':>13}{'whole ms':>10}{'load':>7}")
    for count in map(int, filter(None, options.calls.split(","))):
        print(calls(count, options.urgent), flush=True)


if __name__ == "__main__":
    main()
