"""Where a session lives: the leg that carries it, and the move from one backend to another.

Its life: logging in, settled, interrupted (the connection ended and nobody knows why yet), moving, arriving, handing
over (leaving a server that is well), stranded (no backend is up). Every change of phase goes through `_enter`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.proxy.chat.backend_leg import BackendLeg
from haproxy_voip.proxy.chat.captured import UNAVAILABLE
from haproxy_voip.proxy.chat.entry import Entry, own
from haproxy_voip.proxy.chat.phases import Phase
from haproxy_voip.proxy.chat.reserve import Reserve
from haproxy_voip.proxy.chat_facts import ChatLoginRefused
from haproxy_voip.proxy.shared import Output
from haproxy_voip.xmpp.client_stream import Authenticated, LoginFailed, Ready
from haproxy_voip.xmpp.errors import SaslCondition, StreamCondition, StreamError
from haproxy_voip.xmpp.framing import Stanza

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.session import Session
    from haproxy_voip.proxy.chat.shared import ChatShared

# A connection that ended may be the first sign of a backend's end, which probes confirm within milliseconds. After this
# time the backend is taken to be well, and the connection is made anew.
DOUBT_SECONDS = 0.050
# A session whose connections a backend ends again and again is not wanted there.
INTERRUPTIONS_MAX, INTERRUPTIONS_SECONDS = 5, 30.0
# Leaving a server that is well: how long it may take to acknowledge what it was sent.
HANDOVER_SECONDS = 1.0
# A resource may still be taken by a ghost of this very session, which its server has yet to notice.
CONFLICT_RETRIES, CONFLICT_SECONDS = 3, 1.0


class Residence:
    """See the module. It speaks with `session` about everything that concerns the client."""

    __slots__ = (
        "_arrived_at", "_conflicts", "_interruptions", "_session", "_shared", "_tried", "active", "backend", "coming",
        "phase", "reserve",
    )  # fmt: skip

    def __init__(self, shared: ChatShared, session: Session) -> None:
        self._shared = shared
        self._session = session
        self.phase = Phase.NOWHERE
        self.backend: str | None = None  # where it is or shall be
        self.active: BackendLeg | None = None
        self.coming: BackendLeg | None = None  # logs in to become the active one
        self.reserve = Reserve(shared, session)
        self._arrived_at = 0  # acknowledging so many stanzas, the server knows everything
        self._tried: list[str] = []  # backends that did not let us in
        self._conflicts = 0
        self._interruptions: list[float] = []

    @property
    def open(self) -> bool:
        """Whether stanzas may be sent now."""
        return self.phase in (Phase.SETTLED, Phase.ARRIVING)

    # -- the first login ----------------------------------------------------------------------------

    def begin(self, now: float) -> list[Output]:
        """Log in at the backend for new sessions. The session hears `accepted` or `not_accepted`."""
        choices = [name for name in self._shared.backends.eligible if name not in self._tried]
        if not choices:
            return self._session.not_accepted(SaslCondition.TEMPORARY_AUTH_FAILURE, "no backend is up", now)
        self._enter(Phase.LOGGING_IN)
        self._lives_at(choices[0])
        return self._queue(now)

    def bind(self, now: float) -> list[Output]:
        """The client has asked for its resource."""
        if self.phase is Phase.NOWHERE:
            return self.begin(now)
        if self.phase is not Phase.UNBOUND or self.coming is None:
            return []  # a login is under way
        self._enter(Phase.BINDING)
        return self.coming.bind(now, self._session.resource)

    def log_in(self, backend: str, now: float) -> list[Output]:
        """Its turn has come (`Line`)."""
        earlier = self.reserve.left.get(backend)
        resume = None if earlier is None else earlier.resume
        login = self._session.login(backend, bind=bool(self._session.jid), resume=resume, now=now)
        self.coming = BackendLeg(self._shared, self, backend, login)
        self.coming.earlier = earlier
        return self.coming.open()

    # -- what legs tell -----------------------------------------------------------------------------

    def leg_authenticated(self, leg: BackendLeg, event: Authenticated, now: float) -> list[Output]:
        """The first login is over."""
        self._session.logged_in(leg, event)
        if leg.stream.login.bind:
            return []
        if self._session.jid:  # it was to be a warm reserve, and is needed
            return leg.bind(now, self._session.resource)
        self._enter(Phase.UNBOUND)
        return [*self._shared.lines[leg.backend].took(self, now), *self._session.accepted(leg.stream.features, now)]

    def leg_ready(self, leg: BackendLeg, event: Ready, now: float) -> list[Output]:
        """Bound."""
        outputs = self._shared.lines[leg.backend].took(self, now)
        self._doubt(now)
        self.reserve.left.pop(leg.backend, None)  # what was there has been thrown out by this
        if not self._session.jid:
            self.active, self.coming = leg, None
            self._enter(Phase.SETTLED)
            return [*outputs, *self._session.bound(event.jid, now), *self._stay(now)]
        if str(event.jid) != self._session.jid:
            self.coming = None
            return [*outputs, *self.reserve.retire(leg, now), *self._conflict(now)]
        self._conflicts = 0
        return [*outputs, *self._come(leg, now)]

    def leg_resumed(self, leg: BackendLeg, handled: list[Entry], now: float) -> list[Output]:
        """Back where it was; or where it was once, and much has happened since."""
        outputs = self._shared.lines[leg.backend].took(self, now)
        if leg.books.doubted:
            outputs += self._session.traffic.acknowledged(handled, now)
            leg.begin_again()
            self.reserve.left.pop(leg.backend, None)
            # It may be in rooms there that the client has left since, and is told of nobody whom it heard of before.
            return [*outputs, *leg.send(own(UNAVAILABLE)), *self._come(leg, now)]
        self.reserve.left.pop(leg.backend, None)
        self.active, self.coming = leg, None
        outputs += [*self._session.traffic.acknowledged(handled, now), *leg.send_again(), *leg.request()]
        self._enter(Phase.SETTLED)
        self._session.traffic.incoming.carried_on(leg)
        return [*outputs, *self._settled(now)]

    def leg_failed(self, leg: BackendLeg, event: LoginFailed, now: float) -> list[Output]:
        """Not let in."""
        self.coming = None
        line = self._shared.lines[leg.backend]
        reason = f"{event.condition} {event.text}".rstrip()
        refused = ChatLoginRefused(leg.backend, self._session.token, reason)
        if event.condition == StreamCondition.CONFLICT and self._session.jid:
            line.leave(self)
            return [refused, *self._conflict(now)]
        if event.temporary and self._session.jid:
            line.refused(self, now)
            return [refused, *self._queue(now)]
        line.leave(self)
        self._tried.append(leg.backend)
        if event.temporary:
            return [refused, *self.begin(now)]
        return [refused, *self._session.unwelcome(reason, now)]

    def leg_stanza(self, leg: BackendLeg, stanza: Stanza, number: int, now: float) -> list[Output]:
        """Something for the client, perhaps."""
        return self._session.traffic.from_backend(leg, stanza, number, now)

    def leg_acknowledged(self, leg: BackendLeg, entries: list[Entry], now: float) -> list[Output]:
        """The backend has these."""
        outputs = self._session.traffic.acknowledged(entries, now)
        if leg is not self.active:
            return outputs
        unacknowledged = leg.books.unacknowledged
        if self.phase is Phase.ARRIVING and unacknowledged.acknowledged >= self._arrived_at:
            self._enter(Phase.SETTLED)
            outputs += self._settled(now)
        elif self.phase is Phase.HANDOVER and unacknowledged.sent == unacknowledged.acknowledged:
            self._shared.handover.ready(self._session, leg.backend)
            outputs += self._shared.failovers.hand_over(now)
        elif self.phase is Phase.SETTLED:
            outputs += self._session.traffic.replay.acknowledged(leg, now)
        return outputs

    def leg_lost(self, leg: BackendLeg, error: StreamError | None, reason: str, now: float) -> list[Output]:
        """A connection is over."""
        if leg is self.coming:
            self.coming = None
            self._shared.lines[leg.backend].refused(self, now)
            outputs = self._shared.failovers.stream_ended(leg.backend, error, reason, now)
            return outputs if self.coming is not None else [*outputs, *self._login_lost(leg, reason, now)]
        if leg is not self.active:
            return []
        self.active = None
        self.reserve.left[leg.backend] = leg.books
        if error is not None and error.condition is StreamCondition.CONFLICT:
            # Somebody else has taken this very resource there: RFC 6120 section 7.7.2.2, case 3.
            self.reserve.left.clear()
            return self._session.finish(error, now)
        self._enter(Phase.INTERRUPTED, now + DOUBT_SECONDS)
        return self._shared.failovers.stream_ended(leg.backend, error, reason, now)

    # -- moves --------------------------------------------------------------------------------------

    def leave(self, backend: str, now: float, *, in_peace: bool) -> list[Output]:
        """That backend is gone: what it was sent is in doubt. `go` comes next, once everybody has left.

        In peace: it says that it goes, so what it still says is heard.
        """
        outputs = self.reserve.abandon(backend)
        if self.coming is not None and self.coming.backend == backend:
            outputs += self.coming.abandon()
            self.coming = None
        leg = self.active
        if leg is not None and leg.backend == backend:
            self.active = None
            self.reserve.left[backend] = leg.books
            outputs += self.reserve.retire(leg, now) if in_peace else leg.abandon()
        self._shared.lines[backend].leave(self)
        if self.backend == backend and self._session.jid:
            self._enter(Phase.MOVING)
        return outputs

    def go(self, now: float) -> list[Output]:
        """To the backend for new sessions, or wait for one."""
        if not self._session.jid:
            return self.begin(now)
        target = self._shared.backends.pool.active
        if self.coming is not None:
            if self.coming.backend == target:
                return []
            stale, self.coming = self.coming, None
            return [*stale.abandon(), *self.go(now)]
        if self.backend is not None:
            self._shared.lines[self.backend].leave(self)
        self._lives_at(target)
        self._tried = []
        if target is None:
            self._enter(Phase.STRANDED)
            return []
        self._enter(Phase.MOVING)
        ready = self.reserve.surrender(target)
        return self._queue(now) if ready is None else self._adopt(ready, now)

    def relocate(self, now: float) -> list[Output]:
        """Another backend is preferred now, and the one it is at is well: go there without haste, with all others
        (`Failovers.hand_over`).
        """
        target = self._shared.backends.pool.active
        if self.phase is Phase.STRANDED:
            return self.go(now)
        if self.phase is not Phase.SETTLED or target is None or target == self.backend:
            return []
        self._enter(Phase.HANDOVER, now + HANDOVER_SECONDS)
        assert self.active is not None
        books = self.active.books.unacknowledged
        self._shared.handover.begin(self._session, self.active.backend, ready=books.sent == books.acknowledged)
        return self.active.request()

    def keep_reserve(self, now: float) -> list[Output]:
        """Have what is configured at the backend that would be next."""
        if self.phase is not Phase.SETTLED or self.backend is None:
            return []
        return self.reserve.keep(self._shared.backends.next_after(self.backend), now)

    def end(self, now: float) -> list[Output]:
        """The session is over: close every leg in peace."""
        self._enter(Phase.GONE)
        for line in self._shared.lines.values():
            line.leave(self)
        outputs = self.reserve.end(now)
        for leg in (self.active, self.coming):
            if leg is not None:
                outputs += leg.close(now)
                leg.owner = None
        self.active = self.coming = None
        return outputs

    def wake(self, now: float) -> list[Output]:
        """Something took its time."""
        match self.phase:
            case Phase.INTERRUPTED:
                return self._return(now)
            case Phase.HANDOVER:
                return self.hand_over(now)
            case Phase.MOVING if self.coming is None and self.backend is not None:
                return self._queue(now)
            case _:
                return []

    def cut(self) -> None:
        """The session is over: let go of it."""
        del self._session
        self.reserve.cut()

    # -----------------------------------------------------------------------------------------------

    def _enter(self, phase: Phase, wake_at: float | None = None) -> None:
        if self.phase is Phase.HANDOVER and self.backend is not None:
            self._shared.handover.end(self._session, self.backend)
        self.phase = phase
        self._shared.alarms.set(self, wake_at)

    def _lives_at(self, backend: str | None) -> None:
        self.backend = backend
        self._shared.sessions.lives_at(self._session, backend)

    def _queue(self, now: float) -> list[Output]:
        assert self.backend is not None
        line = self._shared.lines[self.backend]
        line.join(self, urgent=True)
        return line.pump(now)

    def _adopt(self, leg: BackendLeg, now: float) -> list[Output]:
        """The reserve is needed, however far it has come."""
        leg.owner = self
        if leg.ready:
            return self._come(leg, now)
        self.coming = leg
        return leg.bind(now, self._session.resource) if leg.authenticated else []

    def _come(self, leg: BackendLeg, now: float) -> list[Output]:
        """Tell the server everything it must know, and send what is in doubt."""
        self.active, self.coming = leg, None
        self._enter(Phase.ARRIVING)
        self._doubt(now)
        outputs = [output for raw in self._session.traffic.replay.told(leg, now) for output in leg.send(own(raw))]
        self._arrived_at = leg.books.unacknowledged.sent
        if leg.books.unacknowledged.acknowledged == self._arrived_at:
            self._enter(Phase.SETTLED)
            return self._settled(now)
        return [*outputs, *self._session.traffic.flush(now), *leg.request()]

    def _settled(self, now: float) -> list[Output]:
        return [*self._session.settled(now), *self._stay(now)]

    def _stay(self, now: float) -> list[Output]:
        """Here, if this is still where sessions are to be; else go on at once."""
        return [*self.relocate(now), *self._shared.failovers.hand_over(now), *self.keep_reserve(now)]

    def hand_over(self, now: float) -> list[Output]:
        """What the old server was sent it has, or it had time enough."""
        if self.phase is not Phase.HANDOVER:
            return []  # whoever went before it has changed that
        leg, self.active = self.active, None
        assert leg is not None
        self._session.traffic.replay.doubt(leg.books, now)
        self._enter(Phase.MOVING)
        return [*self.go(now), *self.reserve.retire(leg, now)]

    def _return(self, now: float) -> list[Output]:
        """The backend is well, so it was this connection only."""
        self._interruptions = [at for at in self._interruptions if now - at < INTERRUPTIONS_SECONDS] + [now]
        if len(self._interruptions) > INTERRUPTIONS_MAX:
            text = "the server ends its connections again and again"
            return self._session.finish(StreamError(StreamCondition.REMOTE_CONNECTION_FAILED, text), now)
        return self.go(now)

    def _doubt(self, now: float) -> None:
        """What was sent elsewhere and not acknowledged there will not be."""
        for books in self.reserve.left.values():
            self._session.traffic.replay.doubt(books, now)

    def _conflict(self, now: float) -> list[Output]:
        self._conflicts += 1
        if self._conflicts > CONFLICT_RETRIES:
            return self._session.finish(StreamError(StreamCondition.CONFLICT, "the resource is taken"), now)
        self._enter(Phase.MOVING, now + CONFLICT_SECONDS)
        return []

    def _login_lost(self, leg: BackendLeg, reason: str, now: float) -> list[Output]:
        """While it logged in. The backend may be about to be judged."""
        if self._session.jid:
            return self._queue(now) if self.phase is Phase.MOVING and self.backend == leg.backend else []
        self._tried.append(leg.backend)
        return self.begin(now)
