"""`users add` and `users list`; `users import` is in import_users.py."""

from __future__ import annotations

import argparse
import getpass
import json
import sys

from haproxy_voip.commands import DONE, REFUSED, Failure, Parsers, import_users
from haproxy_voip.commands.tables import table
from haproxy_voip.commands.users_file import add_common, load_users, realm_of, tell_running, users_path
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
    add_common(adding, add_user)
    add_common(actions.add_parser("list", help="show the users, not their secrets"), list_users)
    import_users.add(actions)


def add_user(options: argparse.Namespace) -> int:
    """Write the file; whoever runs takes it over."""
    path = users_path(options)
    realm = realm_of(options, path)
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
    told = tell_running(options)
    if options.json:
        print(json.dumps({"user": options.name, "realm": realm, "file": str(path), "running_proxy_told": told}))
    else:
        print(f"{path}: {options.name} saved; " + ("the running proxy knows" if told else "no running proxy was told"))
    return DONE


def list_users(options: argparse.Namespace) -> int:
    """Names and what kind of secret each has."""
    path = users_path(options)
    known = load_users(path)
    rows = [{"user": name, "secret": _kind(credential)} for name, credential in known.credentials.items()]
    if options.json:
        print(json.dumps({"realm": known.realm, "users": rows}))
    else:
        print(f"realm: {known.realm}")
        print(table(rows) if rows else "no users")
    return DONE


def _password(options: argparse.Namespace) -> str:
    if options.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Failure(REFUSED, "standard input is no terminal to ask for a password; use --password-stdin")
    password = getpass.getpass(f"Password for {options.name}: ")
    if getpass.getpass("Once more: ") != password:
        raise Failure(REFUSED, "the two passwords differ; nothing was changed")
    return password


def _kind(credential: Credential) -> str:
    if credential.password is not None:
        return "password"
    return " and ".join(name for name in ("ha1", "ha1_sha256") if getattr(credential, name) is not None)
