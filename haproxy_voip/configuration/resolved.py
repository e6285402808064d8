"""A configuration with addresses where host names stand.

Pure: what the names mean is looked up elsewhere (edge/names.py). A backend of which that is not known, or which cannot
be where its name says, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

from haproxy_voip.configuration.model import BackendConfig, Config
from haproxy_voip.configuration.rules import RULES
from haproxy_voip.core.address import Address, Endpoint, is_name


class Lookup(NamedTuple):
    """What is looked up. Port 0: the port is, too."""

    kind: Literal["sip", "xmpp"]
    endpoint: Endpoint


class Named(NamedTuple):
    """What a backend speaks at a host name."""

    backend: str
    lookup: Lookup


def names(config: Config) -> list[Named]:
    """All of them, in order of preference."""
    return [
        Named(one.name, lookup)
        for one in config.backends
        for lookup in _lookups(one)
        if is_name(lookup.endpoint.address.host)
    ]


def resolved(config: Config, places: Mapping[Lookup, Address]) -> tuple[Config, dict[Named, str]]:
    """With these addresses; and why a backend cannot be where its name says."""
    named, refused = names(config), dict[Named, str]()
    if not named:
        return config, refused
    here = {backend.name: _without(backend, named) for backend in config.backends}
    made = _with(config, here)
    for one in named:
        if one.lookup not in places:
            continue
        known = _broken(made)
        there = _at(here[one.backend], one.lookup, places[one.lookup])
        others = {name: backend for name, backend in here.items() if name != one.backend}
        # As the last one: it is the one to be refused.
        broken = [
            problem
            for key, problem in _broken(_with(config, others | {one.backend: there})).items()
            if key not in known
        ]
        if broken:
            refused[one] = broken[0]
        else:
            here[one.backend] = there
            made = _with(config, here)
    return made, refused


def _lookups(backend: BackendConfig) -> list[Lookup]:
    found = [] if backend.sip is None else [Lookup("sip", backend.sip)]
    return found if backend.xmpp is None else [*found, Lookup("xmpp", backend.xmpp)]


def _with(config: Config, backends: Mapping[str, BackendConfig]) -> Config:
    spoken_to = (one for one in backends.values() if one.sip is not None or one.xmpp is not None)
    return replace(config, backends=tuple(spoken_to))


def _at(backend: BackendConfig, lookup: Lookup, address: Address) -> BackendConfig:
    transport, (host, _) = lookup.endpoint
    there = Endpoint(transport, address)
    if lookup.kind == "xmpp":
        return replace(backend, xmpp=there)  # its certificate is for the users' domain (RFC 6120 section 13.7.2)
    # RFC 5922 section 7.1: the certificate is for whom we meant to reach, not for what the name servers say.
    return replace(backend, sip=there, tls=replace(backend.tls, name=backend.tls.name or host))


def _without(backend: BackendConfig, named: list[Named]) -> BackendConfig:
    for one in named:
        if one.backend == backend.name:
            backend = replace(backend, sip=None) if one.lookup.kind == "sip" else replace(backend, xmpp=None)
    return backend


def _broken(config: Config) -> dict[str, str]:
    return {key: problem for rule in RULES for key, problem, _ in rule.check(config)}
