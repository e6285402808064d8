"""XMPP streams: the framer, fed in pieces, and the tree of every stanza. The first two bytes say how the rest is cut.

1. Nothing is raised; a StreamError is the last thing that comes out, and it can be written.
2. The cuts change neither stanzas nor their order, nor whether the stream can be read.
3. What is held between two pieces is bounded.
4. A stanza is complete in itself: framed again it is the same, and its tree, written, reads the same.
"""

from __future__ import annotations

from haproxy_voip.xmpp.closing import encode_error
from haproxy_voip.xmpp.element import parse_element
from haproxy_voip.xmpp.errors import StreamError
from haproxy_voip.xmpp.framing import (
    MAX_HEADER_BYTES,
    UNAUTHENTICATED_MAX_BYTES,
    Stanza,
    StreamEnd,
    StreamFramer,
    Whitespace,
)
from haproxy_voip.xmpp.header import StreamHeader
from haproxy_voip.xmpp.parser import ParserPool

OPENING = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

# No tag and no value goes on behind this, and no stanza: what may yet turn out well has to, or not.
NO_MORE = b'">\'>">' + b" " * UNAUTHENTICATED_MAX_BYTES


def check(data: bytes) -> None:
    first, second, stream = *data[:2].ljust(2, b"\0"), data[2:]
    if first & 1:  # most of what is interesting comes behind a header
        stream = OPENING + stream
    pieces = [stream[: first * 2], *cut(stream[first * 2 :], 1 + second * 4)]
    at_once, cut_up = played([stream + NO_MORE]), played([*pieces, NO_MORE])
    assert at_once == cut_up, (at_once, cut_up)


def cut(data: bytes, size: int) -> list[bytes]:
    size = max(size, len(data) // 64)  # no more than so many pieces
    return [data[at : at + size] for at in range(0, len(data), size)]


def played(pieces: list[bytes]) -> list[object]:
    """What came out, but for white space, which may come in any number of pieces, and for what an error says."""
    framer, told = StreamFramer(UNAUTHENTICATED_MAX_BYTES, ParserPool()), []
    for piece in pieces:
        over = framer.broken or framer.ended
        items = framer.feed(piece)
        assert not (over and items)
        assert not any(isinstance(item, StreamError) for item in items[:-1])
        told += [describe(item) for item in items if not isinstance(item, Whitespace)]
        assert len(framer._held) <= max(MAX_HEADER_BYTES, UNAUTHENTICATED_MAX_BYTES)
    return told


def describe(item: object) -> object:
    match item:
        case Stanza():
            whole(item)
            return item.name, item.namespace, item.raw
        case StreamHeader():
            return item.to, item.from_, item.id, item.version, item.lang
        case StreamError():
            assert parse_element(
                encode_error(item).replace(b"<stream:error>", b"<error>").replace(b"</stream:error>", b"</error>")
            )
            return "error"
        case StreamEnd():
            return "end"
    raise AssertionError(item)


def whole(stanza: Stanza) -> None:
    [_, again] = StreamFramer().feed(OPENING + stanza.raw)
    assert isinstance(again, Stanza) and again == stanza
    element = stanza.element()
    assert (element.name, element.namespace, element.attributes) == (stanza.name, stanza.namespace, stanza.attributes)
    assert parse_element(element.encode()) == element
