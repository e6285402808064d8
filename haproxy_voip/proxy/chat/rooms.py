"""The rooms a client is in (XEP-0045), and how they are entered anew at another server without anybody noticing.

Joining tells who is there, the subject and what was said. Of that the client hears only what is new to it; occupants
who did not come back by the end of the hold have left. A room that is gone at the new server is made again by whoever
was its owner, who therefore goes first: the first to enter owns it.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from haproxy_voip.proxy.chat.digest import BYTES
from haproxy_voip.proxy.chat.entry import body_of
from haproxy_voip.xmpp.element import Element
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.namespaces import DELAY
from haproxy_voip.xmpp.stamp import utc_stamp
from haproxy_voip.xmpp.stanza import set_attributes

MUC = "http://jabber.org/protocol/muc"
MUC_USER = f"{MUC}#user"
MUC_OWNER = f"{MUC}#owner"
DATA = "jabber:x:data"

# Why somebody is out (section 15.6.2): the service shuts down, an error; banned, new nick, kicked, affiliation lost,
# members only.
BY_ACCIDENT = frozenset({"332", "333"})
ON_PURPOSE = frozenset({"301", "303", "307", "321", "322"})

CREATED = "201"

# A room that does not answer is asked so many times, once each hold.
MAX_ATTEMPTS = 3

# Rooms followed for one session. More are possible, but a failover leaves the client outside of them.
MAX_ROOMS = 100
# Of one presence that is to be told again, in a room or to one contact: clients' have some hundreds.
MAX_PRESENCE_BYTES = 10_000
# Occupants followed in one room; of others the client hears every word.
MAX_OCCUPANTS = 2000
# What was said last, to be recognised in a room's history.
REMEMBERED = 100
# History is asked for from so long before the last message: clocks differ, and stamps are whole seconds somewhere.
MARGIN_SECONDS = 2.0


class Presence(StrEnum):
    """Of the client, in a room, as far as it is known to the server."""

    JOINING = "joining"
    JOINED = "joined"
    OUT = "out"  # by accident: a server is going, it seems
    REJOINING = "rejoining"
    LEAVING = "leaving"


# The client believes that it is in the room, and what it says there waits until it is.
AWAITED = frozenset({Presence.OUT, Presence.REJOINING})


@dataclass(slots=True, eq=False)
class Room:
    """One room. Times are seconds on our clock."""

    address: str  # bare
    nick: str
    password: str | None
    said: bytes  # the client's last presence there, without what belongs to joining
    asked: bytes | None  # how it asked to be let in; None once it is
    state: Presence = Presence.JOINING
    owner: bool = False
    remade: bool = False  # the client has made it anew, where it is in it now, and knows nothing of that
    attempts: int = 0  # to come in again, unanswered
    occupants: dict[str, bytes] = field(default_factory=dict)  # by nick: what they said last
    unconfirmed: dict[str, None] = field(default_factory=dict)
    subject: bytes = b""
    last_at: float = 0.0  # of the last message, or of coming in
    entered_at: float = math.inf  # when it came in first: it missed nothing that was said before
    heard: deque[bytes] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    @property
    def occupant(self) -> str:
        """The client's own address in it."""
        return f"{self.address}/{self.nick}"

    def join(self, epoch_offset: float) -> bytes:
        """The presence that enters it again, asking for what was said since."""
        children = [Element("history", MUC, {"since": utc_stamp(self.last_at - MARGIN_SECONDS + epoch_offset)})]
        if self.password is not None:
            children.append(Element("password", MUC, text=self.password))
        self.state, self.remade = Presence.REJOINING, False
        self.attempts += 1
        self.unconfirmed = dict.fromkeys(self.occupants)
        extension = Element("x", MUC, children=tuple(children)).encode()
        return set_attributes(self.said.replace(PLACE, extension, 1), {"to": self.occupant})

    def first_join(self) -> bytes:
        """As the client asked, which the old server did not answer any more."""
        return self.said if self.asked is None else self.asked

    def heard_before(self, stanza: Stanza) -> bool:
        """Whether the client has this message; else it has now."""
        told = repr((stanza.from_, stanza.id, body_of(stanza))).encode()
        mark = hashlib.blake2b(told, digest_size=BYTES).digest()
        if mark in self.heard:
            return True
        self.heard.append(mark)
        return False


# Where the joining extension goes in `Room.said`.
PLACE = b"<x xmlns='http://jabber.org/protocol/muc'/>"


class Rooms:
    """All rooms of one session."""

    __slots__ = ("_rooms",)

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._rooms.values()))

    def __len__(self) -> int:
        return len(self._rooms)

    def get(self, address: str) -> Room | None:
        """By bare address."""
        return self._rooms.get(address)

    def drop(self, room: Room) -> None:
        """The client is no longer in it."""
        self._rooms.pop(room.address, None)

    def sent(self, address: str, nick: str, stanza: Stanza, now: float) -> bool:
        """The client sends presence to room/nick; whether that is a room at all."""
        room = self._rooms.get(address)
        if stanza.type == "unavailable":
            if room is not None:
                room.state = Presence.LEAVING
            return room is not None
        element = stanza.element()
        joining = element.find("x", MUC)
        if room is None and (joining is None or len(self._rooms) >= MAX_ROOMS or len(stanza.raw) > MAX_PRESENCE_BYTES):
            return False
        said = _plain(element).encode()
        if room is None or joining is not None:
            password = None if joining is None else joining.find("password", MUC)
            room = self._rooms[address] = Room(
                address, nick, None if password is None else password.text, said, stanza.raw
            )
            room.last_at = now
        elif len(said) <= MAX_PRESENCE_BYTES:
            room.said = said  # a new nick is the room's to grant
        return True


def _plain(element: Element) -> Element:
    """The presence with an empty joining extension."""
    others = tuple(child for child in element.children if child.namespace != MUC)
    attributes = {name: value for name, value in element.attributes.items() if name != "id"}
    return replace(element, attributes=attributes, children=(*others, Element("x", MUC)))


def statuses(element: Element) -> set[str]:
    """The status codes in it (XEP-0045 section 15.6.2)."""
    extension = element.find("x", MUC_USER)
    if extension is None:
        return set()
    return {child.get("code") or "" for child in extension.all("status")}


def without_created(element: Element) -> Element:
    """The same without the code that says that entering made the room (section 10.1.1)."""
    extension = element.find("x", MUC_USER)
    if extension is None:
        return element
    kept = tuple(child for child in extension.children if child.name != "status" or child.get("code") != CREATED)
    changed = tuple(replace(child, children=kept) if child is extension else child for child in element.children)
    return replace(element, children=changed)


def on_purpose(element: Element, codes: set[str]) -> bool:
    """Whether somebody wanted this occupant to be out."""
    extension = element.find("x", MUC_USER)
    if extension is not None and extension.find("destroy") is not None:
        return True
    return not codes & BY_ACCIDENT and bool(codes & ON_PURPOSE)


def affiliation(element: Element) -> str:
    """Of the occupant it is about."""
    extension = element.find("x", MUC_USER)
    item = None if extension is None else extension.find("item", MUC_USER)
    return "" if item is None else item.get("affiliation") or ""


def is_subject(stanza: Stanza) -> bool:
    """A subject and no body (section 8.1)."""
    if b"<subject" not in stanza.raw:
        return False
    element = stanza.element()
    return element.find("subject") is not None and element.find("body") is None


def is_history(stanza: Stanza) -> bool:
    """Said before the client came in."""
    return DELAY.encode() in stanza.raw and stanza.element().find("delay", DELAY) is not None


def held_up_by(stanza: Stanza, domain: str) -> bool:
    """Whether this is said now, and held up by nobody but that domain: history bears a stamp of its own (section
    7.2.14).
    """
    return not is_history(stanza) or all(one.get("from") == domain for one in stanza.element().all("delay", DELAY))


def left(room: Room, nick: str, to: str, *codes: str) -> bytes:
    """What the client is told when an occupant is no longer there."""
    item = Element("item", MUC_USER, {"affiliation": "none", "role": "none"})
    told = tuple(Element("status", MUC_USER, {"code": code}) for code in codes)
    attributes = {"from": f"{room.address}/{nick}", "to": to, "type": "unavailable"}
    return Element(
        "presence", attributes=attributes, children=(Element("x", MUC_USER, children=(item, *told)),)
    ).encode()


def instant(room: Room, id: str) -> bytes:
    """A room just made is locked until its owner accepts how it is (section 10.1.2)."""
    form = Element("x", DATA, {"type": "submit"})
    query = Element("query", MUC_OWNER, children=(form,))
    return Element("iq", attributes={"type": "set", "to": room.address, "id": id}, children=(query,)).encode()
