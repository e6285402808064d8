"""Loopback addresses that nobody uses: each demonstration takes a block of 127.0.0.0/8 for itself.

The address ending in .1 is held as long as the demonstration lasts, so that two of them never share a block.
"""

from __future__ import annotations

import contextlib
import errno
import socket

from haproxy_voip.core.address import Address

# 127.0.0.x is left to real servers and to other tests.
BLOCKS = range(1, 255)
# The usual port; the others for a machine where something listens on it at every address.
SIP_PORTS = (5060, 15060, 25060)
# The chat port that goes with each.
CHAT_PORTS = {5060: 5222, 15060: 15222, 25060: 25222}

# The last number of each one's address.
CLAIM, PROXY, FIRST_BACKEND = 1, 10, 11
CALLER, CALLEE, SECOND_CALLER, SECOND_CALLEE = 21, 22, 23, 24
PHONES = (CALLER, CALLEE, SECOND_CALLER, SECOND_CALLEE)
SERVERS = (PROXY, FIRST_BACKEND, FIRST_BACKEND + 1, FIRST_BACKEND + 2)
TAKEN = (*SERVERS, *PHONES)


class DemoFailed(Exception):
    """Something did not come about; the text says what."""


class Place:
    """A block of addresses, and a SIP and a chat port that are free on all that need them."""

    def __init__(self, block: int, port: int, claim: socket.socket) -> None:
        self.block = block
        self.port = port
        self._claim = claim

    @classmethod
    def claim(cls) -> Place:
        """Take a block. Raises DemoFailed."""
        for port in SIP_PORTS:
            for block in BLOCKS:
                with contextlib.ExitStack() as stack:
                    try:
                        claim = stack.enter_context(_bound(socket.SOCK_DGRAM, _host(block, CLAIM), port))
                        for number in TAKEN:
                            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                                _bound(kind, _host(block, number), port).close()
                        for number in SERVERS:
                            _bound(socket.SOCK_STREAM, _host(block, number), CHAT_PORTS[port]).close()
                    except OSError as error:
                        if error.errno == errno.EADDRINUSE:
                            continue
                        raise DemoFailed(f"loopback addresses like {_host(block, PROXY)} are needed: {error}") from None
                    stack.pop_all()
                    return cls(block, port, claim)
        raise DemoFailed(f"none of the ports {SIP_PORTS} is free on any loopback address")

    def host(self, number: int) -> str:
        """The address with this last number."""
        return _host(self.block, number)

    def address(self, number: int) -> Address:
        """The same with the SIP port."""
        return Address(self.host(number), self.port)

    def chat_address(self, number: int) -> Address:
        """The same with the chat port."""
        return Address(self.host(number), CHAT_PORTS[self.port])

    def give_back(self) -> None:
        """Others may have it."""
        self._claim.close()


def _host(block: int, number: int) -> str:
    return f"127.0.{block}.{number}"


def _bound(kind: socket.SocketKind, host: str, port: int) -> socket.socket:
    """Raises OSError."""
    bound = socket.socket(socket.AF_INET, kind)
    try:
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
