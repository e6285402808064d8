"""Start tags as bytes: where one ends, which attributes it has, and changes to them.

Everything here relies on the parser having seen, or being about to see, the same bytes: it finds its way, it does not
judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from haproxy_voip.xmpp.text import escape

# XML 1.0 section 3.1: STag ::= '<' Name (S Attribute)* S? '>'; an attribute's value may hold '>' but not '<'.
_START_TAG: Final = re.compile(rb"<[^\s/>\"']+(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_NAME: Final = re.compile(rb"<[^\s/>]+")
_ATTRIBUTE: Final = re.compile(rb"\s+([^\s=/>]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_TURN: Final = re.compile(rb"[\"'>]")


class TagEnd:
    """Looks for the end of one start tag in a growing buffer, at each byte once."""

    __slots__ = ("_at", "_quote")

    def __init__(self, start: int) -> None:
        self._at = start
        self._quote = b""

    def find(self, buffer: bytes | bytearray) -> int:
        """The offset after the tag's `>`, or -1 when it has not come yet."""
        while True:
            if self._quote:
                closing = buffer.find(self._quote, self._at)
                if closing < 0:
                    self._at = len(buffer)
                    return -1
                self._at, self._quote = closing + 1, b""
            turn = _TURN.search(buffer, self._at)
            if turn is None:
                self._at = len(buffer)
                return -1
            self._at = turn.end()
            if turn[0] == b">":
                return self._at
            self._quote = bytes(turn[0])

    def move(self, by: int) -> None:
        """The buffer lost so many bytes at its beginning."""
        self._at -= by


def end_of_tag(data: bytes | bytearray, start: int = 0) -> int:
    """The offset after the `>` of the start tag at `start`. Raises ValueError when there is none."""
    found = _START_TAG.match(data, start)
    if found is None:
        raise ValueError("no start tag")
    return found.end()


def attributes(data: bytes, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Qualified name, offset of the white space before it, and offset after it, of each attribute of the first tag.

    `end` is where that tag ends.
    """
    name = _NAME.match(data)
    at = len(data) if name is None else name.end()
    while (found := _ATTRIBUTE.match(data, at, end)) is not None:
        yield found[1], at, found.end()
        at = found.end()


def end_of_name(data: bytes) -> int:
    """The offset after the first tag's qualified name."""
    found = _NAME.match(data)
    if found is None:
        raise ValueError("no start tag")
    return found.end()


def qualified_name(data: bytes) -> bytes:
    """The first tag's name with its prefix."""
    return data[1 : end_of_name(data)]


def declare(raw: bytes, namespaces: Mapping[str, str]) -> bytes:
    """The same element, declaring those of these namespaces ("" is the default one) it uses and did not declare."""
    declared = {name for name, _, _ in attributes(raw, end_of_tag(raw))}
    missing = b"".join(
        b" %b='%b'" % (name, escape(uri).encode())
        for prefix, uri in namespaces.items()
        if (name := f"xmlns:{prefix}".encode() if prefix else b"xmlns") not in declared
        and (not prefix or f"{prefix}:".encode() in raw)
    )
    at = end_of_name(raw)
    return raw[:at] + missing + raw[at:] if missing else raw
