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
    Localpart,
    NewFile,
    Place,
    PortRange,
    Ports,
    SecretFile,
    Socket,
    Whole,
)
from haproxy_voip.configuration.limits import LimitsConfig as LimitsConfig
from haproxy_voip.configuration.peers import BackendTlsConfig, TrunkConfig
from haproxy_voip.core.address import Address, Endpoint, is_name
from haproxy_voip.core.credential import Secret

Balance = Literal["failover", "round_robin", "least_calls", "hash"]
RegistrationMode = Literal["mirror", "active"]
Authentication = Literal["proxy", "backend"]
DigestAlgorithm = Literal["SHA-256", "MD5"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]
Relay = Literal["auto", "kernel", "userspace"]
ClientTlsUse = Literal["required", "optional"]
BackendTlsUse = Literal["required", "optional", "never"]
SaslMechanism = Literal["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]
LoginWay = Literal["key", "password", "impersonation"]
Impersonation = Literal["authzid", "token"]
Standby = Literal["available", "hot", "warm", "cold"]

WILDCARDS = ("0.0.0.0", "::")
DEFAULT_PORTS = PortRange(20000, 29999)


@dataclass(frozen=True, slots=True, kw_only=True)
class SipConfig:
    """Where the proxy speaks SIP, to phones and to backends alike."""

    listen: tuple[Annotated[Endpoint, Listener()], ...] = ()
    """Listeners. A backend is reached from the first one that has its transport and address family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """The proxy's own certificate, needed by every `tls:` listener."""

    certificate: Annotated[Path, File()]
    """PEM file: the certificate, then its intermediates."""
    key: Annotated[Path, File()]
    """PEM file: the certificate's private key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatDomainConfig:
    """A domain whose users may chat. The key it stands under is the domain itself."""

    name: str
    """The key."""
    certificate: Annotated[Path, File()] | None = None
    """PEM file: the certificate shown to clients that ask for this domain (SNI), then its intermediates. Default:
    that of `proxy.tls`."""
    key: Annotated[Path, File()] | None = None
    """PEM file: the certificate's private key."""
    users: Annotated[Path, File()] | None = None
    """Its own users' file; those of `proxy.domain` are in the top level's `users`. Default: none; then its users prove
    themselves to the backend, with a password that is passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class XmppConfig:
    """Where the proxy speaks XMPP to chat clients, and for whom."""

    listen: tuple[Annotated[Endpoint, Listener()], ...]
    """Listeners: `tcp:`, where clients begin with STARTTLS (RFC 6120), and `tls:`, where they begin with TLS
    (XEP-0368). Backends are reached from any address."""
    starttls: Annotated[ClientTlsUse, Choice(("required", "optional"))] = "required"
    """Whether a client on a `tcp:` listener must use TLS. Without TLS no password is ever taken in the clear."""
    domains: tuple[ChatDomainConfig, ...] = ()
    """The domains by name. Default: `proxy.domain` alone."""
    mechanisms: tuple[Annotated[SaslMechanism, Choice(("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"))], ...] = (
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
        "PLAIN",
    )
    """How clients may prove who they are; in a domain without a users' file only PLAIN. SCRAM cannot be passed on to a
    backend: where some are not in the users' file, `[PLAIN]` keeps clients from choosing what must fail."""
    resume: Annotated[float, Duration(0.0, 86400.0)] = 300.0
    """How long a client that lost its connection may come back to its session (XEP-0198); 0s: not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """Who the proxy is to phones and backends."""

    domain: Annotated[str, Domain()]
    """The domain of the users' addresses: phones register at it, and what they send for it is the proxy's to serve."""
    advertise: Annotated[str, Host()] | None = None
    """Address written into Contact, Via and, unless `media.address` says otherwise, SDP, for listeners of its family.
    Default: the listener's own. Needed where a listener is on `0.0.0.0` or `[::]`."""
    sip: SipConfig = field(default_factory=SipConfig)
    """Where phones call. Default: nowhere."""
    xmpp: XmppConfig | None = None
    """Where clients chat. Default: nowhere."""
    digest: tuple[Annotated[DigestAlgorithm, Choice(("SHA-256", "MD5"))], ...] = ("SHA-256", "MD5")
    """Algorithms offered to phones, in this order (RFC 8760). `[MD5]` for old phones that fail over what they do not
    know. One that not every user's secret is good for is never offered."""
    tls: TlsConfig | None = None
    """Certificate and key. Default: none; then there can be no `tls:` listener."""
    stop_after: Annotated[float, Duration(0.0, 86400.0)] = 5.0
    """How long calls may go on after SIGTERM before they are hung up, see OPERATING.md. Who sends SIGKILL after that
    should wait 4 s longer; `docker stop` sends it after 10 s."""

    def advertised(self, listener: Address) -> str:
        """The host others are told for this listener."""
        if self.advertise is not None and _same_family(self.advertise, listener.host):
            return self.advertise
        return listener.host


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpersonationConfig:
    """A secret with which the proxy logs in as any user. Whoever has it can be anybody: keep its file to the proxy."""

    secret: Annotated[Secret, SecretFile()]
    """The account's password, or the key that tokens are signed with."""
    by: Annotated[Impersonation, Choice(("authzid", "token"))] = "authzid"
    """`authzid`: PLAIN as `user`, with the chat user as authorization identity (RFC 4616), over TLS only; Openfire's
    `sasl.proxyAuth`, Prosody's `proxy_accounts` (backends/prosody). `token`: PLAIN as the chat user, a token of one
    minute (RFC 7519, HS256) in place of the password, over TLS only; ejabberd's `auth_method: jwt`."""
    user: Annotated[str, Localpart()] | None = None
    """The account that may be anybody. Needed for `authzid`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatProbeConfig:
    """An account with which the proxy logs in at the backend every now and then, and pings it (XEP-0199).

    Whether the server is there other probes know sooner; this one finds a server that refuses logins, or answers
    nothing. Failures count as `health.rise` and `health.fall` say.
    """

    user: Annotated[str, Localpart()]
    """The account, of the first of the chat domains. It should have no contacts and no other use."""
    secret: Annotated[Secret, SecretFile()]
    """Its password."""
    inter: Annotated[float, Duration(1.0, 600.0)] = 10.0
    """Time between two probes; while the verdict is changing, 1 s if that is less."""
    timeout: Annotated[float, Duration(0.1, 60.0)] = 5.0
    """How long login and ping may take together. At most `inter`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendChatConfig:
    """How users' chat sessions are held at a backend."""

    starttls: Annotated[BackendTlsUse, Choice(("required", "optional", "never"))] = "required"
    """Whether a `tcp:` connection is secured with STARTTLS: always, where the backend offers it, or not at all. The
    certificate is checked as `tls` says. `never` only where nobody can listen between proxy and backend."""
    login: tuple[Annotated[LoginWay, Choice(("key", "password", "impersonation"))], ...] = ("key", "password")
    """Ways to log users in, tried in this order. `key`: with what the client's own SCRAM login proved, good where the
    backend has the same salt and iterations. `password`: with the password, while the proxy knows it; SCRAM where the
    backend offers it, else PLAIN, over TLS only. `impersonation`: without any secret of the user's, as that section
    says; for users of the users' file only, because who the others are only the backend can tell."""
    impersonation: ImpersonationConfig | None = None
    """How to log in as any user. Needed where `login` has it."""
    probe: ChatProbeConfig | None = None
    """An account to log in with and ping. Default: none, and no such probe."""
    standby: Annotated[Standby, Choice(("available", "hot", "warm", "cold"))] = "hot"
    """What is prepared at this backend for sessions that are at another one. `hot`: a second session with the same
    resource that nobody sees; for servers that know nothing of each other. `available`: one that has told it all that
    the client told its server, presence first, so that messages need not wait for that after a failure; for servers
    that besides do not speak with other domains, whose users would see the client at both. `warm`: a connection that
    is logged in. `cold`: nothing. Members of one cluster would throw a hot one out: for them `warm`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendConfig:
    """One real server. The key it stands under is its name in `status`, logs and commands."""

    name: str
    """The key."""
    sip: Annotated[Endpoint, Place()] | None = None
    """Where it speaks SIP: an IP address, so that no name server can be in the way of a failover, or a host name, see
    OPERATING.md; without port its SRV records say which. Default: it does not."""
    xmpp: Annotated[Endpoint, Place()] | None = None
    """Where it speaks XMPP to clients: `tcp` or `tls`, and address or name as for `sip`. Default: it does not."""
    weight: Annotated[int, Whole(1, 256)] = 1
    """How much of the work it gets beside the others' weights, with any `balance` but `failover`."""
    max_calls: Annotated[int | None, Whole(1, 1_000_000)] = None
    """Calls it bears at the same time, a call between two phones being two. With so many it gets no new ones, nor those
    of a backend that died; when all have theirs, the next is answered 503 with Retry-After. The second half of a call,
    from the backend to a phone, is never refused, so plan for some more. Default: no limit but `limits.max_calls`."""
    slowstart: Annotated[float, Duration(0.0, 3600.0)] = 0.0
    """How long its weight grows, from a twentieth, after it was down, in maintenance or added by a reload; 0s: not at
    all. At the start of the proxy all are equal. With any `balance` but `failover`."""
    chat: BackendChatConfig = field(default_factory=BackendChatConfig)
    """Chat sessions; read only where `xmpp` is given."""
    tls: BackendTlsConfig = field(default_factory=BackendTlsConfig)
    """Certificate checks; read only where TLS is spoken. For XMPP the certificate may also carry the user's domain."""


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
class FailoverConfig:
    """What moves when a backend is left."""

    together: Annotated[bool, Flag()] = False
    """Whether telephony and chat of a backend move together: when one is lost, drained or switched the other goes where
    it goes, as soon as it can be there. Established calls stay. By default each moves by itself."""


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
    the default yet: userspace has been tried for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimersConfig:
    """How long things live."""

    min_expires: Annotated[float, Duration(1.0, 86400.0)] = 60.0
    """Shortest registration a phone may ask for; a shorter one is answered 423 (RFC 3261 section 10.3)."""
    max_expires: Annotated[float, Duration(1.0, 86400.0)] = 3600.0
    """Longest registration granted; a phone that asks for more gets this."""
    default_expires: Annotated[float, Duration(1.0, 86400.0)] = 3600.0
    """Registration granted to a phone that asks for no particular time."""
    relayed_expires: Annotated[float, Duration(1.0, 86400.0)] = 120.0
    """Longest registration granted while `authentication` is `backend`: after a failover nobody can call a phone until
    it registers again, which takes so long at most. No shorter than the shortest that the backends grant."""
    nat_keepalive: Annotated[float, Duration(5.0, 600.0)] = 25.0
    """Time between keepalives to a UDP client behind NAT; many routers forget a silent binding after 30 s."""
    ring: Annotated[float, Duration(10.0, 3600.0)] = 180.0
    """How long a call may ring without a further provisional answer (timer C, RFC 3261 section 16.6)."""


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
    trunks: tuple[TrunkConfig, ...] = ()
    """Carriers and gateways by name. Default: none."""
    balance: Annotated[Balance, Choice(("failover", "round_robin", "least_calls", "hash"))] = "failover"
    """Which backend gets what. `failover` gives everything to the first that is up. The others spread calls over all
    that are: `round_robin` in turns, `least_calls` to where the fewest are, `hash` keeps each user on one backend. They
    need `registration: mirror`, and are for telephony alone, see OPERATING.md; chat is always at one backend."""
    panic: Annotated[int, Whole(0, 100)] = 50
    """Percent of all weight that should be able to get calls, with any `balance` but `failover`. With less, the log and
    `status` say so, and backends that are slow to answer are taken for busy rather than dead; what each can bear is for
    `max_calls` to say. 0: never."""
    registration: Annotated[RegistrationMode, Choice(("mirror", "active"))] = "mirror"
    """Which backends hold the users' registrations: all of them in advance, so that a failover moves none, or only
    the active one."""
    authentication: Annotated[Authentication, Choice(("proxy", "backend"))] = "proxy"
    """Who challenges the phones. `backend`: the proxy holds no passwords; challenges and answers pass through, and who
    is registered at a backend must register anew at the next one, see OPERATING.md. Needs `registration: active`."""
    health: HealthConfig = field(default_factory=HealthConfig)
    """How backends are checked."""
    failover: FailoverConfig = field(default_factory=FailoverConfig)
    """What moves when a backend is left."""
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

    @property
    def sip_endpoints(self) -> dict[str, Endpoint]:
        """Where each backend that speaks SIP does so, in order of preference; none of those known by a host name."""
        return {one.name: one.sip for one in self.backends if one.sip is not None and not is_name(one.sip.address.host)}

    @property
    def trunk_endpoints(self) -> dict[str, Endpoint]:
        """Where each trunk takes calls."""
        return {trunk.name: trunk.address for trunk in self.trunks}

    @property
    def xmpp_endpoints(self) -> dict[str, Endpoint]:
        """The same for XMPP."""
        return {
            one.name: one.xmpp for one in self.backends if one.xmpp is not None and not is_name(one.xmpp.address.host)
        }

    @property
    def chat_domains(self) -> tuple[str, ...]:
        """The domains whose users may chat."""
        if self.proxy.xmpp is None:
            return ()
        return tuple(domain.name for domain in self.proxy.xmpp.domains) or (self.proxy.domain,)

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
