"""A name server on a port of its own, which says what a test wants it to say (RFC 1035)."""

from __future__ import annotations

import asyncio
import ipaddress
import struct
from collections import Counter
from types import TracebackType
from typing import Any

from haproxy_voip.edge.resolver import Resolver

A, CNAME, AAAA, SRV = 1, 5, 28, 33
# Flags of a response, authoritative, recursion available.
ANSWER, FAILURE, NO_SUCH_NAME = 0x8580, 0x8582, 0x8583

Record = tuple[int, int, bytes]  # kind, seconds to live, value


class NameServer(asyncio.DatagramProtocol):
    """`zone` is name -> records as `host` and `service` make them; other names do not exist."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self._at = (address, port)
        self.zone: dict[str, list[Record]] = {}
        self.asked: Counter[str] = Counter()
        self.fails = False
        self.silent = False

    async def __aenter__(self) -> NameServer:
        self.transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, local_addr=self._at)
        self.resolver = Resolver([self._at[0]], self.transport.get_extra_info("sockname")[1])
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.transport.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        name, end = _name(data, 12)
        [kind] = struct.unpack_from("!H", data, end)
        self.asked[name] += 1
        if self.silent:
            return
        known = self.zone.get(name)
        flags = FAILURE if self.fails else NO_SUCH_NAME if known is None else ANSWER
        answers = [] if self.fails else [one for one in known or () if one[0] in (kind, CNAME)]
        reply = data[:2] + struct.pack("!HHHHH", flags, 1, len(answers), 0, 0) + data[12 : end + 4]
        for record, ttl, value in answers:
            reply += struct.pack("!HHHIH", 0xC00C, record, 1, ttl, len(value)) + value
        self.transport.sendto(reply, addr)


def host(*addresses: str, ttl: int = 60) -> list[Record]:
    literals = [ipaddress.ip_address(one) for one in addresses]
    return [(A if one.version == 4 else AAAA, ttl, one.packed) for one in literals]


def service(priority: int, weight: int, port: int, target: str, ttl: int = 60) -> Record:
    return SRV, ttl, struct.pack("!HHH", priority, weight, port) + _written(target)


def _written(name: str) -> bytes:
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _name(data: bytes, at: int) -> tuple[str, int]:
    labels = []
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode().lower())
        at += 1 + data[at]
    return ".".join(labels), at + 1
