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
    if not listen:
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


def backends(config: Config) -> Iterator[Broken]:
    """At least one, each somebody else, each once, each reachable from a listener."""
    if not config.backends:
        yield "backends", "is empty", 'write at least one, for example alpha: {sip: "udp:192.0.2.11:5060"}'
    seen: dict[Endpoint, str] = {}
    for backend in config.backends:
        key = f"backends.{backend.name}.sip"
        if (first := seen.setdefault(backend.sip, backend.name)) != backend.name:
            yield key, f"{backend.sip} is {first} already", "give each backend its own address"
        if backend.sip.address.host in WILDCARDS:
            yield key, f"{backend.sip} is nobody's address", "write the server's own"
        elif _is_ourselves(backend.sip, config):
            yield key, f"{backend.sip} is the proxy itself", "write the address of the server behind it"
        elif config.proxy.sip.listen and not _reachable(backend.sip, config):
            kind = f"{backend.sip.transport} over IPv{backend.sip.address.family}"
            yield key, f"no listener speaks {kind}, so it could not call back", f"add a {kind} listener"


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


def timers(config: Config) -> Iterator[Broken]:
    """Each range the right way round."""
    times = config.timers
    if times.min_expires > times.max_expires:
        problem = f"{written_duration(times.max_expires)} is less than min_expires"
        yield "timers.max_expires", problem, f"write at least {written_duration(times.min_expires)}"
    elif not times.min_expires <= times.default_expires <= times.max_expires:
        problem = f"{written_duration(times.default_expires)} lies outside min_expires to max_expires"
        within = f"{written_duration(times.min_expires)} to {written_duration(times.max_expires)}"
        yield "timers.default_expires", problem, f"write {within}"


def limits(config: Config) -> Iterator[Broken]:
    """One user's share fits into the whole."""
    if config.limits.max_contacts > config.limits.max_registrations:
        problem = f"{config.limits.max_contacts} is more than max_registrations"
        yield "limits.max_contacts", problem, f"write at most {config.limits.max_registrations}"


def authentication(config: Config) -> Iterator[Broken]:
    """Whoever challenges knows the secrets."""
    if config.authentication == "proxy" and config.users is None:
        yield "users", "missing, and the proxy challenges the phones", "write users: users.yaml"


RULES = (
    Rule(("proxy",), listeners),
    Rule(("proxy", "media.address", "media.listen", "backends"), backends),
    Rule(("proxy", "media"), media),
    Rule(("health",), health),
    Rule(("timers",), timers),
    Rule(("limits",), limits),
    Rule(("users", "authentication"), authentication),
)


def _same_host(one: str, other: str) -> bool:
    """Whether sockets bound to both would meet: the same address, or a wildcard of its family."""
    return one == other or ((":" in one) == (":" in other) and (one in WILDCARDS or other in WILDCARDS))


def _same_port(one: Endpoint, other: Endpoint) -> bool:
    """TLS runs on TCP ports."""
    return one.address.port == other.address.port and (one.transport is Transport.UDP) == (
        other.transport is Transport.UDP
    )


def _is_ourselves(backend: Endpoint, config: Config) -> bool:
    """Whether what we send there would come back: a listener, or an address of ours where a wildcard listens."""
    host = backend.address.host
    ours = {config.proxy.advertise, config.media.address, config.media.listen}
    local = host in ours or ipaddress.ip_address(host).is_loopback
    return any(
        host in (listener.address.host, config.proxy.advertise)
        or (local and listener.address.host in WILDCARDS and listener.address.family == backend.address.family)
        for listener in config.proxy.sip.listen
        if _same_port(listener, backend)
    )


def _reachable(backend: Endpoint, config: Config) -> bool:
    return any(
        listener.transport is backend.transport and listener.address.family == backend.address.family
        for listener in config.proxy.sip.listen
    )
