"""A configuration with addresses where host names stand.

Pure: what the names mean is looked up elsewhere (edge/names.py). A backend of which that is not known, or which cannot
be where its name says, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from haproxy_voip.configuration.model import BackendConfig, Config
from haproxy_voip.configuration.rules import RULES
from haproxy_voip.core.address import Address, Endpoint, is_name


def names(config: Config) -> dict[str, Endpoint]:
    """The backends that are known by a host name. Port 0: the port is to be looked up as well."""
    return {one.name: one.sip for one in config.backends if one.sip is not None and is_name(one.sip.address.host)}


def resolved(config: Config, places: Mapping[Endpoint, Address]) -> tuple[Config, dict[str, str]]:
    """With these addresses; and why a backend cannot be where its name says, by the backend's name."""
    named, refused = names(config), dict[str, str]()
    if not named:
        return config, refused
    here = {backend.name: _without_name(backend) if backend.name in named else backend for backend in config.backends}
    made = _with(config, here)
    for name, endpoint in named.items():
        if endpoint not in places:
            continue
        known = _broken(made)
        there = _at(config, name, places[endpoint])
        others = {one: backend for one, backend in here.items() if one != name}
        # As the last one: it is the one to be refused.
        broken = [
            problem for key, problem in _broken(_with(config, others | {name: there})).items() if key not in known
        ]
        if broken:
            refused[name] = broken[0]
        else:
            here[name] = there
            made = _with(config, here)
    return made, refused


def _with(config: Config, backends: Mapping[str, BackendConfig]) -> Config:
    spoken_to = (one for one in backends.values() if one.sip is not None or one.xmpp is not None)
    return replace(config, backends=tuple(spoken_to))


def _at(config: Config, name: str, address: Address) -> BackendConfig:
    [backend] = [one for one in config.backends if one.name == name]
    assert backend.sip is not None
    # RFC 5922 section 7.1: the certificate is for whom we meant to reach, not for what the name servers say.
    tls = replace(backend.tls, name=backend.tls.name or backend.sip.address.host)
    return replace(backend, sip=Endpoint(backend.sip.transport, address), tls=tls)


def _without_name(backend: BackendConfig) -> BackendConfig:
    return replace(backend, sip=None)


def _broken(config: Config) -> dict[str, str]:
    return {key: problem for rule in RULES for key, problem, _ in rule.check(config)}
