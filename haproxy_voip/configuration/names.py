"""Names an operator gives to things, which then stand in commands, tables and logs."""

from __future__ import annotations

import re

from haproxy_voip.configuration.kinds import HOST_NAME

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
# More backends than one pool can probe every 100 ms without being busy with nothing else.
MAX_NAMED = 64


def mistake_in_name(name: str) -> tuple[str, str] | None:
    """What is wrong with it and what would be right, or None."""
    if NAME.fullmatch(name):
        return None
    return f"{name!r} is no name", "use letters, digits, - _ and ., at most 32, and begin with a letter or digit"


def mistake_in_domain(name: str) -> tuple[str, str] | None:
    """The same for a domain, which is written in lower case because that is how they are compared."""
    if HOST_NAME.fullmatch(name) and name == name.lower():
        return None
    return f"{name!r} is no domain name in lower case", "write one such as voip.example"
