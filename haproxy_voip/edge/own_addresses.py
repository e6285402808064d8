"""By which addresses others may reach this machine, and whether a port of theirs is free."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from haproxy_voip.core.address import Address, Endpoint
from haproxy_voip.edge.interfaces import interfaces
from haproxy_voip.edge.listening import CannotListen, bound_socket, family_of

# A root name server's addresses: on nobody's own network, so the way there is the default route. No packet is sent.
ANYWHERE = ("198.41.0.4", "2001:503:ba3e::2:30")


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """One of them."""

    host: str
    interface: str
    by_default: bool  # what this machine sends to the rest of the world bears it


def own_addresses() -> list[OwnAddress]:
    """Those that others can reach, the default route's first. Empty where the kernel does not tell."""
    defaults = [source_towards(host) for host in ANYWHERE]
    try:
        found = [
            OwnAddress(host, each.name, host in defaults)
            for each in interfaces()
            if each.up
            for host in each.hosts
            if _reachable(host)
        ]
    except OSError:
        return []
    return sorted(found, key=lambda own: not own.by_default)


def source_towards(host: str) -> str | None:
    """Our address in packets to this one, by the kernel's routing table; None where there is no way."""
    address = Address(host, 9)
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(tuple(address))
        except OSError:
            return None
        return str(asked.getsockname()[0])


def is_own(host: str) -> bool:
    """Whether a socket can be bound to it here; a wildcard can."""
    address = Address(host, 0)
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as bound:
        try:
            bound.bind(tuple(address))
        except OSError:
            return False
        return True


def why_taken(endpoint: Endpoint) -> str | None:
    """Why nothing can listen there, or None."""
    try:
        bound_socket(endpoint).close()
    except CannotListen as error:
        return str(error)
    return None


def _reachable(host: str) -> bool:
    literal = ipaddress.ip_address(host)
    return not (literal.is_loopback or literal.is_link_local)
