"""The session descriptions of the embedded phone: one audio stream, G.711 and telephone-event (RFC 8866, RFC 3264)."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.core.address import Address
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.sdp import Direction, MediaSection, parse

SDP = "application/sdp"

# What an answerer says to each (RFC 3264 section 6.1), when it has no wish of its own.
REVERSED = {
    Direction.SENDRECV: Direction.SENDRECV,
    Direction.SENDONLY: Direction.RECVONLY,
    Direction.RECVONLY: Direction.SENDONLY,
    Direction.INACTIVE: Direction.INACTIVE,
}


@dataclass(slots=True)
class Media:
    """One call's audio as both ends have described it."""

    local: Address
    session: str  # id of our o= line; digits
    version: int = 0
    wanted: Direction = Direction.SENDRECV  # what we would have; SENDONLY while we hold
    direction: Direction = Direction.SENDRECV  # what is agreed, seen by us
    remote: Address | None = None
    _last: str = ""

    @property
    def sends(self) -> bool:
        """Whether our audio goes out."""
        return self.remote is not None and self.direction.sends

    @property
    def receives(self) -> bool:
        """Whether theirs may come."""
        return self.direction.receives

    def offer(self) -> bytes:
        """Our offer."""
        return self._description(self.wanted)

    def answer(self, offer: bytes) -> bytes:
        """Take their offer; our answer. Raises MessageError(488)."""
        section = _audio(offer)
        self.remote = section.address
        theirs = REVERSED[section.direction]
        sends, receives = theirs.sends and self.wanted.sends, theirs.receives and self.wanted.receives
        self.direction = _direction(sends, receives)
        return self._description(self.direction)

    def take_answer(self, answer: bytes) -> None:
        """Take their answer to our offer. Raises MessageError(488)."""
        section = _audio(answer)
        self.remote = section.address
        self.direction = REVERSED[section.direction]

    def _description(self, direction: Direction) -> bytes:
        host, port = self.local
        family = f"IP{self.local.family}"
        rest = (
            f"s=-\r\nc=IN {family} {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\n"
            f"a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
            f"a=ptime:20\r\na={direction}\r\n"
        )
        if rest != self._last:  # RFC 3264 section 8: the version grows by one with each change
            self._last = rest
            self.version += 1
        return f"v=0\r\no=- {self.session} {self.version} IN {family} {host}\r\n{rest}".encode()


def _audio(body: bytes) -> MediaSection:
    section = next((section for section in parse(body).medias if section.kind == "audio" and section.port), None)
    if section is None or not {"0", "8"} & set(section.formats):
        raise MessageError("no audio we can play", 488)
    return section


def _direction(sends: bool, receives: bool) -> Direction:
    if sends:
        return Direction.SENDRECV if receives else Direction.SENDONLY
    return Direction.RECVONLY if receives else Direction.INACTIVE
