"""`haproxy-voip demo`: two people talk and write on while the machine that carries both is killed, twice.

Everything runs on this machine's loopback addresses and ends with the demonstration.
"""

from __future__ import annotations

import asyncio
import signal
from itertools import pairwise
from time import monotonic
from types import FrameType

import uvloop

from haproxy_voip.core.address import Address
from haproxy_voip.core.credential import Credential
from haproxy_voip.edge.control_client import ControlError
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.embedded import demo_place
from haproxy_voip.embedded.demo_chat import DemoChat
from haproxy_voip.embedded.demo_cluster import BACKENDS, DOMAIN, USERS, Cluster
from haproxy_voip.embedded.demo_phone import DemoPhone
from haproxy_voip.embedded.demo_place import DemoFailed
from haproxy_voip.embedded.demo_show import PATIENCE, Failover, Show, in_ms, say

DONE, FAILED = 0, 1
# Who they are and what they sound like, Hz: 1001 calls 1002 and that call goes on throughout; whenever a server was
# killed, 1003 calls 1004.
PHONES = (("1001", 450), ("1002", 800), ("1003", 600), ("1004", 1000))
WRITERS = ("1001", "1002")
# Seconds until service was back in the work that made the case for such clusters: heartbeat between servers.
THESIS = (0.692, 1.622)


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
        say(f"and chat clients log in at {cluster.chat_address}, with STARTTLS")
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
    phones = _phones(cluster)
    chat = DemoChat(cluster.chat_address, cluster.certificate, DOMAIN, {user: USERS[user] for user in WRITERS})
    try:
        for phone in phones:
            await phone.start()
        for phone in phones:
            if not await phone.registered(PATIENCE):
                raise DemoFailed(f"{phone.user} could not register")
        if not await chat.start(PATIENCE):
            raise DemoFailed("the chat clients could not log in")
        show = Show(cluster, (phones[0], phones[1]), (phones[2], phones[3]), chat)
        await show.registered_at(BACKENDS[0])
        say("1001 to 1004 are registered; 1001 calls 1002, and both write a message every 50 ms")
        await show.call()
        failovers = [await show.failover(*pair) for pair in pairwise(BACKENDS)]
        await show.hold_and_resume()
        await show.hang_up()
        await show.count()
        _print_table(failovers)
        if cluster.errors():
            raise DemoFailed("the proxy had errors of its own")
        if stay:
            await _stay(cluster, phones)
    finally:
        await chat.stop()
        for phone in phones:
            await phone.stop()


def _phones(cluster: Cluster) -> list[DemoPhone]:
    tones = [hz for _, hz in PHONES]
    partners = [tones[number ^ 1] for number in range(len(tones))]  # first and second, third and fourth
    return [
        DemoPhone(
            Credential(user, DOMAIN, USERS[user]),
            cluster.place.address(place),
            cluster.proxy_address,
            (hz, partner),
        )
        for (user, hz), partner, place in zip(PHONES, partners, demo_place.PHONES, strict=True)
    ]


async def _stay(cluster: Cluster, phones: list[DemoPhone]) -> None:
    """Leave everything up until Ctrl-C."""
    for name in BACKENDS[:-1]:
        cluster.start_backend(name)  # in this thread: a child dies with the thread that made it
    for phone in phones:
        if phone.user != "1002":
            phone.unregister()
    say(_how_to_play(cluster.proxy_address, cluster))
    await asyncio.Event().wait()


def _how_to_play(proxy: Address, cluster: Cluster) -> str:
    control = cluster.control
    return f"""
Everything stays up until Ctrl-C; alpha and beta were started again. Point a softphone on this machine at it:

    server    {proxy}  (UDP or TCP), domain {DOMAIN}
    account   1001, password {USERS["1001"]}     (or 1003: {USERS["1003"]}, 1004: {USERS["1004"]})
    chat      {cluster.chat_address}, the same accounts; the certificate is {cluster.certificate}
    call      1002: an embedded phone answers and plays {dict(PHONES)["1002"]} Hz; 486: is always busy

    haproxy-voip status --control {control}
    haproxy-voip switch alpha --control {control}
    kill -9 one of {", ".join(f"{name}: {pid}" for name, pid in cluster.pids().items() if name != "proxy")}
"""


def _print_table(failovers: list[Failover]) -> None:
    rows = [("time since kill -9", [f"{each.killed} -> {each.successor}" for each in failovers])]
    rows += [
        ("failure detected", [each.ms(each.detected_at) for each in failovers]),
        ("their call: 1001 heard no audio for", [f"{each.gaps[0] * 1000:.0f} ms" for each in failovers]),
        ("            1002 heard no audio for", [f"{each.gaps[1] * 1000:.0f} ms" for each in failovers]),
        ("            carried by the next server", [each.ms(each.carried_at) for each in failovers]),
        ("a new call: rings", [each.ms(each.ringing_at) for each in failovers]),
        ("            answered", [each.ms(each.answered_at) for each in failovers]),
        ("            audio both ways", [each.ms(each.audio_at) for each in failovers]),
        ("their chat: longest wait of a message", [in_ms(each.chat.longest_wait) for each in failovers]),
        ("            lost, doubled", [f"{each.chat.lost}, {each.chat.doubled}" for each in failovers]),
        ("the thesis: established call", ["lost" for _ in THESIS]),
        ("            service back", [f"{seconds * 1000:.0f} ms" for seconds in THESIS]),
    ]
    lines = [f"  {name:<40}" + "".join(f"{value:>19}" for value in values) for name, values in rows]
    rule = "  " + "-" * (len(lines[0]) - 2)
    notes = [
        "  No audio: the longest time between two packets with the other's tone; undisturbed they come every 20 ms.",
        "  Chat: each wrote to the other every 50 ms, over TLS; nobody was disconnected or seen to go offline.",
    ]
    say("\n".join(["", lines[0], rule, *lines[1:-2], rule, *lines[-2:], "", *notes, ""]))


def _interrupted(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the demonstration as Ctrl-C does."""
    raise KeyboardInterrupt
