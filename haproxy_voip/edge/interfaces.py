"""The network interfaces of this machine, read from the kernel (rtnetlink(7)), and where packets for us arrive."""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, field

from haproxy_voip.configuration.model import WILDCARDS
from haproxy_voip.edge.netlink import Netlink, attributes

# linux/if_arp.h: how the link layer's header looks.
ETHERNET = 1
LOOPBACK = 772
UP = 0x1  # IFF_UP

GET_LINK, GET_ADDRESS = 18, 22  # rtnetlink(7)
LINK = struct.Struct("=BxHiII")  # family, hardware, index, flags, change
ADDRESS = struct.Struct("=BBBBI")  # family, prefix, flags, scope, index
IFLA_IFNAME = 3
IFA_ADDRESS, IFA_LOCAL = 1, 2  # the same but on point-to-point links, where the first is the peer's


@dataclass(slots=True)
class Interface:
    """One of them."""

    name: str
    hardware: int
    up: bool
    hosts: list[str] = field(default_factory=list)  # its addresses

    @property
    def usable(self) -> bool:
        """Whether packets come to it as Ethernet frames."""
        return self.up and self.hardware in (ETHERNET, LOOPBACK)


def interfaces() -> list[Interface]:
    """All of them. Raises OSError where the kernel does not tell."""
    with closing(Netlink()) as netlink:
        links = netlink.all(GET_LINK, LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
        addresses = netlink.all(GET_ADDRESS, ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
    found: dict[int, Interface] = {}
    for body in links:
        _, hardware, index, flags, _ = LINK.unpack_from(body)
        name = attributes(body[LINK.size :])[IFLA_IFNAME].rstrip(b"\0").decode()
        found[index] = Interface(name, hardware, bool(flags & UP))
    for body in addresses:
        family, _, _, _, index = ADDRESS.unpack_from(body)
        said = attributes(body[ADDRESS.size :])
        host = said.get(IFA_LOCAL) or said.get(IFA_ADDRESS)
        if host is not None and index in found:
            found[index].hosts.append(socket.inet_ntop(family, host))
    return list(found.values())


def arriving(hosts: Collection[str]) -> list[str]:
    """Names of the interfaces on which packets for these addresses of ours arrive; a wildcard stands for all.

    What this machine sends to itself arrives on its loopback, whatever the address. Raises OSError.
    """
    everywhere = any(host in WILDCARDS for host in hosts)
    return [
        one.name
        for one in interfaces()
        if one.usable and (everywhere or one.hardware == LOOPBACK or any(host in one.hosts for host in hosts))
    ]
