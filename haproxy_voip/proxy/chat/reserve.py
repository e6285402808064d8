"""What is kept ready for a session at the server that would be next: nothing, a login, or the session itself, unseen.

Hot: the same resource is bound there too, and no presence is sent, so that nobody sees it. Available: presence is sent,
and all else that the client tells its server (ahead.py). Warm: logged in, not bound.

It also fences. A server that was left without a word, because it was frozen or cut off, may come back with stanzas for
the client that nobody else has. Its old session is resumed (XEP-0198 section 5): what comes then is passed on unless
it was seen before, and afterwards the session is a reserve like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.proxy.chat.ahead import Ahead
from haproxy_voip.proxy.chat.backend_leg import BackendLeg, Books
from haproxy_voip.proxy.chat.captured import UNAVAILABLE
from haproxy_voip.proxy.chat.entry import Entry, own
from haproxy_voip.proxy.chat_facts import ChatLoginRefused
from haproxy_voip.proxy.shared import Output
from haproxy_voip.xmpp.client_stream import Authenticated, LoginFailed, Ready
from haproxy_voip.xmpp.errors import StreamError
from haproxy_voip.xmpp.framing import Stanza

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.session import Session
    from haproxy_voip.proxy.chat.shared import ChatShared

# One that could not be had, or was lost, is tried again after a pause, doubled up to the last while there is none: a
# server that starts lets the first ones down, and one that will not have them is not asked all the time.
RETRY_FIRST, RETRY_LAST = 1.0, 30.0
# A roster changed: until the user's sessions there have ended, and no more changes come.
RENEW_SECONDS = 1.0

# Where a session with the client's resource is bound in reserve.
BOUND = ("available", "hot")


class Reserve:
    """At most one leg. `left` are the sessions abandoned elsewhere, by backend."""

    __slots__ = ("_pause", "_retiring", "_session", "_shared", "_target", "_visiting", "left", "leg")

    def __init__(self, shared: ChatShared, session: Session) -> None:
        self._shared = shared
        self._session = session
        self._target: str | None = None
        self._pause = RETRY_FIRST
        self._retiring: list[BackendLeg] = []
        self._visiting = False  # the leg is there only to hear what the old session has for us
        self.leg: BackendLeg | None = None
        self.left: dict[str, Books] = {}

    @property
    def target(self) -> str | None:
        """The backend where something is kept ready, or shall be."""
        return self._target

    def keep(self, backend: str | None, now: float) -> list[Output]:
        """Have what is configured there; None: nowhere."""
        wanted = backend is not None and (self._shared.settings(backend).standby != "cold" or self._may_visit(backend))
        target = backend if wanted else None
        if target == self._target:
            return []
        outputs = self.give_up(now)
        self._target = target
        return outputs if target is None else [*outputs, *self._queue(now)]

    def log_in(self, backend: str, now: float) -> list[Output]:
        """Its turn has come (`Line`)."""
        earlier = self.left.get(backend)
        bind = self._shared.settings(backend).standby in BOUND
        resume = None if earlier is None else earlier.resume
        # Warm: where the old session is no more, nothing is bound. A member of a cluster would throw out the one
        # that carries the client.
        login = self._session.login(backend, bind=bind, resume=resume, now=now)
        self.leg, self._visiting = BackendLeg(self._shared, self, backend, login), False
        self.leg.earlier = earlier
        return self.leg.open()

    def renew(self, now: float) -> list[Output]:
        """The roster changed. Servers that share rosters read one when the account's first session there begins: leave,
        and come again.
        """
        target = self._target
        if target is None or self._shared.settings(target).standby not in BOUND:
            return []
        outputs = self.give_up(now)
        self._target = target
        self._shared.alarms.set(self, now + RENEW_SECONDS)
        return outputs

    def surrender(self, backend: str) -> BackendLeg | None:
        """The leg at that backend is needed; from now on it is somebody else's."""
        if self._target != backend:
            return None
        # Also when there is no leg yet: two logins of one resource would throw each other out.
        self._shared.lines[backend].leave(self)
        self._shared.alarms.set(self, None)
        leg, self.leg, self._target = self.leg, None, None
        return leg

    def abandon(self, backend: str) -> list[Output]:
        """That backend is gone."""
        outputs = [output for leg in self._retiring if leg.backend == backend for output in leg.abandon()]
        self._retiring = [leg for leg in self._retiring if leg.backend != backend]
        if self._target == backend:
            self._shared.lines[backend].leave(self)
            self._target = None
        if self.leg is not None and self.leg.backend == backend:
            outputs += self.leg.abandon()
            self.leg = None
        return outputs

    def give_up(self, now: float) -> list[Output]:
        """It is not wanted any more."""
        if self._target is not None:
            self._shared.lines[self._target].leave(self)
        self._shared.alarms.set(self, None)
        leg, self.leg, self._target = self.leg, None, None
        return [] if leg is None else self.retire(leg, now)

    def end(self, now: float) -> list[Output]:
        """The session is over."""
        outputs = self.give_up(now)
        for leg in self._retiring:
            leg.owner = None
        self._retiring.clear()
        self.left.clear()
        return outputs

    def cut(self) -> None:
        """Let go of the session."""
        del self._session

    def retire(self, leg: BackendLeg, now: float) -> list[Output]:
        """Close this one in peace; what still comes of it is passed on."""
        leg.owner = self
        self._retiring.append(leg)
        return leg.close(now)

    def wake(self, now: float) -> list[Output]:
        """Try again."""
        return [] if self.leg is not None or self._target is None else self._queue(now)

    def follow(self) -> list[Output]:
        """The client told its server something: so do we tell this one, where it is available."""
        leg = self.leg
        if leg is None or leg.ahead is None or not leg.ready:
            return []
        told = [output for raw in self._session.traffic.captured.news(leg.ahead) for output in leg.send(own(raw))]
        return [*told, *leg.request()]

    def _available(self, leg: BackendLeg) -> list[Output]:
        if leg is not self.leg or self._shared.settings(leg.backend).standby != "available":
            return []
        leg.ahead = Ahead()
        return self.follow()

    def _may_visit(self, backend: str) -> bool:
        """Whether an old session is there that may have something for the client."""
        earlier = self.left.get(backend)
        return earlier is not None and earlier.resume is not None

    def _try_later(self, now: float) -> None:
        self._shared.alarms.set(self, now + self._pause)
        self._pause = min(2 * self._pause, RETRY_LAST)

    def _queue(self, now: float) -> list[Output]:
        assert self._target is not None
        line = self._shared.lines[self._target]
        line.join(self, urgent=False)
        return line.pump(now)

    # -- what the leg tells -------------------------------------------------------------------------

    def leg_authenticated(self, leg: BackendLeg, event: Authenticated, now: float) -> list[Output]:
        """Warm, if that is all that is wanted."""
        self._session.logged_in(leg, event)
        if not leg.authenticated:
            return []  # it is bound next, or the old session is asked for
        self.left.pop(leg.backend, None)
        outputs = self._shared.lines[leg.backend].took(self, now)
        if self._shared.settings(leg.backend).standby == "cold":  # it was for the old session, which is no more
            self.leg = self._target = None
            outputs += self.retire(leg, now)
        return outputs

    def leg_ready(self, leg: BackendLeg, event: Ready, now: float) -> list[Output]:
        """Hot. A server that names the session otherwise has another one of that name: this one is of no use."""
        self.left.pop(leg.backend, None)
        outputs = self._shared.lines[leg.backend].took(self, now)
        if str(event.jid) != self._session.jid and leg is self.leg:
            self.leg = None
            self._try_later(now)
            outputs += self.retire(leg, now)
        else:
            self._pause = RETRY_FIRST
            outputs += self._available(leg)
        return outputs

    def leg_resumed(self, leg: BackendLeg, handled: list[Entry], now: float) -> list[Output]:
        """The old session again. What it was sent and never had went elsewhere: begin to count where it stands."""
        self.left.pop(leg.backend, None)
        outputs = self._shared.lines[leg.backend].took(self, now)
        leg.begin_again()
        # What it sends again comes before its acknowledgement of this, and must be acknowledged before the end: else it
        # is stored there, and delivered once more at the next login.
        self._visiting = self._shared.settings(leg.backend).standby not in BOUND
        return [*outputs, *leg.send(own(UNAVAILABLE)), *self._available(leg), *leg.request()]

    def leg_failed(self, leg: BackendLeg, event: LoginFailed, now: float) -> list[Output]:
        """Not let in; `leg_lost` follows."""
        reason = f"{event.condition} {event.text}".rstrip()
        return [ChatLoginRefused(leg.backend, self._session.jid, f"{reason} (kept in reserve)")]

    def leg_stanza(self, leg: BackendLeg, stanza: Stanza, number: int, now: float) -> list[Output]:
        """Somebody reaches the client there."""
        return self._session.traffic.from_elsewhere(leg, stanza, number, now)

    def leg_acknowledged(self, leg: BackendLeg, entries: list[Entry], now: float) -> list[Output]:
        """A leg that is closed still says what it has."""
        outputs = self._session.traffic.acknowledged(entries, now)
        if leg is not self.leg or not self._visiting:
            return outputs
        self._visiting = False
        self.leg = None
        outputs += self.retire(leg, now)
        if self._shared.settings(leg.backend).standby == "warm":
            return [*outputs, *self._queue(now)]
        self._target = None
        return outputs

    def leg_lost(self, leg: BackendLeg, error: StreamError | None, reason: str, now: float) -> list[Output]:
        """Gone."""
        if leg in self._retiring:
            self._retiring.remove(leg)
            return []
        if leg is not self.leg:
            return []
        self.leg = None
        self._shared.lines[leg.backend].leave(self)
        self._try_later(now)
        return self._shared.failovers.stream_ended(leg.backend, error, reason, now)
