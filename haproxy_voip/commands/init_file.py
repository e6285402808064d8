"""What `init` writes. A module of its own, because importing all of it takes longer than `status` shall."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from haproxy_voip.commands import DONE, REFUSED, Failure
from haproxy_voip.commands.asking import Asking
from haproxy_voip.commands.check import summary
from haproxy_voip.commands.init_questions import draft_of
from haproxy_voip.commands.options import configuration
from haproxy_voip.configuration import users
from haproxy_voip.configuration.draft import Draft, written
from haproxy_voip.configuration.errors import ConfigError, ConfigErrors
from haproxy_voip.configuration.load import load
from haproxy_voip.configuration.replace import new_file
from haproxy_voip.core.address import Endpoint
from haproxy_voip.core.credential import Credential
from haproxy_voip.edge.names import Names
from haproxy_voip.edge.own_addresses import why_taken
from haproxy_voip.edge.resolver import Resolver


def write(options: argparse.Namespace) -> int:
    """Nothing is written before everything is answered and found good."""
    path = Path(options.file)
    _refuse_what_is_there(path, options)
    asking = Asking(suggestions=options.yes)
    draft, first = draft_of(options, asking, path.parent)
    users_path = None if draft.users is None else path.parent / draft.users
    made_users = users_path is not None and not users_path.exists()
    if users_path is not None and made_users:
        _make_users(users_path, draft, first)
    try:
        new_file(path, written(draft, path.name), _check, replace=options.force)
    except (Failure, OSError) as error:
        if users_path is not None and made_users:
            users_path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise Failure(REFUSED, f"{path}: cannot be written: {error.strerror or error}") from None
        raise
    for warning in [*_taken(draft), *asyncio.run(_not_found(path))]:
        print(f"at this moment: {warning}", file=sys.stderr)
    if options.json:
        print(json.dumps({"file": str(path), "users": users_path and str(users_path), "users_made": made_users}))
    else:
        print(_story(path, draft, made_users=made_users, has_user=first is not None))
    return DONE


def _refuse_what_is_there(path: Path, options: argparse.Namespace) -> None:
    if path.exists() and not options.force:
        raise Failure(REFUSED, f"{path} is there already; --force replaces it, or name another file")
    if not path.parent.is_dir():
        raise Failure(REFUSED, f"{path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise Failure(REFUSED, f"{path}: you may not write into {path.parent.absolute()}")


def _make_users(path: Path, draft: Draft, first: Credential | None) -> None:
    try:
        users.merge(path, draft.domain, lambda known: [] if first is None else [first])
    except (ConfigErrors, ValueError) as error:
        raise Failure(REFUSED, str(error)) from None
    except OSError as error:
        raise Failure(REFUSED, f"{path}: cannot be written: {error.strerror or error}") from None


def _check(there: Path) -> None:
    """As `check` and `run` would. Raises Failure."""
    try:
        load(there)
    except ConfigErrors as found:
        lines = [f"  {_told(error, error.file == there)}" for error in found.errors]
        raise Failure(REFUSED, "\n".join(["nothing was written, for this would not work:", *lines])) from None


def _told(error: ConfigError, draft: bool) -> str:
    """Without the line, where it is of a file that nobody has seen."""
    return f"{error.key}: {error.problem}; {error.remedy}" if draft else str(error)


def _taken(draft: Draft) -> list[str]:
    """What keeps the proxy from starting, but may be otherwise when it does."""
    reasons = [why_taken(Endpoint.parse(listener)) for listener in draft.sip_listeners + draft.chat_listeners]
    return [reason for reason in reasons if reason is not None]


async def _not_found(path: Path) -> list[str]:
    """Which backends the proxy would do without until their names are known."""
    names = Names(Resolver(), lambda fact: None)
    await names.resolve(configuration(path))
    return [f"{backend} at {endpoint} is not found: {reason}" for backend, endpoint, reason in names.missing]


def _story(path: Path, draft: Draft, *, made_users: bool, has_user: bool) -> str:
    lines = [f"{path}: written, readable by you only", summary(configuration(path))]
    if draft.users is not None:
        lines.append(f"{path.parent / draft.users}: {'made' if made_users else 'was there, and is used as it is'}")
    lines += ["", "next:"]
    if made_users and not has_user:
        lines.append(f"  haproxy-voip users add 1001 -c {path}       or: haproxy-voip users import FILE... -c {path}")
    lines.append(f"  haproxy-voip run -c {path}")
    lines.append(f"  haproxy-voip status -c {path}")
    return "\n".join(lines)
