"""Typed header values (RFC 3261 section 20, RFC 3262, RFC 3891, RFC 4028).

Each `parse` takes one value, unfolded, and raises MessageError; each `str()` writes it for the wire.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from haproxy_voip.core.address import bracketed
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.grammar import (
    HOST,
    LWS,
    PORT,
    QUOTED_STRING,
    TOKEN,
    Params,
    find_param,
    format_params,
    parse_host,
    parse_number,
    parse_params,
    parse_port,
    quote,
    unquote,
    with_param,
    without_param,
)
from haproxy_voip.sip.uri import CACHED_LENGTH, Uri

CSEQ_MAX = 2**31 - 1  # RFC 3261 section 8.1.1.5
RSEQ_MAX = 2**31 - 1  # RFC 3262 section 3
DELTA_SECONDS_MAX = 2**32 - 1  # RFC 3261 section 20.19
MAX_FORWARDS_MAX = 255  # 20.22
ADDRESSES_CACHED = 4096  # a phone's Contact, and From and To within a dialog, come again and again
HOPS_CACHED = 4096  # what a Via says before its parameters is the same in all a phone sends
CSEQS_CACHED = 1024  # numbers begin low, methods are few
MAGIC_COOKIE = "z9hG4bK"  # 8.1.1.7

# name-addr = [ display-name ] LAQUOT addr-spec RAQUOT
# COMPAT: an unquoted display name may hold more than tokens (RFC 4475 section 3.1.1.6 also drops the space before <);
# a comma there stays an error (3.1.2.15).
_NAME_ADDR = re.compile(
    rf'(?:(?P<quoted>{QUOTED_STRING})|(?P<plain>[^"<>,;:\\]*+))[ \t]*+<(?P<uri>[^<>]*+)>{LWS}(?P<params>;.*)?'
)
_VIA_HOP = re.compile(
    rf"[Ss][Ii][Pp]{LWS}/{LWS}2\.0{LWS}/{LWS}(?P<transport>{TOKEN})[ \t]++"
    rf"(?P<host>{HOST})(?:{LWS}:{LWS}(?P<port>{PORT}))?{LWS}"
)
_CSEQ = re.compile(rf"(?P<number>[0-9]++)[ \t]++(?P<method>{TOKEN})")
_RACK = re.compile(rf"(?P<rseq>[0-9]++)[ \t]++(?P<cseq>[0-9]++)[ \t]++(?P<method>{TOKEN})")

_STAR_URI = Uri(scheme="", opaque="*")


@dataclass(slots=True)
class NameAddr:
    """An address as From, To, Contact, Route and Refer-To carry it. Treat it as immutable: it is shared."""

    uri: Uri
    display: str = ""  # the human name, without quotes and backslashes
    params: Params = ()

    @staticmethod
    def parse(text: str) -> NameAddr:
        """Read a name-addr, a bare addr-spec, or the `*` of a Contact."""
        return _cached_address(text) if len(text) <= CACHED_LENGTH else _read_address(text)

    @property
    def star(self) -> bool:
        """Whether this is `Contact: *` (RFC 3261 section 10.2.2)."""
        return not self.uri.scheme

    @property
    def tag(self) -> str | None:
        """The tag parameter; None when absent."""
        return find_param(self.params, "tag")

    def param(self, name: str) -> str | None:
        """The parameter as written (quotes too), "" when it has no value, None when absent. `name` is lower-case."""
        return find_param(self.params, name)

    def with_tag(self, tag: str) -> NameAddr:
        """The same address with this tag."""
        return NameAddr(self.uri, self.display, with_param(self.params, "tag", tag))

    def with_param(self, name: str, value: str | None = None) -> NameAddr:
        """The same address with this parameter set; None makes it a flag."""
        return NameAddr(self.uri, self.display, with_param(self.params, name, value))

    def without_param(self, name: str) -> NameAddr:
        """The same address without this parameter."""
        return NameAddr(self.uri, self.display, without_param(self.params, name))

    def __str__(self) -> str:
        if self.star:
            return "*"
        display = f"{quote(self.display)} " if self.display else ""
        return f"{display}<{self.uri}>{format_params(self.params)}"


@lru_cache(ADDRESSES_CACHED)
def _cached_address(text: str) -> NameAddr:
    return _read_address(text)


def _read_address(text: str) -> NameAddr:
    found = _NAME_ADDR.fullmatch(text)
    if found is None:
        return _read_addr_spec(text)
    quoted, plain, uri, params = found.groups()
    display = plain.strip(" \t") if quoted is None else unquote(quoted)
    return NameAddr(Uri.parse(uri), display, parse_params(params) if params else ())


def _read_addr_spec(text: str) -> NameAddr:
    if text == "*":
        return NameAddr(_STAR_URI)
    # 20.10: "If the URI contains a comma, question mark or semicolon, the URI MUST be enclosed in angle brackets":
    # so what follows the first semicolon are the header's parameters.
    spec, semicolon, params = text.partition(";")
    spec = spec.rstrip(" \t")
    if "?" in spec or "," in spec or '"' in spec:
        raise MessageError(f"no address: {text!r}")
    return NameAddr(Uri.parse(spec), "", parse_params(semicolon + params))


@dataclass(slots=True)
class Via:
    """One hop of the way back (RFC 3261 section 20.42, RFC 3581). Treat it as immutable: it is shared."""

    transport: str  # upper-case, such as "UDP"
    host: str  # sent-by: lower-case, IPv6 without brackets
    port: int | None  # None when not written
    params: Params = ()

    @classmethod
    def parse(cls, text: str) -> Via:
        """Read one via-parm."""
        hop, semicolon, params = text.partition(";")
        transport, host, port = _cached_hop(hop) if len(hop) <= CACHED_LENGTH else _read_hop(hop)
        return cls(transport, host, port, parse_params(semicolon + params))

    @property
    def branch(self) -> str | None:
        """The branch parameter; None when absent."""
        return find_param(self.params, "branch")

    @property
    def received(self) -> str | None:
        """Where the request really came from, IPv6 without brackets; None when absent."""
        value = find_param(self.params, "received")
        return None if value is None else value.strip("[]")

    @property
    def rport(self) -> int | None:
        """RFC 3581: the source port; 0 when it is only asked for, or is no port; None when absent."""
        value = find_param(self.params, "rport")
        if value is None:
            return None
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 5 else 0

    @property
    def sent_by(self) -> str:
        """Host and port as written: `192.0.2.1:5060`, `[2001:db8::1]`."""
        return bracketed(self.host) if self.port is None else f"{bracketed(self.host)}:{self.port}"

    def param(self, name: str) -> str | None:
        """The parameter as written, "" when it has no value, None when absent. `name` is lower-case."""
        return find_param(self.params, name)

    def with_param(self, name: str, value: str | None = None) -> Via:
        """The same Via with this parameter set; None makes it a flag."""
        return Via(self.transport, self.host, self.port, with_param(self.params, name, value))

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{format_params(self.params)}"


@lru_cache(HOPS_CACHED)
def _cached_hop(text: str) -> tuple[str, str, int | None]:
    return _read_hop(text)


def _read_hop(text: str) -> tuple[str, str, int | None]:
    found = _VIA_HOP.fullmatch(text)
    if found is None:
        raise MessageError(f"Via is not 'SIP/2.0/transport sent-by;params': {text!r}")
    return found["transport"].upper(), parse_host(found["host"]), parse_port(found["port"])


@dataclass(slots=True)
class CSeq:
    """The order of requests within a dialog (RFC 3261 section 20.16). Treat it as immutable: it is shared."""

    number: int
    method: str

    @staticmethod
    def parse(text: str) -> CSeq:
        """Read `number method`."""
        return _cached_cseq(text) if len(text) <= CACHED_LENGTH else _read_cseq(text)

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@lru_cache(CSEQS_CACHED)
def _cached_cseq(text: str) -> CSeq:
    return _read_cseq(text)


def _read_cseq(text: str) -> CSeq:
    found = _CSEQ.fullmatch(text)
    if found is None:
        raise MessageError(f"CSeq is not 'number method': {text!r}")
    return CSeq(parse_number(found[1], CSEQ_MAX, "CSeq"), found[2])


@dataclass(slots=True)
class RAck:
    """Which reliable provisional a PRACK acknowledges (RFC 3262 section 7.2)."""

    rseq: int
    cseq: int
    method: str

    @classmethod
    def parse(cls, text: str) -> RAck:
        """Read `RSeq CSeq-number method`."""
        found = _RACK.fullmatch(text)
        if found is None:
            raise MessageError(f"RAck is not 'number number method': {text!r}")
        return cls(parse_number(found[1], RSEQ_MAX, "RAck"), parse_number(found[2], CSEQ_MAX, "RAck"), found[3])

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq} {self.method}"


@dataclass(slots=True)
class Replaces:
    """The dialog to take the place of (RFC 3891 section 6.1); Join (RFC 3911) has the same form."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Replaces:
        """Read `call-id;to-tag=...;from-tag=...`."""
        call_id, semicolon, rest = text.partition(";")
        params = parse_params(semicolon + rest)
        to_tag, from_tag = find_param(params, "to-tag"), find_param(params, "from-tag")
        if not call_id.strip() or not to_tag or not from_tag:
            raise MessageError(f"Replaces names no dialog: {text!r}")
        return cls(call_id.strip(), to_tag, from_tag, find_param(params, "early-only") is not None)

    def __str__(self) -> str:
        early_only = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early_only}"


@dataclass(slots=True)
class SessionExpires:
    """How long a session lives without refresh (RFC 4028 section 4)."""

    seconds: int
    refresher: str | None = None  # "uac" or "uas"; None leaves it to the answerer

    @classmethod
    def parse(cls, text: str) -> SessionExpires:
        """Read `seconds;refresher=uac|uas`."""
        seconds, semicolon, rest = text.partition(";")
        refresher = find_param(parse_params(semicolon + rest), "refresher")
        refresher = None if refresher is None else refresher.lower()
        if refresher not in (None, "uac", "uas"):
            raise MessageError(f"refresher is neither uac nor uas: {text!r}")
        return cls(parse_number(seconds.strip(), DELTA_SECONDS_MAX, "Session-Expires"), refresher)

    def __str__(self) -> str:
        return f"{self.seconds};refresher={self.refresher}" if self.refresher else str(self.seconds)
