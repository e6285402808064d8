"""The kinds of value a configuration holds: how each is read from text, written back and described.

A kind rides on a field's type, `Annotated[float, Duration(...)]`, so that the loader, the reference and the
JSON schema are all made from the model and cannot disagree with it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from haproxy_voip.core.address import Address, Endpoint, Transport, is_name

Schema = dict[str, object]

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,6})?)(?P<unit>ms|s|m|h)")
PORTS = re.compile(r"(?P<low>\d{1,5})\s*-\s*(?P<high>\d{1,5})")
HOST_NAME = re.compile(
    r"(?=.{1,253}$)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
# RFC 7622 section 3.3.1: what no localpart may hold.
LOCALPART = re.compile(r"[^\s\x00-\x1f\x7f\"&'/:<>@]{1,64}")
# What `sun_path` holds, less its final NUL (unix(7)).
SOCKET_PATH_BYTES = 107
# What any carrier hands out as a user name or password is shorter.
MOST_TEXT = 255
# A parity pair for each side of a call with one m-line.
SMALLEST_PORT_RANGE = 4


class Wrong(ValueError):
    """A value is not what its key takes: what is wrong, and what would be right."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class PortRange(NamedTuple):
    """UDP ports, both ends included."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low}-{self.high}"


class Kind:
    """One kind of value. `read` raises Wrong."""

    words: ClassVar[str]

    def describe(self) -> str:
        """What the reference says may be written."""
        return self.words

    def read(self, text: str) -> object:
        """The value a scalar stands for."""
        raise NotImplementedError

    def write(self, value: object) -> str:
        """The text that reads back as this value."""
        return str(value)

    def schema(self) -> Schema:
        """As JSON Schema."""
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Duration(Kind):
    """Seconds, written with a unit. Where `never` is given, that word may stand instead and reads as None."""

    words: ClassVar[str] = "duration"
    shortest: float
    longest: float
    never: str | None = None

    def describe(self) -> str:
        """With both bounds."""
        bounds = f"{self.words}, {written_duration(self.shortest)} to {written_duration(self.longest)}"
        return f"`{self.never}` or a {bounds}" if self.never else bounds

    def read(self, text: str) -> float | None:
        """Seconds."""
        if text == self.never:
            return None
        found = DURATION.fullmatch(text)
        if found is None:
            instead = f"{self.never}, or " if self.never else ""
            raise Wrong(f"{text!r} is no duration", f"write {instead}a number and its unit: 100ms, 2s, 1m or 1h")
        seconds = float(found["number"]) * UNITS[found["unit"]]
        if seconds < self.shortest:
            raise Wrong(f"{text} is too short", f"write at least {written_duration(self.shortest)}")
        if seconds > self.longest:
            raise Wrong(f"{text} is too long", f"write at most {written_duration(self.longest)}")
        return seconds

    def write(self, value: object) -> str:
        """`100ms`, `1h`."""
        return written_duration(value) if isinstance(value, float) else str(self.never)

    def schema(self) -> Schema:
        """The bounds cannot be said in a pattern; the loader checks them."""
        pattern = r"[0-9]+(\.[0-9]+)?(ms|s|m|h)"
        return {"type": "string", "pattern": f"^({self.never}|{pattern})$" if self.never else f"^{pattern}$"}


@dataclass(frozen=True, slots=True)
class Whole(Kind):
    """A whole number."""

    words: ClassVar[str] = "whole number"
    least: int
    most: int

    def describe(self) -> str:
        """With both bounds."""
        return f"{self.words}, {self.least} to {self.most}"

    def read(self, text: str) -> int:
        """Decimal digits only."""
        if not (text.isascii() and text.isdigit() and len(text) < 12):
            raise Wrong(f"{text!r} is no whole number", f"write one from {self.least} to {self.most}")
        if not self.least <= int(text) <= self.most:
            raise Wrong(f"{text} is out of range", f"write a number from {self.least} to {self.most}")
        return int(text)

    def schema(self) -> Schema:
        """With both bounds."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Flag(Kind):
    """true or false."""

    words: ClassVar[str] = "`true` or `false`"

    def read(self, text: str) -> bool:
        """Only these two words: `yes`, `on` and `1` mean different things in different YAML versions."""
        if text not in ("true", "false"):
            raise Wrong(f"{text!r} is neither true nor false", "write true or false")
        return text == "true"

    def write(self, value: object) -> str:
        """In YAML's spelling."""
        return "true" if value else "false"

    def schema(self) -> Schema:
        """A JSON boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One of a few words. Those in `later` are known but not built yet."""

    options: tuple[str, ...]
    later: tuple[str, ...] = ()

    def describe(self) -> str:
        """The words themselves."""
        words = " or ".join(f"`{option}`" for option in self.options)
        return f"{words} ({', '.join(self.later)}: not supported yet)" if self.later else words

    def read(self, text: str) -> str:
        """The word itself."""
        if text in self.later:
            raise Wrong(f"{text!r} is not supported yet", f"write {' or '.join(self.options)}")
        if text not in self.options:
            raise Wrong(f"{text!r} is none of its values", f"write {' or '.join(self.options)}")
        return text

    def schema(self) -> Schema:
        """An enumeration."""
        return {"enum": list(self.options)}


@dataclass(frozen=True, slots=True)
class Domain(Kind):
    """A host name or IP literal, lower-cased: the right-hand side of an address-of-record."""

    words: ClassVar[str] = "domain name or IP address"

    def read(self, text: str) -> str:
        """Lower case, because host names compare so (RFC 3261 section 19.1.4)."""
        if HOST_NAME.fullmatch(text):
            return text.lower()
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            raise Wrong(f"{text!r} is no domain name", "write one such as voip.example") from None


@dataclass(frozen=True, slots=True)
class Host(Kind):
    """An IP literal without brackets. Only where `wildcard`, it may be 0.0.0.0 or ::."""

    words: ClassVar[str] = "IP address"
    wildcard: bool = False

    def read(self, text: str) -> str:
        """In its shortest spelling."""
        try:
            literal = ipaddress.ip_address(text)
        except ValueError:
            raise Wrong(f"{text!r} is no IP address", "write one such as 192.0.2.1 or 2001:db8::1") from None
        if literal.is_unspecified and not self.wildcard:
            raise Wrong(f"nobody can send to {text}", "write the address that others reach")
        return str(literal)


@dataclass(frozen=True, slots=True)
class Network(Kind):
    """An address with or without a prefix length: `198.51.100.0/24`."""

    words: ClassVar[str] = "network such as `198.51.100.0/24`, or a single IP address"

    def read(self, text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        """Bits behind the prefix are refused: one of the two is a slip. So is everybody."""
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise Wrong(f"{text!r} is no network", "write one such as 198.51.100.0/24 or 2001:db8::/32") from None
        if network.prefixlen == 0:
            raise Wrong(f"{text} is everybody", "write the networks that are meant")
        if "/" in text and ipaddress.ip_interface(text).ip != network.network_address:
            raise Wrong(f"{text} has bits behind its prefix", f"write {network}, or the address alone")
        return network


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """One line of any characters, at most 255 of them."""

    words: ClassVar[str] = "text"

    def read(self, text: str) -> str:
        """As it stands."""
        if not text or len(text) > MOST_TEXT or not text.isprintable():
            raise Wrong("it is empty, too long, or holds what cannot be printed", "write at most 255 plain characters")
        return text


@dataclass(frozen=True, slots=True)
class Listener(Kind):
    """`transport:address:port`, where SIP is spoken."""

    words: ClassVar[str] = "`udp`, `tcp` or `tls`, then `:address:port`"

    def read(self, text: str) -> Endpoint:
        """Port 0 is refused: nobody would find it."""
        try:
            endpoint = Endpoint.parse(text)
        except ValueError as error:
            problem = str(error).partition("; ")[0]
            raise Wrong(problem, "write transport:address:port, for example udp:192.0.2.1:5060") from None
        if endpoint.address.port == 0:
            raise Wrong(f"{text!r} has port 0", "write a port from 1 to 65535, usually 5060, for TLS 5061")
        return endpoint

    def schema(self) -> Schema:
        """The address itself is checked by the loader."""
        return {"type": "string", "pattern": "^(udp|tcp|tls):.+:[0-9]{1,5}$"}


@dataclass(frozen=True, slots=True)
class Place(Kind):
    """A `Listener`, or `transport:name:port`, or `transport:name`, which reads as port 0: to be looked up as well."""

    words: ClassVar[str] = "`udp`, `tcp` or `tls`, then `:address:port`, `:name:port` or `:name`"

    def read(self, text: str) -> Endpoint:
        """Whether there is such a name is found out later."""
        transport, _, rest = text.partition(":")
        name, colon, port = rest.partition(":")
        if transport not in set(Transport) or not HOST_NAME.fullmatch(name) or not is_name(name):
            return Listener().read(text)
        if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise Wrong(f"{text!r} has no port from 1 to 65535", "write one, or leave it and the colon out for SRV")
        return Endpoint(Transport(transport), Address(name.lower(), int(port or 0)))

    def schema(self) -> Schema:
        """Names and addresses are checked by the loader."""
        return {"type": "string", "pattern": "^(udp|tcp|tls):.+$"}


@dataclass(frozen=True, slots=True)
class Ports(Kind):
    """A range of ports that starts with an even one, where RTP goes (RFC 3550 section 11)."""

    words: ClassVar[str] = "port range `low-high`, `low` even"

    def read(self, text: str) -> PortRange:
        """Unprivileged ports, at least a pair for each side of one call."""
        found = PORTS.fullmatch(text)
        if found is None:
            raise Wrong(f"{text!r} is no port range", "write low-high, for example 20000-29999")
        low, high = int(found["low"]), int(found["high"])
        if low < 1024 or high > 65535:
            raise Wrong(f"{text} leaves the usable ports", "write a range within 1024-65535")
        if low % 2:
            raise Wrong(f"{text} starts with an odd port, and RTP takes even ones", f"write {low + 1}-{high}")
        if high - low + 1 < SMALLEST_PORT_RANGE:
            raise Wrong(f"{text} is too small for one call", f"write at least {low}-{low + SMALLEST_PORT_RANGE - 1}")
        return PortRange(low, high)

    def schema(self) -> Schema:
        """The numbers are checked by the loader."""
        return {"type": "string", "pattern": "^[0-9]{1,5} *- *[0-9]{1,5}$"}


@dataclass(frozen=True, slots=True)
class File(Kind):
    """A file that must be there and readable; relative names start at the configuration's own folder."""

    words: ClassVar[str] = "file name"

    def read(self, text: str) -> Path:
        """The loader anchors it and looks whether it can be read."""
        if not text or "\0" in text:
            raise Wrong("the file name is empty or holds a NUL", "write a file name")
        return Path(text)


@dataclass(frozen=True, slots=True)
class SecretFile(Kind):
    """A file whose first line is a secret, so that there is none in the configuration itself."""

    words: ClassVar[str] = "name of a file that holds a secret"

    def read(self, text: str) -> Path:
        """The loader anchors it and reads it: the model has the secret, not the name."""
        return File().read(text)


@dataclass(frozen=True, slots=True)
class Localpart(Kind):
    """What stands before the @ of a chat address, in lower case as servers prepare it (RFC 7622 section 3.3)."""

    words: ClassVar[str] = "user name"

    def read(self, text: str) -> str:
        """Without a domain."""
        if not LOCALPART.fullmatch(text):
            raise Wrong(f"{text!r} is no user name", "write what stands before the @ of its address")
        return text.lower()


@dataclass(frozen=True, slots=True)
class NewFile(Kind):
    """A file that is written to, and made where it is not there; its folder must be."""

    words: ClassVar[str] = "name of a file to write"

    def read(self, text: str) -> Path:
        """The loader anchors it."""
        if not text or "\0" in text:
            raise Wrong("the file name is empty or holds a NUL", "write a file name")
        return Path(text)


@dataclass(frozen=True, slots=True)
class Socket(Kind):
    """Where a local socket is made; need not exist beforehand."""

    words: ClassVar[str] = "file name of a local socket"

    def read(self, text: str) -> Path:
        """Within what the kernel takes."""
        if not text or "\0" in text:
            raise Wrong("the file name is empty or holds a NUL", "write a file name")
        if len(text.encode()) > SOCKET_PATH_BYTES:
            raise Wrong("the name of a local socket is limited", f"write at most {SOCKET_PATH_BYTES} bytes")
        return Path(text)


def written_duration(seconds: float) -> str:
    """The shortest way to write it without loss: 0.1 is `100ms`, 3600.0 is `1h`, 90.0 is `90s`."""
    if seconds < 1:
        return f"{round(seconds * 1000, 3):g}ms"
    for unit in ("h", "m"):
        if seconds % UNITS[unit] == 0:
            return f"{seconds / UNITS[unit]:.12g}{unit}"
    return f"{seconds:.12g}s"
