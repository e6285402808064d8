"""Stream headers (RFC 6120 section 4.7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.parsers.expat import ExpatError

from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.namespaces import CLIENT, STREAMS, XML
from haproxy_voip.xmpp.parser import MAX_ATTRIBUTES, create_parser, measure_namespace, refuse, told
from haproxy_voip.xmpp.text import escape

# What a slice of a stream may rely on wherever it goes: both are declared on every stream header we write.
GIVEN: Final = {"": CLIENT, "stream": STREAMS}
CLOSING_TAG: Final = b"</stream:stream>"


@dataclass(slots=True)
class StreamHeader:
    """`<stream:stream ...>`. What was not there is ""."""

    to: str
    from_: str
    id: str
    version: str
    lang: str
    name: str = "stream:stream"  # as it was written, with its prefix: the closing tag must match
    namespaces: Mapping[str, str] = field(default_factory=lambda: dict(GIVEN))  # prefix (or "") to namespace

    @property
    def content_namespace(self) -> str:
        """The default namespace; "" when none was declared."""
        return self.namespaces.get("", "")

    @property
    def to_declare(self) -> dict[str, str]:
        """What a slice of this stream needs declared on itself before it can go anywhere else."""
        return {
            prefix: uri
            for prefix, uri in {"": "", **self.namespaces}.items()
            if GIVEN.get(prefix) != uri and prefix != "xml"
        }

    @classmethod
    def parse(cls, data: bytes) -> StreamHeader:
        """Read everything from the beginning of a stream to the end of its start tag. Raises StreamError."""
        return _Reader().read(data)

    def encode(self) -> bytes:
        """With the XML declaration, and with our own two namespaces."""
        said = (("from", self.from_), ("to", self.to), ("id", self.id), ("version", self.version))
        attributes = [f"{name}='{escape(value)}'" for name, value in (*said, ("xml:lang", self.lang)) if value]
        declared = f"xmlns='{CLIENT}' xmlns:stream='{STREAMS}'"
        return f"<?xml version='1.0'?><stream:stream {' '.join([*attributes, declared])}>".encode()


class _Reader:
    """Handlers for one header."""

    def __init__(self) -> None:
        self.namespaces: dict[str, str] = {}
        self.header: StreamHeader | None = None

    def read(self, data: bytes) -> StreamHeader:
        # The parser holds us by its handlers. We must not hold it: nobody looks for cycles (commands/serve.py).
        parser = create_parser()
        parser.StartNamespaceDeclHandler = self._declared
        parser.XmlDeclHandler = self._xml
        parser.StartElementHandler = self._start
        try:
            parser.Parse(data, False)
        except ExpatError as error:
            raise told(error, data) from None
        if data.endswith(b"/>"):
            raise StreamError(StreamCondition.BAD_FORMAT, "the stream ends in its own header")
        if self.header is None:
            raise StreamError(StreamCondition.NOT_WELL_FORMED, "no start tag")
        self.header.name = _name_as_written(data)
        return self.header

    def _declared(self, prefix: str | None, uri: str | None) -> None:
        measure_namespace(prefix, uri)
        self.namespaces[prefix or ""] = uri or ""

    def _xml(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.upper() not in ("UTF-8", "UTF8"):
            raise StreamError(StreamCondition.UNSUPPORTED_ENCODING, f"encoding {encoding}")  # section 11.6

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        # Section 4.9.3.10: "The stream namespace name is something other than 'http://etherx.jabber.org/streams'"
        if name != f"{STREAMS} stream":
            raise StreamError(StreamCondition.INVALID_NAMESPACE, f"{name} is no stream header")
        if len(attributes) > MAX_ATTRIBUTES:
            refuse(f"a stream header with more than {MAX_ATTRIBUTES} attributes")
        to, from_, id, version, lang = (
            attributes.get(key, "") for key in ("to", "from", "id", "version", f"{XML} lang")
        )
        self.header = StreamHeader(to, from_, id, version, lang, namespaces=self.namespaces)


def _name_as_written(data: bytes) -> str:
    """The name after the last `<`: nothing may stand behind the header's own."""
    tag = data[data.rindex(b"<") + 1 : -1]
    return tag.split(None, 1)[0].decode()
