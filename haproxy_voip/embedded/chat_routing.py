"""Where stanzas go that are for people or for the server itself (RFC 6121 section 8), and who is there.

Everybody has everybody in the roster, both ways. Messages that nobody is there for are kept (XEP-0160).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from haproxy_voip.embedded.chat_session import ChatSession, Kept
from haproxy_voip.xmpp.element import Element, parse_element
from haproxy_voip.xmpp.errors import StanzaCondition, StanzaError
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.namespaces import CARBONS, STANZA_ERRORS
from haproxy_voip.xmpp.stanza import error_reply, result_reply, set_attributes

if TYPE_CHECKING:
    from haproxy_voip.embedded.chat_server import ChatServer

ROSTER: Final = "jabber:iq:roster"
PING: Final = "urn:xmpp:ping"
DISCO: Final = "http://jabber.org/protocol/disco"
MUC: Final = "http://jabber.org/protocol/muc"
PRIVATE: Final = b"<private xmlns='urn:xmpp:carbons:2'"
# The roster never changes while the server runs.
ROSTER_VERSION: Final = "1"
# Messages kept for one user; the next is refused.
MAX_OFFLINE = 1_000

GONE: Final = ("service-unavailable", STANZA_ERRORS)

FEATURES: Final = (DISCO + "#info", PING, CARBONS, "msgoffline")


class ChatRouting:
    """See the module."""

    def __init__(self, server: ChatServer) -> None:
        self._server = server

    def take(self, session: ChatSession, stanza: Stanza) -> None:
        """A client sends this to somebody, or to the server."""
        raw = set_attributes(stanza.raw, {"from": session.jid})
        to = self._prepared(session, stanza)
        if to is None:
            return
        if stanza.name == "presence":
            self._presence(session, stanza, raw, to)
        elif stanza.name == "iq" and to in (
            "",
            self._server.settings.domain,
            self._server.settings.rooms,
            session.bare,
        ):
            self._own_iq(session, stanza)
        elif stanza.name == "iq":
            self._iq(session, stanza, raw, to)
        else:
            self._message(session, stanza, raw, to or session.bare)

    def gone(self, session: ChatSession) -> None:
        """This session has ended: tell the others, and find a place for what its client does not have."""
        if session.presence is not None:
            session.presence = None
            self.tell(session, f"<presence from='{session.jid}' type='unavailable'/>".encode())
        for kept in session.left_over():
            element = parse_element(kept.raw)
            kind = element.get("type")
            if element.name == "message" and element.in_namespace(CARBONS) is None:
                if kind not in ("error", "groupchat", "headline"):
                    self._to_account(kind, kept.delayed(self._server.settings.domain), session.bare)
            elif element.name == "iq" and kind in ("get", "set"):
                self._bounce(element)

    def _bounce(self, request: Element) -> None:
        """Nobody will answer it any more."""
        asking = self._server.sessions.get(request.get("from") or "")
        if asking is not None:
            said = {"from": request.get("to") or "", "to": asking.jid, "id": request.get("id") or "", "type": "error"}
            error = Element("error", attributes={"type": "cancel"}, children=(Element(*GONE),))
            asking.send(Element("iq", attributes=said, children=(error,)).encode())

    def refuse(self, session: ChatSession, stanza: Stanza, condition: StanzaCondition) -> None:
        """The error that answers it, where one may."""
        reply = error_reply(stanza, StanzaError(condition))
        if reply is not None:
            session.send(set_attributes(reply, {"to": session.jid}))

    def answer(self, session: ChatSession, stanza: Stanza, payload: bytes = b"") -> None:
        """The result of a request."""
        session.send(set_attributes(result_reply(stanza, payload), {"to": session.jid}))

    # -- messages ------------------------------------------------------------------------------------

    def _message(self, session: ChatSession, stanza: Stanza, raw: bytes, to: str) -> None:
        exact = self._server.sessions.get(to)
        if exact is not None:
            had = [exact]
            exact.send(raw)
        elif stanza.type == "groupchat":  # 8.5.2.1.1: not for people
            self.refuse(session, stanza, StanzaCondition.SERVICE_UNAVAILABLE)
            return
        else:
            found = self._to_account(stanza.type, raw, to.partition("/")[0])
            if found is None:
                self.refuse(session, stanza, StanzaCondition.SERVICE_UNAVAILABLE)
                return
            had = found
        self._copy(session, stanza, raw, [*had, session], reached=bool(had))

    def _to_account(self, kind: str | None, raw: bytes, bare: str) -> list[ChatSession] | None:
        """To those who are there, or to the store: who had it. None: nobody is there, and it is not kept."""
        there = [one for one in self._of(bare) if one.available]
        highest = max((one.priority for one in there), default=0)
        meant = [one for one in there if one.priority == highest]  # as most servers choose, RFC 6121 section 8.5.2.1.1
        for one in meant:
            one.send(raw)
        if meant or kind == "error":
            return meant
        user = bare.partition("@")[0]
        kept = self._server.store.offline.setdefault(bare, [])
        if user not in self._server.passwords or kind == "headline" or len(kept) >= MAX_OFFLINE:
            return None
        kept.append(Kept(raw, self._server.wall).delayed(self._server.settings.domain))
        return []

    def _copy(self, session: ChatSession, stanza: Stanza, raw: bytes, had: list[ChatSession], *, reached: bool) -> None:
        """Copies for the other clients of both (XEP-0280); what was kept is no copy's original."""
        if stanza.type not in (None, "normal", "chat") or PRIVATE in raw.replace(b'"', b"'"):
            return
        inside = raw.replace(b"<message", b"<message xmlns='jabber:client'", 1)
        forwarded = b"<forwarded xmlns='urn:xmpp:forward:0'>" + inside + b"</forwarded>"
        received = (stanza.to or "").partition("/")[0] if reached else ""
        for way, bare in (("sent", session.bare), ("received", received)):
            for one in self._of(bare):
                if one.carbons and one not in had:
                    had.append(one)
                    head = f"<message from='{bare}' to='{one.jid}'><{way} xmlns='{CARBONS}'>"
                    one.send(head.encode() + forwarded + f"</{way}></message>".encode())

    # -- presence ------------------------------------------------------------------------------------

    def _presence(self, session: ChatSession, stanza: Stanza, raw: bytes, to: str) -> None:
        if stanza.type not in (None, "unavailable"):
            return  # subscriptions: everybody has everybody's
        if to:
            exact = self._server.sessions.get(to)
            for one in self._of(to) if exact is None else [exact]:
                one.send(raw)
            return
        first = session.presence is None
        session.presence = None if stanza.type == "unavailable" else raw
        self.tell(session, raw)
        if session.presence is None:
            return
        priority = stanza.element().find("priority")
        session.priority = _whole("0" if priority is None else priority.text)
        if first:
            self._welcome(session)

    def _welcome(self, session: ChatSession) -> None:
        """Who is there, and what was kept."""
        for other in list(self._server.sessions.values()):
            if other is not session and other.presence is not None:
                session.send(set_attributes(other.presence, {"to": session.jid}))
        if session.available:
            for raw in self._server.store.offline.pop(session.bare, []):
                session.send(raw)

    def tell(self, session: ChatSession, raw: bytes) -> None:
        """This session's presence, to everybody who is there and to itself."""
        for other in list(self._server.sessions.values()):
            if other.presence is not None or other is session:
                other.send(set_attributes(raw, {"to": other.jid}))

    # -- requests ------------------------------------------------------------------------------------

    def _iq(self, session: ChatSession, stanza: Stanza, raw: bytes, to: str) -> None:
        exact = self._server.sessions.get(to)
        if exact is not None:
            exact.send(raw)
        elif stanza.type in ("get", "set"):
            self.refuse(session, stanza, StanzaCondition.SERVICE_UNAVAILABLE)

    def _own_iq(self, session: ChatSession, stanza: Stanza) -> None:
        if stanza.type not in ("get", "set"):
            return
        [asked, *_] = stanza.element().children or (Element(""),)
        match asked.namespace, stanza.type:
            case "jabber:iq:roster", "get":
                self.answer(session, stanza, self._roster(session, asked.get("ver")))
            case "urn:xmpp:carbons:2", "set":
                session.carbons = asked.name == "enable"
                self.answer(session, stanza)
            case "urn:xmpp:ping", "get":
                self.answer(session, stanza)
            case "http://jabber.org/protocol/disco#info", "get" if stanza.to == self._server.settings.rooms:
                self.answer(session, stanza, info("conference", "text", (f"{DISCO}#info", MUC)))
            case "http://jabber.org/protocol/disco#info", "get":
                self.answer(session, stanza, info("server", "im", FEATURES))
            case "http://jabber.org/protocol/disco#items", "get":
                item = Element("item", f"{DISCO}#items", {"jid": self._server.settings.rooms})
                self.answer(session, stanza, Element("query", f"{DISCO}#items", children=(item,)).encode())
            case _:
                self.refuse(session, stanza, StanzaCondition.SERVICE_UNAVAILABLE)

    def _roster(self, session: ChatSession, version: str | None) -> bytes:
        """RFC 6121 section 2.6.3: nothing where the client has this very version."""
        if version == ROSTER_VERSION:
            return b""
        others = [f"{user}@{self._server.settings.domain}" for user in self._server.passwords]
        items = tuple(
            Element("item", ROSTER, {"jid": bare, "subscription": "both"}) for bare in others if bare != session.bare
        )
        return Element("query", ROSTER, {"ver": ROSTER_VERSION}, items).encode()

    # ------------------------------------------------------------------------------------------------

    def _of(self, bare: str) -> list[ChatSession]:
        return [one for one in self._server.sessions.values() if one.bare == bare]

    def _prepared(self, session: ChatSession, stanza: Stanza) -> str | None:
        """Whom it is for, as addresses compare; "" for nobody. None: it was refused."""
        if not stanza.to:
            return ""
        try:
            jid = Jid.parse(stanza.to)
        except ValueError:
            self.refuse(session, stanza, StanzaCondition.JID_MALFORMED)
            return None
        if jid.domain not in (self._server.settings.domain, self._server.settings.rooms):
            self.refuse(session, stanza, StanzaCondition.REMOTE_SERVER_NOT_FOUND)
            return None
        return str(jid)


def info(category: str, type: str, features: tuple[str, ...]) -> bytes:
    """What disco tells of something."""
    namespace = f"{DISCO}#info"
    identity = Element("identity", namespace, {"category": category, "type": type})
    said = (Element("feature", namespace, {"var": feature}) for feature in features)
    return Element("query", namespace, children=(identity, *said)).encode()


def _whole(text: str) -> int:
    """A priority (RFC 6121 section 4.7.2.3); 0 for what is none."""
    try:
        return max(-128, min(127, int(text)))
    except ValueError:
        return 0
