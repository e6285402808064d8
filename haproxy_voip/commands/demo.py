"""`haproxy-voip demo`: the proxy, three embedded backends and two embedded phones, and backends killed in turn."""

from __future__ import annotations

import argparse

from haproxy_voip.commands import Parsers


def add(parsers: Parsers) -> None:
    """Tell argparse."""
    parser = parsers.add_parser("demo", help="see two failovers on this machine, in under a minute")
    parser.add_argument("--stay", action="store_true", help="keep everything up to play with, until Ctrl-C")
    parser.set_defaults(command=demo)


def demo(options: argparse.Namespace) -> int:
    """Imported only now: nobody else needs the embedded servers and phones."""
    from haproxy_voip.embedded.demo import main

    return main(stay=options.stay)
