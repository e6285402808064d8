"""The configuration: one frozen tree, validated once by `load`, documented field by field.

The string under each field is its entry in docs/CONFIGURATION.md; its type says how it is written in YAML
(configuration/kinds.py). Durations are seconds here. Code receives the section it needs, not the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from haproxy_voip.configuration.kinds import (
    Choice,
    Domain,
    Duration,
    File,
    Flag,
    Host,
    Listener,
    NewFile,
    PortRange,
    Ports,
    Socket,
    Whole,
)
from haproxy_voip.core.address import Address, Endpoint

Balance = Literal["failover", "round_robin", "least_calls", "hash"]
RegistrationMode = Literal["mirror", "active"]
Authentication = Literal["proxy", "backend"]
DigestAlgorithm = Literal["SHA-256", "MD5"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]
Relay = Literal["auto", "kernel", "userspace"]

WILDCARDS = ("0.0.0.0", "::")
DEFAULT_PORTS = PortRange(20000, 29999)
# Sections that a later release brings: the loader knows them and says so.
NOT_YET_SUPPORTED = {"trunks": "carriers and gateways"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SipConfig:
    """Where the proxy speaks SIP, to phones and to backends alike."""

    listen: tuple[Annotated[Endpoint, Listener()], ...]
    """Listeners. A backend is reached from the first one that has its transport and address family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """The proxy's own certificate, needed by every `tls:` listener."""

    certificate: Annotated[Path, File()]
    """PEM file: the certificate, then its intermediates."""
    key: Annotated[Path, File()]
    """PEM file: the certificate's private key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """Who the proxy is to phones and backends."""

    domain: Annotated[str, Domain()]
    """The domain of the users' addresses: phones register at it, and what they send for it is the proxy's to serve."""
    advertise: Annotated[str, Host()] | None = None
    """Address written into Contact, Via and, unless `media.address` says otherwise, SDP, for listeners of its family.
    Default: the listener's own. Needed where a listener is on `0.0.0.0` or `[::]`."""
    sip: SipConfig
    """Listeners."""
    digest: tuple[Annotated[DigestAlgorithm, Choice(("SHA-256", "MD5"))], ...] = ("SHA-256", "MD5")
    """Algorithms offered to phones, in this order (RFC 8760). `[MD5]` for old phones that fail over what they do not
    know. One that not every user's secret is good for is never offered."""
    tls: TlsConfig | None = None
    """Certificate and key. Default: none; then there can be no `tls:` listener."""

    def advertised(self, listener: Address) -> str:
        """The host others are told for this listener."""
        if self.advertise is not None and _same_family(self.advertise, listener.host):
            return self.advertise
        return listener.host


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendTlsConfig:
    """How a backend's certificate is checked, where it is spoken to over TLS."""

    verify: Annotated[bool, Flag()] = True
    """Whether a certificate that cannot be verified ends the connection. Turn it off only on a network you trust."""
    ca: Annotated[Path, File()] | None = None
    """PEM file with the authorities to believe. Default: the system's."""
    name: Annotated[str, Domain()] | None = None
    """Name or address the certificate must carry. Default: the backend's IP address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendConfig:
    """One real server. The key it stands under is its name in `status`, logs and commands."""

    name: str
    """The key."""
    sip: Annotated[Endpoint, Listener()]
    """Where it speaks SIP. An IP address, so that no name server can be in the way of a failover."""
    tls: BackendTlsConfig = field(default_factory=BackendTlsConfig)
    """Certificate checks; read only where `sip` begins with `tls:`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthConfig:
    """How backends are checked, in HAProxy's words.

    A frozen backend is given up after `fall` unanswered probes; a killed one at the first sign of it, without
    waiting for them.
    """

    inter: Annotated[float, Duration(0.010, 600.0)] = 0.100
    """Time between two probes of a healthy backend."""
    fastinter: Annotated[float, Duration(0.001, 600.0)] = 0.020
    """Time between probes while the state is changing: after a suspicion, or while coming back."""
    downinter: Annotated[float, Duration(0.010, 600.0)] = 0.500
    """Time between probes of a backend that is down."""
    timeout: Annotated[float, Duration(0.005, 10.0)] = 0.060
    """How long a probe may go unanswered; measured round-trip times may shorten it. At most `inter`."""
    rise: Annotated[int, Whole(1, 100)] = 3
    """Answered probes in a row that bring a backend up."""
    fall: Annotated[int, Whole(1, 100)] = 2
    """Unanswered probes in a row that take it down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaConfig:
    """The relay every media stream runs through."""

    address: Annotated[str, Host()] | None = None
    """Address written into SDP, for legs of its family. Default: `proxy.advertise`, else the leg's listener's own."""
    listen: Annotated[str, Host(wildcard=True)] | None = None
    """Address the media ports are bound to. Default: that of the listener the leg's signalling uses."""
    ports: Annotated[PortRange, Ports()] = DEFAULT_PORTS
    """UDP ports to use. An m-line takes an even port and the next odd one at each side, four in all."""
    quarantine: Annotated[float, Duration(0.0, 600.0)] = 5.0
    """How long a port rests after its stream ended, so that late packets of one call reach no other."""
    relay: Annotated[Relay, Choice(("auto", "kernel", "userspace"))] = "userspace"
    """Where media are relayed: in the `kernel` by a TC program (Linux, CAP_BPF, CAP_NET_ADMIN, a bpffs), which is an
    error where it cannot be had; in `userspace`, by the proxy itself; `auto`: in the kernel where that can be had. Not
    the default yet: sometimes a stream that was moved to another backend and transferred there stays silent in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimersConfig:
    """How long things live."""

    min_expires: Annotated[float, Duration(1.0, 86400.0)] = 60.0
    """Shortest registration a phone may ask for; a shorter one is answered 423 (RFC 3261 section 10.3)."""
    max_expires: Annotated[float, Duration(1.0, 86400.0)] = 3600.0
    """Longest registration granted; a phone that asks for more gets this."""
    default_expires: Annotated[float, Duration(1.0, 86400.0)] = 3600.0
    """Registration granted to a phone that asks for no particular time."""
    nat_keepalive: Annotated[float, Duration(5.0, 600.0)] = 25.0
    """Time between keepalives to a UDP client behind NAT; many routers forget a silent binding after 30 s."""
    ring: Annotated[float, Duration(10.0, 3600.0)] = 180.0
    """How long a call may ring without a further provisional answer (timer C, RFC 3261 section 16.6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    """What one node holds at most. Beyond a limit, requests are answered 503 or refused; nothing grows without end."""

    max_calls: Annotated[int, Whole(1, 1_000_000)] = 2000
    """Calls at the same time; the next INVITE is answered 503 with Retry-After."""
    max_connections: Annotated[int, Whole(1, 1_000_000)] = 10_000
    """TCP and TLS connections at the same time; the next is closed at once."""
    max_registrations: Annotated[int, Whole(1, 10_000_000)] = 50_000
    """Registered contacts of all users together."""
    max_contacts: Annotated[int, Whole(1, 100)] = 10
    """Registered contacts of one user; all of them ring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What is written to standard error."""

    level: Annotated[LogLevel, Choice(("debug", "info", "warning", "error"))] = "info"
    """The least important line that is written."""
    format: Annotated[LogFormat, Choice(("text", "json"))] = "text"
    """Lines for people, or one JSON object a line for programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything. File names in it are relative to the folder of the file they are written in."""

    proxy: ProxyConfig
    """Who the proxy is."""
    users: Annotated[Path, File()] | None = None
    """The users' file (see below). Needed while `authentication` is `proxy`."""
    backends: tuple[BackendConfig, ...]
    """The real servers by name, in order of preference."""
    balance: Annotated[Balance, Choice(("failover",), later=("round_robin", "least_calls", "hash"))] = "failover"
    """Which backend gets what: `failover` gives everything to the first that is up."""
    registration: Annotated[RegistrationMode, Choice(("mirror", "active"))] = "mirror"
    """Which backends hold the users' registrations: all of them in advance, so that a failover moves none, or only
    the active one."""
    authentication: Annotated[Authentication, Choice(("proxy",), later=("backend",))] = "proxy"
    """Who challenges the phones."""
    health: HealthConfig = field(default_factory=HealthConfig)
    """How backends are checked."""
    failback: Annotated[float | None, Duration(1.0, 86400.0, never="manual")] = None
    """When a preferred backend that has come back gets its work back: when told so by `switch`, or after it has been
    up for this long. Established calls are never moved."""
    media: MediaConfig = field(default_factory=MediaConfig)
    """The media relay."""
    timers: TimersConfig = field(default_factory=TimersConfig)
    """How long things live."""
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    """What one node holds at most."""
    log: LogConfig = field(default_factory=LogConfig)
    """What is written to standard error."""
    call_records: Annotated[Path, NewFile()] | None = None
    """File to which one line of JSON is added for each call that ended, see OPERATING.md. It is opened anew at SIGHUP.
    Default: none, and nothing is written."""
    control: Annotated[Path, Socket()] = Path("/run/haproxy_voip.sock")
    """Local socket that `status`, `drain`, `switch` and the other commands speak through."""

    def media_address(self, listener: Address) -> str:
        """The host written into SDP on a leg whose signalling uses this listener."""
        if self.media.address is not None and _same_family(self.media.address, listener.host):
            return self.media.address
        return self.proxy.advertised(listener)

    def media_listen(self, listener: Address) -> str:
        """The host the media ports of such a leg are bound to."""
        if self.media.listen is not None and _same_family(self.media.listen, listener.host):
            return self.media.listen
        return listener.host


def _same_family(one: str, other: str) -> bool:
    return (":" in one) == (":" in other)
