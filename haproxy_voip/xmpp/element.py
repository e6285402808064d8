"""A small tree for the few stanzas that must be understood; all others travel as the bytes they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers.expat import ExpatError

from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.namespaces import CLIENT, STREAMS, XML
from haproxy_voip.xmpp.parser import MAX_ATTRIBUTES, MAX_DEPTH, create_parser, kind_of, refuse, told
from haproxy_voip.xmpp.text import escape


@dataclass(frozen=True, slots=True)
class Element:
    """An element. `text` is all its own character data joined; where text and children alternate the order is lost.

    Attribute names are as in `Stanza.attributes`: plain, or `namespace name` for prefixed ones.
    """

    name: str
    namespace: str = CLIENT
    attributes: Mapping[str, str] = field(default_factory=dict)
    children: tuple[Element, ...] = ()
    text: str = ""

    def get(self, attribute: str, default: str | None = None) -> str | None:
        """An attribute's value."""
        return self.attributes.get(attribute, default)

    def find(self, name: str, namespace: str | None = None) -> Element | None:
        """The first child of that name; `namespace` None means this element's own."""
        return next(self.all(name, namespace), None)

    def all(self, name: str, namespace: str | None = None) -> Iterator[Element]:
        """Every child of that name; `namespace` None means this element's own."""
        wanted = self.namespace if namespace is None else namespace
        return (child for child in self.children if child.name == name and child.namespace == wanted)

    def in_namespace(self, namespace: str) -> Element | None:
        """The first child in that namespace, whatever its name: an iq's payload, a message's extension."""
        return next((child for child in self.children if child.namespace == namespace), None)

    def encode(self, within: str = CLIENT) -> bytes:
        """Serialised for a place where `within` is the default namespace."""
        return "".join(self._pieces(within)).encode()

    def _pieces(self, within: str) -> Iterator[str]:
        yield f"<{self.name}"
        if self.namespace != within:
            yield f" xmlns='{escape(self.namespace)}'"
        for number, (key, value) in enumerate(self.attributes.items()):
            namespace, _, name = key.rpartition(" ")
            if namespace == XML:
                name = f"xml:{name}"
            elif namespace:
                yield f" xmlns:ns{number}='{escape(namespace)}'"
                name = f"ns{number}:{name}"
            yield f" {name}='{escape(value)}'"
        if not self.children and not self.text:
            yield "/>"
            return
        yield f">{escape(self.text)}"
        for child in self.children:
            yield from child._pieces(self.namespace)
        yield f"</{self.name}>"


def parse_element(data: bytes, within: str = CLIENT) -> Element:
    """Read one whole element. `within` is the default namespace around it; the prefix `stream` is known too.

    Raises StreamError as the framer would: not-well-formed, restricted-xml, policy-violation.
    """
    return _Builder().build(data, within)


class _Open:
    """An element whose end has not come."""

    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name  # expanded
        self.attributes = attributes
        self.children: list[Element] = []
        self.text: list[str] = []


class _Builder:
    """Handlers for one tree."""

    def __init__(self) -> None:
        self.open = [_Open("", {})]

    def build(self, data: bytes, within: str) -> Element:
        # The parser holds us by its handlers. We must not hold it: nobody looks for cycles (commands/serve.py).
        parser = create_parser()
        parser.buffer_text = True
        parser.Parse(kind_of("stream", {"": within, "stream": STREAMS}), False)
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(data, False)
        except ExpatError as error:
            raise told(error, data) from None
        [root] = self.open[:1]
        if len(self.open) != 1 or len(root.children) != 1 or "".join(root.text).strip():
            raise StreamError(StreamCondition.NOT_WELL_FORMED, "not exactly one element")
        return root.children[0]

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self.open) > MAX_DEPTH:
            refuse(f"elements are nested more than {MAX_DEPTH} deep")
        if len(attributes) > MAX_ATTRIBUTES:
            refuse(f"an element has more than {MAX_ATTRIBUTES} attributes")
        self.open.append(_Open(name, attributes))

    def _end(self, name: str) -> None:
        if len(self.open) == 1:
            raise StreamError(StreamCondition.NOT_WELL_FORMED, "an end tag alone")
        done = self.open.pop()
        namespace, _, name = done.name.rpartition(" ")
        children, text = tuple(done.children), "".join(done.text)
        self.open[-1].children.append(Element(name, namespace, done.attributes, children, text))

    def _text(self, text: str) -> None:
        self.open[-1].text.append(text)
