"""What a registration takes of the node's memory, by what Python has allocated.

    python benchmarks/registrations.py [--count 5000] [--where]

One node in this process, without sockets, on a virtual clock; three backends that challenge as a PBX does. Phones
register, one after the other, challenge included, by UDP or by TCP with a +sip.instance and a reg-id (RFC 5626); then
40 s pass, after which no transaction is left. As many have done the same before, so that the caches are full.

Bytes are tracemalloc's, all that is allocated more, for each registration: with the flow, and for TCP what the node
keeps of the connection, but without the edge's and the kernel's part of it. `--where` tells which lines allocated it.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.parts.registering import BACKENDS, World, flow_of
from haproxy_voip.configuration.model import RegistrationMode
from haproxy_voip.core.address import Transport

FIRST_USER = 100_000
PACE_SECONDS = 0.1  # from one registration to the next, so that most of their nonces have ended at the end
FORGOTTEN_SECONDS = 40.0  # transactions live 32 s
LINES_SHOWN = 25

MODES: tuple[RegistrationMode, ...] = ("active", "mirror")
WAYS = (Transport.UDP, Transport.TCP)


def everybody_registers(world: World, way: Transport, numbers: range) -> None:
    for number in numbers:
        world.register(str(FIRST_USER + number), flow_of(number, way))
        world.pass_time(PACE_SECONDS)
    world.pass_time(FORGOTTEN_SECONDS)


def snapshot() -> tracemalloc.Snapshot:
    gc.collect()
    return tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, tracemalloc.__file__)])


def measure(mode: RegistrationMode, way: Transport, count: int, where: bool) -> str:
    """A line of the table."""
    tracemalloc.start()
    world = World(mode, [str(FIRST_USER + number) for number in range(2 * count)])
    everybody_registers(world, way, range(count))
    before = snapshot()
    everybody_registers(world, way, range(count, 2 * count))
    found = snapshot().compare_to(before, "lineno")
    tracemalloc.stop()
    held = world.held()
    assert sum(held) == 2 * count * (len(BACKENDS) if mode == "mirror" else 1), held
    shown = found[:LINES_SHOWN] if where else []
    lines = [f"\n{one.size_diff / count:8.0f}  {one.count_diff / count:5.2f}  {one.traceback[0]}" for one in shown]
    return f"{mode:8}{way:5}{sum(one.size_diff for one in found) / count:8.0f}" + "".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5_000, help="registrations that are measured")
    parser.add_argument("--where", action="store_true", help="bytes and objects by line of source, the most first")
    options = parser.parse_args()
    print(f"{'mode':8}{'way':5}{'bytes':>8}")
    for mode in MODES:
        for way in WAYS:
            print(measure(mode, way, options.count, options.where), flush=True)


if __name__ == "__main__":
    main()
