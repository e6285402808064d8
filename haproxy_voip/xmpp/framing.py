"""Stanzas out of a byte stream, as the bytes they were (RFC 6120 sections 4 and 11).

1. What a peer may have on the way to a whole stanza is bounded (`max_bytes`) before the parser sees it.
2. The parser is fed only up to a `>`, and never again while it waits for the end of a tag: it would begin that tag anew
   each time, which costs the square of the tag's length.
3. DOCTYPE, entities, processing instructions and comments are refused (RFC 6120 section 11.1).
4. After an error `broken` is true: answer it and close the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from haproxy_voip.xmpp.element import Element, parse_element
from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.header import StreamHeader
from haproxy_voip.xmpp.namespaces import CLIENT
from haproxy_voip.xmpp.parser import Child, ParserPool, Restart, StanzaParser, kind_of, refuse
from haproxy_voip.xmpp.tag import TagEnd, declare, end_of_tag

MAX_STANZA_BYTES = 262_144  # what Prosody takes from clients; advertised by XEP-0478
# RFC 6120 section 13.12: the limit "MUST NOT be smaller than 10000 bytes"; nobody who has not logged in needs more.
UNAUTHENTICATED_MAX_BYTES = 10_000
# A header is the XML declaration and a few hundred bytes of addresses and namespaces.
MAX_HEADER_BYTES = 10_000

_SPACE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_STANZAS = frozenset({"message", "presence", "iq"})


@dataclass(slots=True)
class Stanza:
    """One child of the stream: a message, presence or iq, or a nonza.

    `raw` is complete in itself within a stream whose default namespace is jabber:client and whose prefix `stream` is
    the streams namespace. `attributes` are those of the start tag, unescaped; a prefixed one is `namespace name`,
    so xml:lang is `http://www.w3.org/XML/1998/namespace lang`.
    """

    name: str  # message, presence, iq, r, a, ...
    namespace: str
    attributes: dict[str, str]
    raw: bytes

    @property
    def is_stanza(self) -> bool:
        """Whether it is a message, presence or iq of jabber:client: what XEP-0198 counts."""
        return self.namespace == CLIENT and self.name in _STANZAS

    @property
    def to(self) -> str | None:
        """As it was written, not prepared."""
        return self.attributes.get("to")

    @property
    def from_(self) -> str | None:
        """As it was written, not prepared."""
        return self.attributes.get("from")

    @property
    def id(self) -> str | None:
        """None when there is none, which only an iq must have (RFC 6120 section 8.1.3)."""
        return self.attributes.get("id")

    @property
    def type(self) -> str | None:
        """None stands for `normal` in a message and for `available` in a presence."""
        return self.attributes.get("type")

    def element(self) -> Element:
        """The whole tree, read anew at each call. Costs several times what framing did: only where it must be known."""
        return parse_element(self.raw)


class Whitespace(Enum):
    """What keeps a connection alive between stanzas (RFC 6120 section 4.6.1)."""

    KEEPALIVE = b" "


class StreamEnd(Enum):
    """The peer's closing tag."""

    END = b"</stream:stream>"


Framed = StreamHeader | Stanza | Whitespace | StreamEnd | StreamError


class StreamFramer:
    """Feed it what a stream delivers, in pieces of any size.

    Parsers are borrowed from `pool`, which streams should share.
    """

    __slots__ = (
        "_declare",
        "_fed",
        "_held",
        "_kind",
        "_parser",
        "_pool",
        "_searched",
        "_tag",
        "broken",
        "ended",
        "max_bytes",
        "may_restart",
        "waits_for_restart",
    )

    def __init__(self, max_bytes: int = MAX_STANZA_BYTES, pool: ParserPool | None = None) -> None:
        self.max_bytes = max_bytes  # of one stanza; may be changed at any time
        self.may_restart = False  # a second header waits for `restart` instead of being an error (XEP-0305 pipelining)
        self.waits_for_restart = False  # one is waiting
        self.broken = False  # nothing more can be read; close the stream
        self.ended = False  # the closing tag came
        self._pool = pool or ParserPool()
        self._parser: StanzaParser | None = None  # borrowed while a stanza is under way
        self._kind = b""  # of parser; empty until the header came
        self._declare: dict[str, str] = {}  # what the peer declared on its header and its stanzas may lean on
        self._held: bytes | bytearray = b""  # received, not yet part of anything complete
        self._fed = 0  # so much of it the parser has
        self._searched = 0  # where to go on looking for a `>`
        self._tag: TagEnd | None = None  # the tag whose end has not come

    def feed(self, data: bytes) -> list[Framed]:
        """Everything that is complete now, in order. A StreamError is always the last."""
        framed: list[Framed] = []
        if self.broken or self.ended:
            return framed
        if self._held:
            if isinstance(self._held, bytes):
                self._held = bytearray(self._held)
            self._held += data
        else:
            self._held = data
        self._frame(framed)
        return framed

    def restart(self, *, keep: bool = True) -> list[Framed]:
        """A new stream begins on the same connection (RFC 6120 section 4.3.3): what of it is complete already.

        `keep` False drops what was received ahead, as after STARTTLS: it came without protection.
        """
        ahead = bytes(self._held) if keep else b""
        self.broken = self.ended = self.waits_for_restart = False
        self._kind, self._parser, self._tag = b"", None, None
        self._held, self._fed, self._searched = b"", 0, 0
        return self.feed(ahead)

    def _frame(self, framed: list[Framed]) -> None:
        try:
            if not self._kind and not self._take_header(framed):
                return
            if self.waits_for_restart:
                self._keep_within(self.max_bytes)
            elif self._held:
                self._take_stanzas(framed)
        except StreamError as error:
            self.broken = True
            self._held, self._parser, self._tag = b"", None, None
            framed.append(error.to_keep())

    def _take_header(self, framed: list[Framed]) -> bool:
        """Whether the header is complete; `_held` then begins after it."""
        if self._tag is None:
            # White space may follow what came before a restart, and XML wants nothing before its declaration.
            self._held = self._held.lstrip(_SPACE).removeprefix(_BOM)
            if _BOM.startswith(self._held):
                return False  # nothing yet, or part of a mark
            if self._held[:1] != b"<":
                raise StreamError(StreamCondition.NOT_WELL_FORMED, "no stream header")
            self._tag = TagEnd(0)
        end = self._end_of_header(self._tag)
        if not 0 < end <= MAX_HEADER_BYTES:
            self._keep_within(MAX_HEADER_BYTES)
            return False
        header = StreamHeader.parse(bytes(self._held[:end]))
        self._kind = kind_of(header.name, header.namespaces)
        self._declare = header.to_declare
        self._tag, self._held = None, self._held[end:]
        framed.append(header)
        return True

    def _end_of_header(self, tag: TagEnd) -> int:
        """The offset after the start tag, or -1. The XML declaration before it, a single one, ends like a tag."""
        end = tag.find(self._held)
        if end > 0 and self._held.startswith(b"<?xml") and self._held.find(b"?>") == end - 2:
            self._tag = TagEnd(end)
            end = self._tag.find(self._held)
        return end

    def _take_stanzas(self, framed: list[Framed]) -> None:
        """Feed the parser what may be fed, and cut off what is complete."""
        while (end := self._end_to_feed()) > self._fed:
            parser = self._parser
            if parser is None:
                parser = self._parser = self._pool.borrow(self._kind)
            origin = parser.fed - self._fed
            whole = self._fed == 0 and end == len(self._held)
            try:
                parser.parse(self._held if whole else self._held[self._fed : end])
            except Restart as restart:
                consumed = self._cut(parser, origin, framed)
                return self._stop_at_header(restart.at - origin - consumed)
            except StreamError:
                self._cut(parser, origin, framed)
                if parser.stream_ended:  # what follows the end is nobody's
                    return self._end_stream(framed)
                raise
            self._fed = end
            self._cut(parser, origin, framed)
            if parser.stream_ended:
                return self._end_stream(framed)
            self._go_on(parser)
            if not self._held:
                return None
        if self._parser is None and self._held:
            self._look_between(framed)
        return None

    def _end_to_feed(self) -> int:
        """The offset up to which the parser may have what is held; no more than `_fed` when it must wait.

        Raises StreamError when what it waits for is too long.
        """
        end = 0
        if self._tag is not None:
            end = self._tag.find(self._held)
            if end < 0:
                self._keep_within(self.max_bytes)
                return 0
            self._tag, self._searched = None, end
        last = self._held.rfind(b">", self._searched, self.max_bytes) + 1
        self._searched = max(end, min(len(self._held), self.max_bytes))
        if last <= self._fed and end <= self._fed:
            self._keep_within(self.max_bytes)
        return max(end, last)

    def _keep_within(self, limit: int) -> None:
        if len(self._held) > limit:
            refuse(f"more than {limit} bytes and no end")

    def _cut(self, parser: StanzaParser, origin: int, framed: list[Framed]) -> int:
        """Take the parser's complete children off what is held, whose beginning it knows as `origin`: so many bytes."""
        children = parser.children
        if not children:
            return 0
        held, consumed = self._held, 0
        for child in children:
            start = child.start - origin
            if start != consumed and held[consumed:start].strip(_SPACE):
                raise _between_stanzas()
            consumed = _end_of(child, held, origin)
            raw = bytes(held[start:consumed])
            if self._declare:
                raw = declare(raw, self._declare)
            namespace, _, name = child.name.rpartition(" ")
            framed.append(Stanza(name, namespace, child.attributes, raw))
        children.clear()
        self._drop(consumed)
        return consumed

    def _drop(self, count: int) -> None:
        """Forget the first `count` bytes of what is held."""
        self._held = self._held[count:]
        self._fed = max(0, self._fed - count)
        self._searched = max(0, self._searched - count)

    def _go_on(self, parser: StanzaParser) -> None:
        """After a feed: is the parser inside a tag, inside a stanza, or free?"""
        unfinished = parser.unfinished_at
        if unfinished is not None:
            at = self._fed - (parser.fed - unfinished)
            # Only the end of a comment, an instruction or a DOCTYPE would tell the parser what it is.
            if self._held[at + 1 : at + 2] in (b"!", b"?"):
                raise StreamError(StreamCondition.RESTRICTED_XML, "neither an element nor text")
            self._tag = TagEnd(at)
        elif parser.between:
            if self._fed:
                raise _between_stanzas()
            self._parser = None
            self._pool.give_back(parser)

    def _look_between(self, framed: list[Framed]) -> None:
        """What stands between stanzas and is not a beginning of the next."""
        if self._held[0] in _SPACE:
            rest = self._held.lstrip(_SPACE)
            self._drop(len(self._held) - len(rest))
            if not rest:
                framed.append(Whitespace.KEEPALIVE)
        if self._held and self._held[:1] != b"<":
            raise _between_stanzas()

    def _stop_at_header(self, at: int) -> None:
        """A second stream header begins at this offset."""
        if not self.may_restart or self._held[:at].strip(_SPACE):
            raise StreamError(StreamCondition.BAD_FORMAT, "a stream header within the stream")
        self._drop(at)
        self._parser, self._fed, self.waits_for_restart = None, 0, True

    def _end_stream(self, framed: list[Framed]) -> None:
        if self._held[: self._held.index(b"</")].strip(_SPACE):
            raise _between_stanzas()
        self.ended = True
        self._held, self._parser = b"", None
        framed.append(StreamEnd.END)


def _end_of(child: Child, held: bytes | bytearray, origin: int) -> int:
    """The offset after the child's last byte in `held`.

    The parser tells where an end tag begins, and of an empty-element tag where it ends.
    """
    end = child.end - origin
    if not child.has_elements:
        if held[end : end + 2] != b"</":
            return end
        # Another end tag may follow `<a/>`, and the text before `</a>` may end in "/>".
        if held[end - 2 : end] == b"/>" and end_of_tag(held, child.start - origin) == end:
            return end
    return held.index(b">", end) + 1


def _between_stanzas() -> StreamError:
    return StreamError(StreamCondition.BAD_FORMAT, "text between stanzas")
