"""Addresses, transports and the flows messages travel on.

Hosts are IP literals without brackets; `str()` writes the form that goes on the wire.
"""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from typing import NamedTuple


def is_name(host: str) -> bool:
    """Whether this is a host's name rather than an address: no top-level domain is a number (RFC 3696 section 2)."""
    return ":" not in host and not host.rpartition(".")[2].isdigit()


class Transport(StrEnum):
    """What carries SIP, in the lower-case spelling of the `transport` URI parameter."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"

    @property
    def reliable(self) -> bool:
        """Whether the transport itself retransmits (RFC 3261 section 17)."""
        return self is not Transport.UDP


class Address(NamedTuple):
    """An IP literal and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.host else 4

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `192.0.2.1:5060` or `[2001:db8::1]:5060`.

        Raises ValueError when the host is no IP literal or the port is not in 0-65535.
        """
        host, colon, port = text.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is no address; write host:port, for example 192.0.2.1:5060")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"{text!r}: an IPv6 host needs brackets, for example [2001:db8::1]:5060")
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(f"{text!r}: {host!r} is no IP address") from None
        return cls(str(literal), int(port))


class Endpoint(NamedTuple):
    """Where something listens: `udp:192.0.2.1:5060`."""

    transport: Transport
    address: Address

    def __str__(self) -> str:
        host, port = self.address
        # A backend's name whose port is to be looked up has port 0.
        return f"{self.transport}:{self.address if port or not is_name(host) else host}"

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read `transport:host:port`. Raises ValueError with what would be right."""
        name, _, rest = text.partition(":")
        try:
            transport = Transport(name)
        except ValueError:
            raise ValueError(f"{text!r}: {name!r} is no transport; write udp, tcp or tls, then :host:port") from None
        return cls(transport, Address.parse(rest))


class Flow(NamedTuple):
    """The path one SIP message came by or goes out by (RFC 5626 section 3.1 uses the word so).

    For UDP `connection` is 0 and `local` is the listener's address. A stream is known by `connection`
    alone: odd numbers are given by the edge to connections it accepted, even ones by the node to those it opens.
    """

    transport: Transport
    local: Address
    remote: Address
    connection: int = 0

    @property
    def reliable(self) -> bool:
        """Whether nothing sent here needs retransmission."""
        return self.connection != 0


def bracketed(host: str) -> str:
    """The host as URIs and headers write it: IPv6 literals in brackets (RFC 3261 section 25.1, IPv6reference)."""
    return f"[{host}]" if ":" in host else host
