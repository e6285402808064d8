"""The stanzas of one session, both ways: sent, kept, acknowledged, held back, sent again.

Nothing is acknowledged to either side that the other does not have. What is for somebody whose own session is on its
way to another server waits for it, so that nothing is refused there, or overtaken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from haproxy_voip.core.effects import Send
from haproxy_voip.proxy.chat.arrivals import Arrivals
from haproxy_voip.proxy.chat.backend_leg import BackendLeg
from haproxy_voip.proxy.chat.capabilities import Capabilities
from haproxy_voip.proxy.chat.captured import Captured
from haproxy_voip.proxy.chat.contacts import HOLD_SECONDS, Contacts
from haproxy_voip.proxy.chat.custody import copied
from haproxy_voip.proxy.chat.entry import Entry, Key, bare_of, own
from haproxy_voip.proxy.chat.incoming import Incoming
from haproxy_voip.proxy.chat.leftovers import leave_behind
from haproxy_voip.proxy.chat.outgoing import Full, Outgoing
from haproxy_voip.proxy.chat.phases import UNDER_WAY, Phase
from haproxy_voip.proxy.chat.replay import Replay
from haproxy_voip.proxy.chat.rooms import AWAITED
from haproxy_voip.proxy.effects import PauseReading, ResumeReading
from haproxy_voip.proxy.shared import Output
from haproxy_voip.xmpp.errors import ErrorType, StanzaCondition, StanzaError, StreamCondition, StreamError
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.management import WRAP, Received, Unacknowledged, answer, count_of
from haproxy_voip.xmpp.namespaces import CLIENT_STATE, DELAY, MANAGEMENT
from haproxy_voip.xmpp.stamp import utc_stamp
from haproxy_voip.xmpp.stanza import error_reply, result_reply, set_attributes, with_delay

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.session import Session
    from haproxy_voip.proxy.chat.shared import ChatShared

# Stanzas sent to a server and not acknowledged yet, at most: more wait here. After a failover everybody's burst arrives
# at once, and a server that has seconds of work in its buffers looks like a frozen one.
WINDOW = 10
# A client of which so many stanzas, or bytes, wait is not read from until its server has caught up.
AHEAD_STANZAS, AHEAD_BYTES = 100, 2**18
# What was held up for longer says so (XEP-0203).
DELAYED_SECONDS = 2.0
# A server that stops returns what it cannot deliver any more, a moment before its connections end.
BOUNCE_SECONDS = 0.5
PING = "urn:xmpp:ping"


@dataclass(slots=True)
class Bounce:
    """An error about somebody who is there."""

    at: float  # when it is believed
    stanza: Stanza
    leg: BackendLeg
    number: int


class Traffic:
    """See the module."""

    __slots__ = (
        "_arrivals",
        "_bounces",
        "_capabilities",
        "_owed",
        "_paused",
        "_serial",
        "_session",
        "_shared",
        "captured",
        "contacts",
        "incoming",
        "outgoing",
        "pending",
        "received",
        "replay",
    )  # fmt: skip

    def __init__(self, shared: ChatShared, session: Session) -> None:
        self._shared = shared
        self._session = session
        self._arrivals = Arrivals(shared, session, self)
        self._bounces: list[Bounce] = []
        self._capabilities = Capabilities()
        self.pending: list[Output] = []  # caused by an arrival, besides passing it on
        self._serial = 0
        self._owed = 0  # the client asked when so many had come, and not all of them were handled
        self._paused = False
        self.outgoing = Outgoing()
        self.incoming = Incoming()
        self.captured = Captured(shared.chance)
        self.contacts = Contacts()
        self.received: Received | None = None  # None: the client does not speak XEP-0198
        self.replay = Replay(shared, session, self)

    def managed(self) -> None:
        """The client speaks XEP-0198 from here on."""
        self.received = Received()
        self.incoming.unacknowledged = Unacknowledged()

    def leave_behind(self, now: float) -> list[Output]:
        """The session is about to end: see to what its client does not have."""
        return leave_behind(self._shared, self._session, self._arrivals.heard, now)

    def cut(self) -> None:
        """The session is over: let go of it, and of everybody else."""
        self.outgoing.clear()
        del self._session
        self._arrivals.cut()
        self.replay.cut()

    # -- from the client ----------------------------------------------------------------------------

    def from_client(self, stanza: Stanza, now: float) -> list[Output]:
        """A stanza or nonza. Raises StreamError when the client may not go on."""
        if stanza.is_stanza:
            return self._submit(stanza, now)
        session = self._session
        if stanza.namespace == MANAGEMENT and self.received is not None:
            if stanza.name == "r":
                self._owed = self.received.count if self.received.handled < self.received.count else 0
                return session.write(answer(self.received.h))
            if stanza.name == "a":
                return self.incoming.acknowledge(_h(stanza), session.client)
        if stanza.namespace == CLIENT_STATE:
            self.captured.client_state(stanza)
            leg = session.residence.active
            return [Send(leg.flow, stanza.raw)] if leg is not None and CLIENT_STATE in leg.stream.features else []
        raise StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE, stanza.name)

    def taken_over(self) -> int:
        """The client is back and asks how many of its stanzas we have (XEP-0198 section 5).

        All that came: what its server does not have yet is kept here. If it sent those again, they would be two.
        """
        assert self.received is not None
        count = self.received.count
        self.received = Received()
        self.received.count = self.received.handled = count
        self._owed = 0
        return count % WRAP

    def client_lost(self) -> None:
        """Its next connection is read from."""
        self._paused = False

    def heard(self, now: float) -> list[Output]:
        """The client has said all it says for now: ask the server what it has of it."""
        session = self._session
        leg = session.residence.active
        if leg is None or not session.residence.open:
            return []
        outputs = leg.request()
        ahead = len(self.outgoing.waiting) > AHEAD_STANZAS or self.outgoing.waiting_bytes > AHEAD_BYTES
        if ahead and not self._paused and session.client is not None:
            self._paused = True
            outputs.append(PauseReading(session.client.flow))
        return outputs

    def _submit(self, stanza: Stanza, now: float) -> list[Output]:
        session, raw = self._session, stanza.raw
        number = 0 if self.received is None else self.received.receive()
        if stanza.from_ is not None and not session.is_called(stanza.from_):
            raise StreamError(StreamCondition.INVALID_FROM, stanza.from_)
        if stanza.name == "message" and stanza.id is None:
            # RFC 6120 section 8.1.3 leaves it to the client; without one a repetition could not be told.
            stanza.attributes["id"] = self._shared.chance.token()
            raw = set_attributes(raw, {"id": stanza.id})
        self._serial += 1
        peer = bare_of(stanza.to)
        peer = "" if peer in (session.bare, session.account.domain) and stanza.name == "iq" else peer
        entry = Entry(stanza, raw, self._serial, number, now, peer)
        if stanza.name == "iq" and stanza.type in ("result", "error") and self.captured.ours(stanza.id) is not None:
            return self.handled(entry)  # the answer to a push of ours
        if stanza.name == "iq":
            self._capabilities.told(stanza)
        if not self.outgoing.waiting and not self._blocked(entry) and self._window:
            return self._send(entry, now)
        try:
            self.outgoing.wait(entry)
        except Full:
            return self.refuse(entry, StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, ErrorType.WAIT), now)
        return self.flush(now)

    def refuse(self, entry: Entry, error: StanzaError, now: float) -> list[Output]:
        """An error of ours takes the place of the effect."""
        assert entry.stanza is not None
        self.outgoing.forget_request(entry)
        reply = error_reply(entry.stanza, error, self._session.account.domain)
        told = [] if reply is None else self.deliver(set_attributes(reply, {"to": self._session.jid}), None, 0, now)
        return [*told, *self.handled(entry)]

    def _send(self, entry: Entry, now: float) -> list[Output]:
        leg = self._session.residence.active
        assert leg is not None
        self.captured.sent(entry, now)
        self.outgoing.sent(entry, now)
        return [*leg.send(self._delayed(entry, now)), *self._session.residence.reserve.follow()]

    def _blocked(self, entry: Entry) -> bool:
        """Whether it must wait: for our own server, or for somebody else's."""
        residence = self._session.residence
        if not residence.open or entry.stanza is None:
            return not residence.open
        room = self.captured.rooms.get(entry.peer)
        if room is not None:  # presence too: who leaves a room it is not back in would be put in afterwards
            return room.state in AWAITED and self.contacts.hold_ends_at is not None
        if not entry.peer or entry.stanza.name == "presence":
            return False
        # A server that does not know yet that the account's other clients want copies makes none for them.
        for account in (entry.peer, self._session.bare) if copied(entry.stanza) else (entry.peer,):
            others = self._shared.sessions.of(account)
            if any(other is not self._session and other.residence.phase in UNDER_WAY for other in others):
                self._shared.waiting_for.setdefault(account, {})[self._session] = None
                return True
        return False

    @property
    def waits_for_somebody(self) -> bool:
        """Whether anything waits that is not for a room."""
        return any(self.captured.rooms.get(entry.peer) is None for entry in self.outgoing.waiting)

    @property
    def _window(self) -> bool:
        """Whether the server may be sent another one."""
        leg = self._session.residence.active
        return leg is not None and len(leg.books.unacknowledged) < WINDOW

    def _delayed(self, entry: Entry, now: float) -> Entry:
        if entry.stanza is None or entry.stanza.name != "message" or now - entry.at < DELAYED_SECONDS:
            return entry
        if DELAY.encode() not in entry.raw:
            stamp = utc_stamp(entry.at + self._shared.epoch_offset)
            entry.raw = with_delay(entry.raw, stamp, self._session.account.domain)
        return entry

    def flush(self, now: float) -> list[Output]:
        """Send what waits and need not any more."""
        if not self.outgoing.waiting or not self._session.residence.open:
            return []
        leg = self._session.residence.active
        assert leg is not None
        going = self.outgoing.release(self._blocked, WINDOW - len(leg.books.unacknowledged))
        outputs = [output for entry in going for output in self._send(entry, now)]
        return [*outputs, *leg.request()] if going else outputs

    def acknowledged(self, entries: list[Entry], now: float) -> list[Output]:
        """A backend has these."""
        outputs: list[Output] = []
        for entry in entries:
            entry.acknowledged = True
            outputs += self.handled(entry)
        outputs += self.flush(now)
        if self._paused and len(self.outgoing.waiting) < AHEAD_STANZAS // 2:
            self._paused = False
            if self._session.client is not None:
                outputs.append(ResumeReading(self._session.client.flow))
        return outputs

    def handled(self, entry: Entry) -> list[Output]:
        """It is somebody's for certain, so the client may forget it."""
        if self.received is None or not entry.number:
            return []
        self.received.handle(entry.number)
        if not self._owed or self.received.handled < self._owed:
            return []
        self._owed = 0
        return self._session.write(answer(self.received.h))

    def has_had(self, sender: str, key: Key) -> bool:
        """Whether a message reached the client. `key` is one for no peer."""
        return self._arrivals.heard.has(sender, key)

    # -- from backends ------------------------------------------------------------------------------

    def from_backend(self, leg: BackendLeg, stanza: Stanza, number: int, now: float) -> list[Output]:
        """From the one that carries the session."""
        if self._arrivals.is_bounce(stanza):
            if stanza.name == "presence":
                return leg.handle(number)
            self._bounces.append(Bounce(now + BOUNCE_SECONDS, stanza, leg, number))
            self._session.holding()
            return []
        if stanza.name == "iq" and self.contacts.hold_ends_at is not None and self._capabilities.asked(stanza, now):
            self._session.holding()
            return leg.handle(number)
        return self._arrived(leg, stanza, number, now)

    def _arrived(self, leg: BackendLeg, stanza: Stanza, number: int, now: float) -> list[Output]:
        passes = self._arrivals.passes(stanza, now)
        outputs = self.deliver(stanza.raw, leg, number, now) if passes else leg.handle(number)
        pending, self.pending = self.pending, []
        return [*outputs, *pending]

    def forget_bounces(self) -> None:
        """Another server speaks now."""
        self._bounces.clear()
        self._capabilities.forget()

    @property
    def due_at(self) -> float | None:
        """When the next error that seems wrong is believed, or a server is told what the client can."""
        due = [*(bounce.at for bounce in self._bounces[:1]), self._capabilities.due_at]
        return min((at for at in due if at is not None), default=None)

    def capabilities(self, now: float) -> list[Output]:
        """Tell a new server what it asked a while ago."""
        leg = self._session.residence.active
        if leg is None:
            return []  # another one will ask anew
        outputs = [output for raw in self._capabilities.due(now) for output in leg.send(own(raw))]
        return [*outputs, *leg.request()] if outputs else []

    def bounces(self, now: float) -> list[Output]:
        """The server is still there, so it meant what it said; unless it is just putting out whom it spoke of."""
        outputs: list[Output] = []
        while self._bounces and self._bounces[0].at <= now:
            bounce = self._bounces.pop(0)
            if self._arrivals.is_in_doubt(bounce.stanza):
                bounce.at = now + BOUNCE_SECONDS
                self._bounces.append(bounce)
                continue
            outputs += self._arrived(bounce.leg, bounce.stanza, bounce.number, now)
        return outputs

    def from_elsewhere(self, leg: BackendLeg, stanza: Stanza, number: int, now: float) -> list[Output]:
        """From one where the session is kept ready, or was."""
        answer = self._capabilities.answer(stanza)
        if answer is None and leg.ahead is not None and leg.ahead.takes(stanza, self.contacts):
            return leg.handle(number)
        if answer is None and self._arrivals.passes_from_elsewhere(stanza, now):
            return self.deliver(stanza.raw, leg, number, now)
        outputs = leg.handle(number)
        if stanza.name != "iq" or stanza.type not in ("get", "set") or not leg.ready:
            return outputs
        if PING.encode() in stanza.raw:
            answer = result_reply(stanza)
        reply = answer or error_reply(stanza, StanzaError(StanzaCondition.SERVICE_UNAVAILABLE))
        return outputs if reply is None else [*outputs, *leg.send(own(reply)), *leg.request()]

    def deliver(self, raw: bytes, leg: BackendLeg | None, number: int, now: float) -> list[Output]:
        """To the client. `leg` None: it is ours."""
        client = self._session.client
        try:
            written = self.incoming.deliver(raw, client, leg, number)
        except StreamError as error:
            return self._session.finish(error, now)
        return written if client is None else [*written, *self.incoming.request(client)]

    # -- after a move -------------------------------------------------------------------------------

    def arrived(self, leg: BackendLeg, now: float) -> list[Output]:
        """The server knows all that."""
        state = self.captured.state(leg.stream.features)
        pending, self.pending = self.pending, []
        told = [*([Send(leg.flow, state)] if state else []), *pending, *self.flush(now)]
        return [*told, *self.replay.rest(leg, now)]

    def catch_up(self, kept: list[Stanza], now: float) -> None:
        """The server that said this carries the session now."""
        for stanza in kept:
            if self._capabilities.asked(stanza, now):
                self._session.holding()
            elif self._arrivals.passes(stanza, now):
                self.pending += self.deliver(stanza.raw, None, 0, now)

    def push(self, raws: list[bytes], now: float) -> None:
        """What the client must hear, besides what arrived or in its place."""
        for raw in raws:
            self.pending += self.deliver(raw, None, 0, now)

    def hold(self, now: float) -> None:
        """Somebody who is moving is said to be gone: wait before that is believed."""
        if self.contacts.hold_ends_at is None:
            self.contacts.hold_ends_at = now + HOLD_SECONDS
        self._session.holding()

    def hold_is_over(self, now: float) -> list[Output]:
        """Tell the client of those who did not come back."""
        if self._session.residence.phase in (*UNDER_WAY, Phase.STRANDED):
            self.contacts.hold_ends_at = now + HOLD_SECONDS  # it is we who did not
            return []
        told = [out for raw in self._arrivals.overdue(now) for out in self.deliver(raw, None, 0, now)]
        pending, self.pending = self.pending, []
        return [*told, *pending, *self.flush(now)]


def _h(stanza: Stanza) -> int:
    h = count_of(stanza.attributes)
    if h is None:
        raise StreamError(StreamCondition.BAD_FORMAT, "h is no number of 32 bits")
    return h
