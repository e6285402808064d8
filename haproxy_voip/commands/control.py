"""`status`, `drain`, `maint`, `ready`, `switch` and `reload`: asked of the running proxy."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from haproxy_voip.commands import DONE, REFUSED, UNREACHABLE, Failure, Parsers
from haproxy_voip.commands.failovers import failovers
from haproxy_voip.commands.options import add_control, add_json, control_path, sentence
from haproxy_voip.commands.tables import described
from haproxy_voip.edge.control_client import PATIENCE, ControlError, request

LOOK_SECONDS = 0.2  # how often to ask for progress
RELOAD_SECONDS = 30.0  # for a large users' file to be read, after whatever reload is under way

NAMED = {
    "drain": "give a backend nothing new; calls on it stay until they end, or are moved; chat sessions move away",
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
        parser.add_argument("--service", choices=("sip", "xmpp"), help="only its telephony, or only its chat")
        if name == "drain":
            parser.add_argument(
                "--move",
                action="store_true",
                help="move the calls there to the next backend, and wait until that is done",
            )
        _add_common(parser, drain if name == "drain" else change)
        parser.set_defaults(asked=name)
    text = "load the configuration again and say what has changed; one that is wrong changes nothing"
    _add_common(parsers.add_parser("reload", help=text, description=sentence(text)), reload)


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
    service = {} if options.service is None else {"service": options.service}
    return _show(options, ask(options, options.asked, {"name": options.name} | service))


def reload(options: argparse.Namespace) -> int:
    """As SIGHUP does."""
    result = ask(options, "reload", {}, RELOAD_SECONDS)
    if options.json:
        return _show(options, result)
    print("\n".join([*result["changed"], *result["later"]]) or "nothing has changed")
    return DONE


def drain(options: argparse.Namespace) -> int:
    """Give it nothing new; with --move, tell how its calls leave it until none is left to be moved."""
    if not options.move:
        return change(options)
    result, told = ask(options, "drain", {"name": options.name, "move": "yes"}), ""
    while True:
        row = next(row for row in result["backends"] if row["name"] == options.name)
        if row["to_move"] is None:
            raise Failure(REFUSED, f"{options.name} is {row['admin']} by now, or down: no more calls are moved")
        if (progress := _progress(row)) != told:
            print(progress, file=sys.stderr)
            told = progress
        if row["to_move"] == 0:
            return _show(options, {"active": result["active"], "backends": result["backends"]})
        time.sleep(LOOK_SECONDS)
        result = ask(options, "status", {})


def _progress(row: dict[str, Any]) -> str:
    staying = sum(row["staying"].values())
    text = f"moved {row['moved']} of {row['moved'] + row['to_move'] + staying} calls"
    why = "; ".join(f"{count} stay: {reason}" for reason, count in row["staying"].items())
    return f"{text}; {why}" if why else text


def ask(
    options: argparse.Namespace, command: str, arguments: dict[str, str], patience: float = PATIENCE
) -> dict[str, Any]:
    """Ask the running proxy. Raises Failure when it refuses or cannot be asked."""
    try:
        result = request(control_path(options), command, arguments, patience)
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
