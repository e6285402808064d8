"""`haproxy-voip run -c FILE`."""

from __future__ import annotations

import argparse
from pathlib import Path

from haproxy_voip.commands import DONE, Parsers
from haproxy_voip.commands.options import configuration, sentence


def add(parsers: Parsers) -> None:
    """Tell argparse."""
    text = "run the proxy in the foreground until SIGTERM or SIGINT"
    parser = parsers.add_parser("run", help=text, description=sentence(text))
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="the configuration")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Run until told to stop."""
    config = configuration(options.config)
    from haproxy_voip.commands.serve import serve

    serve(config, options.config)
    return DONE
