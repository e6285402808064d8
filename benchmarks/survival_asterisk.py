"""What people hear when the Asterisk their calls are on is killed or freezes.

    sudo python benchmarks/survival_asterisk.py [--rounds 20] [--calls 1,20,100] [--suites bullseye,sid]
                                                [--kinds phones,echo,conference] [--failures kill,freeze]

Three Asterisks (bullseye: 16, sid: 22) and the proxy are processes of their own, the phones are all in this one; needs
what tests/interop/setup.sh installs. The server that carries the calls gets SIGKILL or SIGSTOP, and comes back after
they have moved; calls are set up once and go through all rounds. All times are of arrival at the phones, by the clock
of the kernel:

  gap          the longest time a call was without sound, on either side: from 0.1 s before the failure to the end
  undisturbed  the same in the second before the failure: what machine and phones add by themselves
  switch       the longest time between two packets from 60 ms after the sound was back, while the call goes from the
               bridge to the next server
  missing      packets of 20 ms that were said and never heard, by phone
  twice, late  packets that were heard twice, or after what was said later
  lost         calls that ended, or were silent at the end
  left         halves of calls that no server took: their phones are joined until somebody hangs up

`phones` are calls of two phones; `echo` and `conference` (rooms of ten, three at least) are calls with the server
itself, counted by phone. They hear comfort noise, which is no sound here, until the next server has them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.parts.talkers import Choir, Talker, longest, talker
from tests.interop.handset import Call, Handset
from tests.interop.machine import exclusive, what_is_missing
from tests.interop.parties import CALLEE, CALLER
from tests.interop.proxy import Proxy, ProxySetting
from tests.interop.servers import ASTERISK_ADDRESSES, Asterisk, Setting, asterisk, suite_is_there

FIRST_USER = 1001
CALLS_MAX = 400
ROOM = 10  # members of one conference
KNOWN_SECONDS = 2.5  # of talk, until it is known by what is said who talks to whom
BEFORE, AFTER = 0.1, 1.5  # seconds looked at around a failure
UNDISTURBED = 1.0
BACK = 0.060  # after the first packet that is heard again, the switch has not come yet, and the gap is over
PATIENCE = 30.0
MOVED_SECONDS = 8.0  # longer than any server is waited for
FAILURES: dict[str, Callable[[Asterisk], float]] = {"kill": Asterisk.kill, "freeze": Asterisk.freeze}
KINDS = ("phones", "echo", "conference")
# Seconds that the project promises, p50 and p99 of the gap between phones, and the worst switch; None: nothing.
TARGETS: dict[str, tuple[float | None, float]] = {"kill": (0.040, 0.100), "freeze": (None, 0.150)}
SWITCH = 0.020


@dataclass(slots=True)
class Line:
    """One phone's part in one call: what it hears of whom."""

    ear: Talker
    speaker: int | None  # None: whoever is loud
    call: Call

    def times(self, begin: float, end: float) -> list[float]:
        """When sound came."""
        if self.speaker is None:
            return self.ear.heard_loud(begin, end)
        return [at for at, _ in self.ear.heard_of(self.speaker, begin, end)]

    def disorder(self, begin: float, end: float) -> tuple[int, int, int]:
        """How many packets were not heard, how many twice, and how many late."""
        if self.speaker is None:
            return 0, 0, 0
        twice = late = newest = 0
        heard: set[int] = set()
        for _, which in self.ear.heard_of(self.speaker, begin, end):
            twice += which in heard
            late += which not in heard and which < newest
            heard.add(which)
            newest = max(newest, which)
        missing = max(heard) - min(heard) + 1 - len(heard) if heard else 0
        return missing, twice, late


@dataclass(slots=True)
class Figures:
    """Of one kind of call and of failure; seconds."""

    suite: str
    kind: str
    failure: str
    calls: int
    gaps: list[float] = field(default_factory=list)
    undisturbed: list[float] = field(default_factory=list)
    switches: list[float] = field(default_factory=list)
    detected: list[float] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    twice: int = 0
    late: int = 0
    lost: int = 0
    left: int = 0  # legs that no server took: joined in the relay for good


@dataclass(slots=True)
class Scene:
    """Calls through a cluster. Each is one line, or two that belong together."""

    proxy: Proxy
    servers: Sequence[Asterisk]
    choir: Choir
    handsets: list[Handset] = field(default_factory=list)
    calls: list[list[Line]] = field(default_factory=list)

    # -- setting up ---------------------------------------------------------------------------------

    def begin(self, kind: str, count: int) -> None:
        """Everybody is registered, and talks."""
        phones = {"phones": 2 * count, "echo": count, "conference": max(3, count)}[kind]
        self.handsets += [self._phone(number) for number in range(phones)]
        self.proxy.wait_registered(phones, seconds=PATIENCE)
        if kind == "phones":
            for caller, callee in zip(self.handsets[::2], self.handsets[1::2], strict=True):
                self.calls.append(_connect(caller, callee))
            return
        for number, handset in enumerate(self.handsets):
            call = handset.call("600" if kind == "echo" else str(700 + number // _room(phones)))
            call.wait_answered(PATIENCE)
            ear = _ear(handset)
            self.calls.append([Line(ear, ear.number if kind == "echo" else None, call)])

    def _phone(self, number: int) -> Handset:
        ear = talker((CALLEE if number % 2 else CALLER, 0), number + 1)
        self.choir.add(ear)
        user = str(FIRST_USER + number)
        handset = Handset(user=user, server=self.proxy.address, address=ear.local[0], ear=ear)
        handset.start()
        assert handset.register() == 200
        return handset

    def end(self) -> None:
        """Everybody hangs up and leaves."""
        for lines in self.calls:
            if lines[0].call.ended_at is None:
                lines[0].call.hang_up()
        for handset in self.handsets:
            handset.leave()

    # -- one failure --------------------------------------------------------------------------------

    def round(self, figures: Figures) -> None:
        """The server that carries the calls fails, and returns."""
        self.proxy.wait_registered(len(self.handsets), seconds=PATIENCE)
        self.choir.forget()
        time.sleep(KNOWN_SECONDS)
        name = self.proxy.status()["active"]
        server = next(server for server in self.servers if server.name == name)
        failed_at = FAILURES[figures.failure](server)
        self.proxy.wait(lambda status: status["active"] not in (name, None), PATIENCE)
        left_at = time.monotonic() + MOVED_SECONDS
        while (left := self.proxy.row(name)["calls"]) and time.monotonic() < left_at:
            time.sleep(0.02)
        figures.left += left
        time.sleep(AFTER)
        end = time.monotonic() - BEFORE
        record = next(record for record in reversed(self.proxy.status()["failovers"]) if record["backend"] == name)
        figures.detected.append(record["detected_after"])
        figures.signals.append("no media" if record["signal"].startswith("no media") else record["signal"])
        for lines in list(self.calls):
            self._judge(figures, lines, failed_at, end)
        if figures.failure == "freeze":
            server.thaw()
        else:
            server.stop()
            server.start()

    def _judge(self, figures: Figures, lines: list[Line], failed_at: float, end: float) -> None:
        heard = [line.times(failed_at - UNDISTURBED, end) for line in lines]
        if any(line.call.ended_at is not None for line in lines) or any(not t or t[-1] < end - 0.5 for t in heard):
            figures.lost += 1
            self.calls.remove(lines)
            return
        figures.undisturbed.append(max(_within(t, failed_at - UNDISTURBED, failed_at) for t in heard))
        gaps = [_gap(times, failed_at, end) for times in heard]
        figures.gaps.append(max(longest for longest, _ in gaps))
        figures.switches.append(max(_within(t, back + BACK, end) for t, (_, back) in zip(heard, gaps, strict=True)))
        for line in lines:
            missing, twice, late = line.disorder(failed_at - BEFORE, end)
            figures.missing.append(missing)
            figures.twice, figures.late = figures.twice + twice, figures.late + late


def _gap(times: list[float], failed_at: float, end: float) -> tuple[float, float]:
    """The longest time without sound, and when it was over."""
    seen = [at for at in times if at >= failed_at - BEFORE]
    return max((later - earlier, later) for earlier, later in pairwise([failed_at - BEFORE, *seen, end]))


def _within(times: list[float], begin: float, end: float) -> float:
    """The longest time between two packets of this time."""
    seen = [at for at in times if begin <= at <= end]
    return longest(seen, seen[0], seen[-1]) if len(seen) > 1 else end - begin


def _connect(caller: Handset, callee: Handset) -> list[Line]:
    ours = caller.call(callee.user)
    theirs = callee.wait_call()
    theirs.answer()
    ours.wait_answered(PATIENCE)
    one, other = _ear(caller), _ear(callee)
    return [Line(one, other.number, ours), Line(other, one.number, theirs)]


def _ear(handset: Handset) -> Talker:
    assert isinstance(handset.ear, Talker)
    return handset.ear


def _room(phones: int) -> int:
    """How many to a room, so that nobody is alone in the last one."""
    rooms = max(1, phones // ROOM)
    return -(-phones // rooms)


def measure(folder: Path, suite: str, kind: str, calls: int, options: argparse.Namespace) -> list[Figures]:
    """All rounds with so many calls of one kind."""
    found = [Figures(suite, kind, failure, calls) for failure in options.failures.split(",")]
    users = 2 * max(3, calls)
    with ExitStack() as stack:
        servers = []
        for name in ASTERISK_ADDRESSES:
            (folder / name).mkdir(parents=True)
            servers.append(asterisk(name, folder / name, Setting(suite=suite, users=users)))
            servers[-1].start()
            stack.callback(servers[-1].stop)
        (folder / "proxy").mkdir()
        proxy = Proxy(folder / "proxy", servers, ProxySetting(users=users, relay=options.relay))
        proxy.start()
        stack.callback(proxy.stop)
        choir = Choir()
        stack.callback(choir.stop)
        scene = Scene(proxy, servers, choir)
        stack.callback(scene.end)
        scene.begin(kind, calls)
        for figures in found:
            for number in range(options.rounds):
                scene.round(figures)
                print(f"{suite} {kind} {figures.failure} {number + 1}/{options.rounds}: {_brief(figures)}", flush=True)
    return found


def _brief(figures: Figures) -> str:
    """The last round."""
    last = figures.gaps[-figures.calls :] or [0.0]
    return f"gap {_ms(statistics.median(last))}, worst {_ms(max(last))}; lost {figures.lost}"


def table(rows: Sequence[Figures]) -> str:
    """Lines for people, milliseconds."""
    gaps = f"{'p50':>4}{'p99':>6}{'worst':>7}"
    lines = [
        f"{'':26}{'calls':>6}{'rounds':>7}{'detected':>9} |{'gap':>4}{gaps} |{'undisturbed':>12}{'worst':>6} |"
        f"{'switch':>7}{gaps} |{'missing':>8}{gaps} |{'twice':>6}{'late':>5}{'lost':>5}{'left':>5}   signals"
    ]
    for row in rows:
        name = f"{row.suite} {row.kind} {row.failure}"
        lines.append(
            f"{name:26}{row.calls:6}{len(row.detected):7}{_ms(statistics.median(row.detected)):>9} |"
            f"{_p(row.gaps, 50):>8}{_p(row.gaps, 99):>6}{_p(row.gaps, 100):>7} |"
            f"{_p(row.undisturbed, 50):>12}{_p(row.undisturbed, 100):>6} |"
            f"{_p(row.switches, 50):>11}{_p(row.switches, 99):>6}{_p(row.switches, 100):>7} |"
            f"{_percentile(row.missing, 50):>12}{_percentile(row.missing, 99):>6}{_percentile(row.missing, 100):>7} |"
            f"{row.twice:6}{row.late:5}{row.lost:5}{row.left:5}   "
            + ", ".join(f"{name} {row.signals.count(name)}x" for name in dict.fromkeys(row.signals))
        )
    for failure, (p50, p99) in TARGETS.items():
        lines.append(f"target: phones {failure}, gap p50 {_ms(p50)}, p99 {_ms(p99)}; switch {_ms(SWITCH)}; none lost")
    return "\n".join(lines)


def _p(values: Sequence[float], percent: int) -> str:
    return _ms(_percentile(values, percent)) if values else _ms(None)


def _percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent do not exceed; 0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, -(-len(ordered) * percent // 100) - 1)] if ordered else 0


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of each kind of failure")
    parser.add_argument("--calls", default="1,20", help=f"how many at a time, at most {CALLS_MAX}")
    parser.add_argument("--suites", default="bullseye,sid")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--failures", default=",".join(FAILURES))
    parser.add_argument("--relay", default="auto", help="auto, kernel or userspace")
    options = parser.parse_args()
    missing = what_is_missing()
    if missing:
        print(f"skipped: {missing}")
        return 0
    rows: list[Figures] = []
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    with exclusive(), tempfile.TemporaryDirectory() as folder:
        for suite in filter(suite_is_there, options.suites.split(",")):
            for kind in options.kinds.split(","):
                for calls in map(int, options.calls.split(",")):
                    rows += measure(Path(folder) / f"{suite}-{kind}-{calls}", suite, kind, calls, options)
    print(table(rows))
    return 1 if any(row.lost for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
