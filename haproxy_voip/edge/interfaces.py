"""The network interfaces of this machine, read from the kernel (rtnetlink(7)), and where packets for us arrive."""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from haproxy_voip.configuration.model import WILDCARDS

# linux/if_arp.h: how the link layer's header looks.
ETHERNET = 1
LOOPBACK = 772
UP = 0x1  # IFF_UP

GET_LINK, GET_ADDRESS = 18, 22  # rtnetlink(7)
REQUEST_DUMP = 0x001 | 0x300  # NLM_F_REQUEST, NLM_F_DUMP
ERROR, DONE = 2, 3
HEADER = struct.Struct("=IHHII")  # length with this header, type, flags, sequence, port
LINK = struct.Struct("=BxHiII")  # family, hardware, index, flags, change
ADDRESS = struct.Struct("=BBBBI")  # family, prefix, flags, scope, index
ATTRIBUTE = struct.Struct("=HH")  # length with this header, type
NAME = 3  # IFLA_IFNAME
IFA_ADDRESS, IFA_LOCAL = 1, 2  # the same but on point-to-point links, where the first is the peer's
# The kernel fills up to 32 KiB at once.
MAX_ANSWER = 65_536


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
    found: dict[int, Interface] = {}
    for body in _dump(GET_LINK, LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        _, hardware, index, flags, _ = LINK.unpack_from(body)
        name = _attributes(body[LINK.size :])[NAME].rstrip(b"\0").decode()
        found[index] = Interface(name, hardware, bool(flags & UP))
    for body in _dump(GET_ADDRESS, ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        family, _, _, _, index = ADDRESS.unpack_from(body)
        attributes = _attributes(body[ADDRESS.size :])
        host = attributes.get(IFA_LOCAL) or attributes.get(IFA_ADDRESS)
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


def _dump(kind: int, request: bytes) -> Iterator[bytes]:
    """The bodies of all messages that answer this request."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as route:
        route.send(HEADER.pack(HEADER.size + len(request), kind, REQUEST_DUMP, 1, 0) + request)
        while True:
            answer = route.recv(MAX_ANSWER)
            while len(answer) >= HEADER.size:
                length, what, *_ = HEADER.unpack_from(answer)
                if what == DONE:
                    return
                if what == ERROR:
                    raise OSError(-struct.unpack_from("=i", answer, HEADER.size)[0], "rtnetlink")
                yield answer[HEADER.size : length]
                answer = answer[_aligned(length) :]


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(data)
        found[kind] = data[ATTRIBUTE.size : length]
        data = data[max(ATTRIBUTE.size, _aligned(length)) :]
    return found


def _aligned(length: int) -> int:
    return (length + 3) & ~3
