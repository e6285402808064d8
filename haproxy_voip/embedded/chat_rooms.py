"""Rooms (XEP-0045): entering, talking, subject, history, nick, leaving.

Who makes a room owns it, and it is gone with the last who leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from haproxy_voip.embedded.chat_routing import DISCO, MUC, info
from haproxy_voip.embedded.chat_session import ChatSession, Kept
from haproxy_voip.xmpp.element import Element
from haproxy_voip.xmpp.errors import StanzaCondition
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.stamp import parse_stamp
from haproxy_voip.xmpp.stanza import insert_child, set_attributes

if TYPE_CHECKING:
    from haproxy_voip.embedded.chat_server import ChatServer

MUC_USER: Final = f"{MUC}#user"
# Messages kept of a room, and how many of them who enters is told unless they ask for others.
MAX_HISTORY, USUAL_HISTORY = 200, 20
MAX_ROOMS = 1_000

MYSELF, CREATED, NEW_NICK, SHUTDOWN = "110", "201", "303", "332"  # status codes, section 15.6.2


@dataclass(slots=True)
class Room:
    """One room."""

    address: str
    occupants: dict[str, ChatSession] = field(default_factory=dict)  # by nick
    presences: dict[str, bytes] = field(default_factory=dict)  # by nick: what they said, from their occupant address
    owner: str = ""  # bare address
    subject: bytes | None = None  # the message that set it
    history: list[Kept] = field(default_factory=list)  # oldest first

    def nick_of(self, session: ChatSession) -> str | None:
        """Under which name a session is in it."""
        return next((nick for nick, who in self.occupants.items() if who is session), None)


class ChatRooms:
    """See the module."""

    def __init__(self, server: ChatServer) -> None:
        self._server = server
        self.by_address: dict[str, Room] = {}

    def take(self, session: ChatSession, stanza: Stanza) -> None:
        """A client sends this to a room, or to somebody in it."""
        try:
            to = Jid.parse(stanza.to or "")
        except ValueError:
            self._server.routing.refuse(session, stanza, StanzaCondition.JID_MALFORMED)
            return
        address, nick = str(to.bare), to.resource
        room = self.by_address.get(address)
        mine = None if room is None else room.nick_of(session)
        if stanza.name == "presence":
            self._presence(session, stanza, address, nick)
        elif room is not None and stanza.name == "iq":
            self._iq(session, stanza, room)
        elif room is None or mine is None:
            missing = StanzaCondition.ITEM_NOT_FOUND if room is None else StanzaCondition.NOT_ACCEPTABLE
            self._server.routing.refuse(session, stanza, missing)
        elif nick:
            self._whisper(session, stanza, room, nick)
        elif stanza.type == "groupchat":
            self._say(stanza, room, mine)
        else:
            self._server.routing.refuse(session, stanza, StanzaCondition.BAD_REQUEST)  # section 7.4

    def lost(self, session: ChatSession, *codes: str) -> None:
        """This session has ended; `codes` say why."""
        for room in list(self.by_address.values()):
            nick = room.nick_of(session)
            if nick is not None:
                self.leave(room, nick, *codes)

    def room(self, address: str) -> Room:
        """That room, made if there is none."""
        return self.by_address.setdefault(address, Room(address))

    # -- who is there --------------------------------------------------------------------------------

    def _presence(self, session: ChatSession, stanza: Stanza, address: str, nick: str) -> None:
        room = self.by_address.get(address)
        mine = None if room is None else room.nick_of(session)
        if stanza.type == "unavailable":
            if room is not None and mine is not None:
                self.leave(room, mine)
            return
        if stanza.type is not None:
            return
        other = None if room is None else room.occupants.get(nick)
        if not nick:
            self._server.routing.refuse(session, stanza, StanzaCondition.JID_MALFORMED)  # section 7.2.1
        elif other is not None and other is not session:
            self._server.routing.refuse(session, stanza, StanzaCondition.CONFLICT)  # section 7.2.8
        elif room is None and len(self.by_address) >= MAX_ROOMS:
            self._server.routing.refuse(session, stanza, StanzaCondition.NOT_ALLOWED)
        elif mine is None or stanza.element().find("x", MUC) is not None:
            self._enter(session, stanza, self.room(address), nick)
        elif room is not None:
            self._change(stanza, room, mine, nick)

    def _enter(self, session: ChatSession, stanza: Stanza, room: Room, nick: str) -> None:
        """Section 7.2: who is there, then the newcomer to all, what was said, the subject. Asked again: told again."""
        created = not room.owner
        room.owner = room.owner or session.bare
        known = room.nick_of(session)
        if known is not None and known != nick:
            room.occupants.pop(known)
            room.presences.pop(known, None)
        for name, who in room.occupants.items():
            if who is not session:
                session.send(self._occupant(room, name, session))
        news = nick not in room.occupants
        room.occupants[nick] = session
        room.presences[nick] = _said(stanza, room, nick)
        for who in list(room.occupants.values()):
            if who is session:
                who.send(self._occupant(room, nick, who, *([CREATED] if created else [])))
            elif news:
                who.send(self._occupant(room, nick, who))
        self._tell_history(session, stanza, room)
        subject = room.subject or f"<message from='{room.address}' type='groupchat'><subject/></message>".encode()
        session.send(set_attributes(subject, {"to": session.jid}))

    def _change(self, stanza: Stanza, room: Room, mine: str, nick: str) -> None:
        """Another presence, or another nick (section 7.6)."""
        if nick != mine:
            for who in room.occupants.values():
                who.send(self._occupant(room, mine, who, NEW_NICK, nick_then=nick))
            room.occupants[nick] = room.occupants.pop(mine)
            del room.presences[mine]
        room.presences[nick] = _said(stanza, room, nick)
        for who in room.occupants.values():
            who.send(self._occupant(room, nick, who))

    def leave(self, room: Room, nick: str, *codes: str) -> None:
        """Section 7.14."""
        for who in list(room.occupants.values()):
            who.send(self._occupant(room, nick, who, *codes, gone=True))
        del room.occupants[nick]
        room.presences.pop(nick, None)
        if not room.occupants:
            self.by_address.pop(room.address, None)

    def _occupant(
        self, room: Room, nick: str, to: ChatSession, *codes: str, gone: bool = False, nick_then: str = ""
    ) -> bytes:
        """The presence of an occupant as another, or the same, is told of it; `nick_then` is the new nick."""
        gone = gone or bool(nick_then)
        who = room.occupants[nick]
        owner = who.bare == room.owner
        item = {"affiliation": "owner" if owner else "none", "role": "participant" if not gone or nick_then else "none"}
        if nick_then:
            item["nick"] = nick_then
        all_codes = (*([MYSELF] if who is to else []), *codes)
        statuses = (Element("status", MUC_USER, {"code": code}) for code in all_codes)
        extension = Element("x", MUC_USER, children=(Element("item", MUC_USER, item), *statuses)).encode()
        if gone or nick not in room.presences:
            said = {"from": f"{room.address}/{nick}", "to": to.jid} | ({"type": "unavailable"} if gone else {})
            return insert_child(Element("presence", attributes=said).encode(), extension)
        return insert_child(set_attributes(room.presences[nick], {"to": to.jid}), extension)

    # -- what is said --------------------------------------------------------------------------------

    def _say(self, stanza: Stanza, room: Room, nick: str) -> None:
        raw = set_attributes(stanza.raw, {"from": f"{room.address}/{nick}", "to": None})
        if b"<subject" in raw and b"<body" not in raw:
            room.subject = raw
        else:
            room.history.append(Kept(raw, self._server.wall))
            del room.history[:-MAX_HISTORY]
        for who in list(room.occupants.values()):
            who.send(set_attributes(raw, {"to": who.jid}))

    def _whisper(self, session: ChatSession, stanza: Stanza, room: Room, nick: str) -> None:
        """Section 7.5."""
        other = room.occupants.get(nick)
        if other is None or stanza.type == "groupchat":
            self._server.routing.refuse(session, stanza, StanzaCondition.ITEM_NOT_FOUND)
            return
        mine = room.nick_of(session)
        other.send(set_attributes(stanza.raw, {"from": f"{room.address}/{mine}", "to": other.jid}))

    def _tell_history(self, session: ChatSession, stanza: Stanza, room: Room) -> None:
        """Section 7.2.14: as much as was asked for, by number or time."""
        joining = stanza.element().find("x", MUC)
        wanted = None if joining is None else joining.find("history")
        asked = {} if wanted is None else dict(wanted.attributes)
        since = parse_stamp(asked.get("since", ""))
        if "seconds" in asked:
            since = self._server.wall - float(_whole(asked["seconds"], 0))
        most = _whole(asked.get("maxstanzas", ""), MAX_HISTORY if since is not None else USUAL_HISTORY)
        told = [kept for kept in room.history if since is None or kept.at >= since]
        for kept in told[max(0, len(told) - most) :]:
            session.send(set_attributes(kept.delayed(room.address), {"to": session.jid}))

    # ------------------------------------------------------------------------------------------------

    def _iq(self, session: ChatSession, stanza: Stanza, room: Room) -> None:
        [asked, *_] = stanza.element().children or (Element(""),)
        match asked.namespace, stanza.type:
            case "http://jabber.org/protocol/disco#info", "get":
                self._server.routing.answer(session, stanza, info("conference", "text", (f"{DISCO}#info", MUC)))
            case "http://jabber.org/protocol/muc#owner", "set" if session.bare == room.owner:
                self._server.routing.answer(session, stanza)  # section 10.1.2: it was open from the beginning
            case "urn:xmpp:ping", "get":
                self._server.routing.answer(session, stanza)  # XEP-0410
            case _, "get" | "set":
                self._server.routing.refuse(session, stanza, StanzaCondition.SERVICE_UNAVAILABLE)
            case _:
                pass


def _said(stanza: Stanza, room: Room, nick: str) -> bytes:
    """The presence as others get it: without what belongs to entering."""
    raw = set_attributes(stanza.raw, {"from": f"{room.address}/{nick}", "to": None, "id": None})
    element = stanza.element()
    if element.find("x", MUC) is None:
        return raw
    others = tuple(child for child in element.children if child.namespace != MUC)
    return Element("presence", attributes={"from": f"{room.address}/{nick}"}, children=others).encode()


def _whole(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default
