"""Pieces of the RFC 3261 section 25.1 grammar that several headers share.

Text is what `bytes.decode("utf-8", "surrogateescape")` gives, already unfolded: it holds no CR, LF or NUL.
The repetitions are possessive where they can be, so no text, however hostile, makes them backtrack.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

from haproxy_voip.sip.errors import MessageError

Params = tuple[tuple[str, str | None], ...]  # (lower-case name, value as written or None), in the order they came

TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"
LWS = r"[ \t]*+"
QUOTED_STRING = r'"(?:[^"\\]|\\.)*+"'
HOST = r"(?:[A-Za-z0-9_.\-]++|\[[0-9A-Fa-f:.]{2,45}\])"  # COMPAT: "_" in host names
PORT = r"[0-9]{1,5}"
# gen-value = token / host / quoted-string; COMPAT: phones put unquoted "/", "@" and ":" into values
PARAM_VALUE = r"[^\s;,\"<>=?][^\s;,\"<>?]*+"

IS_TOKEN = re.compile(TOKEN)
# With none of these, parameters can be split at ";" and "=". The quick way is for the 2 us that a Via would cost else.
_NOT_PLAIN = re.compile(r'[\x00- \x7f",<>?]')
_COMMON_PARAMS = {"branch", "rport", "received", "tag", "expires", "ob", "reg-id", "q", "lr"}
_PARAM = re.compile(rf"{LWS};{LWS}({TOKEN})(?:{LWS}={LWS}({PARAM_VALUE}|{QUOTED_STRING}))?{LWS}")
# What may hide a comma, a comma, and a quote or bracket that is never closed.
_LIST_MARK = re.compile(rf'{QUOTED_STRING}|<[^>]*+>|[,"<]')
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_UNSAFE_IN_QUOTES = re.compile(r'(["\\\0])')
# COMPAT: RFC 3261 section 25.1 has "hexpart [ ":" IPv4address ]", so a hexpart that ends in "::" takes a third colon.
# RFC 5118 section 4.10: "an implementation must tolerate both of the above constructs".
_THIRD_COLON = re.compile(r":::(?=[0-9]+\.)")

PORT_MAX = 65535
MAX_ELEMENTS = 256  # of one list; the longest route anyone would follow is MAX_FORWARDS_MAX hops
MAX_PARAMS = 64  # of one value
HOSTS_CACHED = 1024


def is_token(text: str) -> bool:
    """Whether the text is a `token`."""
    return IS_TOKEN.fullmatch(text) is not None


def split_list(text: str) -> list[str]:
    """The elements of a comma-separated list, stripped; commas in quotes and in <> do not separate.

    Empty elements are kept, for the caller to refuse or to skip.
    Raises MessageError when a quote or a bracket is not closed.
    """
    if "," not in text:
        return [text]
    elements = []
    start = 0
    for mark in _LIST_MARK.finditer(text):
        match mark[0]:
            case ",":
                elements.append(text[start : mark.start()].strip(" \t"))
                start = mark.end()
            case '"' | "<":
                raise MessageError(f"{mark[0]} is never closed: {text!r}")
    elements.append(text[start:].strip(" \t"))
    if len(elements) > MAX_ELEMENTS:
        raise MessageError(f"a list of more than {MAX_ELEMENTS} elements")
    return elements


def parse_params(text: str) -> Params:
    """Read `;name=value;flag;name="quoted"`, the whole of it.

    Values stay as written, quotes included: see `unquote`. Raises MessageError, also when a name comes
    twice (RFC 3261 section 7.3.1: "any given parameter-name MUST NOT appear more than once").
    """
    if not text:
        return ()
    if text[0] != ";" or _NOT_PLAIN.search(text):
        pairs = _scan_params(text)
    else:
        pairs = []
        for param in text[1:].split(";"):
            name, equals, value = param.partition("=")
            if name not in _COMMON_PARAMS:
                name = _param_name(name, text)
            if value:
                pairs.append((name, value))
            elif not equals:
                pairs.append((name, None))
            else:
                raise MessageError(f"no parameters: {text!r}")
    if len(pairs) > 1 and (len(pairs) > MAX_PARAMS or len(dict(pairs)) < len(pairs)):
        raise MessageError(f"a parameter comes twice, or there are more than {MAX_PARAMS}: {text[:80]!r}")
    return tuple(pairs)


def _param_name(name: str, text: str) -> str:
    if not is_token(name):
        raise MessageError(f"no parameters: {text!r}")
    return name.lower()


def _scan_params(text: str) -> list[tuple[str, str | None]]:
    pairs: list[tuple[str, str | None]] = []
    at = 0
    while at < len(text):
        found = _PARAM.match(text, at)
        if found is None:
            raise MessageError(f"no parameters: {text!r}")
        pairs.append((found[1].lower(), found[2]))
        at = found.end()
    return pairs


def format_params(params: Params) -> str:
    """The text that `parse_params` reads."""
    return "".join([f";{name}" if value is None else f";{name}={value}" for name, value in params])


def find_param(params: Params, name: str) -> str | None:
    """The value as written, "" when the parameter has none, None when it is absent. `name` is lower-case."""
    for key, value in params:
        if key == name:
            return value or ""
    return None


def with_param(params: Params, name: str, value: str | None) -> Params:
    """The parameters with this one replaced where it stands, or added at the end; None makes it a flag."""
    if any(key == name for key, _ in params):
        return tuple([(key, value if key == name else old) for key, old in params])
    return (*params, (name, value))


def without_param(params: Params, name: str) -> Params:
    """The parameters but this one."""
    return tuple([pair for pair in params if pair[0] != name])


def unquote(text: str) -> str:
    """A quoted-string without its quotes and backslashes; anything else as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    return _QUOTED_PAIR.sub(r"\1", text[1:-1]) if "\\" in text else text[1:-1]


def quote(text: str) -> str:
    """The text as a quoted-string."""
    return '"' + _UNSAFE_IN_QUOTES.sub(r"\\\1", text) + '"'


@lru_cache(HOSTS_CACHED)
def parse_host(text: str) -> str:
    """A host matched by HOST: lower-case, IPv6 literals without brackets. Raises MessageError."""
    if text[0] != "[":
        return text.lower()
    try:
        return str(IPv6Address(_THIRD_COLON.sub("::", text[1:-1])))
    except AddressValueError:
        raise MessageError(f"{text!r} is no IPv6 address") from None


def parse_port(text: str | None) -> int | None:
    """A port matched by PORT, None for none. Raises MessageError outside 1-65535."""
    if text is None:
        return None
    port = int(text)
    if not 0 < port <= PORT_MAX:
        raise MessageError(f"{text} is no port")
    return port


def parse_number(text: str, limit: int, what: str) -> int:
    """A decimal number from 0 to `limit`. Raises MessageError naming `what` it should have been."""
    if text.isascii() and text.isdigit() and len(text) <= 9 and (number := int(text)) <= limit:
        return number
    # Leading zeros are legal in 1*DIGIT; int() itself refuses texts of thousands of digits.
    digits = text.lstrip("0")
    if not text.isascii() or not text.isdigit() or len(digits) > 10 or int(digits or "0") > limit:
        raise MessageError(f"{what} is no number from 0 to {limit}: {text[:40]!r}")
    return int(digits or "0")
