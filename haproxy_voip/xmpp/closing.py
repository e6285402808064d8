"""How a stream ends: errors told and read, and the closing tag (RFC 6120 sections 4.4 and 4.9)."""

from __future__ import annotations

from typing import Final

from haproxy_voip.xmpp.element import Element
from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.namespaces import STREAM_ERRORS

# How long the peer may take to close its side. RFC 6120 section 4.4 wants "a reasonable amount of time"; a live peer
# answers within a round trip, and a dead one must not hold up a shutdown.
CLOSE_SECONDS: Final = 2.0


def encode_error(error: StreamError) -> bytes:
    """`<stream:error/>`, without the closing tag that must follow."""
    said = Element("text", STREAM_ERRORS, {"http://www.w3.org/XML/1998/namespace lang": "en"}, text=error.text)
    condition = Element(error.condition, STREAM_ERRORS).encode()
    text = said.encode() if error.text else b""
    return b"<stream:error>" + condition + text + error.application + b"</stream:error>"


def read_error(element: Element) -> StreamError:
    """What a peer's `<stream:error/>` says."""
    names = [child.name for child in element.children if child.namespace == STREAM_ERRORS and child.name != "text"]
    text = element.find("text", STREAM_ERRORS)
    try:
        condition = StreamCondition(names[0]) if names else StreamCondition.UNDEFINED_CONDITION
    except ValueError:
        condition = StreamCondition.UNDEFINED_CONDITION
    others = [child for child in element.children if child.namespace != STREAM_ERRORS]
    return StreamError(condition, "" if text is None else text.text, others[0].encode() if others else b"")
