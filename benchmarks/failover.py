"""How long the failure of the active Asterisk is felt, and how fast a thousand registrations move.

    sudo python benchmarks/failover.py [--rounds 20] [--users 1000]

Three Asterisks, registrations mirrored, default health checks, two idle phones. The active server is killed (SIGKILL)
or frozen (SIGSTOP); in the same moment a phone calls a number that answers at once. The figure is the time from the
failure to the 200 OK, two digest challenges of the next server included. Then the same with --users registrations in
`active` mode: the time from a kill until the next server holds all of them, while 30 calls per second go to users
whose turn has not come yet. Needs what tests/interop/setup.sh installs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.interop.loading import move_registrations, starter
from tests.interop.machine import exclusive, what_is_missing
from tests.interop.measuring import Measurement, freeze, kill, table
from tests.interop.proxy import Proxy, ProxySetting
from tests.interop.servers import ASTERISK_ADDRESSES, Asterisk, Setting, asterisk

# Seconds; median and worst that the project promises.
KILLED, FROZEN = (0.100, 0.250), (0.300, 0.500)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="of each kind of failure")
    parser.add_argument("--users", type=int, default=1000, help="registered in active mode")
    options = parser.parse_args()
    missing = what_is_missing()
    if missing:
        print(f"skipped: {missing}")
        return 0
    with exclusive(), tempfile.TemporaryDirectory() as folder:
        mirrored(Path(folder) / "mirror", options.rounds)
        active(Path(folder) / "active", options.users)
    return 0


def mirrored(folder: Path, rounds: int) -> None:
    """Kills and freezes."""
    with ExitStack() as stack:
        servers, proxy = start(stack, folder, Setting(), ProxySetting())
        measurement = Measurement(proxy, servers)
        killed = measurement.run(kill, rounds)
        frozen = measurement.run(freeze, rounds)
    print(table([("kill -9", killed, *KILLED), ("SIGSTOP", frozen, *FROZEN)]))


def active(folder: Path, users: int) -> None:
    """Registrations that must move."""
    with ExitStack() as stack:
        setting = ProxySetting(users=users, registration="active")
        servers, proxy = start(stack, folder, Setting(users=users), setting)
        begin, started = starter(folder)
        taken = move_registrations(begin, proxy, servers[0], servers[1], users)
        for sipp in started:
            sipp.stop()
    print(f"active mode: {users} registrations moved in {taken:.2f} s, {users / taken:.0f} per second; no call failed")


def start(stack: ExitStack, folder: Path, setting: Setting, behind: ProxySetting) -> tuple[list[Asterisk], Proxy]:
    """Three servers and the proxy, until the stack is closed."""
    servers = []
    for name in ASTERISK_ADDRESSES:
        (folder / name).mkdir(parents=True)
        server = asterisk(name, folder / name, setting)
        server.start()
        stack.callback(server.stop)
        servers.append(server)
    (folder / "proxy").mkdir()
    proxy = Proxy(folder / "proxy", servers, behind)
    proxy.start()
    stack.callback(proxy.stop)
    return servers, proxy


if __name__ == "__main__":
    sys.exit(main())
