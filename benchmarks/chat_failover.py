"""How long the failure of a chat server is felt, and how fast many sessions are at the next one.

    sudo python benchmarks/chat_failover.py [--rounds 20] [--sets prosody,ejabberd,mixed]
                                          [--sessions 100,1000] [--servers prosody,ejabberd,embedded]
                                          [--standby available,hot,warm,cold]

Ten slixmpp clients of eight users, all in one room, with carbons, say 40 words a second, one to one with receipts and
every fifth to the room, while the active server is killed (SIGKILL), frozen (SIGSTOP) or stopped (SIGTERM); in the same
moment each of them says one more. The figures are the longest waits of any word said from 0.2 s before the failure to
1 s after it until its last listener had it, one to one and in the room. Faults are words lost, doubled, out of order or
heard by the wrong one, receipts missing or doubled, presence told for no reason, and clients disconnected. This is
done with sessions that are available at the next server beforehand, and with such as are hidden there (hot).

Then as many sessions as --sessions says, all idle, at a server that is killed, twice: the time from the verdict on it
until the last one is settled at the next, where each was available or kept ready (hot), was logged in (warm) or was
not known (cold), and how much CPU time the proxy took from the kill until then. The embedded server is this package's
own; all its users have each other as contacts, so there nobody says that it is there, but everybody wants carbons.
Default health checks; servers keep their files in memory. Needs what tests/interop/setup.sh installs.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.parts.chatters import Chatters, Refused
from benchmarks.parts.processes import cpu_seconds
from tests.interop.chat_house import House, Plan, chat_house
from tests.interop.chat_proxy import ChatSetting
from tests.interop.chatting import Account, Chatting
from tests.interop.machine import exclusive, what_is_missing
from tests.interop.proxy import Status
from tests.interop.talkers import Talker

SETS = {
    "prosody": ("prosody", "prosody", "prosody"),
    "ejabberd": ("ejabberd", "ejabberd", "ejabberd"),
    "mixed": ("prosody", "ejabberd", "prosody"),
}
# Ways to prepare with which it is measured how long a failure is felt.
FELT = ("available", "hot")
# Failure -> median target, seconds; None where the server goes in peace.
FAILURES = {"kill": 0.100, "freeze": 0.300, "stop": None}
SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "stop": signal.SIGTERM}
USERS, SECOND, PERIOD = 8, 2, 0.250
BEFORE, AFTER = 0.5, 1.0
HEADINGS = f"{'rounds':>7}{'median':>9}{'target':>8}{'worst':>9}{'in room':>9}{'worst':>9}{'words':>8}  faults"
AT_ONCE = 10  # log in
READY_SECONDS = 120.0  # a reserve for each of 1,000 sessions, on a crowded machine
REST_SECONDS = 2.0  # the last reserves are counted as soon as they connect
# Sessions, hot -> seconds from the verdict until the last one is settled.
TARGETS = {100: 0.150, 1000: 2.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="of each kind of failure")
    parser.add_argument("--sets", default=",".join(SETS), help="which servers")
    parser.add_argument("--sessions", default="100,1000", help="how many move at once; empty: none")
    parser.add_argument("--servers", default="prosody", help="that so many are at")
    parser.add_argument("--standby", default="available,hot,warm,cold", help="how those that move are prepared")
    options = parser.parse_args()
    missing = what_is_missing()
    if missing:
        print(f"skipped: {missing}")
        return 0
    with exclusive():
        print(f"{'milliseconds':27}{HEADINGS}")
        for name in filter(None, options.sets.split(",")):
            for standby in (one for one in FELT if one in options.standby.split(",")):
                felt(name, standby, options.rounds)
        for count in filter(None, options.sessions.split(",")):
            for family in options.servers.split(","):
                for standby in options.standby.split(","):
                    storm(int(count), family, standby)
    return 0


# -- how long it is felt ------------------------------------------------------------------------------------


def felt(family: str, standby: str, rounds: int) -> None:
    """All failures of one set of servers."""
    name = f"{family} {standby}"
    with chat_house(Plan(families=SETS[family], setting=ChatSetting(standby=standby))) as house:
        company = house.company(USERS, SECOND, room="party")
        for failure, target in FAILURES.items():
            waits, accounts = list[tuple[float, float]](), list[Account]()
            for number in range(rounds):
                wait, account = one_round(house, company, failure)
                waits.append(wait)
                accounts.append(account)
                told = f"{wait[0] * 1000:.0f} ms, in the room {wait[1] * 1000:.0f} ms {account.faults or ''}"
                progress(f"{name} {failure} {number + 1}/{rounds}: {told}")
            progress("")
            print(row(f"{name} {failure}", target, waits, accounts), flush=True)


def row(name: str, target: float | None, waits: list[tuple[float, float]], accounts: list[Account]) -> str:
    """One line of the table."""
    faults = Counter[str]()
    for account in accounts:
        faults.update({kind: len(found) for kind, found in account.faults.items()})
    aim = "" if target is None else f"{target * 1000:.0f}"
    figures = [(statistics.median(kind) * 1000, max(kind) * 1000) for kind in zip(*waits, strict=True)]
    (one_to_one, worst), (room, worst_in_room) = figures
    told = ", ".join(f"{count} {kind}" for kind, count in faults.items()) or "none"
    words = sum(account.words for account in accounts)
    return (
        f"{name:27}{len(waits):7}{one_to_one:9.0f}{aim:>8}{worst:9.0f}{room:9.0f}{worst_in_room:9.0f}{words:8}  {told}"
    )


def one_round(house: House, company: list[Talker], failure: str) -> tuple[tuple[float, float], Account]:
    """The longest waits around one failure, one to one and in the room, and what became of every word."""
    house.restore()
    failing = house.active()
    with Chatting(house.talkers, company, "party@rooms.voip.example", PERIOD) as chatting:
        time.sleep(BEFORE)
        failed_at = time.monotonic()
        failing.process.signal(SIGNALS[failure])
        chatting.everybody_speaks()
        time.sleep(AFTER)
        if failure != "freeze":
            failing.process.stop()
        failing.ensure()
    account = chatting.account()
    since, until = failed_at - 0.2, failed_at + AFTER
    return (account.longest_wait(since, until, room=False), account.longest_wait(since, until, room=True)), account


# -- how fast many move -------------------------------------------------------------------------------------


def storm(count: int, family: str, standby: str) -> None:
    """So many sessions at once, twice: to the other server, and back."""
    setting = ChatSetting(users=count, standby=standby, lines=(f"limits: {{max_chats: {2 * count}}}",))
    plan = Plan(families=(family, family), users=count, contacts=False, setting=setting)
    with chat_house(plan) as house, Chatters(house.proxy.address) as chatters:
        began = time.monotonic()
        for first in range(0, count, AT_ONCE):
            users = range(1001 + first, 1001 + min(first + AT_ONCE, count))
            try:
                chatters.log_in(*users, available=family != "embedded")
            except Refused as error:
                raise SystemExit(f"{error}\n{house.proxy.story()}") from None
            progress(f"{first} of {count} sessions")
        logged_in = time.monotonic() - began
        for _ in range(2):
            record, cpu = moved(house, count)
            back, detected = record["settled_after"], record["detected_after"]
            target = TARGETS.get(count) if standby in FELT else None
            aim = "" if target is None else f" (target {target * 1000:.0f})"
            progress("")
            told = f"back {back * 1000:.0f} ms{aim} after the verdict, which took {detected * 1000:.0f} ms"
            cost = f"logging in took {logged_in / count * 1000:.1f} ms each, {len(chatters.again)} had to try again"
            load = f"proxy {cpu * 1000:.0f} ms of CPU, load {os.getloadavg()[0]:.1f}"
            print(
                f"{count} sessions, {family}, {standby}: {told}, {load}; {chatters.lost} disconnected; {cost}",
                flush=True,
            )
            house.restore(READY_SECONDS)
        for text, times in Counter(chatters.again).items():
            print(f"  {times} x {text}")


def moved(house: House, count: int) -> tuple[Status, float]:
    """Kill the active server; the record of what followed, once it is over, and the proxy's CPU seconds by then."""
    assert house.proxy.process is not None
    process = house.proxy.process.group
    active = house.active()
    before = len(house.proxy.wait_ready(active.name, READY_SECONDS)["chat_failovers"])
    time.sleep(REST_SECONDS)
    used = cpu_seconds(process)
    active.kill()
    record: Status = house.proxy.wait(lambda now: settled(now, count, before), seconds=60.0)["chat_failovers"][-1]
    return record, cpu_seconds(process) - used


def settled(status: Status, count: int, before: int) -> bool:
    """Whether one more failover than before, of so many sessions, is over."""
    records = status["chat_failovers"]
    assert isinstance(records, list)
    return len(records) > before and records[-1]["sessions"] == count and status["chat_under_way"] == 0


def progress(text: str) -> None:
    """One line that is written over by the next."""
    print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
