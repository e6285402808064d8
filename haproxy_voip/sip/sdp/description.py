"""A session description as lines of text, with what decides where media goes understood (RFC 8866, RFC 3264)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from haproxy_voip.core.address import Address

PORT_MAX = 65_535
HOSTS_CACHED = 4096

# RFC 2543 put calls on hold so; RFC 3264 section 8.4 still wants it understood.
NULL_HOSTS = ("0.0.0.0", "::")


class Direction(StrEnum):
    """Which way media may flow, seen by the author of the description (RFC 3264 section 5.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """Whether the author sends."""
        return self is Direction.SENDRECV or self is Direction.SENDONLY

    @property
    def receives(self) -> bool:
        """Whether the author may be sent to."""
        return self is Direction.SENDRECV or self is Direction.RECVONLY


class Touched(StrEnum):
    """Why a rewrite may have to change a line."""

    CONNECTION = "c= with an address"
    HOLD = "c= with the null address"
    RTCP = "a=rtcp (RFC 3605)"
    ICE = "candidates and credentials (RFC 8839)"
    MUX = "a=rtcp-mux (RFC 5761)"


SESSION = -1  # the section number of lines before the first m=


@dataclass(slots=True)
class MediaSection:
    """One m-line and what follows it (RFC 8866 section 5.14)."""

    kind: str  # audio, video, image, application, message
    port: int  # 0: rejected or switched off
    port_count: int  # of "port/count"; 1 when not written
    proto: str  # as written
    formats: tuple[str, ...]  # payload types, or what the proto calls formats
    start: int  # index of the m-line in Description.lines
    host: str | None  # from its own c= or the session's: a literal in canonical form, a name, or None
    own_connection: bool = False  # whether it has a c= of its own
    attribute: Direction | None = None  # its own or the session's direction attribute
    rtcp: tuple[int, str | None] | None = None  # a=rtcp: port, and host where written
    mux: bool = False  # a=rtcp-mux
    end: int = 0  # index past its last line

    @property
    def rejected(self) -> bool:
        """Whether the stream is not to be used (RFC 3264 section 6)."""
        return self.port == 0

    @property
    def carrier(self) -> str | None:
        """What a relay has to carry: "rtp" with its RTCP, "udptl" for other datagrams on one port, None for what
        is no datagram at all (MSRP or BFCP over TCP) and cannot be anchored."""
        return _carrier(self.proto)

    @property
    def direction(self) -> Direction:
        """The direction in force; the null address adds that nothing may be sent to it (RFC 3264 section 8.4)."""
        direction = self.attribute or Direction.SENDRECV
        if self.host in NULL_HOSTS:
            return Direction.SENDONLY if direction.sends else Direction.INACTIVE
        return direction

    @property
    def receives(self) -> bool:
        """Whether its author may be sent to now: neither rejected nor on hold."""
        return self.port != 0 and self.direction.receives

    @property
    def address(self) -> Address | None:
        """Where its author wants the media; None when rejected, on hold by null address, named or multicast."""
        host = unicast(self.host)
        return Address(host, self.port) if host is not None and self.port else None

    @property
    def rtcp_address(self) -> Address | None:
        """Where its author wants RTCP when it is not multiplexed: a=rtcp, else the next port (RFC 3605 section 2.1)."""
        port, own = self.rtcp or (self.port + 1, None)
        host = unicast(own or self.host)
        return Address(host, port) if host is not None and self.port and port <= PORT_MAX else None


@dataclass(slots=True)
class Description:
    """A description: its lines, and what was understood of them."""

    lines: list[str]  # without line ends; the last is empty when the text ended with one
    line_end: str
    medias: list[MediaSection] = field(default_factory=list)
    origin: int | None = None  # index of the o= line
    connection: int | None = None  # index of the session's c= line
    host: str | None = None  # what that says
    attribute: Direction | None = None  # the session's direction attribute
    touched: list[tuple[int, Touched, int]] = field(default_factory=list)  # line, why, section number or SESSION

    def encode(self) -> bytes:
        """The text as it was read; a mixture of line ends has become CRLF."""
        return self.line_end.join(self.lines).encode("latin-1")

    def attributes(self, section: MediaSection) -> list[tuple[str, str]]:
        """Its a= lines as (name, value); the value of a flag is empty."""
        pairs = []
        for line in self.lines[section.start + 1 : section.end]:
            if line.startswith("a="):
                name, _, value = line[2:].partition(":")
                pairs.append((name, value))
        return pairs


@lru_cache(HOSTS_CACHED)
def literal(host: str) -> str | None:
    """The IP literal in canonical form; None when it is a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


@lru_cache(HOSTS_CACHED)
def unicast(host: str | None) -> str | None:
    """The literal in canonical form if one peer can be sent to there, else None: names, null, multicast, scoped."""
    found = None if host is None or "%" in host else literal(host)
    if found is None or found in NULL_HOSTS or ipaddress.ip_address(found).is_multicast:
        return None
    return found


@lru_cache(64)
def _carrier(proto: str) -> str | None:
    upper = proto.upper()
    if upper.startswith(("RTP/", "UDP/TLS/RTP/")):
        return "rtp"
    return "udptl" if upper == "UDPTL" or upper == "UDP" or upper.startswith("UDP/") else None
