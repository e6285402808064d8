"""Sockets bound to where we listen, and errors that say what to do when they cannot be."""

from __future__ import annotations

import errno
import socket
from asyncio.trsock import TransportSocket

from haproxy_voip.core.address import Address, Endpoint, Transport

# Connections the kernel completes before we take them; the kernel cuts it to net.core.somaxconn.
BACKLOG = 1024

# A peer whose host vanished is noticed after 60 + 3 * 10 s of silence on an idle stream (tcp(7)).
KEEPALIVE_AFTER = 60
KEEPALIVE_EVERY = 10
KEEPALIVE_COUNT = 3
# The same with bytes on the way: RFC 3261 gives a transaction 32 s before it fails.
UNACKNOWLEDGED_MS = 32_000

REMEDIES = {
    errno.EADDRINUSE: "another program listens there (`ss -lnp` shows which); stop it or choose another port",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address; write one it has, or 0.0.0.0 for all",
    errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE",
    errno.EPERM: "ports below 1024 need root or CAP_NET_BIND_SERVICE",
}


class CannotListen(Exception):
    """A socket cannot be bound; the text says where, why and what to do."""

    def __init__(self, where: str, error: OSError) -> None:
        remedy = REMEDIES.get(error.errno or 0)
        super().__init__(f"cannot listen on {where}: {error.strerror or error}" + (f"; {remedy}" if remedy else ""))


def bound_socket(endpoint: Endpoint) -> socket.socket:
    """A non-blocking socket, listening when its transport has connections. Raises CannotListen."""
    transport, address = endpoint
    kind = socket.SOCK_DGRAM if transport is Transport.UDP else socket.SOCK_STREAM
    bound = socket.socket(family_of(address), kind)
    try:
        if address.family == 6:
            # An IPv4 listener on the same port is one of its own, and no peer shows as ::ffff:192.0.2.1.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            # Our last life's connections in TIME_WAIT must not keep us from starting. For UDP it would share the port.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind(address)
        if kind == socket.SOCK_STREAM:
            bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise CannotListen(str(endpoint), error) from None
    return bound


def tune(stream: socket.socket | TransportSocket) -> None:
    """What every stream of ours has: no delay for small messages, and an end when the peer's host vanishes."""
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_AFTER)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_EVERY)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)


def family_of(address: Address) -> socket.AddressFamily:
    """What `socket.socket` wants."""
    return socket.AF_INET6 if address.family == 6 else socket.AF_INET
