"""The XML parser inside a stream, between two stanzas (RFC 6120 section 11).

An expat parser that has read a stream header and stands between two stanzas is as good as any other that has read
one with the same namespaces. So streams borrow one while a stanza is under way, and an idle stream has none: a
parser costs 11 KiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NoReturn
from xml.parsers.expat import ExpatError, ParserCreate, XMLParserType, errors

from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.namespaces import STREAMS
from haproxy_voip.xmpp.text import escape

MAX_DEPTH = 64  # archived, forwarded, carbon-copied forms reach about 15
MAX_ATTRIBUTES = 64  # of one element
# Bytes of a namespace. Every element's name is expanded by its namespace: a long one used often is a bomb.
MAX_NAMESPACE = 256
# Expat keeps every name and prefix it ever met, so a parser that met this many is not used for another stanza...
USED_UP_NAMES = 1_024
# ... and a single stanza may bring no more than the difference.
MAX_NAMES = 4_096
# Kept for the next stream, for each kind; more are out at once only while so many stanzas have half arrived.
MAX_SPARE = 16
MAX_KINDS = 16  # kinds that parsers are kept for, those last seen: nearly all clients declare the same two namespaces
MAX_KIND_BYTES = 512  # what declares more is no usual client, and pays for its own parser

_HEADER_NAME: Final = f"{STREAMS} stream"
_CODES = errors.codes
_UNDEFINED_ENTITY: Final = _CODES[errors.XML_ERROR_UNDEFINED_ENTITY]
_MISPLACED_DECLARATION: Final = _CODES[errors.XML_ERROR_MISPLACED_XML_PI]


class Restart(Exception):
    """A second stream header begins at `at`: no error by itself, for who logs in must send one."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class Child:
    """One whole child of the stream, by its offsets in everything the parser was fed."""

    __slots__ = ("attributes", "end", "has_elements", "name", "start")

    def __init__(self, name: str, attributes: dict[str, str], start: int) -> None:
        self.name = name  # expanded: `namespace name`
        self.attributes = attributes
        self.start = start
        self.end = 0  # of its content: at its end tag, or after an empty-element tag
        self.has_elements = False


class StanzaParser:
    """Reads children of one stream element. `kind` is what makes it interchangeable."""

    __slots__ = ("_child", "_depth", "_names", "_parser", "children", "fed", "kind", "stream_ended")

    def __init__(self, kind: bytes) -> None:
        self.kind = kind
        self.children: list[Child] = []  # complete ones; the caller takes them
        self.stream_ended = False
        self._depth = 0
        self._child = Child("", {}, 0)
        self._names: dict[str, str] = {}
        self._parser = create_parser(self._names)
        self._parser.Parse(kind, False)
        self.fed = len(kind)  # bytes in all

    def parse(self, data: bytes | bytearray) -> None:
        """More bytes, up to a `>`. Raises StreamError, or Restart; `children` before that are complete all the same."""
        # The parser holds us no longer than this: nobody looks for cycles (commands/serve.py), and a stream may end at
        # any time.
        self._parser.StartElementHandler, self._parser.EndElementHandler = self._start, self._end
        try:
            self._parser.Parse(data, False)
        except ExpatError as error:
            if self._depth == 0 and error.code == _MISPLACED_DECLARATION:
                raise Restart(self._parser.CurrentByteIndex) from None
            raise told(error, data) from None
        finally:
            self._parser.StartElementHandler = self._parser.EndElementHandler = None
            self.fed += len(data)

    @property
    def unfinished_at(self) -> int | None:
        """Where a tag begins whose end has not come, or None."""
        at = self._parser.CurrentByteIndex
        return at if at != self.fed else None

    @property
    def between(self) -> bool:
        """Whether it stands between two stanzas."""
        return self._depth == 0

    @property
    def used_up(self) -> bool:
        """Whether it has met so much that a new one is cheaper."""
        return len(self._names) > USED_UP_NAMES

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._depth == 0:
            if name == _HEADER_NAME:
                raise Restart(self._parser.CurrentByteIndex)
            self._child = Child(name, attributes, self._parser.CurrentByteIndex)
        else:
            self._child.has_elements = True
        self._depth += 1
        if self._depth > MAX_DEPTH:
            refuse(f"elements are nested more than {MAX_DEPTH} deep")
        if len(attributes) > MAX_ATTRIBUTES:
            refuse(f"an element has more than {MAX_ATTRIBUTES} attributes")
        if len(self._names) > MAX_NAMES:
            refuse(f"a stanza has more than {MAX_NAMES - USED_UP_NAMES} different names")

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._child.end = self._parser.CurrentByteIndex
            self.children.append(self._child)
        elif self._depth < 0:
            self.stream_ended = True


class ParserPool:
    """Parsers between two stanzas, for whichever stream needs one next."""

    __slots__ = ("_spare",)

    def __init__(self) -> None:
        self._spare: dict[bytes, list[StanzaParser]] = {}

    def borrow(self, kind: bytes) -> StanzaParser:
        """One that has read this stream header."""
        spare = self._spare.get(kind)
        return spare.pop() if spare else StanzaParser(kind)

    def give_back(self, parser: StanzaParser) -> None:
        """It stands between two stanzas and met no error."""
        if parser.used_up:
            return
        spare = self._spare.get(parser.kind)
        if spare is None:
            if len(parser.kind) > MAX_KIND_BYTES:
                return
            if len(self._spare) >= MAX_KINDS:
                del self._spare[next(iter(self._spare))]
            spare = self._spare[parser.kind] = []
        if len(spare) < MAX_SPARE:
            spare.append(parser)


def kind_of(qualified_name: str, namespaces: Mapping[str, str]) -> bytes:
    """The shortest stream header that declares these (prefix, or "", to namespace)."""
    declared = sorted(namespaces.items())
    text = "".join(f" xmlns{':' if prefix else ''}{prefix}='{escape(uri)}'" for prefix, uri in declared)
    return f"<{qualified_name}{text}>".encode()


def create_parser(names: dict[str, str] | None = None) -> XMLParserType:
    """An expat parser that refuses everything XMPP refuses. `names` is where it keeps the names it met."""
    # RFC 6120 section 11.6: UTF-8 and nothing else, whatever the XML declaration says.
    parser = ParserCreate("UTF-8", " ", names)
    if hasattr(parser, "SetReparseDeferralEnabled"):
        parser.SetReparseDeferralEnabled(False)  # or a stanza may wait in there for the next one
    # Section 11.1: none of these may be sent. DOCTYPE goes first: without it there are no entities to declare.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.CommentHandler = _refuse_comment
    parser.ProcessingInstructionHandler = _refuse_instruction
    parser.StartNamespaceDeclHandler = measure_namespace
    return parser


def told(error: ExpatError, data: bytes | bytearray) -> StreamError:
    """What to answer to something the parser cannot read."""
    if error.code == _UNDEFINED_ENTITY:
        return StreamError(StreamCondition.RESTRICTED_XML, "an entity that XML does not define")
    try:
        data.decode()
    except UnicodeDecodeError:
        # RFC 6120 section 4.9.3.22: "or has otherwise improperly encoded the stream (e.g., by violating the rules
        # of the UTF-8 encoding)"
        return StreamError(StreamCondition.UNSUPPORTED_ENCODING, "not UTF-8")
    return StreamError(StreamCondition.NOT_WELL_FORMED, errors.messages[error.code])


def refuse(text: str) -> NoReturn:
    """More than we take (RFC 6120 section 4.9.3.14)."""
    raise StreamError(StreamCondition.POLICY_VIOLATION, text)


def _refuse_doctype(name: str, system: str | None, public: str | None, has_subset: bool) -> NoReturn:
    raise StreamError(StreamCondition.RESTRICTED_XML, "a DOCTYPE")


def _refuse_comment(text: str) -> NoReturn:
    raise StreamError(StreamCondition.RESTRICTED_XML, "a comment")


def _refuse_instruction(target: str, text: str) -> NoReturn:
    raise StreamError(StreamCondition.RESTRICTED_XML, "a processing instruction")


def measure_namespace(prefix: str | None, uri: str | None) -> None:
    """Raises StreamError when a namespace is too long to be repeated with every name in it."""
    if uri is not None and len(uri) > MAX_NAMESPACE:
        refuse(f"a namespace of more than {MAX_NAMESPACE} characters")
