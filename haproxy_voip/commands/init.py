"""`haproxy-voip init`: a first configuration, asked for or given by flags."""

from __future__ import annotations

import argparse
from pathlib import Path

from haproxy_voip.commands import Parsers
from haproxy_voip.commands.options import DEFAULT_CONTROL, add_json

DEFAULT_FILE = Path("haproxy_voip.yaml")


def add(parsers: Parsers) -> None:
    """Tell argparse."""
    parser = parsers.add_parser(
        "init",
        help="write a first configuration",
        description=(
            "Asks which servers there are, looks for this machine's addresses, and writes a configuration that works, "
            "readable by you only. What a flag says is not asked for; --yes asks for nothing."
        ),
        epilog="FILEs of the flags are written as they are: relative to the configuration's folder.",
    )
    parser.add_argument(
        "file", type=Path, nargs="?", default=DEFAULT_FILE, metavar="FILE", help=f"what to write ({DEFAULT_FILE})"
    )
    several: dict[str, dict[str, str]] = {
        "--backend": {
            "metavar": "NAME=ADDRESS",
            "help": "a SIP server, e.g. alpha=udp:10.0.0.11:5060 or beta=pbx.example; preferred first",
        },
        "--chat": {"metavar": "NAME=ADDRESS", "help": "a chat server, e.g. alpha=tcp:10.0.0.11:5222; preferred first"},
        "--address": {"metavar": "IP", "help": "the proxy's own address (default: the default route's)"},
    }
    for flag, what in several.items():
        parser.add_argument(flag, action="append", default=[], metavar=what["metavar"], help=what["help"])
    parser.add_argument("--advertise", metavar="IP", help="what others send to, where a router translates")
    parser.add_argument("--domain", help="what phones log in at (default: this machine's domain, or its address)")
    parser.add_argument("--port", metavar="PORT", help="for SIP (default: 5060); the next one is for TLS")
    parser.add_argument("--chat-port", metavar="PORT", help="for chat (default: 5222); the next one is for TLS")
    parser.add_argument("--media-ports", metavar="LOW-HIGH", help="for audio and video (default: 20000-29999)")
    parser.add_argument("--certificate", metavar="FILE", help="the proxy's own, for TLS; with --key")
    parser.add_argument("--key", metavar="FILE", help="the certificate's")
    parser.add_argument("--users", metavar="FILE", help="who may register (default: users.yaml); made if not there")
    parser.add_argument("--control", metavar="SOCKET", help=f"for status and others (default: {DEFAULT_CONTROL})")
    parser.add_argument("--yes", action="store_true", help="ask nothing: take what would be suggested")
    parser.add_argument("--force", action="store_true", help="replace FILE if it is there")
    add_json(parser)
    parser.set_defaults(command=init)


def init(options: argparse.Namespace) -> int:
    """Imported only now: nobody else asks questions."""
    from haproxy_voip.commands.init_file import write

    return write(options)
