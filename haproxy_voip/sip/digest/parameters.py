"""The parameters of Digest challenges and credentials (RFC 7616 section 3.3, RFC 3261 section 25.1).

    digest-challenge = "Digest" LWS digest-cln *(COMMA digest-cln)
    digest-cln       = token EQUAL ( token / quoted-string )

More is read than the grammar allows: unquoted values where quotes belong and the other way round, empty
elements, any case of names. What cannot be read without guessing is a MessageError.
"""

from __future__ import annotations

import re

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.grammar import QUOTED_STRING, TOKEN, unquote

# RFC 7616 knows 13 parameters; a peer may add a few of its own.
MAX_PARAMETERS = 32

SCHEME = re.compile(r"\s*+([A-Za-z][A-Za-z0-9\-]*+)(?:\s[\s,]*+|$)")
PARAMETER = re.compile(
    rf"({TOKEN})\s*+=\s*+"  # token EQUAL
    rf'({QUOTED_STRING}|[^\s,"]*+)'
    r"\s*+(?:,[\s,]*+|$)",
    re.DOTALL,
)
# In these spellings, one after the other with a comma and a space, credentials come from nearly every phone.
COMMON_NAMES = frozenset(
    {"username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "opaque", "qop", "nc", "stale", "domain"}
)


def parse_digest(value: str) -> dict[str, str] | None:
    """The parameters by lower-case name, quoted strings unescaped; None when the scheme is not Digest.

    Raises MessageError (400) for what is not a list of parameters, or names one twice.
    """
    scheme = SCHEME.match(value)
    if scheme is None:
        raise MessageError(f"no authentication scheme: {value[:80]!r}")
    if scheme[1].lower() != "digest":
        return None
    return _plain(value[scheme.end() :]) or _scanned(value, scheme.end())


def _plain(text: str) -> dict[str, str] | None:
    """What can be read without looking at each character; None for anything else, be it right or wrong."""
    parameters: dict[str, str] = {}
    if not text.isascii():
        return None
    for parameter in text.split(", "):
        name, _, value = parameter.partition("=")
        if name not in COMMON_NAMES or name in parameters:
            return None
        if not value.replace("-", "").isalnum():  # SHA-256 comes without quotes
            if len(value) < 2 or value[0] != '"' or value[-1] != '"':
                return None
            value = value[1:-1]
            if '"' in value or "\\" in value:
                return None
        parameters[name] = value
    return parameters


def _scanned(value: str, at: int) -> dict[str, str]:
    parameters: dict[str, str] = {}
    end = len(value)
    while at < end:
        found = PARAMETER.match(value, at)
        if found is None:
            raise MessageError(f"no Digest parameter: {value[at : at + 80]!r}")
        name, text = found[1].lower(), found[2]
        if name in parameters:
            raise MessageError(f"Digest parameter {name!r} twice")
        if len(parameters) >= MAX_PARAMETERS:
            raise MessageError(f"more than {MAX_PARAMETERS} Digest parameters")
        parameters[name] = unquote(text)
        at = found.end()
    return parameters
