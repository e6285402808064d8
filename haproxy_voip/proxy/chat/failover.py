"""What follows when the chat of a backend goes or comes, and the record of it.

Everybody leaves before anybody arrives elsewhere, so that what is for somebody who is still under way waits for it.
Sessions follow the active backend: two users at two servers that know nothing of each other could not talk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from haproxy_voip.cluster.detector import BackendDown, Signal
from haproxy_voip.cluster.health import Health
from haproxy_voip.cluster.pool import ActiveChanged
from haproxy_voip.proxy.backends import Judgement, Retired, Returned, Verdict
from haproxy_voip.proxy.chat_facts import ChatFailover
from haproxy_voip.proxy.facts import AdminChanged, BackendLeaves, BackendRestarted
from haproxy_voip.proxy.isolation import apart
from haproxy_voip.proxy.shared import Output
from haproxy_voip.xmpp.errors import StreamCondition, StreamError

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.session import Session
    from haproxy_voip.proxy.chat.shared import ChatShared

# Kept for `status`; older ones are in the log.
RECORDS_KEPT = 20


class _Underway:
    """A failover that is not over."""

    __slots__ = ("record", "sessions")

    def __init__(self, record: ChatFailover, sessions: list[Session]) -> None:
        self.record = record
        self.sessions = dict.fromkeys(sessions)


class Failovers:
    """See the module."""

    def __init__(self, shared: ChatShared) -> None:
        self._shared = shared
        self._underway: list[_Underway] = []
        self._sent_again = 0
        self.retired: Callable[[float], None] = lambda now: None  # told when a removed backend is not needed any more
        self.records: deque[ChatFailover] = deque(maxlen=RECORDS_KEPT)

    # -- what tells of a backend's state ------------------------------------------------------------

    def stream_ended(self, backend: str, error: StreamError | None, reason: str, now: float) -> list[Output]:
        """A session's connection there is over."""
        backends = self._shared.backends
        if error is not None and error.condition is StreamCondition.SYSTEM_SHUTDOWN:
            return self.carry_out(backends.shuts_down(backend, now), now)
        return self.carry_out(backends.doubt(backend, f"chat stream ended: {error or reason}", now), now)

    def probe_answered(self, backend: str, number: int, now: float) -> list[Output]:
        """A session's server answered what is a health probe at the same time."""
        return self.carry_out(self._shared.backends.probe_answered(backend, number, now), now)

    def carry_out(self, judged: list[Judgement], now: float) -> list[Output]:
        """Do what must be done; facts and effects of the health checks pass through."""
        outputs: list[Output] = []
        for item in judged:
            match item:
                case Verdict(backend, down):
                    outputs += self._leave(backend, down, now)
                case Returned():
                    outputs += self._review(now)
                case Retired(backend):
                    outputs += self._retire(backend, now)
                case BackendRestarted():
                    outputs.append(item)  # every session of it has lost its connection, and returns by itself
                case ActiveChanged():
                    outputs += [item, *self._follow(now)]
                case AdminChanged():
                    outputs += [item, *self._review(now)]
                case _:
                    outputs.append(item)
        return outputs

    # -- what sessions tell -------------------------------------------------------------------------

    def sent_again(self, count: int) -> None:
        """So many stanzas were in doubt."""
        self._sent_again += count

    def settled(self, session: Session, now: float) -> list[Output]:
        """It is back."""
        outputs: list[Output] = []
        for one in list(self._underway):
            if one.sessions.pop(session, 1) is None and not one.sessions:
                self._underway.remove(one)
                outputs.append(self._closed(one.record, now))
        return outputs

    def ended(self, session: Session, now: float) -> list[Output]:
        """It will not come back."""
        for one in self._underway:
            if session in one.sessions:
                reason = "ended on the way"
                one.record.lost[reason] = one.record.lost.get(reason, 0) + 1
        return self.settled(session, now)

    def _closed(self, record: ChatFailover, now: float) -> ChatFailover:
        record.settled_after = now - record.judged_at
        record.resent, self._sent_again = self._sent_again, 0
        self.records.append(record)
        return record

    # -- what is done -------------------------------------------------------------------------------

    def _leave(self, backend: str, down: BackendDown | None, now: float) -> list[Output]:
        shared = self._shared
        here = list(shared.sessions.by_backend[backend])
        if down is None:  # it is well: nobody needs to run
            return self._relocate(here, now)
        outputs: list[Output] = []
        in_peace = down.signal == Signal.SHUTDOWN
        shared.lines[backend].reset()
        for line in shared.lines.values():
            line.rest(now)
        for session in list(shared.sessions.all):
            outputs += apart(lambda one, at: one.residence.leave(backend, at, in_peace=in_peace), session, now)
        record = ChatFailover(
            backend, shared.backends.pool.active, down.signal, down.detected_after, len(here), 0.0, 0, {}, now
        )
        moving = [session for session in here if session.jid]
        if moving:
            self._underway.append(_Underway(record, moving))
        for session in here:
            outputs += apart(_go, session, now)
        for session in shared.sessions.all:
            outputs += apart(_review, session, now)
        if not moving:
            return [*outputs, self._closed(record, now)] if here else outputs
        return outputs

    def _retire(self, backend: str, now: float) -> list[Output]:
        """It was removed, and is well: nobody needs to run."""
        self.retired(now)
        here = list(self._shared.sessions.by_backend[backend])
        return [BackendLeaves(backend, "xmpp"), *self._relocate(here, now), *self._review(now)]

    def _follow(self, now: float) -> list[Output]:
        """Another backend is the active one. The sessions of a dead one are taken care of with its verdict."""
        shared = self._shared
        here: list[Session] = []
        for name, sessions in shared.sessions.by_backend.items():
            if name is None or shared.backends.pool.members[name].health is Health.UP:
                here += sessions
        return self._relocate(here, now)

    def _relocate(self, here: list[Session], now: float) -> list[Output]:
        outputs = [output for session in here for output in apart(_relocate, session, now)]
        return [*outputs, *self.hand_over(now)]

    def hand_over(self, now: float) -> list[Output]:
        """Those leave whose server has all that it was sent."""
        return [output for session in self._shared.handover.take() for output in apart(_hand_over, session, now)]

    def _review(self, now: float) -> list[Output]:
        """A backend more: perhaps a better reserve, perhaps the first one at all."""
        return [output for session in list(self._shared.sessions.all) for output in apart(_review, session, now)]


def _go(session: Session, now: float) -> list[Output]:
    return session.residence.go(now)


def _relocate(session: Session, now: float) -> list[Output]:
    return session.residence.relocate(now)


def _hand_over(session: Session, now: float) -> list[Output]:
    return session.residence.hand_over(now)


def _review(session: Session, now: float) -> list[Output]:
    return session.residence.keep_reserve(now)
