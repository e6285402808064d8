"""What logging in costs whatever is between client and server."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.parts.chat_clients import Clients, Way, user
from benchmarks.parts.chat_places import Place
from benchmarks.parts.chat_stanzas import ratio
from benchmarks.parts.processes import cpu_seconds

AT_ONCE = 8
LOGINS = 40  # of each contestant in each round, one of each user
# Name -> whose place, whether TLS, the mechanism, whom it is compared with, and whether each user comes for the first
# time since the proxy started.
CONTESTANTS: dict[str, tuple[str, bool, str, str | None, bool]] = {
    "no proxy, PLAIN": ("server", False, "PLAIN", None, False),
    "HAProxy, PLAIN": ("haproxy", False, "PLAIN", None, False),
    "proxy, SCRAM-SHA-1": ("proxy", False, "SCRAM-SHA-1", "HAProxy, PLAIN", False),
    "HAProxy, TLS, PLAIN": ("haproxy", True, "PLAIN", None, False),
    "proxy, TLS, PLAIN": ("proxy", True, "PLAIN", "HAProxy, TLS, PLAIN", False),
    "proxy, TLS, SCRAM-SHA-1": ("proxy", True, "SCRAM-SHA-1", "HAProxy, TLS, PLAIN", False),
    "proxy, TLS, SCRAM-SHA-256": ("proxy", True, "SCRAM-SHA-256", "HAProxy, TLS, PLAIN", False),
    "the same, for the first time": ("proxy", True, "SCRAM-SHA-256", "HAProxy, TLS, PLAIN", True),
}


@dataclass(slots=True)
class Logins:
    """One contestant's figures, one for each round."""

    costs: list[float] = field(default_factory=list)  # CPU ms a login
    rates: list[float] = field(default_factory=list)  # logins a second


def login_users(rounds: int) -> int:
    """How many users the proxy must know."""
    return LOGINS * (rounds + 1)


async def login_rounds(places: dict[str, Place], clients: Clients, rounds: int) -> dict[str, Logins]:
    """All contestants in turns. `places` are named server, haproxy and proxy."""
    found = {name: Logins() for name in CONTESTANTS}
    for number in range(rounds + 1):
        for name, (whose, tls, mechanism, _, new) in CONTESTANTS.items():
            way, process = places[whose].way(tls=tls, mechanism=mechanism, managed=True), places[whose].process
            first = LOGINS * number if new else 0
            if not new or number:  # the users of the first round were there before
                users = [user(first + each) for each in range(LOGINS)]
                used, began = cpu_seconds(process), time.perf_counter()
                await _come_and_go(clients, users, way)
                seconds = time.perf_counter() - began
                if number:  # the first round makes users known
                    found[name].rates.append(len(users) / seconds)
                    found[name].costs.append((cpu_seconds(process) - used) / len(users) * 1e3)
    return found


async def _come_and_go(clients: Clients, users: list[str], way: Way) -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with places:
            client = await clients.log_in(name, way)
            await client.leave()

    await asyncio.gather(*(one(name) for name in users))
    clients.all.clear()


def login_report(found: dict[str, Logins]) -> Iterator[str]:
    """The table, line by line."""
    yield "CPU ms of the process in the middle for one login, as a multiple of HAProxy's, and logins per second"
    for name, (_, _, _, other, _) in CONTESTANTS.items():
        row = found[name]
        times = " " * 8 if other is None else f"{ratio(row.costs, found[other].costs):7.1f}x"
        yield f"  {name:30}{statistics.median(row.costs):8.2f}{times}{statistics.median(row.rates):9,.0f}"
