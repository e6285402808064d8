"""The way a packet takes out of this machine, asked of the kernel's routing table (rtnetlink(7)).

The relay in the kernel is told it with each flow, so that it need not look for it again with each packet.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from typing import NamedTuple

from haproxy_voip.edge.interfaces import ETHERNET, GET_LINK, IFLA_IFNAME, LINK
from haproxy_voip.edge.netlink import Netlink, attribute, attributes

GET_ROUTE = 26  # RTM_GETROUTE
ROUTE = struct.Struct("=BBBBBBBBI")  # family, destination and source prefix, TOS, table, protocol, scope, type, flags
RTA_DST, RTA_SRC, RTA_OIF, RTA_GATEWAY, RTA_VIA = 1, 2, 4, 5, 18
IFLA_MTU = 4
SO_NETNS_COOKIE = 71  # Linux 5.14; Python has no name for it
UNICAST, LOCAL = 1, 2  # rtm_type
LOOPBACK_INDEX = 1  # in every network namespace
LOOPBACK_MTU = 65_536
# A call's flows are installed by fours, and hundreds of calls at once when a server has died.
FRESH_SECONDS = 1.0
MAX_KNOWN = 4096


class Route(NamedTuple):
    """The way out."""

    ifindex: int
    next_hop: str  # the gateway, or the destination itself; an IP literal
    mtu: int  # bytes of an IP packet


class Routes:
    """The routing table, as of a second ago."""

    def __init__(self) -> None:
        self._netlink = Netlink()
        self._known: dict[tuple[str, str], tuple[Route, float]] = {}

    def close(self) -> None:
        """Ask no more."""
        self._netlink.close()

    def find(self, source: str, destination: str, now: float) -> Route:
        """How packets from an address of ours get there; `now` is monotonic seconds.

        Raises OSError where there is no way, or none that the relay in the kernel could take.
        """
        known = self._known.get((source, destination))
        if known is not None and now - known[1] < FRESH_SECONDS:
            return known[0]
        route = self._ask(source, destination)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[source, destination] = route, now
        return route

    def _ask(self, source: str, destination: str) -> Route:
        family = socket.AF_INET6 if ":" in destination else socket.AF_INET
        hosts = (socket.inet_pton(family, destination), socket.inet_pton(family, source))
        prefix = 8 * len(hosts[0])
        answer = self._netlink.one(
            GET_ROUTE,
            ROUTE.pack(family, prefix, prefix, 0, 0, 0, 0, 0, 0)
            + attribute(RTA_DST, hosts[0])
            + attribute(RTA_SRC, hosts[1]),
        )
        kind = ROUTE.unpack_from(answer)[7]
        said = attributes(answer[ROUTE.size :])
        if kind == LOCAL:
            return Route(LOOPBACK_INDEX, destination, LOOPBACK_MTU)
        if kind != UNICAST or RTA_OIF not in said or RTA_VIA in said:
            raise OSError(errno.EHOSTUNREACH, f"no plain route from {source} to {destination}")
        ifindex = struct.unpack("=i", said[RTA_OIF])[0]
        gateway = said.get(RTA_GATEWAY)
        next_hop = destination if gateway is None else socket.inet_ntop(family, gateway)
        return Route(ifindex, next_hop, self._mtu(ifindex))

    def _mtu(self, ifindex: int) -> int:
        answer = self._netlink.one(GET_LINK, LINK.pack(socket.AF_UNSPEC, 0, ifindex, 0, 0))
        _, hardware, _, _, _ = LINK.unpack_from(answer)
        said = attributes(answer[LINK.size :])
        if hardware != ETHERNET:
            name = said[IFLA_IFNAME].rstrip(b"\0").decode()
            raise OSError(errno.EOPNOTSUPP, f"{name} is no Ethernet interface")
        mtu: int = struct.unpack("=I", said[IFLA_MTU])[0]
        return mtu


def namespace() -> int:
    """By what this process's network namespace is known: two have interfaces of the same number.

    The kernel gives no number twice, as it does with the inode of /proc/self/ns/net when a namespace has gone.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anyone:
        return int.from_bytes(anyone.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), sys.byteorder)
