"""Asking the kernel about routes, links and filters: rtnetlink(7).

The kernel answers while it is asked, so that nothing here waits: a question is answered before `send` returns.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

HEADER = struct.Struct("=IHHII")  # length with this header, type, flags, sequence, port
ATTRIBUTE = struct.Struct("=HH")  # length with this header, type
ERROR, DONE = 2, 3
REQUEST, DUMP = 0x001, 0x300
KIND_MASK = 0x3FFF  # of an attribute's type: without NLA_F_NESTED and NLA_F_NET_BYTEORDER
# The kernel fills up to 32 KiB at once.
MAX_ANSWER = 65_536


class Netlink:
    """A socket to be asked again and again."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)

    def close(self) -> None:
        """Ask no more."""
        self._socket.close()

    def one(self, kind: int, request: bytes) -> bytes:
        """The body of the one message that answers. Raises OSError with what the kernel says instead."""
        return next(self._ask(kind, REQUEST, request))

    def all(self, kind: int, request: bytes) -> list[bytes]:
        """The bodies of all messages that answer. Raises OSError."""
        return list(self._ask(kind, REQUEST | DUMP, request))

    def _ask(self, kind: int, flags: int, request: bytes) -> Iterator[bytes]:
        self._socket.send(HEADER.pack(HEADER.size + len(request), kind, flags, 1, 0) + request)
        while True:
            answer = self._socket.recv(MAX_ANSWER)
            at = 0
            while at + HEADER.size <= len(answer):
                length, what, *_ = HEADER.unpack_from(answer, at)
                body = answer[at + HEADER.size : at + length]
                at += _aligned(length)
                if what == DONE:
                    return
                if what == ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    raise OSError(code, os.strerror(code))
                yield body


def attributes(data: bytes) -> dict[int, bytes]:
    """Type and value of what follows a message's fixed part."""
    found: dict[int, bytes] = {}
    at = 0
    while at + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        found[kind & KIND_MASK] = data[at + ATTRIBUTE.size : at + length]
        at += max(ATTRIBUTE.size, _aligned(length))
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """One of them, to be asked with."""
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
