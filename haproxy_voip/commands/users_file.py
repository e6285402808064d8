"""What the `users` commands share: the users' file, and the running proxy told of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from haproxy_voip.commands import REFUSED, Failure
from haproxy_voip.commands.control import ask
from haproxy_voip.commands.options import add_control, add_json, one_value
from haproxy_voip.configuration import users
from haproxy_voip.configuration.errors import ConfigErrors


def add_common(parser: argparse.ArgumentParser, command: object) -> None:
    """Which users' file, and which running proxy."""
    parser.add_argument(
        "--users", type=Path, metavar="FILE", help="the users file (default: the one that the configuration names)"
    )
    add_control(parser)
    add_json(parser)
    parser.set_defaults(command=command)


def users_path(options: argparse.Namespace) -> Path:
    """Where the users' file is. Raises Failure."""
    if options.users is not None:
        return Path(options.users)
    if options.config is None:
        raise Failure(REFUSED, "which users file? name it with --users FILE, or the configuration with -c FILE")
    path = one_value(options.config, "users")
    if path is None:
        raise Failure(REFUSED, f"{options.config}: names no users file; add `users: users.yaml` to it")
    return Path(path)


def load_users(path: Path) -> users.Users:
    """Who is in it. Raises Failure with every mistake."""
    try:
        return users.load(path)
    except ConfigErrors as errors:
        raise Failure(REFUSED, str(errors)) from None


def realm_of(options: argparse.Namespace, path: Path) -> str:
    """The realm of the file, also of one that is still to be made. Raises Failure."""
    if options.realm is not None:
        return str(options.realm)
    if path.exists():
        return load_users(path).realm
    if options.config is not None:
        return str(one_value(options.config, "proxy.domain"))
    raise Failure(REFUSED, f"{path} does not exist yet; say its realm with --realm, usually the proxy's domain")


def tell_running(options: argparse.Namespace) -> bool:
    """Whether a running proxy took the file over. That none runs is no mistake; that it refuses is told."""
    if options.control is None and options.config is None:
        return False
    try:
        ask(options, "users-reload", {})
    except Failure as failure:
        if failure.status == REFUSED:
            raise
        return False
    return True
