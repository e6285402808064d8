"""What the embedded servers have in common as processes: the command line, the passwords, a life until a signal.

Once a server listens it says so in one line on standard output; then it runs until SIGTERM or SIGINT. The passwords are
one JSON object, {"1001": "secret"}.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from haproxy_voip.core.address import Endpoint
from haproxy_voip.core.machine import Machine
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.edge.signals import Signals
from haproxy_voip.embedded.sockets import Sockets

CANNOT_RUN = 4
LISTENING = "listening"  # the line begins so

Event = TypeVar("Event")
Output = TypeVar("Output")


class BadPasswords(Exception):
    """The file cannot be used; the text says why."""


def read_passwords(path: Path) -> dict[str, str]:
    """Users and their passwords. Raises BadPasswords."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadPasswords(f"{path}: {error}") from None
    if not isinstance(known, dict) or not all(isinstance(password, str) for password in known.values()):
        raise BadPasswords(f'{path}: not an object like {{"1001": "secret"}}')
    return known


def server_parser(name: str, description: str, listen: str) -> argparse.ArgumentParser:
    """A command line with `--listen`, which looks like `listen`, and `--passwords`."""
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("--listen", type=_endpoint, action="append", required=True, metavar=listen)
    parser.add_argument("--passwords", type=Path, required=True, metavar="FILE", help="who may log in (JSON)")
    return parser


def run(serve: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run it to its end; the exit status. What keeps it from running is said on standard error."""
    try:
        uvloop.run(serve())
    except (BadPasswords, CannotListen) as error:
        sys.stderr.write(f"{error}\n")
        return CANNOT_RUN
    return 0


async def serve_until_stopped(
    machine: Machine[Event, Output],
    listen: Sequence[Endpoint],
    farewell: Callable[[float], Sequence[Output]] | None = None,
) -> None:
    """Facts go to standard error. `farewell` is the machine's last word. Raises CannotListen."""
    stopped = asyncio.Event()
    signals = Signals(lambda reason: stopped.set(), lambda: None)
    sockets = Sockets(machine, [_tell])
    try:
        await sockets.start(listen)
        sys.stdout.write(f"{LISTENING} on {', '.join(map(str, listen))}\n")
        sys.stdout.flush()
        await stopped.wait()
        if farewell is not None:
            sockets.act(farewell)
    finally:
        signals.close()
        await sockets.stop()


def _tell(fact: object) -> None:
    sys.stderr.write(f"{fact}\n")


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
