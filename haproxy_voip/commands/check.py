"""`haproxy-voip check FILE`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from haproxy_voip.commands import DONE, REFUSED, Parsers
from haproxy_voip.commands.options import add_json, configuration, sentence
from haproxy_voip.configuration.errors import ConfigErrors
from haproxy_voip.configuration.load import load
from haproxy_voip.configuration.model import Config


def add(parsers: Parsers) -> None:
    """Tell argparse."""
    text = "say everything that is wrong with a configuration"
    parser = parsers.add_parser("check", help=text, description=sentence(text))
    parser.add_argument("file", type=Path, metavar="FILE", help="the configuration")
    add_json(parser)
    parser.set_defaults(command=check)


def check(options: argparse.Namespace) -> int:
    """Nothing is opened or changed."""
    if options.json:
        return _check_for_programs(options.file)
    print(f"{options.file}: good\n{summary(configuration(options.file))}")
    return DONE


def _check_for_programs(path: Path) -> int:
    try:
        load(path)
    except ConfigErrors as found:
        errors = [
            {
                "file": str(error.file),
                "line": error.line,
                "key": error.key,
                "problem": error.problem,
                "remedy": error.remedy,
            }
            for error in found.errors
        ]
        print(json.dumps({"good": False, "errors": errors}))
        return REFUSED
    print(json.dumps({"good": True, "errors": []}))
    return DONE


def summary(config: Config) -> str:
    """What was understood, to be compared with what was meant."""
    backends = [
        f"    {backend.name} at {', '.join(str(at) for at in (backend.sip, backend.xmpp) if at is not None)}"
        for backend in config.backends
    ]
    trunks = [f"    {trunk.name} at {trunk.address}" for trunk in config.trunks]
    listen = (*config.proxy.sip.listen, *(config.proxy.xmpp.listen if config.proxy.xmpp is not None else ()))
    return "\n".join(
        [
            f"  domain: {config.proxy.domain}",
            f"  listens on: {', '.join(map(str, listen))}",
            "  backends, the preferred one first:",
            *backends,
            *(["  trunks:", *trunks] if trunks else []),
        ]
    )
