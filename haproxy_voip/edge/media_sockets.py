"""UDP sockets for media: bound in pairs, bound to one peer, and freed of it again."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from typing import NamedTuple

from haproxy_voip.core.address import Address
from haproxy_voip.edge.listening import family_of

# connect(2): "Connectionless sockets may dissolve the association by connecting to an address with the sa_family
# member set to AF_UNSPEC". Python's own connect knows no such address; sockaddr_storage is zero then.
LIBC = ctypes.CDLL(None, use_errno=True)
UNSPECIFIED = bytes(28)  # sizeof(struct sockaddr_in6)


class Pair(NamedTuple):
    """RTP on an even port, RTCP on the next."""

    rtp: socket.socket
    rtcp: socket.socket

    def close(self) -> None:
        """Free both ports."""
        self.rtp.close()
        self.rtcp.close()


def bind_pair(local: Address) -> Pair:
    """Both ports of a party. Raises OSError when either cannot be had, and then holds neither."""
    rtp = bind(local)
    try:
        return Pair(rtp, bind(Address(local.host, local.port + 1)))
    except OSError:
        rtp.close()
        raise


def bind(local: Address) -> socket.socket:
    """A non-blocking socket. Without SO_REUSEADDR: two streams on one port is a mistake to be told, not shared."""
    family = family_of(local)
    bound = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(local)
    except OSError:
        bound.close()
        raise
    return bound


def connect(bound: socket.socket, peer: Address) -> bool:
    """Let the kernel enforce the source, keep the route and tell of ICMP errors. False when there is no route."""
    try:
        bound.connect(peer)
    except OSError:
        return False
    return True


def disconnect(connected: socket.socket) -> None:
    """Let anybody send here again, and forget an error that the former peer left behind."""
    loosen(connected)
    with contextlib.suppress(OSError):
        connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def loosen(connected: socket.socket) -> None:
    """Let anybody send here again. The port stays ours because it was bound by its number, not chosen by the kernel."""
    if LIBC.connect(connected.fileno(), UNSPECIFIED, len(UNSPECIFIED)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
