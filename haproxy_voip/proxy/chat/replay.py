"""What a new server is told and sent: all that still holds, and what may not have arrived.

In this order: what the client asked for and is (captured.py); what is in doubt, before anything newer; its rooms, whose
owners go first, because the first to enter a room that is not there owns it. Rooms come last because they are the most
work for a server, and what was said to one person need not wait for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.proxy.chat.ahead import Ahead
from haproxy_voip.proxy.chat.backend_leg import BackendLeg, Books
from haproxy_voip.proxy.chat.captured import Asked
from haproxy_voip.proxy.chat.custody import missing
from haproxy_voip.proxy.chat.entry import Entry, own
from haproxy_voip.proxy.chat.outgoing import harmless_twice
from haproxy_voip.proxy.chat.rooms import MAX_ATTEMPTS, Presence, Room, instant, left
from haproxy_voip.proxy.shared import Output
from haproxy_voip.xmpp.errors import ErrorType, StanzaCondition, StanzaError

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.session import Session
    from haproxy_voip.proxy.chat.shared import ChatShared
    from haproxy_voip.proxy.chat.traffic import Traffic

# A message that was sent to so many servers which then died may be what they died of.
SENDS_MAX = 3
# How long those who do not own a room wait for its owner to enter it first.
OWNER_SECONDS = 1.0


class Replay:
    """See the module."""

    __slots__ = ("_questions", "_rooms_after", "_rooms_held", "_rooms_to_join", "_session", "_shared", "_traffic")

    def __init__(self, shared: ChatShared, session: Session, traffic: Traffic) -> None:
        self._shared = shared
        self._session = session
        self._traffic = traffic
        self._questions: list[bytes] = []  # once messages are on their way
        self._rooms_to_join: list[Room] = []  # once their owners are in
        self._rooms_held = False  # until what waited is with the server
        self._rooms_after: int | None = None  # acknowledging so many stanzas, it has that; None: some waits yet

    def cut(self) -> None:
        """The session is over: let go of it."""
        del self._session, self._traffic

    def doubt(self, books: Books, now: float) -> None:
        """The server that was sent these is gone: what may not have arrived goes first, once there is another."""
        if books.doubted:
            return
        books.doubted = True
        again = []
        for entry in self._traffic.outgoing.doubtful(
            books.unacknowledged.pending(), lambda entry: missing(self._shared, self._session, entry), now
        ):
            match self._decide(entry):
                case "again":
                    again.append(entry)
                case "refuse":
                    error = StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE, ErrorType.WAIT)
                    self._traffic.pending += self._traffic.refuse(entry, error, now)
                case _:
                    self._traffic.pending += self._traffic.handled(entry)
        self._shared.failovers.sent_again(len(again))
        self._traffic.outgoing.put_first(again)

    def _decide(self, entry: Entry) -> str:
        stanza = entry.stanza
        if stanza is None:
            return "drop"
        if stanza.name == "presence":
            # What still holds of it is told anyhow (captured.py); subscriptions are not.
            return "drop" if stanza.type in (None, "unavailable") else "again"
        if entry.sends >= SENDS_MAX:
            return "refuse"
        if not entry.is_request:
            return "again"
        ours = entry.peer and self._shared.sessions.of(entry.peer)  # whoever has seen it drops the repetition
        return "again" if ours or harmless_twice(entry) else "refuse"

    def told(self, leg: BackendLeg, now: float) -> list[bytes]:
        """What a server must be told before messages that knows of this session what it was told ahead."""
        ahead, leg.ahead = leg.ahead or Ahead(), None
        self._traffic.contacts.moved(now, ahead.contacts)
        self._traffic.forget_bounces()  # what they are about is sent again
        self._traffic.captured.forget_ours(ahead.asked)
        self._traffic.catch_up(ahead.kept(), now)
        told = self._traffic.captured.news(ahead)
        self._questions = self._traffic.captured.questions(leg.stream.features)
        self._rooms_to_join, self._rooms_held = [], False
        for room in self._traffic.captured.rooms:
            if room.state is Presence.LEAVING:
                self._shared.sessions.occupies(room.occupant, None)
                self._traffic.captured.rooms.drop(room)
                self._traffic.pending += self._traffic.deliver(
                    left(room, room.nick, self._session.jid, "110"), None, 0, now
                )
            elif room.state is Presence.JOINING:
                told.append(room.first_join())
            else:
                room.state = Presence.REJOINING
                self._rooms_to_join.append(room)
        return told

    def rest(self, leg: BackendLeg, now: float) -> list[Output]:
        """What messages need not wait for. Rooms, once the server has what waited: one answers when it is through with
        all it was sent in one go, and everybody's messages would have to wait for everybody's rooms.
        """
        asked, self._questions = [output for raw in self._questions for output in leg.send(own(raw))], []
        return [*asked, *self._enter_rooms(leg, now), *(leg.request() if asked else [])]

    def _enter_rooms(self, leg: BackendLeg, now: float) -> list[Output]:
        if not self._rooms_to_join:
            return []
        self._shared.alarms.set(self, now + OWNER_SECONDS)
        self._rooms_held, self._rooms_after = True, None
        return self.acknowledged(leg, now)

    def acknowledged(self, leg: BackendLeg, now: float) -> list[Output]:
        """The server has more: the rooms that are the client's own, or whose owner is in already."""
        books = leg.books.unacknowledged
        if self._rooms_held and self._rooms_after is None and not self._traffic.waits_for_somebody:
            self._rooms_after = books.sent
        if not self._rooms_held or self._rooms_after is None or books.acknowledged < self._rooms_after:
            return []
        self._rooms_held = False
        session = self._session
        mine = [one for one in self._rooms_to_join if one.owner or not self._shared.owner_comes(one.address, session)]
        return [output for room in mine for output in self.join(room.address, now)]

    def rejoined(self, room: Room, now: float) -> None:
        """The client is in that room again."""
        leg = self._session.residence.active
        assert leg is not None
        if room.remade:
            self._traffic.pending += leg.send(own(instant(room, self._traffic.captured.token(Asked.ROOM))))
        for other in self._shared.sessions.in_room(room.address):
            if other is not self._session:
                self._traffic.pending += other.traffic.replay.join(room.address, now)
        self._traffic.pending += self._traffic.flush(now)

    def join(self, address: str, now: float) -> list[Output]:
        """Somebody is in that room, so it can be entered."""
        rooms = [room for room in self._rooms_to_join if room.address == address]
        leg = self._session.residence.active
        if not rooms or leg is None:
            return []
        self._rooms_to_join = [room for room in self._rooms_to_join if room.address != address]
        outputs = [out for room in rooms for out in leg.send(own(room.join(self._shared.epoch_offset)))]
        return [*outputs, *leg.request()]

    def wake(self, now: float) -> list[Output]:
        """The owners of these rooms are late: enter without them."""
        if self._session.residence.active is None and self._rooms_to_join:
            self._shared.alarms.set(self, now + OWNER_SECONDS)
        addresses = [room.address for room in self._rooms_to_join]
        return [output for address in addresses for output in self.join(address, now)]

    def try_again(self, room: Room, now: float) -> None:
        """That room has not answered, or has put the client out by accident."""
        leg = self._session.residence.active
        if leg is None or room.attempts >= MAX_ATTEMPTS:
            self.put_out(room, now)
            return
        self._traffic.pending += [*leg.send(own(room.join(self._shared.epoch_offset))), *leg.request()]
        self._traffic.hold(now)

    def put_out(self, room: Room, now: float) -> None:
        """The room does not let the client in again."""
        self._shared.sessions.occupies(room.occupant, None)
        self._traffic.captured.rooms.drop(room)
        # 333: for technical reasons, XEP-0045 section 15.6.2.
        self._traffic.pending += self._traffic.deliver(
            left(room, room.nick, self._session.jid, "110", "333"), None, 0, now
        )
