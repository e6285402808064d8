"""Events as lines of a history."""

from __future__ import annotations

from typing import Any
from zlib import crc32

from haproxy_voip.core.events import Datagram, StreamData


def summary(data: bytes) -> str:
    """The start line, or what there is of it."""
    return data.partition(b"\r\n")[0][:60].decode("latin-1")


def described(event: Any) -> str:
    """Enough of an event that two histories which differ in it have different digests."""
    match event:
        case Datagram(data, flow):
            return f"{flow.remote} {summary(data)} #{crc32(data):08x}"
        case StreamData(data, flow):
            return f"{flow.remote}#{flow.connection} {summary(data)} #{crc32(data):08x}"
        case _:
            # What a machine's own events hold may be long; who it is about and how much there is tells them apart.
            return f"{type(event).__name__} {getattr(event, 'backend', '')} {len(getattr(event, 'data', b''))}"
