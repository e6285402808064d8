"""The embedded chat server as a process (process.py):

    python -m haproxy_voip.embedded.chat_process --listen tcp:127.0.0.11:5222 --domain voip.example \\
        --passwords passwords.json

Nothing is encrypted: it is for one machine's loopback addresses. When it is stopped it tells everybody.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from haproxy_voip.core.address import Endpoint
from haproxy_voip.core.chance import Chance
from haproxy_voip.embedded.chat_server import ChatServer
from haproxy_voip.embedded.process import read_passwords, run, serve_until_stopped, server_parser
from haproxy_voip.embedded.settings import ChatServerSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one; the exit status."""
    options = _parser().parse_args(arguments)
    return run(lambda: _serve(options))


def settings(options: argparse.Namespace) -> ChatServerSettings:
    """What the command line says. Raises BadPasswords."""
    return ChatServerSettings(
        users=read_passwords(options.passwords),
        domain=options.domain,
        epoch_offset=time.time() - time.monotonic(),
    )


async def _serve(options: argparse.Namespace) -> None:
    server = ChatServer(settings(options), Chance.system())
    listen: list[Endpoint] = options.listen
    await serve_until_stopped(server, listen, server.shut_down)


def _parser() -> argparse.ArgumentParser:
    parser = server_parser("chat_process", "A small chat server for demonstrations.", "tcp:HOST:PORT")
    parser.add_argument("--domain", required=True, help="of all addresses")
    return parser


if __name__ == "__main__":
    sys.exit(main())
