"""The embedded PBX as a process (process.py):

    python -m haproxy_voip.embedded.pbx_server --listen udp:127.0.0.11:5060 --listen tcp:127.0.0.11:5060 \\
        --realm voip.example --passwords passwords.json

Media go through it with `--relay`, directly between the parties without.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from haproxy_voip.core.chance import Chance
from haproxy_voip.embedded.anchor import AnchoredPbx
from haproxy_voip.embedded.pbx import Pbx
from haproxy_voip.embedded.process import read_passwords, run, serve_until_stopped, server_parser
from haproxy_voip.embedded.settings import PbxSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one; the exit status."""
    options = _parser().parse_args(arguments)
    return run(lambda: _serve(options))


def settings(options: argparse.Namespace) -> PbxSettings:
    """What the command line says. Raises BadPasswords."""
    passwords = read_passwords(options.passwords)
    return PbxSettings(listen=tuple(options.listen), users=passwords, realm=options.realm, trust=options.trust)


async def _serve(options: argparse.Namespace) -> None:
    wanted, chance = settings(options), Chance.system()
    pbx = Pbx(wanted, chance)
    if not options.relay:
        await serve_until_stopped(pbx, wanted.listen)
        return
    anchored = AnchoredPbx(pbx, wanted.listen[0].address.host, chance)
    try:
        await serve_until_stopped(anchored, wanted.listen)
    finally:
        anchored.close()


def _parser() -> argparse.ArgumentParser:
    parser = server_parser("pbx_server", "A small PBX for demonstrations and tests.", "udp:HOST:PORT")
    parser.add_argument("--realm", required=True, help="for digest challenges, and the domain of all addresses")
    parser.add_argument("--relay", action="store_true", help="carry the media of calls, those that come over UDP")
    parser.add_argument("--trust", action="store_true", help="challenge nobody")
    return parser


if __name__ == "__main__":
    sys.exit(main())
