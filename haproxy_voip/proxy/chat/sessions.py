"""All chat sessions, by whatever they are looked up."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.session import Session


class Sessions:
    """By full and bare address, by the name they can be resumed with, by room and nick, by backend."""

    __slots__ = ("_bare", "_resumable", "_rooms", "all", "by_backend", "by_jid")

    def __init__(self, backends: list[str]) -> None:
        self.all: dict[Session, None] = {}  # those that still log in included
        self.by_jid: dict[str, Session] = {}
        self.by_backend: defaultdict[str | None, dict[Session, None]] = defaultdict(
            dict, {name: {} for name in (*backends, None)}
        )
        self._bare: dict[str, dict[Session, None]] = {}
        self._resumable: dict[str, Session] = {}
        self._rooms: dict[str, dict[str, Session]] = {}  # by room and nick

    def __len__(self) -> int:
        return len(self.all)

    def add(self, session: Session) -> None:
        """It has an address now."""
        self.by_jid[session.jid] = session
        self._bare.setdefault(session.bare, {})[session] = None

    def remove(self, session: Session) -> None:
        """Nothing of it is left."""
        self.all.pop(session, None)
        for table in self.by_backend.values():
            table.pop(session, None)
        if self.by_jid.get(session.jid) is session:
            del self.by_jid[session.jid]
        same = self._bare.get(session.bare)
        if same is not None:
            same.pop(session, None)
            if not same:
                del self._bare[session.bare]

    def of(self, bare: str) -> list[Session]:
        """All sessions of one user here."""
        return list(self._bare.get(bare, ()))

    def lives_at(self, session: Session, backend: str | None) -> None:
        """That is where it is now; None: nowhere."""
        for table in self.by_backend.values():
            table.pop(session, None)
        self.by_backend[backend][session] = None

    def name_resumable(self, name: str, session: Session | None) -> None:
        """A client may ask for this session by this name; None: no more."""
        if session is None:
            self._resumable.pop(name, None)
        else:
            self._resumable[name] = session

    def resumable(self, name: str) -> Session | None:
        """The session of that name."""
        return self._resumable.get(name)

    def occupies(self, occupant: str, session: Session | None) -> None:
        """That room/nick is this session; None: no longer."""
        room, _, nick = occupant.partition("/")
        inside = self._rooms.setdefault(room, {})
        if session is not None:
            inside[nick] = session
            return
        inside.pop(nick, None)
        if not inside:
            del self._rooms[room]

    def sender(self, address: str) -> Session | None:
        """The session of ours that speaks under this full address, be it as an occupant of a room."""
        room, _, nick = address.partition("/")
        return self.by_jid.get(address) or self._rooms.get(room, {}).get(nick)

    def in_room(self, room: str) -> list[Session]:
        """Our sessions in that room."""
        return list(dict.fromkeys(self._rooms.get(room, {}).values()))
