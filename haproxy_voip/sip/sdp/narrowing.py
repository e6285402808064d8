"""An offer that says no more than what was agreed (RFC 3264 section 8.3.2).

A call that moves to another server must go on in the codecs its phone uses already, for the phone is not asked again.
"""

from __future__ import annotations

from haproxy_voip.sip.sdp.comparison import codecs
from haproxy_voip.sip.sdp.description import Description, Direction, MediaSection
from haproxy_voip.sip.sdp.reading import parse

OF_ONE_FORMAT = ("rtpmap", "fmtp", "rtcp-fb")
DIRECTIONS = frozenset(f"a={direction}" for direction in Direction)


def narrowed(description: Description, agreed: Description | None) -> bytes:
    """The description with only those formats that the other party's answer `agreed` has as well.

    Streams that the answer rejected are offered as rejected; one that would be left without a format keeps them all.
    """
    lines: list[str | None] = list(description.lines)
    for index, section in enumerate(description.medias):
        if agreed is None or index >= len(agreed.medias):
            continue
        other = agreed.medias[index]
        if other.rejected:
            lines[section.start] = _with(section, description.lines[section.start], 0, section.formats)
            continue
        _narrow(description, lines, section, _kept(description, section, agreed, other))
    return description.line_end.join([line for line in lines if line is not None]).encode("latin-1")


def answering(description: Description, offer: Description) -> bytes:
    """The description as an answer to this offer: its formats, and no direction the offer does not allow.

    RFC 3264 section 6.1: "If a stream is offered as sendonly, the corresponding stream MUST be marked as recvonly or
    inactive in the answer"; and so on.
    """
    answer = parse(narrowed(description, offer))
    lines = list(answer.lines)
    for section, other in reversed(list(zip(answer.medias, offer.medias, strict=False))):
        allowed = _direction(section.direction, other.direction)
        if allowed is not section.direction:
            others = [line for line in lines[section.start + 1 : section.end] if line not in DIRECTIONS]
            end = len(others) - (others[-1:] == [""])  # not behind the last line end
            others.insert(end, f"a={allowed}")
            lines[section.start + 1 : section.end] = others
    return answer.line_end.join(lines).encode("latin-1")


def _direction(standing: Direction, offered: Direction) -> Direction:
    sends, receives = standing.sends and offered.receives, standing.receives and offered.sends
    if sends:
        return Direction.SENDRECV if receives else Direction.SENDONLY
    return Direction.RECVONLY if receives else Direction.INACTIVE


def _kept(description: Description, section: MediaSection, agreed: Description, other: MediaSection) -> tuple[str, ...]:
    """The formats both have; a payload type may differ between offer and answer, so the codec's name decides."""
    names = {codec for codec, _ in codecs(agreed, other).values()}
    ours = codecs(description, section)
    kept = tuple(name for name in section.formats if ours[name][0] in names)
    return kept or section.formats


def _narrow(description: Description, lines: list[str | None], section: MediaSection, kept: tuple[str, ...]) -> None:
    if kept == section.formats:
        return
    lines[section.start] = _with(section, description.lines[section.start], None, kept)
    gone = set(section.formats) - set(kept)
    for index in range(section.start + 1, section.end):
        name, _, value = description.lines[index].removeprefix("a=").partition(":")
        if name in OF_ONE_FORMAT and value.partition(" ")[0] in gone:
            lines[index] = None


def _with(section: MediaSection, line: str, port: int | None, formats: tuple[str, ...]) -> str:
    media, written, proto = line.split(" ")[:3]
    return " ".join((media, written if port is None else str(port), proto, *formats))
