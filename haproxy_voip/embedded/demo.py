"""`haproxy-voip demo`: two phones call each other through the proxy while the PBX they are on is killed, twice.

Everything runs on this machine's loopback addresses and ends with the demonstration.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic
from types import FrameType
from typing import TypeVar

import uvloop

from haproxy_voip.core.address import Address
from haproxy_voip.core.credential import Credential
from haproxy_voip.edge.control_client import ControlError
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.embedded import demo_place
from haproxy_voip.embedded.demo_cluster import BACKENDS, DOMAIN, USERS, Cluster
from haproxy_voip.embedded.demo_phone import DemoPhone
from haproxy_voip.embedded.demo_place import DemoFailed
from haproxy_voip.embedded.facts import PhoneAnswered, PhoneEnded, PhoneHeardRinging

DONE, FAILED = 0, 1
CALLER, CALLEE = "1001", "1002"
CALLER_HZ, CALLEE_HZ = 450, 800
PATIENCE = 10.0  # seconds for anything a person would wait for
TALK = 1.0  # seconds of undisturbed audio before a server is killed
MAX_GAP = 0.3  # seconds without audio in such a talk that make it a failure
ASK_EVERY = 0.02
# Seconds until service was back in the work that made the case for such clusters: heartbeat between servers.
THESIS = (0.692, 1.622)

Found = TypeVar("Found")


@dataclass(slots=True)
class Failover:
    """What happened when, monotonic seconds."""

    killed: str
    successor: str
    killed_at: float
    detected_at: float = 0.0
    switched_at: float = 0.0
    ended_at: float = 0.0  # both phones know that the old call is over
    ringing_at: float = 0.0
    answered_at: float = 0.0
    audio_at: float = 0.0

    def ms(self, at: float) -> str:
        """Since the kill."""
        return f"{(at - self.killed_at) * 1000:.0f} ms"


def main(stay: bool = False) -> int:
    """Run the demonstration; 0 only if all of it worked. Ends everything it started, whatever happens."""
    try:
        cluster = Cluster()
    except DemoFailed as failure:
        say(f"FAILED: {failure}")
        return FAILED
    began = monotonic()
    before = signal.signal(signal.SIGTERM, _interrupted)
    try:
        say("starting alpha, beta, charlie and the proxy")
        cluster.start()
        say(f"all up after {monotonic() - began:.1f} s; phones register at {cluster.proxy_address}")
        uvloop.run(_show(cluster, stay))
    except (DemoFailed, CannotListen, ControlError, OSError) as failure:
        say("\n".join([f"FAILED: {failure}", *cluster.complaints()]))
        return FAILED
    finally:
        cluster.stop()
        signal.signal(signal.SIGTERM, before)
    say(f"all of it worked, in {monotonic() - began:.1f} s; nothing is left running")
    return DONE


async def _show(cluster: Cluster, stay: bool) -> None:
    place, proxy = cluster.place, cluster.proxy_address
    caller = DemoPhone(_account(CALLER), place.address(demo_place.CALLER), proxy, (CALLER_HZ, CALLEE_HZ))
    callee = DemoPhone(_account(CALLEE), place.address(demo_place.CALLEE), proxy, (CALLEE_HZ, CALLER_HZ))
    phones = (caller, callee)
    try:
        for phone in phones:
            await phone.start()
        for phone in phones:
            if not await phone.registered(PATIENCE):
                raise DemoFailed(f"{phone.user} could not register")
        await _registered_at(cluster, BACKENDS[0])
        say("1001 and 1002 are registered")
        failovers = [await _failover(cluster, phones, *pair) for pair in pairwise(BACKENDS)]
        caller.hang_up()
        _print_table(failovers)
        if cluster.errors():
            raise DemoFailed("the proxy had errors of its own")
        if stay:
            await _stay(cluster, caller)
    finally:
        for phone in phones:
            await phone.stop()


def _account(user: str) -> Credential:
    return Credential(user, DOMAIN, USERS[user])


async def _failover(cluster: Cluster, phones: tuple[DemoPhone, DemoPhone], active: str, next_one: str) -> Failover:
    """Talk over `active`, kill it, and talk again."""
    caller, _ = phones
    if not caller.phone.calls:
        began = monotonic()
        caller.call(CALLEE)
        await _talking(phones, began)
    await _talk(phones, active)
    killed_at = await _in_thread(lambda: cluster.kill(active))
    say(f"kill -9 {active}, with the call up")
    found = Failover(active, next_one, killed_at)
    ended = [await _need(phone.told(PhoneEnded, killed_at, PATIENCE), "the old call ends") for phone in phones]
    found.ended_at = max(at for at, _ in ended)
    caller.call(CALLEE)
    found.ringing_at, _ = await _need(caller.told(PhoneHeardRinging, killed_at, PATIENCE), "the new call rings")
    found.answered_at, found.audio_at = await _talking(phones, killed_at)
    found.detected_at = await _logged(cluster, "BackendDown", killed_at, backend=active)
    found.switched_at = await _logged(cluster, "ActiveChanged", killed_at, new=next_one)
    await _registered_at(cluster, next_one)
    say(
        f"  detected after {found.ms(found.detected_at)}, a new call over {next_one} was answered after "
        f"{found.ms(found.answered_at)} and had audio both ways after {found.ms(found.audio_at)}"
    )
    return found


async def _talking(phones: tuple[DemoPhone, DemoPhone], after: float) -> tuple[float, float]:
    """When the call was answered and when both phones heard each other's tone in it."""
    caller, _ = phones
    answered_at, _ = await _need(caller.told(PhoneAnswered, after, PATIENCE), "the call is answered")
    heard = [
        await _need(phone.audio.heard_after(answered_at, PATIENCE), f"{phone.user} hears audio") for phone in phones
    ]
    return answered_at, max(heard)


async def _talk(phones: tuple[DemoPhone, DemoPhone], active: str) -> None:
    begin = monotonic()
    await asyncio.sleep(TALK)
    for phone in phones:
        gap = phone.audio.longest_gap(begin, monotonic())
        if gap > MAX_GAP:
            raise DemoFailed(f"{phone.user} heard nothing for {gap * 1000:.0f} ms of an undisturbed call")
    say(f"1001 talks to 1002 over {active}: each hears the other's tone ({CALLER_HZ} and {CALLEE_HZ} Hz)")


async def _logged(cluster: Cluster, fact: str, after: float, **fields: str) -> float:
    """When the proxy told so."""
    until = monotonic() + PATIENCE
    while (at := cluster.first(fact, after, **fields)) is None:
        if monotonic() > until:
            raise DemoFailed(f"the proxy never told of {fact} {fields}")
        await asyncio.sleep(ASK_EVERY)
    return at


async def _registered_at(cluster: Cluster, name: str) -> None:
    """Wait until the proxy holds both phones' registrations there."""
    until = monotonic() + PATIENCE
    while await _in_thread(lambda: cluster.registrations(name)) < 2:
        if monotonic() > until:
            raise DemoFailed(f"the phones were not registered at {name}")
        await asyncio.sleep(ASK_EVERY)


async def _stay(cluster: Cluster, caller: DemoPhone) -> None:
    """Leave everything up until Ctrl-C."""
    for name in BACKENDS[:-1]:
        cluster.start_backend(name)  # in this thread: a child dies with the thread that made it
    caller.unregister()
    say(_how_to_play(cluster.proxy_address, cluster))
    await asyncio.Event().wait()


def _how_to_play(proxy: Address, cluster: Cluster) -> str:
    control = cluster.control
    return f"""
Everything stays up until Ctrl-C; alpha and beta were started again. Point a softphone on this machine at it:

    server    {proxy}  (UDP or TCP), domain {DOMAIN}
    account   1001, password {USERS["1001"]}     (or 1003: {USERS["1003"]}, 1004: {USERS["1004"]})
    call      1002: an embedded phone answers and plays {CALLEE_HZ} Hz; 486: is always busy

    haproxy-voip status --control {control}
    haproxy-voip switch alpha --control {control}
    kill -9 one of {", ".join(f"{name}: {pid}" for name, pid in cluster.pids().items() if name != "proxy")}
"""


def _print_table(failovers: list[Failover]) -> None:
    rows = [("time since kill -9", [f"{each.killed} -> {each.successor}" for each in failovers])]
    rows += [
        ("failure detected", [each.ms(each.detected_at) for each in failovers]),
        ("switched to the next", [each.ms(each.switched_at) for each in failovers]),
        ("old call ended, both phones", [each.ms(each.ended_at) for each in failovers]),
        ("new call rings", [each.ms(each.ringing_at) for each in failovers]),
        ("new call answered", [each.ms(each.answered_at) for each in failovers]),
        ("audio heard both ways", [each.ms(each.audio_at) for each in failovers]),
        ("the thesis: service back", [f"{seconds * 1000:.0f} ms" for seconds in THESIS]),
    ]
    lines = [f"  {name:<28}" + "".join(f"{value:>20}" for value in values) for name, values in rows]
    rule = "  " + "-" * (len(lines[0]) - 2)
    say("\n".join(["", lines[0], rule, *lines[1:-1], rule, lines[-1], ""]))


def _interrupted(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the demonstration as Ctrl-C does."""
    raise KeyboardInterrupt


def say(text: str) -> None:
    """A line of progress."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def _need(coming: Coroutine[None, None, Found | None], what: str) -> Found:
    """What was waited for. Raises DemoFailed when it did not come."""
    found = await coming
    if found is None:
        raise DemoFailed(f"waited {PATIENCE:.0f} s in vain until {what}")
    return found


async def _in_thread(work: Callable[[], Found]) -> Found:
    """Do something that blocks."""
    return await asyncio.get_running_loop().run_in_executor(None, work)
