"""Small changes to a stanza's bytes without reading what is inside, and the answers to one (RFC 6120 section 8)."""

from __future__ import annotations

from collections.abc import Mapping

from haproxy_voip.xmpp.element import Element
from haproxy_voip.xmpp.errors import StanzaError
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.namespaces import CLIENT, DELAY, ORIGIN_ID, STANZA_ERRORS
from haproxy_voip.xmpp.tag import attributes, end_of_name, end_of_tag, qualified_name
from haproxy_voip.xmpp.text import escape


def set_attributes(raw: bytes, changes: Mapping[str, str | None]) -> bytes:
    """The same stanza with these unprefixed attributes of its start tag; None removes one. Values are plain text.

    What does not change keeps its place and its quotes; what is new comes first.
    """
    end, at = end_of_tag(raw), end_of_name(raw)
    left = {name.encode(): value for name, value in changes.items()}
    new = b"".join(_attribute(name, value) for name, value in left.items() if value is not None)
    pieces, kept_from = [raw[:at], new], at
    for name, start, stop in attributes(raw, end):
        if name in left:
            pieces.append(raw[kept_from:start])
            kept_from = stop
    return b"".join([*pieces, raw[kept_from:]])


def _attribute(name: bytes, value: str) -> bytes:
    return b" %b='%b'" % (name, escape(value).encode())


def insert_child(raw: bytes, child: bytes) -> bytes:
    """The same stanza with one more child, last. `child` must declare its namespace where it is not jabber:client."""
    end = end_of_tag(raw)
    if end == len(raw):
        return b"%b>%b</%b>" % (raw[: end - 2].rstrip(), child, qualified_name(raw))
    at = raw.rindex(b"</")
    return raw[:at] + child + raw[at:]


def origin_id(stanza: Stanza) -> str | None:
    """XEP-0359's id given by the sender, or None."""
    if ORIGIN_ID.encode() not in stanza.raw:
        return None
    found = stanza.element().find("origin-id", ORIGIN_ID)
    return None if found is None else found.get("id")


def with_origin_id(stanza: Stanza, id: str) -> bytes:
    """The stanza's bytes with `<origin-id/>`; as they are when it has one."""
    if origin_id(stanza) is not None:
        return stanza.raw
    return insert_child(stanza.raw, Element("origin-id", ORIGIN_ID, {"id": id}).encode())


def with_delay(raw: bytes, stamp: str, by: str) -> bytes:
    """The bytes with XEP-0203's `<delay/>`; `stamp` as `utc_stamp` writes it, `by` is who held the stanza up."""
    return insert_child(raw, Element("delay", DELAY, {"from": by, "stamp": stamp}).encode())


def error_reply(stanza: Stanza, error: StanzaError, by: str | None = None) -> bytes | None:
    """The error that goes back to the stanza's sender (RFC 6120 section 8.3.1); None where none may be sent.

    `by` is who reports it when that is not the addressee. The sender's address is taken from the stanza; where there
    is none, as on the stream of the client that sent it, so is the error's `to`.
    """
    # 8.3.1: "An entity that receives an error stanza MUST NOT respond to the stanza with a further error stanza";
    # 8.2.3: "An entity that receives a stanza of type 'result' or 'error' MUST NOT respond to the stanza".
    if not stanza.is_stanza or stanza.type == "error" or (stanza.name == "iq" and stanza.type == "result"):
        return None
    condition = Element(error.condition, STANZA_ERRORS)
    said = (Element("text", STANZA_ERRORS, text=error.text),) if error.text else ()
    about = {"type": str(error.effective_type)} | ({"by": by} if by else {})
    return _reply(stanza, "error", Element("error", CLIENT, about, (condition, *said)).encode())


def result_reply(stanza: Stanza, payload: bytes = b"") -> bytes:
    """The result of an iq get or set (RFC 6120 section 8.2.3)."""
    return _reply(stanza, "result", payload)


def _reply(stanza: Stanza, type: str, payload: bytes) -> bytes:
    said = {"to": stanza.from_, "from": stanza.to, "id": stanza.id, "type": type}
    start = b"".join(_attribute(name.encode(), value) for name, value in said.items() if value is not None)
    name = stanza.name.encode()
    return b"<%b%b>%b</%b>" % (name, start, payload, name) if payload else b"<%b%b/>" % (name, start)
