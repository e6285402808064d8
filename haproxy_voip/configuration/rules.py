"""What must hold between values that are each right by themselves.

A rule yields (key path, problem, remedy). It is asked only when nothing it reads was found wrong before.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple

from haproxy_voip.configuration.kinds import written_duration
from haproxy_voip.configuration.model import WILDCARDS, Config
from haproxy_voip.core.address import Endpoint, Transport

Broken = tuple[str, str, str]


class Rule(NamedTuple):
    """What it reads, as key paths, and the check itself."""

    reads: tuple[str, ...]
    check: Callable[[Config], Iterator[Broken]]


def listeners(config: Config) -> Iterator[Broken]:
    """At least one; no two on one port; each with an address to tell others; TLS with a certificate."""
    listen = config.proxy.sip.listen
    if not listen and config.proxy.xmpp is None:
        yield "proxy.sip.listen", "is empty", "write at least one, for example udp:0.0.0.0:5060"
    for (first, one), (second, other) in combinations(enumerate(listen), 2):
        if _same_port(one, other) and _same_host(one.address.host, other.address.host):
            problem = f"{other} takes the port of {one} (listen[{first}])"
            yield f"proxy.sip.listen[{second}]", problem, "give each listener its own port"
    for index, endpoint in enumerate(listen):
        key = f"proxy.sip.listen[{index}]"
        if endpoint.transport is Transport.TLS and config.proxy.tls is None:
            yield key, f"{endpoint} needs a certificate", "write proxy.tls: {certificate: ..., key: ...}"
        if config.proxy.advertised(endpoint.address) in WILDCARDS:
            remedy = f"write the IPv{endpoint.address.family} address others reach as proxy.advertise, or listen on it"
            yield key, f"nobody can be told to send to {endpoint}", remedy


def chat_listeners(config: Config) -> Iterator[Broken]:
    """XMPP runs over TCP and TLS, on ports nobody else has, with a certificate for each domain."""
    xmpp = config.proxy.xmpp
    if xmpp is None:
        return
    if not xmpp.listen:
        yield "proxy.xmpp.listen", "is empty", "write at least one, for example tcp:0.0.0.0:5222"
    others = [(f"proxy.sip.listen[{index}]", endpoint) for index, endpoint in enumerate(config.proxy.sip.listen)]
    for index, endpoint in enumerate(xmpp.listen):
        key = f"proxy.xmpp.listen[{index}]"
        if endpoint.transport is Transport.UDP:
            yield key, f"{endpoint} is UDP, which carries no XMPP", "write tcp: or tls:"
        for name, other in others:
            if _same_port(endpoint, other) and _same_host(endpoint.address.host, other.address.host):
                yield key, f"{endpoint} takes the port of {other} ({name})", "give each listener its own port"
        others.append((key, endpoint))
    for domain in xmpp.domains:
        if (domain.certificate is None) != (domain.key is None):
            yield f"proxy.xmpp.domains.{domain.name}", "has only one of certificate and key", "write both, or neither"
        if domain.name == config.proxy.domain and domain.users is not None:
            remedy = "write them at the top: users: FILE"
            yield f"proxy.xmpp.domains.{domain.name}.users", "users of proxy.domain have another place", remedy
    shown = [domain.certificate for domain in xmpp.domains] or [None]
    needed = xmpp.starttls == "required" or any(endpoint.transport is Transport.TLS for endpoint in xmpp.listen)
    if needed and config.proxy.tls is None and None in shown:
        remedy = "write proxy.tls: {certificate: ..., key: ...}"
        yield "proxy.xmpp", "clients use TLS, which needs a certificate", remedy


def backends(config: Config) -> Iterator[Broken]:
    """At least one, each somebody else, each once, each good for something, each reachable from a listener."""
    if not config.backends:
        yield "backends", "is empty", 'write at least one, for example alpha: {sip: "udp:192.0.2.11:5060"}'
    for backend in config.backends:
        if backend.sip is None and backend.xmpp is None:
            problem, remedy = "speaks nothing", 'write sip: or xmpp:, for example sip: "udp:192.0.2.11:5060"'
            yield f"backends.{backend.name}", problem, remedy
    seen: dict[Endpoint, str] = {}
    for name, endpoint in config.sip_endpoints.items():
        key = f"backends.{name}.sip"
        yield from _address(key, name, endpoint, seen, config.proxy.sip.listen, config)
        fit = endpoint.address.host not in WILDCARDS and not _is_ourselves(endpoint, config.proxy.sip.listen, config)
        if fit and not _reachable(endpoint, config):
            kind = f"{endpoint.transport} over IPv{endpoint.address.family}"
            yield key, f"no listener speaks {kind}, so it could not call back", f"add a {kind} listener"
    for name, endpoint in config.xmpp_endpoints.items():
        key = f"backends.{name}.xmpp"
        yield from _address(key, name, endpoint, seen, config.proxy.xmpp.listen if config.proxy.xmpp else (), config)
    for backend in config.backends:
        if backend.xmpp is not None and backend.xmpp.transport is Transport.UDP:
            yield f"backends.{backend.name}.xmpp", f"{backend.xmpp} is UDP, which carries no XMPP", "write tcp: or tls:"


def trunks(config: Config) -> Iterator[Broken]:
    """Each is somebody else, with a name of its own, reachable from a listener; what is a backend's is no trunk's."""
    backends = config.sip_endpoints
    seen = {endpoint: name for name, endpoint in backends.items()}
    for trunk in config.trunks:
        key, endpoint = f"trunks.{trunk.name}", trunk.address
        if trunk.name in {backend.name for backend in config.backends}:
            yield key, f"{trunk.name} is a backend's name", "give it another"
        if (other := seen.get(endpoint)) in backends:
            yield f"{key}.address", f"{endpoint} is {other} already", "write the carrier's address"
        yield from _address(f"{key}.address", trunk.name, endpoint, {}, config.proxy.sip.listen, config)
        if not _reachable(endpoint, config):
            kind = f"{endpoint.transport} over IPv{endpoint.address.family}"
            yield f"{key}.address", f"no listener speaks {kind}, so it could not call", f"add a {kind} listener"
        for name, backend in backends.items():
            if backend.address.host == endpoint.address.host and backend != endpoint:
                yield f"{key}.address", f"{endpoint.address.host} is {name}'s host", "nobody could tell the two apart"
            for index, network in enumerate(trunk.from_):
                if ipaddress.ip_address(backend.address.host) in network:
                    problem = f"{network} holds {name}, {backend.address.host}"
                    yield f"{key}.from[{index}]", problem, "name only networks of the carrier"


def _address(
    key: str, name: str, endpoint: Endpoint, seen: dict[Endpoint, str], listen: tuple[Endpoint, ...], config: Config
) -> Iterator[Broken]:
    """Of somebody else, and only once."""
    if (first := seen.setdefault(endpoint, name)) != name:
        yield key, f"{endpoint} is {first} already", "give each backend its own address"
    if endpoint.address.host in WILDCARDS:
        yield key, f"{endpoint} is nobody's address", "write the server's own"
    elif _is_ourselves(endpoint, listen, config):
        yield key, f"{endpoint} is the proxy itself", "write the address of the server behind it"


def media(config: Config) -> Iterator[Broken]:
    """The relay's ports are nobody else's."""
    ports = config.media.ports
    hosts = {config.media_listen(listener.address) for listener in config.proxy.sip.listen}
    for transport, address in config.proxy.sip.listen:
        taken = transport is Transport.UDP and any(_same_host(address.host, host) for host in hosts)
        if taken and ports.low <= address.port <= ports.high:
            yield "media.ports", f"{ports} holds the port of {transport}:{address}", "choose a range without it"


def health(config: Config) -> Iterator[Broken]:
    """A probe is over before the next one leaves, and confirming is no slower than checking."""
    inter = config.health.inter
    if config.health.timeout > inter:
        problem = f"{written_duration(config.health.timeout)} is longer than inter, {written_duration(inter)}"
        yield "health.timeout", problem, f"write at most {written_duration(inter)}, or raise inter"
    if config.health.fastinter > inter:
        problem = f"{written_duration(config.health.fastinter)} is longer than inter, {written_duration(inter)}"
        yield "health.fastinter", problem, f"write at most {written_duration(inter)}, or raise inter"


def impersonation(config: Config) -> Iterator[Broken]:
    """Whoever is to be impersonated was checked here, and it is said how."""
    for backend in config.backends:
        chat, key = backend.chat, f"backends.{backend.name}.chat"
        if "impersonation" in chat.login and chat.impersonation is None:
            yield f"{key}.login", "impersonation needs its section", "write impersonation: {user: ..., secret: FILE}"
        if chat.impersonation is None:
            continue
        if "impersonation" not in chat.login:
            remedy = "write login: [key, password, impersonation]"
            yield f"{key}.impersonation", "login does not have it", remedy
        if chat.impersonation.by == "authzid" and chat.impersonation.user is None:
            yield f"{key}.impersonation.user", "missing", "write the account that may be anybody"


def balance(config: Config) -> Iterator[Broken]:
    """Calls are spread only where every backend can take any, and each setting is of use."""
    way = config.balance
    if way == "failover":
        for backend in config.backends:
            key, remedy = f"backends.{backend.name}", "remove it, or write another balance, for example least_calls"
            if backend.weight != 1:
                yield f"{key}.weight", "balance is failover, which gives all calls to one backend", remedy
            if backend.slowstart:
                yield f"{key}.slowstart", "balance is failover, which gives all calls to one backend", remedy
        return
    if config.registration != "mirror":
        problem = f"active, but balance is {way}: a backend can call only phones it knows"
        yield "registration", problem, "write mirror, or balance: failover"
    if config.failover.together:
        problem = f"balance is {way}: chat is at one backend, and calls at all of them"
        yield "failover.together", problem, "write no, or balance: failover"
    if config.authentication == "backend":
        problem = f"{way}, but authentication is backend: only the one who challenged a phone knows its answer"
        yield "balance", problem, "write failover, or authentication: proxy"


def deep_probe(config: Config) -> Iterator[Broken]:
    """One is over before the next one leaves, and the account has a domain to be of."""
    for backend in config.backends:
        probe, key = backend.chat.probe, f"backends.{backend.name}.chat.probe"
        if probe is None:
            continue
        if backend.xmpp is None or config.proxy.xmpp is None:
            yield key, "nobody chats there", "remove it, or write xmpp: at the backend and proxy.xmpp"
        if probe.timeout > probe.inter:
            problem = f"{written_duration(probe.timeout)} is longer than inter, {written_duration(probe.inter)}"
            yield f"{key}.timeout", problem, f"write at most {written_duration(probe.inter)}, or raise inter"


def timers(config: Config) -> Iterator[Broken]:
    """Each range the right way round."""
    times = config.timers
    if times.min_expires > times.max_expires:
        problem = f"{written_duration(times.max_expires)} is less than min_expires"
        yield "timers.max_expires", problem, f"write at least {written_duration(times.min_expires)}"
    elif times.relayed_expires < times.min_expires and config.authentication == "backend":
        problem = f"{written_duration(times.relayed_expires)} is less than min_expires"
        yield "timers.relayed_expires", problem, f"write at least {written_duration(times.min_expires)}"
    elif not times.min_expires <= times.default_expires <= times.max_expires:
        problem = f"{written_duration(times.default_expires)} lies outside min_expires to max_expires"
        within = f"{written_duration(times.min_expires)} to {written_duration(times.max_expires)}"
        yield "timers.default_expires", problem, f"write {within}"


def limits(config: Config) -> Iterator[Broken]:
    """One user's share fits into the whole, the first ban into the longest."""
    if config.limits.max_contacts > config.limits.max_registrations:
        problem = f"{config.limits.max_contacts} is more than max_registrations"
        yield "limits.max_contacts", problem, f"write at most {config.limits.max_registrations}"
    if config.limits.ban > config.limits.max_ban:
        problem = f"{written_duration(config.limits.max_ban)} is less than ban"
        yield "limits.max_ban", problem, f"write at least {written_duration(config.limits.ban)}"


def authentication(config: Config) -> Iterator[Broken]:
    """Whoever challenges knows the secrets."""
    if (
        config.authentication == "backend"
        and any(one.sip for one in config.backends)
        and config.registration != "active"
    ):
        problem = f"backend, but registration is {config.registration}: the proxy has no passwords to register with"
        yield "authentication", problem, "write registration: active too, or authentication: proxy"
    if config.authentication == "proxy" and config.users is None and config.proxy.sip.listen:
        yield "users", "missing, and the proxy challenges the phones", "write users: users.yaml"


RULES = (
    Rule(("proxy",), listeners),
    Rule(("proxy",), chat_listeners),
    Rule(("proxy", "media.address", "media.listen", "backends"), backends),
    Rule(("proxy", "media.address", "media.listen", "backends", "trunks"), trunks),
    Rule(("proxy", "media"), media),
    Rule(("health",), health),
    Rule(("backends",), impersonation),
    Rule(("backends", "proxy"), deep_probe),
    Rule(("balance", "registration", "failover", "backends", "authentication"), balance),
    Rule(("timers", "authentication"), timers),
    Rule(("limits",), limits),
    Rule(("users", "authentication", "registration", "backends", "proxy"), authentication),
)


def _same_host(one: str, other: str) -> bool:
    """Whether sockets bound to both would meet: the same address, or a wildcard of its family."""
    return one == other or ((":" in one) == (":" in other) and (one in WILDCARDS or other in WILDCARDS))


def _same_port(one: Endpoint, other: Endpoint) -> bool:
    """TLS runs on TCP ports."""
    return one.address.port == other.address.port and (one.transport is Transport.UDP) == (
        other.transport is Transport.UDP
    )


def _is_ourselves(backend: Endpoint, listen: tuple[Endpoint, ...], config: Config) -> bool:
    """Whether what we send there would come back: a listener, or an address of ours where a wildcard listens."""
    host = backend.address.host
    ours = {config.proxy.advertise, config.media.address, config.media.listen}
    local = host in ours or ipaddress.ip_address(host).is_loopback
    return any(
        host in (listener.address.host, config.proxy.advertise)
        or (local and listener.address.host in WILDCARDS and listener.address.family == backend.address.family)
        for listener in listen
        if _same_port(listener, backend)
    )


def _reachable(backend: Endpoint, config: Config) -> bool:
    return any(
        listener.transport is backend.transport and listener.address.family == backend.address.family
        for listener in config.proxy.sip.listen
    )
