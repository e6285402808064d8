"""The part of the configuration that is about who we connect to: certificates, carriers and gateways; see model.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from haproxy_voip.configuration.kinds import Domain, Duration, File, Flag, Listener, Network, Text, Whole
from haproxy_voip.core.address import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendTlsConfig:
    """How a backend's certificate is checked, where it is spoken to over TLS."""

    verify: Annotated[bool, Flag()] = True
    """Whether a certificate that cannot be verified ends the connection. Turn it off only on a network you trust."""
    ca: Annotated[Path, File()] | None = None
    """PEM file with the authorities to believe. Default: the system's."""
    name: Annotated[str, Domain()] | None = None
    """Name or address the certificate must carry. Default: the host name or IP address under `sip`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkRegisterConfig:
    """The proxy's own registration at a carrier, and the account that answers the carrier's challenges."""

    user: Annotated[str, Text()]
    """The account's user name, also the user part of the contact the carrier sends calls to."""
    password: Annotated[str, Text()] = field(repr=False)
    """The account's password. Keep the file readable by the proxy only (mode 0600)."""
    domain: Annotated[str, Domain()] | None = None
    """The carrier's domain: in the REGISTER, and in Request-URI, From and To of calls to it. Default: the address."""
    expires: Annotated[float, Duration(60.0, 86400.0)] = 3600.0
    """How long a registration is asked for; the carrier may grant less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkConfig:
    """A carrier or gateway. The key it stands under is its name, which backends dial it by; see OPERATING.md."""

    name: str
    """The key."""
    address: Annotated[Endpoint, Listener()]
    """Where calls to it are sent, and its REGISTER: an IP address, reached from the first listener that has its
    transport and address family."""
    from_: tuple[Annotated[IPv4Network | IPv6Network, Network()], ...] = ()
    """Networks its calls come from. An INVITE from there is not challenged, so name no network that others are in.
    Default: the address alone."""
    register: TrunkRegisterConfig | None = None
    """The account at the carrier. Default: none; nothing is registered, and no challenge of the carrier answered."""
    max_calls: Annotated[int, Whole(1, 1_000_000)] = 30
    """Calls to and from it at the same time; the next is answered 503 with Retry-After."""
    tls: BackendTlsConfig = field(default_factory=BackendTlsConfig)
    """How its certificate is checked; read only where `address` begins with `tls:`."""
