"""What a new server must be told of a session: everything the client told the old one that still holds.

It is noted when it goes to a server, not when it comes from the client, and what a server must grant when it grants it.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

from haproxy_voip.core.chance import Chance
from haproxy_voip.proxy.chat.ahead import Ahead
from haproxy_voip.proxy.chat.digest import BYTES
from haproxy_voip.proxy.chat.entry import Entry, bare_of
from haproxy_voip.proxy.chat.rooms import MAX_PRESENCE_BYTES, Rooms
from haproxy_voip.xmpp.element import Element
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.namespaces import CARBONS, CLIENT_STATE, ROSTER_VERSIONING
from haproxy_voip.xmpp.text import escape

ROSTER = "jabber:iq:roster"
BLOCKING = "urn:xmpp:blocking"
UNAVAILABLE = b"<presence type='unavailable'/>"

# Contacts sent presence of their own; more are not told again after a failover.
MAX_DIRECTED = 100
# Contacts of one roster that are followed; in a longer one, changes made elsewhere show at the next login.
MAX_ROSTER = 5000


class Asked(StrEnum):
    """Our own requests, whose answers the client must not see."""

    CARBONS = "carbons"
    ROSTER = "roster"
    BLOCKLIST = "blocklist"
    ROOM = "room"
    PUSH = "push"  # to the client


class Captured:
    """See the module."""

    __slots__ = (
        "_chance",
        "_inactive",
        "_ours",
        "blocklist",
        "carbons",
        "directed",
        "presence",
        "rooms",
        "roster",
        "version",
    )

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self.presence: bytes | None = None  # the last one to everybody; None: not available
        self.directed: dict[str, bytes] = {}
        self.rooms = Rooms()
        self.carbons = False
        self._inactive = False  # CSI (XEP-0352)
        self.roster: dict[str, bytes] | None = None  # contacts and what is known of each; None: never asked for
        self.version: str | None = None  # of the roster
        self.blocklist = False  # whether it was asked for, so that changes of it are told
        self._ours: dict[str, Asked] = {}

    # -- capturing ----------------------------------------------------------------------------------

    def sent(self, entry: Entry, now: float) -> None:
        """This goes to a server."""
        stanza = entry.stanza
        if stanza is None or stanza.name != "presence" or stanza.type not in (None, "unavailable"):
            return
        available = stanza.type is None
        if not stanza.to:
            self.presence = entry.raw if available else None
            if not available:
                self.directed.clear()
            return
        if self.rooms.sent(entry.peer, stanza.to.partition("/")[2], stanza, now):
            return
        if not available or len(entry.raw) > MAX_PRESENCE_BYTES:
            self.directed.pop(stanza.to, None)
        elif stanza.to in self.directed or len(self.directed) < MAX_DIRECTED:
            self.directed[stanza.to] = entry.raw

    def client_state(self, stanza: Stanza) -> None:
        """`<active/>` or `<inactive/>`."""
        self._inactive = stanza.name == "inactive"

    def answered(self, request: Entry, answer: Stanza) -> None:
        """A server granted a request of the client's."""
        if answer.type != "result" or request.stanza is None or request.peer:
            return
        if CARBONS.encode() in request.raw:
            self.carbons = b"enable" in request.raw
        elif BLOCKING.encode() in request.raw and request.stanza.type == "get":
            self.blocklist = True
        elif ROSTER.encode() in request.raw and request.stanza.type == "get":
            query = answer.element().find("query", ROSTER)
            if query is None:  # what the client has is still right (RFC 6121 section 2.6.3)
                asked = request.stanza.element().find("query", ROSTER)
                self.version = None if asked is None else asked.get("ver")
                self.roster = self.roster or {}
            else:
                self._roster_is(query)

    def pushed(self, stanza: Stanza) -> None:
        """The server tells of a change of the roster (RFC 6121 section 2.1.6)."""
        query = stanza.element().find("query", ROSTER)
        if query is None or self.roster is None:
            return
        self.version = query.get("ver") or self.version
        for item in query.all("item"):
            jid = item.get("jid") or ""
            if item.get("subscription") == "remove":
                self.roster.pop(jid, None)
            elif jid in self.roster or len(self.roster) < MAX_ROSTER:
                self.roster[jid] = _mark(item)

    def _roster_is(self, query: Element) -> None:
        self.version = query.get("ver")
        items = list(query.all("item"))[:MAX_ROSTER]
        self.roster = {item.get("jid") or "": _mark(item) for item in items}

    # -- replaying ----------------------------------------------------------------------------------

    def news(self, ahead: Ahead) -> list[bytes]:
        """For a server that was told as much as `ahead` says, which then says what it knows now.

        It must know this before messages are right: where they go, and who has copies.
        """
        told: list[bytes] = []
        if self.carbons is not ahead.carbons:
            ahead.asked = self.token(Asked.CARBONS)
            wanted = "enable" if self.carbons else "disable"
            told.append(f"<iq type='set' id='{ahead.asked}'><{wanted} xmlns='{CARBONS}'/></iq>".encode())
        if self.presence != ahead.presence:
            told.append(self.presence or UNAVAILABLE)
        left = [] if self.presence is None else ahead.directed.keys() - self.directed.keys()
        told += [f"<presence to='{escape(to)}' type='unavailable'/>".encode() for to in sorted(left)]
        told += [raw for to, raw in self.directed.items() if ahead.directed.get(to) != raw]
        ahead.carbons, ahead.presence, ahead.directed = self.carbons, self.presence, self.directed.copy()
        return told

    def questions(self, features: frozenset[str]) -> list[bytes]:
        """What the new server is asked, once messages are on their way."""
        told: list[bytes] = []
        if self.roster is not None:
            versioned = self.version is not None and ROSTER_VERSIONING in features
            version = f" ver='{escape(self.version or '')}'" if versioned else ""
            told.append(self._get(Asked.ROSTER, f"<query xmlns='{ROSTER}'{version}/>"))
        if self.blocklist:
            told.append(self._get(Asked.BLOCKLIST, f"<blocklist xmlns='{BLOCKING}'/>"))
        return told

    def state(self, features: frozenset[str]) -> bytes:
        """The client state as a nonza, where the server knows such and it is not what every session begins with."""
        return f"<inactive xmlns='{CLIENT_STATE}'/>".encode() if self._inactive and CLIENT_STATE in features else b""

    def token(self, asked: Asked) -> str:
        """An id for a request of ours."""
        token = f"{asked}{self._chance.token()}"
        self._ours[token] = asked
        return token

    def ours(self, id: str | None) -> Asked | None:
        """What we asked under this id; known once only."""
        return None if id is None else self._ours.pop(id, None)

    def forget_ours(self, but: str | None = None) -> None:
        """Whoever was asked is gone, except for this question."""
        self._ours = {id: asked for id, asked in self._ours.items() if id == but}

    def roster_changes(self, answer: Stanza, to: str) -> list[bytes]:
        """Pushes that make the client's roster what the new server says it is."""
        query = answer.element().find("query", ROSTER)
        if query is None or self.roster is None:
            return []
        before, version = self.roster, query.get("ver")
        self._roster_is(query)
        changed = [item for item in query.all("item") if before.get(item.get("jid") or "") != _mark(item)]
        gone = [
            Element("item", ROSTER, {"jid": jid, "subscription": "remove"}) for jid in before if jid not in self.roster
        ]
        return [self._push(item, version, to) for item in (*changed, *gone)]

    def _push(self, item: Element, version: str | None, to: str) -> bytes:
        query = Element("query", ROSTER, {} if version is None else {"ver": version}, (item,))
        attributes = {"type": "set", "id": self.token(Asked.PUSH), "to": to, "from": bare_of(to)}
        return Element("iq", attributes=attributes, children=(query,)).encode()

    def _get(self, asked: Asked, payload: str) -> bytes:
        return f"<iq type='get' id='{self.token(asked)}'>{payload}</iq>".encode()


def _mark(item: Element) -> bytes:
    groups = sorted(child.text for child in item.children)
    told = repr((item.get("name"), item.get("subscription"), item.get("ask"), groups)).encode()
    return hashlib.blake2b(told, digest_size=BYTES).digest()
