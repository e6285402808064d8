"""What a session leaves behind: messages that came for its client and were never acknowledged by it.

The server each came from keeps it for the user's next session, because we never acknowledged it either. Where that
server's connection is gone, nobody would: then its sender is told that it did not arrive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.proxy.chat.entry import Key, bare_of, brief, mark, own
from haproxy_voip.proxy.shared import Output
from haproxy_voip.xmpp.element import Element, parse_element
from haproxy_voip.xmpp.errors import StanzaCondition
from haproxy_voip.xmpp.namespaces import CARBONS, CLIENT, STANZA_ERRORS

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.heard import Heard
    from haproxy_voip.proxy.chat.session import Session
    from haproxy_voip.proxy.chat.shared import ChatShared

FORWARD = "urn:xmpp:forward:0"
# Nobody waits for an answer to these, or may be given one (RFC 6120 section 8.3.1, RFC 6121 section 5.2.2).
UNANSWERED = frozenset({"error", "groupchat", "headline"})


def leave_behind(shared: ChatShared, session: Session, heard: Heard, now: float) -> list[Output]:
    """The session is over, and its legs are still there: see the module."""
    outputs: list[Output] = []
    for delivery in session.traffic.incoming.pending():
        if not delivery.raw.startswith(b"<message"):
            continue
        message = parse_element(delivery.raw)
        said = original(message)
        heard.never_had(said.get("from") or "", _key(said))
        if said.get("type") == "groupchat":
            _never_heard_in_room(shared, session, said)
        kept = delivery.leg is None or delivery.leg.flow.connection in shared.legs
        if not kept and said is message and _matters(message):
            outputs += _tell_sender(shared, session, message, now)
    return outputs


def _tell_sender(shared: ChatShared, session: Session, message: Element, now: float) -> list[Output]:
    """Directly where the sender is ours: there may be no server at all."""
    sender, leg = shared.sessions.by_jid.get(message.get("from") or ""), session.residence.active
    if sender is not None:
        return sender.traffic.deliver(_not_delivered(message, session.jid), None, 0, now)
    return [] if leg is None or not leg.ready else leg.send(own(_not_delivered(message, session.jid)))


def _never_heard_in_room(shared: ChatShared, session: Session, message: Element) -> None:
    """Said again there, it is news to the user's next session."""
    address = message.get("from") or ""
    author = shared.sessions.sender(address)
    if author is not None:
        author.traffic.outgoing.never_had(_key(message, bare_of(address)), session)


def original(message: Element) -> Element:
    """What it is a copy of (XEP-0280); itself when it is none."""
    copy = message.in_namespace(CARBONS)
    forwarded = None if copy is None else copy.find("forwarded", FORWARD)
    inside = None if forwarded is None else forwarded.find("message", CLIENT)
    return message if inside is None else inside


def _key(message: Element, peer: str = "") -> Key:
    """As in `key_of`."""
    body = message.find("body", CLIENT)
    said = mark("" if body is None else body.text)
    return "message", message.get("type") == "error", brief(message.get("id") or ""), peer, said


def _matters(message: Element) -> bool:
    """Whether somebody said something, and not merely that they are typing."""
    return message.get("type") not in UNANSWERED and message.find("body", CLIENT) is not None


def _not_delivered(message: Element, by: str) -> bytes:
    """The error in its place, as its recipient may send it."""
    condition = Element(StanzaCondition.RECIPIENT_UNAVAILABLE, STANZA_ERRORS)
    attributes = {"type": "error", "from": by, "to": message.get("from") or "", "id": message.get("id") or ""}
    error = Element("error", CLIENT, {"type": "wait"}, (condition,))
    return Element("message", CLIENT, attributes, (error,)).encode()
