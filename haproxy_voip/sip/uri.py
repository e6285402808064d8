"""SIP and SIPS URIs (RFC 3261 section 19.1); tel and unknown schemes stay opaque text.

User, password, parameters and headers are kept as written, escapes included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import quote, unquote

from haproxy_voip.core.address import bracketed
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.grammar import (
    HOST,
    MAX_PARAMS,
    PORT,
    Params,
    find_param,
    format_params,
    parse_host,
    parse_port,
    with_param,
    without_param,
)

# RFC 3261 section 25.1, under their names there.
_UNRESERVED = r"A-Za-z0-9\-_.!~*'()"
_ESCAPED = r"%[0-9A-Fa-f]{2}"
_USER = rf"(?:[{_UNRESERVED}&=+$,;?/#]|{_ESCAPED})++"  # COMPAT: dialled "#" comes unescaped from many phones
_PASSWORD = rf"(?:[{_UNRESERVED}&=+$,]|{_ESCAPED})*+"
_PARAMCHARS = rf"(?:[{_UNRESERVED}\[\]/:&+$]|{_ESCAPED})++"
_HNAME = rf"(?:[{_UNRESERVED}\[\]/?:+$]|{_ESCAPED})++"
_HEADER = rf"{_HNAME}=(?:{_HNAME})?"
_SIP_URI = re.compile(
    rf"(?P<scheme>[Ss][Ii][Pp][Ss]?):(?:(?P<user>{_USER})(?::(?P<password>{_PASSWORD}))?@)?"
    rf"(?P<host>{HOST})(?::(?P<port>{PORT}))?"
    rf"(?P<params>(?:;{_PARAMCHARS}(?:={_PARAMCHARS})?)*+)(?:\?(?P<headers>{_HEADER}(?:&{_HEADER})*+))?",
)
_ABSOLUTE_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*+):(?P<opaque>[^\s<>\"\x00-\x1f\x7f]+)")
_ESCAPE = re.compile(_ESCAPED)
_PLAIN_IN_USER = "-_.!~*'()&=+$,;?/"

# 19.1.4: a URI with one of these never equals one without it.
_TELLING_PARAMS = ("user", "ttl", "method", "maddr", "transport")

URIS_CACHED = 4096
CACHED_LENGTH = 256  # longer ones are read anew each time, so the cache stays within about 2 MB


@dataclass(frozen=True, slots=True)
class Uri:
    """One URI. For sip and sips `opaque` is empty; for every other scheme only `scheme` and `opaque` mean anything."""

    scheme: str  # lower-case
    host: str = ""  # lower-case; IPv6 without brackets
    user: str | None = None  # as written: see `username`
    port: int | None = None  # None when not written
    password: str | None = None
    params: Params = ()  # names lower-case
    headers: tuple[tuple[str, str], ...] = ()  # what follows "?", as written
    opaque: str = ""

    @staticmethod
    def parse(text: str) -> Uri:
        """Read one URI, without <> around it. Raises MessageError."""
        return _cached(text) if len(text) <= CACHED_LENGTH else _read(text)

    @property
    def is_sip(self) -> bool:
        """Whether the scheme is sip or sips."""
        return self.scheme == "sip" or self.scheme == "sips"

    @property
    def username(self) -> str:
        """The user with escapes undone; "" when there is none."""
        user = self.user or ""
        return unescape(user) if "%" in user else user

    @property
    def address_of_record(self) -> str:
        """What bindings and credentials are kept under: no parameters, headers or password, no escapes.

        RFC 3261 section 10.3 step 5: "all URI parameters MUST be removed, and any escaped characters MUST be
        converted to their unescaped form".
        """
        if not self.is_sip:
            return f"{self.scheme}:{self.opaque}"
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}:{self.username}@{bracketed(self.host)}{port}"

    def param(self, name: str) -> str | None:
        """The parameter as written, "" when it has no value, None when it is absent. `name` is lower-case."""
        return find_param(self.params, name)

    @property
    def transport(self) -> str | None:
        """The transport parameter, lower-case; None when absent."""
        value = find_param(self.params, "transport")
        return None if value is None else value.lower()

    @property
    def loose(self) -> bool:
        """Whether this Route is a loose router's (RFC 3261 section 16.12)."""
        return find_param(self.params, "lr") is not None

    def with_param(self, name: str, value: str | None = None) -> Uri:
        """The same URI with this parameter set; None makes it a flag."""
        return replace(self, params=with_param(self.params, name, value))

    def without_param(self, name: str) -> Uri:
        """The same URI without this parameter."""
        return replace(self, params=without_param(self.params, name))

    def __str__(self) -> str:
        if not self.is_sip:
            return f"{self.scheme}:{self.opaque}" if self.scheme else self.opaque
        password = "" if self.password is None else f":{self.password}"
        user = "" if self.user is None else f"{self.user}{password}@"
        port = "" if self.port is None else f":{self.port}"
        headers = "?" + "&".join([f"{name}={value}" for name, value in self.headers]) if self.headers else ""
        return f"{self.scheme}:{user}{bracketed(self.host)}{port}{format_params(self.params)}{headers}"

    def same_as(self, other: Uri) -> bool:
        """Whether both mean the same (RFC 3261 section 19.1.4)."""
        if not self.is_sip or not other.is_sip:
            return self == other
        if (self.scheme, self.host, self.port) != (other.scheme, other.host, other.port):
            return False
        if _plain(self.user) != _plain(other.user) or _plain(self.password) != _plain(other.password):
            return False
        return _params_agree(self.params, other.params) and _folded(self.headers) == _folded(other.headers)


def unescape(text: str) -> str:
    """Undo %-escapes; bytes that are no UTF-8 survive as surrogates."""
    return unquote(text, "utf-8", "surrogateescape")


def escape_user(text: str) -> str:
    """A user part that means exactly this text."""
    return quote(text, _PLAIN_IN_USER, "utf-8", "surrogateescape")


def _plain(text: str | None) -> str | None:
    return text if text is None or "%" not in text else unescape(text)


def _folded(pairs: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    # 19.1.4: header components are never ignored, and their order does not matter.
    return sorted((unescape(name).lower(), unescape(value)) for name, value in pairs)


def _params_agree(ours: Params, theirs: Params) -> bool:
    for name, value in ours:
        other = find_param(theirs, name)
        if other is None:
            if name in _TELLING_PARAMS:
                return False
        elif unescape(other).lower() != unescape(value or "").lower():
            return False
    return all(find_param(ours, name) is not None for name, _ in theirs if name in _TELLING_PARAMS)


@lru_cache(URIS_CACHED)
def _cached(text: str) -> Uri:
    return _read(text)


def _read(text: str) -> Uri:
    found = _SIP_URI.fullmatch(text)
    if found is None:
        return _read_opaque(text)
    headers = found["headers"]
    return Uri(
        scheme=found["scheme"].lower(),
        host=parse_host(found["host"]),
        user=found["user"],
        port=parse_port(found["port"]),
        password=found["password"],
        params=_read_params(found["params"]),
        headers=tuple([_pair(header) for header in headers.split("&")]) if headers else (),
    )


def _pair(header: str) -> tuple[str, str]:
    name, _, value = header.partition("=")
    return name, value


def _read_params(text: str) -> Params:
    pairs = [param.partition("=") for param in text.split(";")[1:]]
    params = tuple([(name.lower(), value if equals else None) for name, equals, value in pairs])
    if len(params) > 1 and (len(params) > MAX_PARAMS or len(dict(params)) < len(params)):
        raise MessageError(f"a URI parameter comes twice, or there are more than {MAX_PARAMS}: {text[:80]!r}")
    return params


def _read_opaque(text: str) -> Uri:
    found = _ABSOLUTE_URI.fullmatch(text)
    if found is None or found["scheme"].lower() in ("sip", "sips"):
        raise MessageError(f"no URI: {text!r}")
    return Uri(scheme=found["scheme"].lower(), opaque=found["opaque"])
