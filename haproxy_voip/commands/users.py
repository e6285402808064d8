"""`users add` and `users list`: the users file, and the running proxy told of it."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from pathlib import Path

from haproxy_voip.commands import DONE, REFUSED, Failure, Parsers
from haproxy_voip.commands.control import ask
from haproxy_voip.commands.options import add_control, add_json, one_value
from haproxy_voip.commands.tables import table
from haproxy_voip.configuration import users
from haproxy_voip.configuration.errors import ConfigErrors
from haproxy_voip.core.credential import Credential


def add(parsers: Parsers) -> None:
    """Tell argparse."""
    parser = parsers.add_parser("users", help="the users who may register")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    adding = actions.add_parser(
        "add",
        help="add a user, or with --replace give one a new password",
        description="Without --password-stdin the password is asked for. A running proxy is told at once.",
    )
    adding.add_argument("name", metavar="NAME", help="the user, for example 1001")
    adding.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    adding.add_argument("--replace", action="store_true", help="change a user who is there already")
    adding.add_argument(
        "--hashed",
        action="store_true",
        help="store hashes only; backends that challenge in another realm can then not be answered",
    )
    adding.add_argument("--realm", help="the realm of a file that does not exist yet (default: proxy.domain)")
    _add_common(adding, add_user)
    _add_common(actions.add_parser("list", help="show the users, not their secrets"), list_users)


def add_user(options: argparse.Namespace) -> int:
    """Write the file; whoever runs takes it over."""
    path = _path(options)
    realm = _realm(options, path)
    password = _password(options)
    credential = (
        users.hashed(options.name, realm, password)
        if options.hashed
        else Credential(options.name, realm, password=password)
    )
    try:
        users.add(path, credential, replace=options.replace)
    except users.UserExists:
        raise Failure(REFUSED, f"{path}: {options.name!r} is there already; --replace changes the password") from None
    except ConfigErrors as errors:
        raise Failure(REFUSED, str(errors)) from None
    except ValueError as error:
        raise Failure(REFUSED, str(error)) from None
    except OSError as error:
        raise Failure(REFUSED, f"{path}: cannot be written: {error.strerror or error}") from None
    told = _tell_running(options)
    if options.json:
        print(json.dumps({"user": options.name, "realm": realm, "file": str(path), "running_proxy_told": told}))
    else:
        print(f"{path}: {options.name} saved; " + ("the running proxy knows" if told else "no running proxy was told"))
    return DONE


def list_users(options: argparse.Namespace) -> int:
    """Names and what kind of secret each has."""
    path = _path(options)
    known = _load(path)
    rows = [{"user": name, "secret": _kind(credential)} for name, credential in known.credentials.items()]
    if options.json:
        print(json.dumps({"realm": known.realm, "users": rows}))
    else:
        print(f"realm: {known.realm}")
        print(table(rows) if rows else "no users")
    return DONE


def _add_common(parser: argparse.ArgumentParser, command: object) -> None:
    parser.add_argument(
        "--users", type=Path, metavar="FILE", help="the users file (default: the one that the configuration names)"
    )
    add_control(parser)
    add_json(parser)
    parser.set_defaults(command=command)


def _path(options: argparse.Namespace) -> Path:
    if options.users is not None:
        return Path(options.users)
    if options.config is None:
        raise Failure(REFUSED, "which users file? name it with --users FILE, or the configuration with -c FILE")
    path = one_value(options.config, "users")
    if path is None:
        raise Failure(REFUSED, f"{options.config}: names no users file; add `users: users.yaml` to it")
    return Path(path)


def _load(path: Path) -> users.Users:
    try:
        return users.load(path)
    except ConfigErrors as errors:
        raise Failure(REFUSED, str(errors)) from None


def _realm(options: argparse.Namespace, path: Path) -> str:
    if options.realm is not None:
        return str(options.realm)
    if path.exists():
        return _load(path).realm
    if options.config is not None:
        return str(one_value(options.config, "proxy.domain"))
    raise Failure(REFUSED, f"{path} does not exist yet; say its realm with --realm, usually the proxy's domain")


def _password(options: argparse.Namespace) -> str:
    if options.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Failure(REFUSED, "standard input is no terminal to ask for a password; use --password-stdin")
    password = getpass.getpass(f"Password for {options.name}: ")
    if getpass.getpass("Once more: ") != password:
        raise Failure(REFUSED, "the two passwords differ; nothing was changed")
    return password


def _tell_running(options: argparse.Namespace) -> bool:
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


def _kind(credential: Credential) -> str:
    if credential.password is not None:
        return "password"
    return " and ".join(name for name in ("ha1", "ha1_sha256") if getattr(credential, name) is not None)
