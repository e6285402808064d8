"""One call: the INVITE that came in, the INVITE we sent on, and after the answer the two dialogs.

The caller is a client and the callee a backend, or the other way round: a call between two phones through a PBX
is two of these. Before the answer the backend may die without anybody noticing: as callee it is replaced by the
next one, as caller it leaves the callee's phone ringing for the next one to claim (see calls.py).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from haproxy_voip.core.address import Flow
from haproxy_voip.proxy import farewell
from haproxy_voip.proxy.answer import AnswerAwaitingAck
from haproxy_voip.proxy.attempt import Attempt
from haproxy_voip.proxy.caller import Caller, Incoming
from haproxy_voip.proxy.facts import CallAnswered, CallEnded, CallMoved, CallStarted
from haproxy_voip.proxy.invitation import Invitation
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.media import CallMedia, Place, carries_sdp
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Header, Message, Request, Response, header, response_to
from haproxy_voip.sip.sdp import Description
from haproxy_voip.sip.transactions import ServerTransaction

if TYPE_CHECKING:
    from haproxy_voip.proxy.calls import Calls

# How long a phone rings on for a backend that died before another one claims it. Longer than any failover
# takes, shorter than a caller waits.
CLAIM_SECONDS = 4.0
# An ended dialog is kept for what is still under way in it: a crossing BYE, the last NOTIFY of a transfer.
LINGER_SECONDS = 32.0
# A backend says so when it has no room; anything else it says is about the call (RFC 3261 section 16.7).
BACKEND_UNAVAILABLE = frozenset({408, 503})
# What may still be under way in a call that ended.
AFTER_THE_END = frozenset({"BYE", "NOTIFY"})


class CallState(StrEnum):
    """How far a call has come."""

    CALLING = "calling"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


class Call:
    """See the module. `callee.side` says which of the two sides is called; it never changes."""

    __slots__ = (
        "_answered_at", "_held", "_home", "_shared", "_started_at", "attempt", "backend", "callee", "callee_leg",
        "caller", "caller_user", "media", "offered", "state", "token", "tried", "user",
    )  # fmt: skip

    def __init__(self, shared: Shared, home: Calls, incoming: Incoming, callee: Invitation, now: float) -> None:
        self._shared = shared
        self._home = home
        self.token = shared.chance.token()
        self.caller: Caller | None = Caller(shared, self, callee.side.other, incoming)  # None: no backend claims it
        self.callee = callee
        self.callee_leg: Leg | None = None
        self.user = callee.user
        self.backend = callee.backend
        self.media = CallMedia(
            shared, {callee.side.other: _place(shared, incoming.flow), callee.side: _place(shared, callee.flow)}
        )
        self.state = CallState.CALLING
        self.attempt: Attempt | None = None
        self.tried: list[str] = []  # backends that were asked, in order
        self.caller_user = self.caller.user if self.caller else ""
        self.offered: Description | None = None  # by the dead backend, to the phone that rings
        self._held: Response | None = None  # the callee's final response while no backend claims the call
        self._started_at = now
        self._answered_at: float | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state is CallState.ENDED

    @property
    def answered(self) -> bool:
        """Whether the caller has the callee's 2xx."""
        return self.state is CallState.ANSWERED

    @property
    def legs(self) -> list[Leg]:
        """The legs that are known, the caller's first."""
        caller = None if self.caller is None else self.caller.leg
        early = self.attempt.legs.values() if self.attempt is not None else ()
        return list(dict.fromkeys(leg for leg in (caller, self.callee_leg, *early) if leg is not None))

    # -- setting up ---------------------------------------------------------------------------------

    def start(self, now: float) -> list[Output]:
        """Call the callee. Raises MessageError when the offer cannot be taken; nothing was done then."""
        assert self.caller is not None
        started = CallStarted(self.token, self.caller.user, self.callee.name, self.backend)
        try:
            return [started, *self._invite(now)]
        except MessageError:
            self._end("the offer cannot be taken", now)
            raise

    def _invite(self, now: float) -> list[Output]:
        assert self.caller is not None
        callee, incoming = self.callee, self.caller.incoming
        if callee.side is Side.BACKEND:
            self.tried.append(self.backend)
        self.attempt = Attempt(self._shared, self, callee)
        request = callee.request(self._shared, incoming.request, self.attempt.contact)
        request.headers.extend(self._shared.topology.carried(incoming.request, incoming.hidden))
        request.body = self._body(incoming.request, callee.side.other, incoming.hidden)
        self.progressed(now)
        return [*callee.opening, *self.outputs_pending(), *self.attempt.start(request, now)]

    def progressed(self, now: float) -> list[Output]:
        """The callee's side is at work: wait on (timer C, RFC 3261 section 16.7 step 2)."""
        if self.state in (CallState.CALLING, CallState.RINGING) and self.caller is not None:
            self._shared.alarms.set(self, now + self._shared.config.timers.ring)
        return []

    def provisional(self, leg: Leg, response: Response, now: float) -> list[Output]:
        """The callee rings, or says something before it answers."""
        self.progressed(now)
        self.state = CallState.RINGING
        caller = self.caller
        if caller is None:
            return []
        repeated = response.status == caller.last_provisional and not response.body and not response.has("rseq")
        if repeated and len(self.tried) > 1:
            return []  # the next backend rings for a caller who hears it ring already
        caller.last_provisional = response.status
        try:
            answer = caller.response(leg, response)
        except MessageError as error:
            return self.refuse(500, error.reason, now)
        return self.outputs_pending() + caller.send(answer, now)

    def answered_by(self, leg: Leg, response: Response, now: float) -> list[Output]:
        """The callee answered."""
        self.callee_leg = leg
        caller = self.caller
        if caller is None:
            self._held = response
            return []
        try:
            answer = caller.response(leg, response)
        except MessageError as error:
            outputs = farewell.acknowledge_and_bye(self._shared, leg, response.cseq.number, now)
            return outputs + self.refuse(500, error.reason, now)
        assert leg.peer is not None and self.attempt is not None
        caller.leg = leg.peer
        caller.leg.dialog.confirm()
        self.state = CallState.ANSWERED
        self._answered_at = now
        self._shared.alarms.set(self, None)
        self.attempt.forget_legs(but=leg)
        AnswerAwaitingAck(self._shared, caller.leg, answer, self._lost_ack, now).far = (leg, response.cseq.number)
        outputs = self.outputs_pending() + caller.send(answer, now)
        return [*outputs, CallAnswered(self.token, now - self._started_at)]

    # -- not succeeding -----------------------------------------------------------------------------

    def failed_with(self, response: Response, now: float) -> list[Output]:
        """The callee refused."""
        if self.caller is None:
            self._held = response
            return []
        if self.callee.side is Side.BACKEND and response.status in BACKEND_UNAVAILABLE:
            # 16.7 step 6: a 503 is never passed on, as it would speak of all that is behind us; 500 it is.
            return self._elsewhere(500, f"{self.backend} answered {response.status}", now)
        outputs = self.caller.send(self.caller.failure(response, self.callee.hidden), now)
        return outputs + self._end(f"{response.status} {response.reason}", now)

    def unanswered(self, reason: str, now: float) -> list[Output]:
        """No answer came at all; a time-out of ours is never taken for an answer of theirs."""
        if self.callee.side is Side.BACKEND:
            return self._elsewhere(504, f"{self.backend}: {reason}", now)
        return self.refuse(480, reason, now)

    def _elsewhere(self, otherwise: int, reason: str, now: float) -> list[Output]:
        """Call the next backend that was not asked yet; when there is none, refuse."""
        doubt = self._home.doubt(self.backend, reason, now)
        successor = self._home.next_backend(self)
        if successor is None:
            return doubt + self.refuse(otherwise, reason, now)
        return doubt + self.move(successor, reason, now)

    def move(self, successor: str, reason: str, now: float) -> list[Output]:
        """Call another backend; the caller keeps waiting, or hearing it ring."""
        assert self.attempt is not None and self.caller is not None
        moved = CallMoved(self.token, self.backend, successor, reason)
        self.attempt.abandon()
        if self.caller.leg is not None:
            self.caller.leg.peer = None
        self._home.rehome(self, successor)
        self.callee = self.callee.at(self._shared, successor)
        self.media.forget(Side.BACKEND, self.callee.flow.remote.host)
        try:
            return [moved, *self._invite(now)]
        except MessageError as error:
            return [moved, *self.refuse(error.status, error.reason, now)]

    def refuse(self, status: int, reason: str, now: float) -> list[Output]:
        """Tell the caller that it will not be, and stop calling."""
        outputs = [] if self.caller is None else self.caller.refuse(status, now)
        if self.attempt is not None:
            outputs += self.attempt.cancel([], now)
        return outputs + self._end(f"{status} {reason}", now)

    def cancelled(self, cancel: Request, now: float) -> list[Output]:
        """The caller gave up before the answer (RFC 3261 section 9.2)."""
        if self.caller is None or self.answered or self.over:
            return []
        outputs = self.caller.refuse(487, now)
        if self.attempt is not None:
            reasons = [item for item in cancel.headers if item[0] == "reason"]
            outputs += self.attempt.cancel(reasons, now)
        return outputs + self._end("cancelled by the caller", now)

    # -- the calling backend is gone ----------------------------------------------------------------

    def orphan(self, now: float) -> None:
        """Let the phone ring until another backend claims the call."""
        assert self.caller is not None
        self.caller.forget()
        self.caller = None
        self.offered = self.media.described(Side.BACKEND)
        self.media.forget(Side.BACKEND)
        self._shared.alarms.set(self, now + CLAIM_SECONDS)

    def claim(self, incoming: Incoming, backend: str, now: float) -> list[Output]:
        """Another backend calls the same phone for the same caller: join it to the leg that rings already."""
        moved = CallMoved(self.token, self.backend, backend, "the phone rings on")
        assert self.attempt is not None
        self._home.rehome(self, backend)
        self.caller = Caller(self._shared, self, Side.BACKEND, incoming)
        self.media.forget(Side.BACKEND, incoming.flow.remote.host)
        try:
            self.media.translate(incoming.request, Side.BACKEND)  # for the relay; the phone has an equal offer already
        except MessageError as error:
            return [moved, *self.refuse(error.status, error.reason, now)]
        self.progressed(now)
        held, self._held = self._held, None
        if held is None:
            ringing = self.attempt.latest if self.state is CallState.RINGING else None
            outputs = [] if ringing is None else self.provisional(ringing, Response(180), now)
            return [moved, *self.outputs_pending(), *outputs]
        if self.callee_leg is not None:
            return [moved, *self.answered_by(self.callee_leg, held, now)]
        return [moved, *self.failed_with(held, now)]

    # -- hanging up ---------------------------------------------------------------------------------

    def bye(self, leg: Leg, transaction: ServerTransaction, now: float) -> list[Output]:
        """One party hangs up: answered at once, so that a dead other side delays nobody."""
        request = transaction.request
        outputs = self._shared.answer(transaction, response_to(request, 200), now)
        if self.over:
            return outputs
        by_caller = self.caller is not None and leg is self.caller.leg
        if not self.answered:
            ended = self.cancelled(request, now) if by_caller else self.refuse(480, "the callee hung up", now)
            return outputs + ended
        if leg.peer is not None:
            carried = self._shared.topology.carried(request, leg.hidden)
            outputs += self._bye(leg.peer, carried, now)
        return outputs + self._end(f"the {'caller' if by_caller else 'callee'} hung up", now)

    def hang_up(self, reason: str, now: float, but: Side | None = None) -> list[Output]:
        """End the call from here, on both legs or on all but one side."""
        if self.over:
            return []
        if not self.answered:
            return self.refuse(480, reason, now)
        outputs: list[Output] = []
        for leg in self.legs:
            if leg.side is not but:
                outputs += self._bye(leg, [header("Reason", f'SIP;cause=500;text="{reason}"')], now)
        return outputs + self._end(reason, now)

    def _bye(self, leg: Leg, headers: list[Header], now: float) -> list[Output]:
        """Hang up one leg; a callee whose 2xx still waits for the caller's ACK is acknowledged first."""
        if leg is self.callee_leg and self.attempt is not None and not leg.acks:
            return farewell.acknowledge_and_bye(self._shared, leg, self.attempt.cseq, now)
        return farewell.bye(self._shared, leg, headers, now)

    def _lost_ack(self, now: float) -> list[Output]:
        """RFC 3261 section 13.3.1.4: the dialog is confirmed, but the session should be ended."""
        return self.hang_up("no ACK came", now)

    def gone(self, leg: Leg, reason: str, now: float) -> list[Output]:
        """A dialog is no more: the other leg is hung up."""
        return self.hang_up(reason, now, but=leg.side)

    def _end(self, reason: str, now: float) -> list[Output]:
        self.state = CallState.ENDED
        self._shared.alarms.set(self, now + LINGER_SECONDS)
        self._home.forget(self)
        talked = 0.0 if self._answered_at is None else now - self._answered_at
        return [*self.media.release(), CallEnded(self.token, reason, talked)]

    # -- what Bridge asks ---------------------------------------------------------------------------

    def body_across(self, message: Message, leg: Leg) -> bytes:
        """SDP with our addresses in place of the sender's, other bodies without hosts of the sender's side."""
        return self._body(message, leg.side, leg.hidden)

    def _body(self, message: Message, came_from: Side, hidden: tuple[str, ...]) -> bytes:
        if not message.body:
            return b""
        if carries_sdp(message) and not self.over:
            return self.media.translate(message, came_from)
        return self._shared.topology.body(message, hidden)

    def outputs_pending(self) -> list[Output]:
        """Media plans that carrying bodies has made."""
        return self.media.plans()

    def accept(self, request: Request, leg: Leg) -> None:
        """In an ended call only what may still be under way is taken."""
        if self.over and request.method not in AFTER_THE_END:
            raise MessageError("the call is over", status=481)
        if leg.peer is None:
            raise MessageError("the other side is being set up anew; try again", status=491)

    def wake(self, now: float) -> list[Output]:
        """Ringing too long, waiting for a claim too long, or lingering long enough."""
        if self.over:
            for leg in self.legs:
                self._shared.legs.remove(leg)
            return []
        if self.caller is None:
            unclaimed: list[Output] = []
            if self._held is not None and self.callee_leg is not None:
                unclaimed = farewell.acknowledge_and_bye(self._shared, self.callee_leg, self._held.cseq.number, now)
            return unclaimed + self.refuse(480, "no backend claimed the call", now)
        return self.refuse(408, "nobody answered", now)


def _place(shared: Shared, flow: Flow) -> Place:
    config = shared.config
    return Place(config.media_listen(flow.local), config.media_address(flow.local), flow.remote.host)
