"""What the stream machines ask of their owner. Stanzas that arrive on an established stream are outputs too."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.xmpp.errors import StreamError


@dataclass(slots=True)
class Write:
    """Put these bytes on the connection, in this order."""

    data: bytes


@dataclass(slots=True)
class StartTls:
    """Begin the TLS handshake once everything written before has left; then call `tls_started`."""

    server_name: str = ""  # where we are the client: for SNI, and to verify


@dataclass(slots=True)
class Ended:
    """The stream is over: close the connection once everything written has left. Nothing more comes of it.

    `error` is what ended it, the peer's or ours; None when it ended in peace.
    """

    error: StreamError | None = None
    by_peer: bool = False  # whether the peer began: its closing tag, its stream error


@dataclass(frozen=True, slots=True)
class TlsInfo:
    """What the edge knows of an established TLS connection."""

    # Hash of the server's certificate (RFC 5929 section 4.1); None where channel binding is not to be offered or used.
    endpoint_hash: bytes | None = None
