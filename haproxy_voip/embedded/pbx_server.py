"""The embedded PBX as a process:

    python -m haproxy_voip.embedded.pbx_server --listen udp:127.0.0.11:5060 --listen tcp:127.0.0.11:5060 \\
        --realm voip.example --passwords passwords.json

The passwords are one JSON object, {"1001": "secret"}. Media go through it with `--relay`, directly between the parties
without. Once it listens it says so in one line on standard output; then it runs until SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from haproxy_voip.core.address import Endpoint
from haproxy_voip.core.chance import Chance
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.edge.signals import Signals
from haproxy_voip.embedded.anchor import AnchoredPbx
from haproxy_voip.embedded.pbx import Pbx
from haproxy_voip.embedded.settings import PbxSettings
from haproxy_voip.embedded.sockets import Sockets

CANNOT_RUN = 4
LISTENING = "listening"  # the line begins so


class BadPasswords(Exception):
    """The file cannot be used; the text says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        uvloop.run(_serve(settings(options), options.relay))
    except (BadPasswords, CannotListen) as error:
        sys.stderr.write(f"{error}\n")
        return CANNOT_RUN
    return 0


def settings(options: argparse.Namespace) -> PbxSettings:
    """What the command line says. Raises BadPasswords."""
    passwords = read_passwords(options.passwords)
    return PbxSettings(listen=tuple(options.listen), users=passwords, realm=options.realm, trust=options.trust)


def read_passwords(path: Path) -> dict[str, str]:
    """Users and their passwords. Raises BadPasswords."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadPasswords(f"{path}: {error}") from None
    if not isinstance(known, dict) or not all(isinstance(password, str) for password in known.values()):
        raise BadPasswords(f'{path}: not an object like {{"1001": "secret"}}')
    return known


async def _serve(wanted: PbxSettings, relay: bool) -> None:
    stopped = asyncio.Event()
    signals = Signals(lambda reason: stopped.set(), lambda: None)
    chance = Chance.system()
    pbx = Pbx(wanted, chance)
    anchored = AnchoredPbx(pbx, wanted.listen[0].address.host, chance) if relay else None
    sockets = Sockets(anchored or pbx, [_tell])
    try:
        await sockets.start(wanted.listen)
        sys.stdout.write(f"{LISTENING} on {', '.join(map(str, wanted.listen))}\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        signals.close()
        await sockets.stop()
        if anchored is not None:
            anchored.close()


def _tell(fact: object) -> None:
    sys.stderr.write(f"{fact}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pbx_server", description="A small PBX for demonstrations and tests.")
    parser.add_argument("--listen", type=_endpoint, action="append", required=True, metavar="udp:HOST:PORT")
    parser.add_argument("--passwords", type=Path, required=True, metavar="FILE", help="who may register (JSON)")
    parser.add_argument("--realm", required=True, help="for digest challenges, and the domain of all addresses")
    parser.add_argument("--relay", action="store_true", help="carry the media of calls, those that come over UDP")
    parser.add_argument("--trust", action="store_true", help="challenge nobody")
    return parser


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
