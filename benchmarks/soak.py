"""Calls for a long time, the active backend killed every minute, reloads if wanted: what is lost, what is left over.

    python benchmarks/soak.py [--minutes 60] [--rate 50] [--hold 4] [--reloads 600 --reload-every 6]
    python benchmarks/soak.py --minutes 2 --rate 100 --reloads 100      # so many in a row, while calls are made

The proxy and three embedded PBXes are processes of their own; SIPp is 400 phones that call 400 others through a PBX,
which is two calls for the proxy and two for the PBX: each rings for 0.3 s, is answered, stays for --hold seconds and is
hung up by who called. No audio is sent. The PBX that is active gets SIGKILL every --kill-every seconds, and is started
again 5 s later; calls that are up must go on at the next one, and those being set up must get there.

A call is lost if it fails, or ends before its caller hangs up. A reload alternates between three files that differ in a
limit and in the order of backends that are not active. Left over is what a proxy without calls has more of at the end
than before the first call: calls, dialogs, transactions, bindings, ports, file descriptors. Exit status 1: something
was lost or left over. On a machine with other work it wants --urgent: calls that are late are set up again and again.

Needs `sipp` (Debian: sip-tester). All traffic is within 127.0.0.0/8.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.parts.exchange import BACKENDS, MAX_CALLS, Exchange
from benchmarks.parts.processes import become_urgent, running
from benchmarks.parts.soak_figures import Reading, curve, gone, leaks, reading
from benchmarks.parts.soak_load import Calling, Outcome, Phones, answer, call, outcome, register
from haproxy_voip.embedded.demo_place import CALLEE, CALLER

USERS = 400  # on each side; so a user's next call begins long after the last one has ended
FIRST_CALLER, FIRST_CALLEE = 2000, 6000
REGISTER_RATE = 100.0
RESTART_AFTER = 5.0
READ_EVERY = 15.0
LOOK_EVERY = 0.2
RELOAD_EVERY = 0.3
SETTLE_SECONDS = 45.0  # transactions live 32 s, ports rest 5 s
LAST_SECONDS = 40.0  # for calls that are up when the last one begins


@dataclass(slots=True)
class Soak:
    """One run."""

    exchange: Exchange
    options: argparse.Namespace
    began: float = field(default_factory=time.monotonic)
    readings: list[Reading] = field(default_factory=list)
    kills: int = 0
    reloads: int = 0
    refused_reloads: list[str] = field(default_factory=list)
    _dead: tuple[str, float] | None = None  # to be started again, and when
    _kill_at: float = 0.0
    _reload_at: float = 0.0
    _read_at: float = 0.0

    def read(self) -> Reading:
        found = reading(self.exchange.pid, self.exchange.status(), time.monotonic() - self.began)
        self.readings.append(found)
        return found

    def watch(self, calling: subprocess.Popen[bytes], seconds: float) -> None:
        """Kill, start again, reload and read, until all calls were made."""
        began = time.monotonic()
        self._kill_at = began + self.options.kill_every / 2
        last_kill = began + seconds - RESTART_AFTER
        until = began + seconds + LAST_SECONDS
        while calling.poll() is None:
            now = time.monotonic()
            if now > until:
                print(f"SIPp had not ended {LAST_SECONDS:.0f} s after its last call")
                return
            self._start_again(now)
            if self.options.kill_every and self._kill_at <= now < last_kill:
                self._kill(now)
            if self.reloads < self.options.reloads and now >= self._reload_at:
                self._reload()
                self._reload_at = time.monotonic() + self.options.reload_every
            if now >= self._read_at:
                self.read()
                self._read_at = now + READ_EVERY
            time.sleep(LOOK_EVERY)

    def _kill(self, now: float) -> None:
        active = self.exchange.status()["active"]
        self._kill_at = now + (self.options.kill_every if active else 1.0)
        if active and self._dead is None:
            self.exchange.kill(active)
            self.kills += 1
            self._dead = active, now + RESTART_AFTER

    def _start_again(self, now: float) -> None:
        if self._dead is not None and now >= self._dead[1]:
            self.exchange.start_backend(self._dead[0])
            self._dead = None

    def _reload(self) -> None:
        self.reloads += 1
        active = self.exchange.status()["active"]
        others = [name for name in BACKENDS if name != active]
        first = [active] if active else []
        order = first + (others if self.reloads % 2 else others[::-1])
        self.exchange.configure(order, MAX_CALLS + self.reloads % 3)
        if "error" in (answered := self.exchange.reload()):
            self.refused_reloads.append(str(answered["error"]))

    def settle(self, registrations: int) -> Reading:
        """When nothing is left to be done."""
        self._start_again(float("inf"))
        self.exchange.wait(lambda: self.exchange.all_up(registrations), "every backend is up and knows everybody")
        time.sleep(SETTLE_SECONDS)
        return self.read()


def run(exchange: Exchange, options: argparse.Namespace) -> bool:
    """Whether all went well."""
    callers = [str(FIRST_CALLER + number) for number in range(USERS)]
    callees = [str(FIRST_CALLEE + number) for number in range(USERS)]
    exchange.start()
    port, proxy = exchange.place.port, str(exchange.address)
    calling, called = (Phones(exchange.place.host(number), port, proxy) for number in (CALLER, CALLEE))
    folders = {name: exchange.folder / name for name in ("register", "answer", "call")}
    for folder in folders.values():
        folder.mkdir()
    argv = register(called, folders["register"], callees, REGISTER_RATE)
    with running(argv, folders["register"] / "log", folders["register"]) as registering:
        registering.wait()
    exchange.wait(lambda: exchange.all_up(USERS), "everybody is registered everywhere")
    soak = Soak(exchange, options)
    before = soak.read()
    seconds = options.minutes * 60
    plan = Calling(list(zip(callers, callees, strict=True)), int(seconds * options.rate), options.rate, options.hold)
    with running(answer(called, folders["answer"]), folders["answer"] / "log", folders["answer"]) as answering:
        with running(call(calling, folders["call"], plan), folders["call"] / "log", folders["call"]) as process:
            soak.watch(process, seconds)
        after = soak.settle(USERS)
        if answering.poll() is not None:
            print("the phones' SIPp ended before its time")
    return report(soak, outcome(folders["call"]), before, after)


def report(soak: Soak, calls: Outcome, before: Reading, after: Reading) -> bool:
    """Print everything; whether all went well."""
    print("\n".join(curve(soak.readings)))
    failovers = len(soak.exchange.status()["failovers"])
    print(f"\n{calls.made} calls, {calls.failed} failed, {calls.cut} cut off; {soak.kills} kills", end="; ")
    print(f"the last {failovers} failovers are known; {soak.reloads} reloads, {len(soak.refused_reloads)} refused")
    if calls.errors:
        print(f"the first errors of SIPp:\n{calls.errors}")
    for complaint in soak.refused_reloads[:3]:
        print(f"reload refused: {complaint}")
    left, missing = leaks(before, after), gone(before, after)
    print(f"left over: {left or 'nothing'}; bindings lost: {missing or 'none'}")
    print(
        f"resident before the first call {before.rss_kib / 1024:.1f} MiB, after the last {after.rss_kib / 1024:.1f} MiB"
    )
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    return not (calls.lost or left or missing or soak.refused_reloads)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=50.0, help="calls per second")
    parser.add_argument("--hold", type=float, default=4.0, help="seconds a call stays")
    parser.add_argument("--kill-every", type=float, default=60.0, help="seconds; 0: nobody is killed")
    parser.add_argument("--reloads", type=int, default=0, help="so many in a row")
    parser.add_argument("--reload-every", type=float, default=RELOAD_EVERY, help="seconds from one's end to the next")
    parser.add_argument("--urgent", action="store_true", help="before all else the machine has to do; as root")
    options = parser.parse_args()
    if options.urgent:
        become_urgent()
    if shutil.which("sipp") is None:
        sys.exit("sipp is missing (Debian: apt-get install sip-tester)")
    users = [str(first + number) for first in (FIRST_CALLER, FIRST_CALLEE) for number in range(USERS)]
    exchange = Exchange(users, options.urgent)
    try:
        return 0 if run(exchange, options) else 1
    finally:
        exchange.stop()


if __name__ == "__main__":
    sys.exit(main())
