"""What the network tells any SIP-speaking node."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.core.address import Flow


@dataclass(slots=True)
class Datagram:
    """One UDP datagram arrived."""

    data: bytes
    flow: Flow


@dataclass(slots=True)
class StreamOpened:
    """A stream was accepted, or one the node asked for is connected (TLS: and its handshake done)."""

    flow: Flow


@dataclass(slots=True)
class StreamData:
    """Bytes arrived on a stream; message borders are not kept."""

    data: bytes
    flow: Flow


@dataclass(slots=True)
class StreamClosed:
    """A stream ended, or could not be opened; nothing more comes from it."""

    flow: Flow
    reason: str


NetworkEvent = Datagram | StreamOpened | StreamData | StreamClosed
