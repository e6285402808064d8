"""What comes from a backend: passed on to the client as it is, unless it has that already or did not ask for it.

From the leg that carries the session everything is looked at. From a reserve, or a server that is being left, only
messages and answers are for the client; presence there is nobody's business, and requests are answered here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.proxy.chat import rooms as muc
from haproxy_voip.proxy.chat.captured import ROSTER, Asked
from haproxy_voip.proxy.chat.contacts import unavailable
from haproxy_voip.proxy.chat.digest import digest
from haproxy_voip.proxy.chat.entry import Key, bare_of, brief, key_of, mark
from haproxy_voip.proxy.chat.phases import UNDER_WAY
from haproxy_voip.proxy.chat.rooms import AWAITED, Presence, Room
from haproxy_voip.xmpp.element import Element
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.namespaces import CARBONS, CLIENT, DELAY, PEP_EVENT

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.session import Session
    from haproxy_voip.proxy.chat.shared import ChatShared
    from haproxy_voip.proxy.chat.traffic import Traffic

FORWARD = "urn:xmpp:forward:0"
# What is said of users and rooms that a server no longer has (RFC 6120 section 8.3.3; not-acceptable is a room's word
# to whom it does not know, XEP-0045 section 7.4).
NOT_THERE = frozenset(
    {"service-unavailable", "recipient-unavailable", "item-not-found", "gone", "not-acceptable",
     "internal-server-error", "remote-server-not-found", "remote-server-timeout"}
)  # fmt: skip

# Nodes of contacts whose newest item is remembered, as a new server sends each again.
MAX_ITEMS = 500
MAX_ITEM_CHARACTERS = 400  # of node and item; what is longer is heard anew after a failover


class Arrivals:
    """See the module."""

    __slots__ = ("_items", "_session", "_shared", "_traffic", "heard")

    def __init__(self, shared: ChatShared, session: Session, traffic: Traffic) -> None:
        self._shared = shared
        self._session = session
        self._traffic = traffic
        self.heard = shared.heard.begin(session.bare)
        self._items: dict[tuple[str, str], str] = {}  # (contact, node): id of the newest item

    def cut(self) -> None:
        """The session is over: let go of it."""
        self._shared.heard.end(self._session.bare, self.heard)
        del self._session, self._traffic

    def passes(self, stanza: Stanza, now: float) -> bool:
        """Whether the client gets this from the backend that carries its session."""
        match stanza.name:
            case "message":
                return self._message(stanza, now)
            case "presence":
                return self._presence(stanza, now)
            case _:
                return self._iq(stanza, now)

    def is_bounce(self, stanza: Stanza) -> bool:
        """Whether an error says that one of ours is not there, who is. Its server is going, as a rule."""
        if stanza.type != "error" or stanza.from_ is None:
            return False
        error = stanza.element().find("error")
        if error is None or not any(child.name in NOT_THERE for child in error.children):
            return False
        bare = bare_of(stanza.from_)
        if self._traffic.captured.rooms.get(bare) is not None:
            return stanza.name == "message"
        meant = [one for one in self._shared.sessions.of(bare) if stanza.from_ in (bare, one.jid)]
        return any(one is not self._session and one.traffic.captured.presence is not None for one in meant)

    def is_in_doubt(self, bounce: Stanza) -> bool:
        """Whether that server may be going after all: it ended our connection, or that of whom the error is about."""
        concerned = [self._session, *self._shared.sessions.of(bare_of(bounce.from_))]
        return any(one.residence.phase in UNDER_WAY for one in concerned)

    def passes_from_elsewhere(self, stanza: Stanza, now: float) -> bool:
        """Whether the client gets this from another one."""
        if self.is_bounce(stanza):
            return False  # what it is about is sent again elsewhere, if it was not already
        if stanza.name == "message":
            # A room the client has left meanwhile has nothing to say to it.
            left = stanza.type == "groupchat" and self._traffic.captured.rooms.get(bare_of(stanza.from_)) is None
            return not left and self._message(stanza, now)
        return stanza.name == "iq" and stanza.type in ("result", "error") and self._iq(stanza, now)

    def overdue(self, now: float) -> list[bytes]:
        """The hold after a move is over: who did not come back is gone."""
        session, told = self._session, []
        waiting = []
        for who in self._traffic.contacts.missing():
            other = self._shared.sessions.by_jid.get(who)
            if other is not None and other is not session and other.residence.phase in UNDER_WAY:
                waiting.append(who)
            elif who != session.jid:
                self._traffic.contacts.gone(who)
                told.append(unavailable(who, session.jid))
        if waiting:
            self._traffic.contacts.keep_waiting(waiting, now)
        for room in self._traffic.captured.rooms:
            if room.state in AWAITED:
                self._traffic.replay.try_again(room, now)
                continue
            for nick in room.unconfirmed:
                room.occupants.pop(nick, None)
                told.append(muc.left(room, nick, session.jid))
            room.unconfirmed.clear()
        return told

    # -- messages -----------------------------------------------------------------------------------

    def _message(self, stanza: Stanza, now: float) -> bool:
        room = self._traffic.captured.rooms.get(bare_of(stanza.from_))
        if room is not None and stanza.type == "groupchat":
            return self._said(stanza, room, now)
        if stanza.type == "groupchat" and self._quiet and DELAY.encode() in stanza.raw:
            return False  # kept by a server that was away, from a room that the client has left since
        if CARBONS.encode() in stanza.raw:
            return self._carbon(stanza.element())
        if PEP_EVENT.encode() in stanza.raw:
            return self._item(stanza)
        return self._new(stanza, bare_of(stanza.to)) and self._not_stored(stanza)

    def _not_stored(self, stanza: Stanza) -> bool:
        """Whether this is not what the client had before from another server that still had it as well."""
        if stanza.id is None or stanza.type in ("error", "headline"):
            return True
        sender, key = stanza.from_ or "", key_of(stanza, "")
        stored = DELAY.encode() in stanza.raw
        if stored and self._is_anothers(stanza.to, sender, key):
            return False
        return self.heard.is_new(sender, key) or not stored

    def _is_anothers(self, to: str | None, sender: str, key: Key) -> bool:
        """Whether it is for another client of ours, who has it, or whose author sends it again.

        COMPAT: Prosody stores what was not acknowledged to it when it stops, and hands it to whichever of the
        account's clients logs in first.
        """
        other = self._shared.sessions.by_jid.get(to or "")
        if other is None or other is self._session:
            return False
        return self._shared.sessions.sender(sender) is not None or other.traffic.has_had(sender, key)

    def _new(self, stanza: Stanza, peer: str) -> bool:
        """Whether this session sees it for the first time, as far as it comes from one of ours. `peer`: see `Key`."""
        return stanza.id is None or self._first(stanza.from_, key_of(stanza, peer))

    def _first(self, sender: str | None, key: Key) -> bool:
        theirs = None if sender is None else self._shared.sessions.sender(sender)
        return theirs is None or theirs.traffic.outgoing.observed(key, self._session)

    def _carbon(self, element: Element) -> bool:
        """A copy of what another resource got or sent (XEP-0280): it is the message inside that is new or not."""
        copy = element.in_namespace(CARBONS)
        forwarded = None if copy is None else copy.find("forwarded", FORWARD)
        inside = None if forwarded is None else forwarded.find("message", CLIENT)
        if inside is None or bare_of(element.get("from")) != self._session.bare:
            return True
        body = inside.find("body", CLIENT)
        said, id = mark("" if body is None else body.text), inside.get("id")
        sender, to = inside.get("from") or "", bare_of(inside.get("to"))
        key = ("message", False, brief(id or ""), "", said)
        if sender == self._session.jid or self._is_anothers(element.get("to"), sender, key):
            return False  # nobody gets a copy of its own words, or somebody else's copy
        if not self._first(sender, ("message", False, brief(id or ""), to, said)):
            return False
        return id is None or self.heard.is_new(sender, key)

    def _item(self, stanza: Stanza) -> bool:
        """A contact's news (XEP-0163), of which every server sends the newest anew."""
        event = stanza.element().in_namespace(PEP_EVENT)
        items = None if event is None else event.find("items")
        if items is None or len(items.children) != 1:
            return True
        place = (bare_of(stanza.from_), items.get("node") or "")
        item = items.children[0].get("id")
        if item is None or len(item) + len(place[1]) > MAX_ITEM_CHARACTERS:
            return True
        if self._items.get(place) == item and self._traffic.contacts.hold_ends_at is not None:
            return False
        if place in self._items or len(self._items) < MAX_ITEMS:
            self._items[place] = item
        return True

    # -- presence -----------------------------------------------------------------------------------

    def _presence(self, stanza: Stanza, now: float) -> bool:
        who = stanza.from_
        if not who or stanza.type not in (None, "unavailable", "error"):
            return True
        room = self._traffic.captured.rooms.get(bare_of(who))
        if room is not None and "/" not in who:
            return True  # of the room itself (XEP-0486), which is nobody in it
        if room is not None:
            return self._occupant(stanza, room, who.partition("/")[2], now)
        if stanza.type == "error":
            return True
        if stanza.type is None:
            return self._traffic.contacts.available(who, stanza)
        if who == self._session.jid and self._traffic.captured.presence is not None:
            return False  # not by the client's wish
        passes = self._traffic.contacts.unavailable(who, now, moving=self._is_here(who))
        self._session.holding()
        return passes

    def _is_here(self, who: str) -> bool:
        """Whether that contact is one of ours and has not gone: then its server is going, and it will be back."""
        other = self._shared.sessions.by_jid.get(who)
        if other is None or other is self._session:
            return False
        return other.residence.phase in UNDER_WAY or other.traffic.captured.presence is not None

    # -- rooms --------------------------------------------------------------------------------------

    def _occupant(self, stanza: Stanza, room: Room, nick: str, now: float) -> bool:
        if stanza.type == "error":
            return self._not_admitted(room, now)
        element = stanza.element()
        codes = muc.statuses(element)
        myself = "110" in codes or nick == room.nick
        if stanza.type == "unavailable":
            return self._left(room, nick, element, now)
        rejoining = room.state in AWAITED
        known = room.occupants.get(nick)
        said = digest(element)
        room.unconfirmed.pop(nick, None)
        if nick in room.occupants or len(room.occupants) < muc.MAX_OCCUPANTS:
            room.occupants[nick] = said
        if not myself:
            return known != said or not self._quiet
        room.owner = muc.affiliation(element) == "owner"
        room.nick = nick
        if room.state is not Presence.LEAVING:  # it may have asked to leave before it was in
            room.state = Presence.JOINED
            room.asked = None
        self._shared.sessions.occupies(room.occupant, self._session)
        if not rejoining:
            room.last_at = now
            room.entered_at = min(room.entered_at, now)
            return True
        room.attempts = 0
        room.remade = muc.CREATED in codes
        self._traffic.replay.rejoined(room, now)
        if known == said or not room.remade:
            return known != said
        # A client that is told that it made the room offers to configure it.
        self._traffic.push([muc.without_created(element).encode()], now)
        return False

    @property
    def _quiet(self) -> bool:
        """Whether a new server is still telling what the client knows."""
        return self._traffic.contacts.hold_ends_at is not None

    def _left(self, room: Room, nick: str, element: Element, now: float) -> bool:
        codes = muc.statuses(element)
        myself = "110" in codes or nick == room.nick
        if (
            nick in room.occupants
            and not muc.on_purpose(element, codes)
            and self._comes_back(room, nick, myself=myself)
        ):
            # Its server is going, or this one's is. If not, it is told when the hold is over.
            room.unconfirmed[nick] = None
            if myself:
                room.state = Presence.OUT
            self._traffic.hold(now)
            return False
        if not myself:
            room.unconfirmed.pop(nick, None)
            return room.occupants.pop(nick, None) is not None or not self._quiet
        self._shared.sessions.occupies(room.occupant, None)
        room.occupants.pop(nick, None)
        if "303" not in codes:  # not a new nick (section 7.6)
            self._traffic.captured.rooms.drop(room)
        else:
            extension = element.find("x", muc.MUC_USER)
            item = None if extension is None else extension.find("item")
            room.nick = (None if item is None else item.get("nick")) or room.nick
        return True

    def _comes_back(self, room: Room, nick: str, *, myself: bool) -> bool:
        """Whether whoever is said to have left is ours and means to stay."""
        other = self._session if myself else self._shared.sessions.sender(f"{room.address}/{nick}")
        return other is not None and other.stays_in(room)

    def _not_admitted(self, room: Room, now: float) -> bool:
        """The client hears it as it is when it asked itself; else it has been put out (section 9.9)."""
        match room.state:
            case Presence.JOINING:
                self._traffic.captured.rooms.drop(room)
                return True
            case Presence.REJOINING:
                self._traffic.replay.put_out(room, now)
                return False
            case state:
                return state is not Presence.OUT  # a server that is going says many things

    def _said(self, stanza: Stanza, room: Room, now: float) -> bool:
        if muc.is_subject(stanza):
            subject = digest(stanza.element())
            known, room.subject = room.subject, subject
            return known != subject or not self._quiet
        if room.remade and self._quiet and "/" not in (stanza.from_ or ""):
            # COMPAT: Openfire tells who makes a room that it is locked, and then that it is not.
            return False
        author = None if stanza.id is None else self._shared.sessions.sender(stanza.from_ or "")
        key = key_of(stanza, room.address)
        new = author is None or author.traffic.outgoing.observed(key, self._session)
        early = author is not None and self._too_early(author, key, room)
        if early and new and author is not None and muc.held_up_by(stanza, author.account.domain):
            new = not self._heard_at_an_earlier_login(author, key)
        before = room.heard_before(stanza)
        if not muc.is_history(stanza):
            room.last_at = now
            return new
        return new and not (self._quiet and (before or early))

    def _too_early(self, author: Session, key: Key, room: Room) -> bool:
        """Whether one of ours said this before the client came in: history is asked for so generously that it may reach
        back to that, and what a server took with it is said again.
        """
        said_at = author.traffic.outgoing.said_at(key)
        return said_at is not None and said_at < room.entered_at

    def _heard_at_an_earlier_login(self, author: Session, key: Key) -> bool:
        """Whether what is said again was heard in a session of the same user's that is over: it logged out while the
        server failed, and was in the room again before the author was.
        """
        bare = self._session.bare
        here = self._shared.sessions.of(bare)
        return any(one.bare == bare and one not in here for one in author.traffic.outgoing.hearers(key))

    # -- iqs ----------------------------------------------------------------------------------------

    def _iq(self, stanza: Stanza, now: float) -> bool:
        session = self._session
        if stanza.type not in ("result", "error"):
            if stanza.type == "set" and ROSTER.encode() in stanza.raw and bare_of(stanza.from_) in ("", session.bare):
                self._traffic.captured.pushed(stanza)
                self._traffic.pending += session.residence.reserve.renew(now)
            return self._new(stanza, bare_of(stanza.to))
        asked = self._traffic.captured.ours(stanza.id)
        if asked is not None:
            if asked is Asked.ROSTER and stanza.type == "result":
                self._traffic.push(self._traffic.captured.roster_changes(stanza, session.jid), now)
            return False
        peer = bare_of(stanza.from_)
        peer = "" if peer in (session.bare, session.account.domain) else peer
        if self._traffic.outgoing.is_late(stanza.id or "", peer):
            return False
        request = self._traffic.outgoing.answered(stanza.id or "", peer)
        if request is not None:
            self._traffic.captured.answered(request, stanza)
            self._traffic.pending += session.residence.reserve.follow()
        return self._new(stanza, bare_of(stanza.to))
