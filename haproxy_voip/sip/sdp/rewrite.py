"""Writing our own addresses into a peer's description, so that its media comes to us (RFC 3264, RFC 6337).

Lines are changed only where an address of the peer stands. m-lines stay as many and in order
(RFC 3264 section 8), and a rejected one stays rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from haproxy_voip.sip.sdp.description import SESSION, Description, MediaSection, Touched
from haproxy_voip.sip.sdp.origin import OriginKeeper


@dataclass(slots=True)
class Rewrite:
    """What a description shall say when it leaves on one leg.

    `ports` has one entry for each m-line: the even port our RTP is on there (RTCP is on the next), 0 to switch the
    stream off, None to leave its addresses as they are. An entry for a stream already rejected is not looked at.
    """

    host: str  # our media address on the leg, an IP literal
    ports: Sequence[int | None]
    origin: OriginKeeper  # of the same leg
    drop_ice: bool = True  # we are the only candidate
    drop_mux: bool = False


def rewritten(description: Description, rewrite: Rewrite) -> bytes:
    """The description to send. The one given stays as it is and can be rewritten again for another leg."""
    medias = description.medias
    assert len(rewrite.ports) == len(medias), "one port for each m-line"
    lines: list[str | None] = list(description.lines)
    connection = _connection(rewrite.host)
    for index, why, number in description.touched:
        port = None if number == SESSION else 0 if medias[number].rejected else rewrite.ports[number]
        if number == SESSION or port is not None:
            lines[index] = _touched_line(description.lines[index], why, port, rewrite)
    for section, port in zip(medias, rewrite.ports, strict=True):
        if section.port:
            _rewrite_media(description, lines, (section, port, connection))
    return _with_origin(description, lines, rewrite.origin)


def _touched_line(line: str, why: Touched, port: int | None, rewrite: Rewrite) -> str | None:
    """What becomes of a line that was noted; None drops it. `port` is None before the first m-line."""
    match why:
        case Touched.CONNECTION:
            return _connection(rewrite.host)
        case Touched.HOLD:
            # Our own address here would take the call off hold. Only the family must be the leg's.
            return _connection("::" if ":" in rewrite.host else "0.0.0.0")
        case Touched.RTCP:
            return f"a=rtcp:{port + 1}" if port else None
        case Touched.ICE:
            return None if rewrite.drop_ice else line
        case Touched.MUX:
            return None if rewrite.drop_mux else line


def _rewrite_media(
    description: Description, lines: list[str | None], change: tuple[MediaSection, int | None, str]
) -> None:
    """The m-line of a stream in use, and a c= line where it needs one of its own now."""
    section, port, connection = change
    line = description.lines[section.start]
    added: str | None = None
    if port is not None:
        # One pair of ports is relayed, so a count of ports does not cross.
        media, _, rest = line.split(" ", 2)
        line = f"{media} {port} {rest}"
        added = connection if description.connection is None else None
    elif description.connection is not None:
        added = description.lines[description.connection]  # the session's is ours now and no longer serves this stream
    lines[section.start] = line
    if added is not None and not section.own_connection:
        after = section.start + _has_title(description, section)
        lines[after] = f"{lines[after]}{description.line_end}{added}"


def _has_title(description: Description, section: MediaSection) -> bool:
    """Whether an i= line stands between m= and c= (RFC 8866 section 9 fixes the order)."""
    following = section.start + 1
    return following < section.end and description.lines[following].startswith("i=")


def _connection(host: str) -> str:
    return f"c=IN {'IP6' if ':' in host else 'IP4'} {host}"


def _with_origin(description: Description, lines: list[str | None], origin: OriginKeeper) -> bytes:
    """The text with our o= line; a description that came without one gets it where it belongs."""
    at, after = (1, 1) if description.origin is None else (description.origin, description.origin + 1)
    end = description.line_end
    head = end.join([line for line in lines[:at] if line is not None])
    tail = end.join([line for line in lines[after:] if line is not None])
    return f"{head}{end}{origin.line(head + end + tail)}{end}{tail}".encode("latin-1")
