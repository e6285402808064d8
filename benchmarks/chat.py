"""What chat costs behind the proxy, against HAProxy in TCP mode before the same server, side by side in one run.

    python benchmarks/chat.py [--rounds 5] [--count 2000] [--only stanzas,logins,memory] [--server sink|prosody]

stanzas   Messages from one client to another, and CPU time of the process in the middle for each: in from one client,
          out to the server, in from the server, out to the other client, acknowledgements included. *Alone*: one is
          under way. *Busy*: 16 pairs, one each. *Burst*: 16 pairs, each ten in one write. Clients do not speak XEP-0198
          and then do, asking for an acknowledgement after each write. The proxy speaks it with the server in any case.
logins    From connecting to the first presence, and the end: CPU time of the process in the middle for each, and how
          many there are in a second, eight at once. Users have logged in before, unless it says so.
memory    Resident memory for each idle session, and for what is kept ready for it at another server (`chat.standby`).

Contestants take turns, every round has all of them; figures are medians of the rounds, and ratios medians of the
rounds' own ratios, because a slow moment is slow for all. HAProxy is Debian's, with one thread, as the proxy has one.
TLS is ended by it or by the proxy; behind them nothing is encrypted. The server takes no part in what is measured, but
it shares the processors: `sink` passes messages on and does nothing else, because a real server would be the one that
limits how many there are in a second; `prosody` is a real one, for stanzas and logins (root, and what
tests/interop/setup.sh installs). All traffic is within 127.0.0.0/8.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.parts.chat_clients import clients
from benchmarks.parts.chat_logins import login_report, login_rounds, login_users
from benchmarks.parts.chat_memory import memory
from benchmarks.parts.chat_places import PORT, Place, Setting, haproxy, has_haproxy, proxy, sink
from benchmarks.parts.chat_stanzas import STANZA_USERS, stanza_report, stanza_rounds
from tests.interop.chat_house import MEMORY
from tests.interop.chat_servers import XMPP_PORT, chat_server
from tests.interop.machine import exclusive, what_is_missing

PARTS = ("stanzas", "logins", "memory")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=2000, help="messages for each contestant in each round")
    parser.add_argument("--only", default=",".join(PARTS), help="which parts")
    parser.add_argument("--server", choices=("sink", "prosody"), default="sink")
    parser.add_argument("--sessions", type=int, default=2000, help="how many are idle at most, for memory")
    options = parser.parse_args()
    missing = what_is_missing() if options.server == "prosody" else None
    if missing is not None or not has_haproxy():
        print(f"skipped: {missing or 'not installed: haproxy (Debian: apt-get install haproxy)'}")
        return 0
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(run(options))
    return 0


async def run(options: argparse.Namespace) -> None:
    """Everything that is asked for."""
    parts = options.only.split(",")
    print(f"load average {os.getloadavg()[0]:.1f} at the beginning; medians of {options.rounds} rounds", flush=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)))
        if "stanzas" in parts or "logins" in parts:
            await compare(folder, parts, options)
        if "memory" in parts:
            stack.enter_context(sink(folder))
            chatters = stack.enter_context(clients())
            async for line in memory(folder, chatters, PORT, options.sessions):
                print(line, flush=True)
    print(f"load average {os.getloadavg()[0]:.1f} at the end")


async def compare(folder: Path, parts: list[str], options: argparse.Namespace) -> None:
    """Stanzas and logins: all contestants run at once and take turns."""
    users = max(STANZA_USERS, login_users(options.rounds))
    with ExitStack() as stack:
        server = stack.enter_context(prosody(folder, users) if options.server == "prosody" else sink(folder))
        address = f"{server.host}:{server.ports[0]}"
        between = stack.enter_context(haproxy(folder, address))
        ours = stack.enter_context(proxy(folder, Setting(users=users, servers=(address,))))
        places = {"server": server, "haproxy": between, "proxy": ours}
        chatters = stack.enter_context(clients())
        if "stanzas" in parts:
            for line in stanza_report(await stanza_rounds(places, chatters, options.rounds, options.count)):
                print(line, flush=True)
            chatters.end()
        if "logins" in parts:
            for line in login_report(await login_rounds(places, chatters, options.rounds)):
                print(line, flush=True)


@contextmanager
def prosody(folder: Path, users: int) -> Iterator[Place]:
    """A real server."""
    instance = folder / "alpha"
    instance.mkdir()
    with exclusive():
        # What it archives is not compared, and takes it longer than all else that it does with a message.
        server = chat_server("alpha", "prosody", instance, users, more={"ARCHIVE": "false"})
        server.start()
        try:
            yield Place(process=server.process.group, host=server.address, ports=(XMPP_PORT, 0))
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
