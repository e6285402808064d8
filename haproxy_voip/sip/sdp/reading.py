"""Reading a session description in one pass (RFC 8866 section 5).

Only what decides where media goes is understood; the rest stays a line of text. Lines are decoded as Latin-1,
so every byte survives. The lines that a rewrite touches are noted while reading and not looked for again.
"""

from __future__ import annotations

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.sdp.description import (
    NULL_HOSTS,
    PORT_MAX,
    Description,
    Direction,
    MediaSection,
    Touched,
    literal,
)

# A browser's offer with a dozen m-lines and all its candidates has about 20,000.
MAX_SDP_BYTES = 32_768
# Each takes a pair of ports on both sides.
MAX_MEDIA = 32
# Of a domain name (RFC 1035 section 2.3.4); hosts are kept in caches.
HOST_LENGTH_MAX = 255

DIRECTIONS: dict[str, Direction] = {direction.value: direction for direction in Direction}
TOUCHED: dict[str, Touched] = {
    "rtcp": Touched.RTCP,
    "rtcp-mux": Touched.MUX,
    "rtcp-mux-only": Touched.MUX,
    "candidate": Touched.ICE,
    "remote-candidates": Touched.ICE,
    "end-of-candidates": Touched.ICE,
    "ice-ufrag": Touched.ICE,
    "ice-pwd": Touched.ICE,
    "ice-options": Touched.ICE,
    "ice-lite": Touched.ICE,
    "ice-mismatch": Touched.ICE,
    "ice-pacing": Touched.ICE,
}
# The most frequent lines that mean nothing here, told from the others before anything is cut out of them.
PLAIN_LINES = frozenset({"v=", "s=", "i=", "u=", "e=", "p=", "b=", "t=", "r=", "z=", "k="})


def parse(body: bytes) -> Description:
    """Read a description.

    Raises MessageError: 400 when it is malformed, 488 when it is larger than we handle.
    """
    description = _split(body)
    touched, medias = description.touched, description.medias
    level: Description | MediaSection = description
    for index, line in enumerate(description.lines):
        kind = line[:2]
        if kind in PLAIN_LINES:
            continue
        if kind == "a=":
            if line[2:9] == "rtpmap:":
                continue
            name, _, value = line[2:].partition(":")
            if name in DIRECTIONS:
                level.attribute = DIRECTIONS[name]
            elif name in TOUCHED:
                touched.append((index, TOUCHED[name], len(medias) - 1))
                if isinstance(level, MediaSection):  # before the first m-line they mean nothing to us
                    _read_attribute(level, TOUCHED[name], value)
        elif kind == "m=":
            level = _begin_media(description, line, index)
        else:
            _read_line(description, level, line, index)
    if len(medias) > MAX_MEDIA:
        raise MessageError(f"{len(medias)} m-lines", status=488)
    if medias:
        medias[-1].end = len(description.lines)
    return description


def _read_line(description: Description, level: Description | MediaSection, line: str, index: int) -> None:
    """Any line but a= and m=."""
    if line.startswith("c="):
        host = _read_connection(line)
        why = Touched.HOLD if host in NULL_HOSTS else Touched.CONNECTION
        description.touched.append((index, why, len(description.medias) - 1))
        _set_host(level, host, index)
    elif line.startswith("o="):
        if description.origin is not None or description.medias:
            raise MessageError("an o= line where none belongs")
        description.origin = index
    elif line and line[1:2] != "=":
        raise MessageError(f"no SDP line: {line[:80]!r}")


def _split(body: bytes) -> Description:
    if len(body) > MAX_SDP_BYTES:
        raise MessageError(f"an SDP of {len(body)} bytes", status=488)
    text = body.decode("latin-1")
    line_end = "\n"
    if returns := text.count("\r"):
        # A lone CR or a NUL ends lines for some readers only: an address could hide behind it.
        if text.count("\r\n") != returns:
            raise MessageError("a lone CR in SDP")
        line_end = "\r\n"
        if text.count("\n") != returns:
            text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    if "\0" in text:
        raise MessageError("NUL in SDP")
    lines = text.split(line_end)
    if lines[0] != "v=0":
        raise MessageError(f"SDP does not begin with v=0: {lines[0][:80]!r}")
    return Description(lines, line_end)


def _begin_media(description: Description, line: str, index: int) -> MediaSection:
    """m=<media> <port>[/<number of ports>] <proto> <fmt> ...

    COMPAT: a rejected stream sometimes comes without any format.
    """
    fields = line[2:].split(" ")
    if len(fields) < 3:
        raise MessageError(f"m-line is not 'media port proto formats': {line[:80]!r}")
    kind, ports, proto, *formats = fields
    port, slash, count = ports.partition("/")
    if not _is_port(port) or (slash and not _is_port(count)):
        raise MessageError(f"m-line without a port: {line[:80]!r}")
    medias = description.medias
    if medias:
        medias[-1].end = index
    section = MediaSection(
        kind.lower(),
        int(port),
        max(int(count), 1) if slash else 1,
        proto,
        tuple([name for name in formats if name]),
        index,
        description.host,
        attribute=description.attribute,
    )
    medias.append(section)
    return section


def _read_connection(line: str) -> str:
    """c=<nettype> <addrtype> <connection-address>; the host in canonical form, without ttl and count."""
    fields = line[2:].split()
    if len(fields) != 3 or fields[0].upper() != "IN" or fields[1].upper() not in ("IP4", "IP6"):
        raise MessageError(f"c-line is not 'IN IP4|IP6 address': {line[:80]!r}")
    host = fields[2].partition("/")[0]
    if len(host) > HOST_LENGTH_MAX:
        raise MessageError(f"c-line with a host of {len(host)} characters")
    return literal(host) or host


def _set_host(level: MediaSection | Description, host: str, index: int) -> None:
    """The first c= of a level counts; further ones are for layers of one stream, which RFC 8866 5.7 wants in a row."""
    if isinstance(level, Description):
        if level.connection is None:
            level.connection, level.host = index, host
    elif not level.own_connection:
        level.own_connection, level.host = True, host


def _read_attribute(section: MediaSection, why: Touched, value: str) -> None:
    if why is Touched.MUX:
        section.mux = True
    elif why is Touched.RTCP:
        section.rtcp = _read_rtcp(value)


def _read_rtcp(value: str) -> tuple[int, str | None] | None:
    """a=rtcp:<port> [<nettype> <addrtype> <connection-address>]; malformed it counts as absent."""
    fields = value.split()
    if len(fields) not in (1, 4) or not _is_port(fields[0]):
        return None
    host = fields[3] if len(fields) == 4 else None
    return None if host is not None and len(host) > HOST_LENGTH_MAX else (int(fields[0]), host)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= PORT_MAX
