"""Finding the session description in a message body (RFC 5621, RFC 2046 section 5.1).

It is the body itself, or a part of a multipart one; the parts around it stay byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from haproxy_voip.sip.errors import MessageError

SDP_TYPE = "application/sdp"
MAX_PARTS = 32
MAX_NESTING = 3  # multipart/mixed holding multipart/alternative is the most that is met
BOUNDARY_MAX = 70  # RFC 2046 section 5.1.1

BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
HEAD_END = re.compile(rb"\r?\n\r?\n")
PART_LENGTH = re.compile(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*(\d+)[ \t]*\r?$")
FOLD = re.compile(r"\r?\n[ \t]+")


@dataclass(slots=True)
class _Part:
    """Where one part's head and content lie in the body."""

    head: slice
    content: slice


def locate_sdp(content_type: str | None, body: bytes) -> slice | None:
    """Where in the body the session description is; None when there is none. `content_type` is the whole value.

    Raises MessageError: 400 for a multipart body without parts, 415 for a description that is encoded for transfer.
    """
    if content_type == SDP_TYPE:
        return slice(0, len(body)) if body else None
    part = _locate(content_type, body)
    return None if part is None else part.content


def replace_sdp(content_type: str | None, body: bytes, sdp: bytes) -> bytes:
    """The body with this session description in place of its own; there must be one."""
    if content_type == SDP_TYPE:
        return sdp
    part = _locate(content_type, body)
    assert part is not None, "no SDP to replace"
    head = body[: part.content.start]
    length = PART_LENGTH.search(head, part.head.start)
    if length is not None:
        head = head[: length.start(1)] + str(len(sdp)).encode() + head[length.end(1) :]
    return head + sdp + body[part.content.stop :]


def _locate(content_type: str | None, body: bytes) -> _Part | None:
    whole = _Part(slice(0, 0), slice(0, len(body)))
    return _sdp_in(content_type, body, whole, MAX_NESTING) if content_type and body else None


def _sdp_in(content_type: str, body: bytes, part: _Part, nesting: int) -> _Part | None:
    """The part itself when it is SDP, or the first within it."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == SDP_TYPE:
        return part
    if not kind.startswith("multipart/") or nesting == 0:
        return None
    for inner in _parts(body, part.content, _boundary(content_type)):
        fields = _fields(body[inner.head])
        found = _sdp_in(fields.get("content-type", "text/plain"), body, inner, nesting - 1)
        # RFC 3959: an early-session description is about another session than this message's.
        if found is not None and not fields.get("content-disposition", "session").lower().startswith("early-session"):
            _require_plain(fields)
            return found
    return None


def _require_plain(fields: dict[str, str]) -> None:
    encoding = fields.get("content-transfer-encoding", "binary").lower()
    if encoding not in ("binary", "8bit", "7bit"):
        raise MessageError(f"SDP in transfer encoding {encoding!r}", status=415)


def _boundary(content_type: str) -> bytes:
    found = BOUNDARY.search(content_type)
    boundary = (found[1] or found[2] or "") if found is not None else ""
    if not 0 < len(boundary) <= BOUNDARY_MAX:
        raise MessageError("a multipart body without boundary")
    return boundary.encode("utf-8", "surrogateescape")


def _parts(body: bytes, within: slice, boundary: bytes) -> Iterator[_Part]:
    """The parts between the delimiter lines; the line end before a delimiter belongs to the delimiter."""
    delimiter = re.compile(rb"(?:(?<![^\n])|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    opened: int | None = None
    for count, found in enumerate(delimiter.finditer(body, within.start, within.stop)):
        if opened is not None:
            yield _part(body, opened, found.start())
        if found[1] is not None:
            return
        if count >= MAX_PARTS:
            raise MessageError(f"more than {MAX_PARTS} body parts")
        opened = found.end()
    if opened is None:
        raise MessageError("a multipart body without its boundary")
    yield _part(body, opened, within.stop)  # COMPAT: the closing delimiter is missing


def _part(body: bytes, start: int, stop: int) -> _Part:
    """From the end of the delimiter's text to the next delimiter. A part without empty line has no content."""
    end = HEAD_END.search(body, start, stop)
    if end is None:
        return _Part(slice(start, stop), slice(stop, stop))
    return _Part(slice(start, end.start()), slice(end.end(), stop))


def _fields(head: bytes) -> dict[str, str]:
    fields = {}
    for line in FOLD.sub(" ", head.decode("utf-8", "surrogateescape")).splitlines():
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    fields.setdefault("content-type", fields.get("c", "text/plain"))
    return fields
