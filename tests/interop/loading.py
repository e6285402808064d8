"""Many calls and many phones at once, by SIPp."""

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.interop.parties import CALLEE, CALLER
from tests.interop.proxy import Proxy
from tests.interop.servers import REALM, Server
from tests.interop.sipp import Run, Sipp, credentials

FIRST_USER = 1001
SILENT_PORT = "9"  # nobody listens to these calls; the discard port stands in their SDP
REGISTER_RATE = 250.0  # per second
LOAD_SECONDS = 40.0  # for everything
MOVING_CALLS, MOVING_RATE = 90, 30.0  # while registrations move
MOVED_SECONDS = 20.0
RUNNING_SECONDS = 1.0  # of calls before the failure

Start = Callable[[Run], Sipp]


def starter(folder: Path) -> tuple[Start, list[Sipp]]:
    """Starts SIPps below a folder, and keeps them for whoever stops them."""
    started: list[Sipp] = []

    def start(run: Run) -> Sipp:
        place = folder / f"sipp{len(started)}"
        place.mkdir()
        started.append(Sipp(run, place))
        started[-1].start()
        return started[-1]

    return start, started


def calls(proxy: Proxy, rows: Sequence[tuple[str, str]], rate: float) -> Run:
    """Calls, each a caller and whom it calls. Each stays 0.2 s; one that is cut off logs `cut`."""
    fields = [(caller, credentials(caller), callee) for caller, callee in rows]
    keys = {"domain": REALM, "audio_address": CALLER, "audio_port": SILENT_PORT}
    return Run(
        scenario="call_load", local=CALLER, target=proxy.address, keys=keys, rows=fields, calls=len(rows), rate=rate,
        seconds=LOAD_SECONDS,
    )  # fmt: skip


def phones(most: int) -> Run:
    """Phones that ring for 0.3 s and answer, `most` calls altogether. It is stopped, not waited for."""
    keys = {"audio_address": CALLEE, "audio_port": SILENT_PORT}
    return Run(scenario="answer_load", local=CALLEE, keys=keys, calls=most, seconds=1.5 * LOAD_SECONDS)


def register_phones(start: Start, proxy: Proxy, users: range) -> None:
    """All of them, at one address."""
    rows = [(str(user), credentials(str(user)), f"sip:{user}@{CALLEE}:5060") for user in users]
    keys = {"expires": "300", "domain": REALM}
    run = Run(
        scenario="register_many", local=CALLEE, target=proxy.address, rows=rows, keys=keys, calls=len(rows),
        rate=REGISTER_RATE,
    )  # fmt: skip
    start(run).wait()


def move_registrations(start: Start, proxy: Proxy, active: Server, successor: Server, users: int) -> float:
    """In `active` mode: seconds from a kill until the successor holds all registrations.

    Calls go on all the while, each to another user, so that most come before their callee's turn. Raises SippError when
    one of them fails.
    """
    known = range(FIRST_USER, FIRST_USER + users)
    register_phones(start, proxy, known)
    proxy.wait_registered(users, active.name, seconds=MOVED_SECONDS)
    assert proxy.row(successor.name)["registrations"] == 0
    start(phones(10 * MOVING_CALLS)).wait_listening()
    callees = random.Random(1).sample(known, MOVING_CALLS)
    calling = start(calls(proxy, [(str(FIRST_USER), str(callee)) for callee in callees], MOVING_RATE))
    time.sleep(RUNNING_SECONDS)
    killed_at = active.kill()
    proxy.wait_registered(users, successor.name, seconds=MOVED_SECONDS)
    taken = time.monotonic() - killed_at
    calling.wait()
    return taken
