"""How much memory an idle session takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.parts.chat_clients import Clients, user
from benchmarks.parts.chat_places import SINK_HOSTS, Place, Proxied, Setting, haproxy, proxy

TARGETS = {"proxy, TLS": 45.0, "a hot reserve": 10.0, "an available reserve": 10.0}  # KiB
BOUND = {
    "hot": "a hot reserve",
    "available": "an available reserve",
}  # ways to prepare that have a session at the other
STEPS = (0.25, 0.5, 1.0)  # shares of the sessions, one after the other
SETTLE_SECONDS = 2.0
Makes = Callable[[], AbstractContextManager[Place]]


async def memory(folder: Path, clients: Clients, port: int, sessions: int) -> AsyncIterator[str]:
    """The table, line by line. A server must run at SINK_HOSTS and `port`."""
    servers = tuple(f"{host}:{port}" for host in SINK_HOSTS)

    def ours(standby: str) -> Makes:
        return lambda: proxy(folder, Setting(users=sessions, standby=standby, servers=servers))

    def theirs() -> AbstractContextManager[Place]:
        return haproxy(folder, servers[0])

    steps = [round(sessions * share) for share in STEPS]
    yield "resident KiB for each idle session, by how many there are, and for each of those added last"
    yield f"  {'':24}" + "".join(f"{count:>8,}" for count in steps) + f"{'last':>8}{'aim':>6}"
    ends: dict[str, float] = {}
    contestants: dict[str, tuple[Makes, bool, bool]] = {
        "HAProxy": (theirs, False, False),
        "HAProxy, TLS": (theirs, True, False),
        "proxy": (ours("cold"), False, False),
        "proxy, TLS": (ours("cold"), True, False),
        **{f"proxy, TLS, {standby}": (ours(standby), True, True) for standby in BOUND},
    }
    for name, (make, tls, reserved) in contestants.items():
        with make() as place:
            taken = await _grow(place, clients, steps, tls=tls, reserved=reserved)
            clients.end()
        last = (taken[-1] - taken[-2]) / (steps[-1] - steps[-2])
        ends[name] = (taken[-1] - taken[0]) / steps[-1]
        each = [(now - taken[0]) / count for now, count in zip(taken[1:], steps, strict=True)]
        yield f"  {name:24}" + "".join(f"{one:8.1f}" for one in each) + f"{last:8.1f}{TARGETS.get(name, ''):>6}"
    for standby, name in BOUND.items():
        reserve = ends[f"proxy, TLS, {standby}"] - ends["proxy, TLS"]
        yield f"  {name:24}{'':{8 * (len(steps) - 1)}}{reserve:8.1f}{'':8}{TARGETS[name]:>6}"


async def _grow(place: Place, clients: Clients, steps: list[int], *, tls: bool, reserved: bool) -> list[float]:
    """Resident KiB with nobody there, and after each step."""
    mechanism = "SCRAM-SHA-1" if isinstance(place, Proxied) else "PLAIN"
    way = place.way(tls=tls, mechanism=mechanism, managed=True)
    taken, there = [place.resident_kib], 0
    for count in steps:
        await clients.log_in_many([user(number) for number in range(there, count)], way)
        there = count
        if isinstance(place, Proxied):
            await asyncio.to_thread(place.wait_ready, count if reserved else 0)
        await asyncio.sleep(SETTLE_SECONDS)
        taken.append(place.resident_kib)
    return taken
