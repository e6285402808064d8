"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from haproxy_voip.commands import REFUSED, Failure
from haproxy_voip.configuration.errors import ConfigErrors
from haproxy_voip.configuration.load import load, load_one
from haproxy_voip.configuration.model import Config

DEFAULT_CONTROL = Path("/run/haproxy_voip.sock")


def sentence(text: str) -> str:
    """A command's line in the list of commands, as the head of its own help."""
    return f"{text[0].upper()}{text[1:]}."


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs instead of text for people")


def add_control(parser: argparse.ArgumentParser) -> None:
    """How to find the running proxy."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--control", type=Path, metavar="SOCKET", help=f"the proxy's control socket (default: {DEFAULT_CONTROL})"
    )
    where.add_argument("-c", "--config", type=Path, metavar="FILE", help="its configuration, which names that socket")


def control_path(options: argparse.Namespace) -> Path:
    """Where the running proxy is to be asked. Raises Failure."""
    if options.control is not None:
        return Path(options.control)
    if options.config is not None:
        return Path(str(one_value(options.config, "control")))
    return DEFAULT_CONTROL


def configuration(path: Path) -> Config:
    """The configuration in this file. Raises Failure with every mistake, one on a line."""
    try:
        return load(path)
    except ConfigErrors as errors:
        raise Failure(REFUSED, str(errors)) from None


def one_value(path: Path, key: str) -> str | Path | None:
    """The string or file name at this key; whatever is wrong elsewhere shall not be in the way. Raises Failure."""
    try:
        value: str | Path | None = load_one(path, key)
    except ConfigErrors as errors:
        raise Failure(REFUSED, str(errors)) from None
    return value
