"""The embedded chat server as a process:

    python -m haproxy_voip.embedded.chat_process --listen tcp:127.0.0.11:5222 --domain voip.example \\
        --passwords passwords.json

The passwords are one JSON object, {"1001": "secret"}. Nothing is encrypted: it is for one machine's loopback addresses.
Once it listens it says so in one line on standard output; then it runs until SIGTERM or SIGINT, of which it tells
everybody.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from haproxy_voip.core.address import Endpoint
from haproxy_voip.core.chance import Chance
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.edge.signals import Signals
from haproxy_voip.embedded.chat_server import ChatServer
from haproxy_voip.embedded.pbx_server import CANNOT_RUN, LISTENING, BadPasswords, read_passwords
from haproxy_voip.embedded.settings import ChatServerSettings
from haproxy_voip.embedded.sockets import Sockets


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        uvloop.run(_serve(settings(options), options.listen))
    except (BadPasswords, CannotListen) as error:
        sys.stderr.write(f"{error}\n")
        return CANNOT_RUN
    return 0


def settings(options: argparse.Namespace) -> ChatServerSettings:
    """What the command line says. Raises BadPasswords."""
    return ChatServerSettings(
        users=read_passwords(options.passwords),
        domain=options.domain,
        epoch_offset=time.time() - time.monotonic(),
    )


async def _serve(wanted: ChatServerSettings, listen: Sequence[Endpoint]) -> None:
    stopped = asyncio.Event()
    signals = Signals(lambda reason: stopped.set(), lambda: None)
    server = ChatServer(wanted, Chance.system())
    sockets = Sockets(server, [_tell])
    try:
        await sockets.start(listen)
        sys.stdout.write(f"{LISTENING} on {', '.join(map(str, listen))}\n")
        sys.stdout.flush()
        await stopped.wait()
        sockets.act(server.shut_down)
    finally:
        signals.close()
        await sockets.stop()


def _tell(fact: object) -> None:
    sys.stderr.write(f"{fact}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chat_process", description="A small chat server for demonstrations.")
    parser.add_argument("--listen", type=_endpoint, action="append", required=True, metavar="tcp:HOST:PORT")
    parser.add_argument("--passwords", type=Path, required=True, metavar="FILE", help="who may log in (JSON)")
    parser.add_argument("--domain", required=True, help="of all addresses")
    return parser


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
