"""What happens in the demonstration, scene by scene. Whatever does not come about raises DemoFailed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

from haproxy_voip.embedded.demo_chat import ChatFigures, DemoChat
from haproxy_voip.embedded.demo_cluster import Cluster
from haproxy_voip.embedded.demo_phone import DemoPhone
from haproxy_voip.embedded.demo_place import DemoFailed
from haproxy_voip.embedded.facts import By, PhoneAnswered, PhoneEnded, PhoneHeardRinging, PhoneMediaChanged

PATIENCE = 10.0  # seconds for anything a person would wait for
TALK = 1.0  # seconds of audio over each server, undisturbed before one is killed
# Seconds without audio that make it a failure: far more than it takes, for machines that are busy with other things.
MAX_GAP = 0.5
BEFORE = 0.1  # a gap begins with the last packet before the kill
HELD = 0.3  # seconds on hold
UNDER_WAY = 0.1  # what was sent before a phone stopped has arrived
ASK_EVERY = 0.02
NOTHING_WRITTEN = ChatFigures(0, 0.0, 0, 0)

Pair = tuple[DemoPhone, DemoPhone]
Found = TypeVar("Found")


@dataclass(slots=True)
class Failover:
    """What happened when, monotonic seconds."""

    killed: str
    successor: str
    killed_at: float
    detected_at: float = 0.0
    carried_at: float = 0.0  # the next server has both ends of the call that was up
    gaps: tuple[float, float] = (0.0, 0.0)  # the longest time without audio, seconds: caller, callee
    ringing_at: float = 0.0  # of the new call
    answered_at: float = 0.0
    audio_at: float = 0.0
    chat: ChatFigures = NOTHING_WRITTEN  # of what was written from shortly before the kill until all was well again

    def ms(self, at: float) -> str:
        """Since the kill."""
        return f"{(at - self.killed_at) * 1000:.0f} ms"


class Show:
    """Two who talk and write to each other all the time, and two who try whether new calls are possible."""

    def __init__(self, cluster: Cluster, talkers: Pair, others: Pair, chat: DemoChat) -> None:
        self._cluster = cluster
        self._chat = chat
        self._talkers = talkers
        self._others = others
        self._ends: list[str] = []  # what the proxy calls the two ends of the call

    async def call(self) -> None:
        """The call that shall outlive two servers."""
        caller, callee = self._talkers
        began = monotonic()
        caller.call(callee.user)
        await _talking(self._talkers, began)
        await self._logged("CallAnswered", began)
        self._ends = [str(told.fields["call"]) for told in self._cluster.facts("CallStarted", began)]

    async def failover(self, active: str, successor: str) -> Failover:
        """Talk over `active`, kill it, and see that the call goes on and that a new one is possible."""
        await self._talk(active)
        killed_at = await _in_thread(lambda: self._cluster.kill(active))
        say(f"kill -9 {active}, with the call up and messages under way; 1003 calls 1004 at once")
        found = Failover(active, successor, killed_at)
        await self._new_call(found)
        found.detected_at = await self._logged("BackendDown", killed_at, backend=active)
        # Each end of the call is a call of its own to the proxy: one from the caller, one to the callee.
        carried = [await self._logged("CallCarried", killed_at, call=call, backend=successor) for call in self._ends]
        found.carried_at = max(carried)
        await asyncio.sleep(max(0.0, found.carried_at + TALK - monotonic()))
        found.gaps = self._heard_on(found)
        await self._others_hang_up()
        await self.registered_at(successor)
        await self._logged("ChatFailover", killed_at, backend=active, successor=successor)
        found.chat = self._chat.figures(killed_at - BEFORE, monotonic() - MAX_GAP)
        gaps = " and ".join(f"{gap * 1000:.0f}" for gap in found.gaps)
        say(f"  detected after {found.ms(found.detected_at)}; the call goes on: {gaps} ms without audio")
        wait = in_ms(found.chat.longest_wait)
        say(f"  {found.chat.written} messages written meanwhile: none waited longer than {wait}")
        return found

    def _heard_on(self, found: Failover) -> tuple[float, float]:
        """The gap that each of the talkers heard. Raises DemoFailed when their call was touched in any way."""
        now, since = monotonic(), found.killed_at - BEFORE
        gaps = []
        for phone in self._talkers:
            if phone.heard_of((PhoneEnded,), since):
                raise DemoFailed(f"the call ended for {phone.user}")
            if phone.heard_of((PhoneMediaChanged,), since):
                raise DemoFailed(f"{phone.user} had to change its media")
            gap = phone.audio.longest_gap(since, now)
            if gap > MAX_GAP:
                raise DemoFailed(f"{phone.user} heard nothing for {gap * 1000:.0f} ms after {found.killed} was killed")
            gaps.append(gap)
        return gaps[0], gaps[1]

    async def _new_call(self, found: Failover) -> None:
        caller, callee = self._others
        caller.call(callee.user)
        found.ringing_at, _ = await _need(caller.told(PhoneHeardRinging, found.killed_at, PATIENCE), "a new call rings")
        found.answered_at, found.audio_at = await _talking(self._others, found.killed_at)

    async def _others_hang_up(self) -> None:
        caller, callee = self._others
        since = monotonic()
        callee.hang_up()
        await _need(caller.told(PhoneEnded, since, PATIENCE), f"{caller.user} hears that {callee.user} hung up")

    async def _talk(self, active: str) -> None:
        begin = monotonic()
        await asyncio.sleep(TALK)
        for phone in self._talkers:
            gap = phone.audio.longest_gap(begin, monotonic())
            if gap > MAX_GAP:
                raise DemoFailed(f"{phone.user} heard nothing for {gap * 1000:.0f} ms of an undisturbed call")
        say(f"1001 talks to 1002 over {active}: each hears the other's tone")

    async def hold_and_resume(self) -> None:
        """It is a full call still."""
        caller, callee = self._talkers
        since = monotonic()
        caller.hold()
        for phone in self._talkers:
            await _need(phone.told(PhoneMediaChanged, since, PATIENCE), f"{phone.user} is on hold")
        await asyncio.sleep(UNDER_WAY)
        held_at = monotonic()
        await asyncio.sleep(HELD)
        if await caller.audio.heard_after(held_at, 0.0) is not None:
            raise DemoFailed(f"{caller.user} hears {callee.user}, whom it has put on hold")
        since = monotonic()
        caller.resume()
        await _need(callee.told(PhoneMediaChanged, since, PATIENCE), "the call is taken off hold")
        for phone in self._talkers:
            await _need(phone.audio.heard_after(since, PATIENCE), f"{phone.user} hears the other after the hold")
        say("1001 put 1002 on hold and took it back")

    async def hang_up(self) -> None:
        """The end of the call, hours later if one likes."""
        caller, callee = self._talkers
        since = monotonic()
        caller.hang_up()
        _, ended = await _need(callee.told(PhoneEnded, since, PATIENCE), f"{callee.user} hears that the call is over")
        if ended.by is not By.THEM:
            raise DemoFailed(f"{callee.user} was told that the call ended by {ended.by}: {ended.reason}")
        say("1001 hangs up, and 1002 gets the BYE: one call over three servers")

    async def count(self) -> ChatFigures:
        """No more messages; what became of all of them. Raises DemoFailed when any was lost, doubled or noticed."""
        await self._chat.settle(PATIENCE)
        all_of_them = self._chat.figures(0.0, monotonic())
        complaint = self._chat.complaint()
        if complaint:
            raise DemoFailed(complaint)
        if all_of_them.lost or all_of_them.doubled:
            raise DemoFailed(f"{all_of_them.lost} messages were lost and {all_of_them.doubled} doubled")
        say(f"{all_of_them.written} messages over three servers: none lost, none doubled")
        return all_of_them

    # -- waiting -------------------------------------------------------------------------------------

    async def _logged(self, fact: str, after: float, **fields: str) -> float:
        """When the proxy first told so."""
        until = monotonic() + PATIENCE
        while not (found := self._cluster.facts(fact, after, **fields)):
            if monotonic() > until:
                raise DemoFailed(f"the proxy never told of {fact} {fields}")
            await asyncio.sleep(ASK_EVERY)
        return found[0].at

    async def registered_at(self, name: str) -> None:
        """Wait until the proxy holds all phones' registrations there."""
        until = monotonic() + PATIENCE
        wanted = len(self._talkers) + len(self._others)
        while await _in_thread(lambda: self._cluster.registrations(name)) < wanted:
            if monotonic() > until:
                raise DemoFailed(f"the phones were not registered at {name}")
            await asyncio.sleep(ASK_EVERY)


def in_ms(seconds: float) -> str:
    """A duration."""
    return f"{seconds * 1000:.0f} ms"


def say(text: str) -> None:
    """A line of progress."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def _talking(phones: Pair, after: float) -> tuple[float, float]:
    """When the call was answered and when both phones heard each other's tone in it."""
    caller, _ = phones
    answered = await caller.told(PhoneAnswered, after, PATIENCE)
    if answered is None:
        raise DemoFailed(f"the call is not answered; the last that {caller.user} was told: {caller.facts[-1][1]}")
    answered_at, _ = answered
    heard = [
        await _need(phone.audio.heard_after(answered_at, PATIENCE), f"{phone.user} hears audio") for phone in phones
    ]
    return answered_at, max(heard)


async def _need(coming: Coroutine[None, None, Found | None], what: str) -> Found:
    """What was waited for. Raises DemoFailed when it did not come."""
    found = await coming
    if found is None:
        raise DemoFailed(f"waited {PATIENCE:.0f} s in vain until {what}")
    return found


async def _in_thread(work: Callable[[], Found]) -> Found:
    """Do something that blocks."""
    return await asyncio.get_running_loop().run_in_executor(None, work)
