"""What a message from one client to another costs whatever is between client and server."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.parts.chat_clients import Clients, Pairs, user
from benchmarks.parts.chat_places import Place
from benchmarks.parts.processes import cpu_seconds

PAIRS = 16
# Mode -> pairs at once, messages in one write, and the share of the count: waking everybody for each takes long.
MODES = {"alone": (1, 1, 4), "busy": (PAIRS, 1, 1), "burst": (PAIRS, 10, 1)}
# Name -> whose place, whether TLS, and whom it is compared with.
CONTESTANTS = {
    "no proxy": ("server", False, None),
    "HAProxy": ("haproxy", False, None),
    "proxy": ("proxy", False, "HAProxy"),
    "HAProxy, TLS": ("haproxy", True, None),
    "proxy, TLS": ("proxy", True, "HAProxy, TLS"),
}
STANZA_USERS = 2 * PAIRS * len(CONTESTANTS) * 2
WARM_UP = 200  # messages


@dataclass(slots=True)
class Stanzas:
    """One contestant's figures by mode, one for each round."""

    place: Place
    pairs: Pairs
    costs: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in MODES})  # CPU us a message
    rates: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in MODES})  # a second


Found = dict[bool, dict[str, Stanzas]]  # by whether clients speak XEP-0198, and by contestant


async def stanza_rounds(places: dict[str, Place], clients: Clients, rounds: int, count: int) -> Found:
    """All contestants in turns. `places` are named server, haproxy and proxy."""
    found: Found = {False: {}, True: {}}
    first = 0
    for managed, contestants in found.items():
        for name, (whose, tls, _) in CONTESTANTS.items():
            # Without TLS the proxy takes no password in the clear.
            mechanism = "SCRAM-SHA-1" if whose == "proxy" else "PLAIN"
            way = places[whose].way(tls=tls, mechanism=mechanism, managed=managed)
            members = await clients.log_in_many([user(first + number) for number in range(2 * PAIRS)], way)
            first += 2 * PAIRS
            contestants[name] = Stanzas(places[whose], Pairs(members))
            await contestants[name].pairs.talk(WARM_UP, PAIRS)
    for _ in range(rounds):
        for contestants in found.values():
            for contestant in contestants.values():
                await _measure(contestant, count)
    return found


async def _measure(contestant: Stanzas, count: int) -> None:
    for mode, (pairs, burst, share) in MODES.items():
        used, began = cpu_seconds(contestant.place.process), time.perf_counter()
        said = await contestant.pairs.talk(count // share, pairs, burst)
        contestant.rates[mode].append(said / (time.perf_counter() - began))
        contestant.costs[mode].append((cpu_seconds(contestant.place.process) - used) / said * 1e6)


def stanza_report(found: Found) -> Iterator[str]:
    """The tables, line by line."""
    yield "CPU us of the process in the middle for one message, as a multiple of HAProxy's; busy, messages"
    yield "per second as they were, where load, server and all else share the processors, and what one core is good for"
    for managed, contestants in found.items():
        yield f"clients {'with' if managed else 'without'} XEP-0198"
        yield f"  {'':14}" + "".join(f"{mode:>8}{'':>8}" for mode in MODES) + f"{'busy/s':>9}{'a core':>9}"
        for name, (_, _, other) in CONTESTANTS.items():
            yield _row(name, contestants[name], None if other is None else contestants[other])


def _row(name: str, row: Stanzas, other: Stanzas | None) -> str:
    cells = []
    for mode in MODES:
        cells.append(f"{statistics.median(row.costs[mode]):8.1f}")
        cells.append(" " * 8 if other is None else f"{ratio(row.costs[mode], other.costs[mode]):7.1f}x")
    cells += [f"{statistics.median(row.rates['busy']):9,.0f}{1e6 / statistics.median(row.costs['busy']):9,.0f}"]
    return f"  {name:14}" + "".join(cells)


def ratio(ours: list[float], others: list[float]) -> float:
    """The median of the rounds' own ratios: a slow moment is slow for both."""
    return statistics.median(our / other for our, other in zip(ours, others, strict=True))
