"""`status`, `drain`, `maint`, `ready` and `switch`: asked of the running proxy."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from haproxy_voip.commands import DONE, REFUSED, UNREACHABLE, Failure, Parsers
from haproxy_voip.commands.failovers import failovers
from haproxy_voip.commands.options import add_control, add_json, control_path, sentence
from haproxy_voip.commands.tables import described
from haproxy_voip.edge.control_client import ControlError, request

NAMED = {
    "drain": "give a backend nothing new; what is on it stays until it ends",
    "maint": "take a backend out: everything on it moves or ends at once, as if it were down; it is still checked",
    "ready": "end drain or maint",
    "switch": "make this backend the active one for everything new",
}


def add(parsers: Parsers) -> None:
    """Tell argparse."""
    text = "what the running proxy is doing"
    status = parsers.add_parser("status", help=text, description=sentence(text))
    _add_common(status, show_status)
    for name, text in NAMED.items():
        parser = parsers.add_parser(name, help=text, description=sentence(text))
        parser.add_argument("name", metavar="NAME", help="a backend, as the configuration names it")
        _add_common(parser, change)
        parser.set_defaults(asked=name)


def show_status(options: argparse.Namespace) -> int:
    """Everything the node tells of itself."""
    result = ask(options, "status", {})
    if options.json:
        return _show(options, result)
    records = result.pop("failovers")
    _show(options, result)
    if records:
        print(f"\nfailovers, the last one first:\n{failovers(records)}")
    return DONE


def change(options: argparse.Namespace) -> int:
    """One of NAMED; shows the backends as they are afterwards."""
    return _show(options, ask(options, options.asked, {"name": options.name}))


def ask(options: argparse.Namespace, command: str, arguments: dict[str, str]) -> dict[str, Any]:
    """Ask the running proxy. Raises Failure when it refuses or cannot be asked."""
    try:
        result = request(control_path(options), command, arguments)
    except ControlError as error:
        raise Failure(UNREACHABLE, str(error)) from None
    if "error" in result:
        raise Failure(REFUSED, str(result["error"]))
    return result


def _show(options: argparse.Namespace, result: dict[str, Any]) -> int:
    print(json.dumps(result, indent=2) if options.json else described(result))
    return DONE


def _add_common(parser: argparse.ArgumentParser, command: Callable[[argparse.Namespace], int]) -> None:
    add_control(parser)
    add_json(parser)
    parser.set_defaults(command=command)
