"""One call: the INVITE that came in, the INVITE we sent on, and after the answer the two dialogs.

The caller is a client and the callee a backend, or the other way round: a call between two phones through a PBX
is two of these. Before the answer the backend may die without anybody noticing: as callee it is replaced by the
next one, as caller it leaves the callee's phone ringing for the next one to claim (see calls.py).
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from haproxy_voip.proxy import farewell, story
from haproxy_voip.proxy.answer import AnswerAwaitingAck
from haproxy_voip.proxy.attempt import BACKEND_UNAVAILABLE, Attempt
from haproxy_voip.proxy.bridge import DIALOG_GONE
from haproxy_voip.proxy.caller import Caller, Incoming
from haproxy_voip.proxy.facts import CallAnswered, CallEnded, CallMoved
from haproxy_voip.proxy.forward import Forward
from haproxy_voip.proxy.invitation import Invitation
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.media import CallMedia, carries_sdp
from haproxy_voip.proxy.moves import Reckoning
from haproxy_voip.proxy.relocation import Half
from haproxy_voip.proxy.session import TRANSFER_SECONDS, Session
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.stream import Place
from haproxy_voip.proxy.survival import Survival
from haproxy_voip.proxy.unclaimed import CLAIM_SECONDS, Heard, Unclaimed
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.headers import RAck
from haproxy_voip.sip.message import Header, Message, Request, Response, response_to
from haproxy_voip.sip.transactions import ServerTransaction

if TYPE_CHECKING:
    from haproxy_voip.proxy.calls import Calls

# An ended dialog is kept for what is still under way in it: a crossing BYE, the last NOTIFY of a transfer.
LINGER_SECONDS = 32.0
# What may still be under way in a call that ended: the report of a transfer outlives it (RFC 5057 section 4).
AFTER_THE_END = frozenset({"NOTIFY", "SUBSCRIBE"})
# Who refuses these does not say that the call is gone (RFC 5057 section 5.1).
OTHER_USAGES = frozenset({"NOTIFY", "PRACK", "REFER", "SUBSCRIBE"})


class CallState(StrEnum):
    """How far a call has come."""

    CALLING = "calling"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


class Call:
    """See the module. `callee.side` says which of the two sides is called; it never changes."""

    __slots__ = (
        "_ended_at", "_heard", "_home", "_shared", "_started_at", "answered_at", "attempt", "backend", "callee",
        "callee_leg", "caller", "caller_name", "media", "partner", "relocation", "session", "state",
        "survival", "token", "transferred", "tried", "trunk", "unclaimed", "user",
    )  # fmt: skip

    def __init__(self, shared: Shared, home: Calls, incoming: Incoming, callee: Invitation, now: float) -> None:
        self._shared = shared
        self._home = home
        self.token = shared.chance.token()
        self.caller: Caller | None = Caller(shared, self, callee.side.other, incoming)  # None: see `unclaimed`
        self.unclaimed: Unclaimed | None = None
        self.callee = callee
        self.callee_leg: Leg | None = None
        self.user, self.backend, self.trunk = callee.user, callee.backend, callee.trunk
        places = {callee.side.other: Place.on(shared, incoming.flow), callee.side: Place.on(shared, callee.flow)}
        self.media = CallMedia(shared, places, self.token)
        self.state = CallState.CALLING
        self.attempt: Attempt | None = None
        self.tried: list[str] = []  # backends that were asked, in order
        self.caller_name = self.caller.user
        self.survival: Survival | None = None  # answered, and no backend carries it
        self.partner: Call | None = None  # whose client our client is joined to meanwhile
        self.relocation: Half | None = None  # its backend carries it, and it is being moved to another one
        self.transferred = False  # who its other end is may have changed
        self._heard: Heard = (None, None)  # the last provisional response
        self.session = Session(shared, self.media)
        self._started_at = now
        self.answered_at: float | None = None
        self._ended_at: float | None = None

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
        callers = [] if self.caller is None else self.caller.legs
        early = self.attempt.legs.values() if self.attempt is not None else ()
        return list(dict.fromkeys(leg for leg in (*callers, self.callee_leg, *early) if leg is not None))

    @property
    def rebuilding(self) -> Survival | Half | None:
        """What sees to it that another backend carries it."""
        return self.survival or self.relocation

    @property
    def client_leg(self) -> Leg:
        """The one to the client, of an answered call."""
        return next(leg for leg in self.legs if leg.side is Side.CLIENT)

    # -- setting up ---------------------------------------------------------------------------------

    def start(self, now: float) -> list[Output]:
        """Call the callee. Raises MessageError when the offer cannot be taken; nothing was done then."""
        assert self.caller is not None
        started = story.started(self, self.caller.incoming)
        try:
            return [*started, *self._invite(now)]
        except MessageError as error:
            self._end("the offer cannot be taken", now, status=error.status)
            raise

    def _invite(self, now: float) -> list[Output]:
        assert self.caller is not None
        callee, incoming = self.callee, self.caller.incoming
        if callee.side is Side.BACKEND:
            self.tried.append(self.backend)
        self.attempt = Attempt(self._shared, self, callee)
        request = callee.request(self._shared, incoming.request, self.attempt.contact)
        inside = callee.inside
        request.headers.extend(self._shared.topology.carried(incoming.request, incoming.hidden, inside=inside))
        request.headers.extend([*callee.marks(self.token), *callee.proof(self._shared, incoming.request)])
        request.body = self.session.offer(incoming.request, callee.side.other, incoming.hidden)
        self.progressed(now)
        return [*self.outputs_pending(), *self.attempt.start(request, now)]

    def progressed(self, now: float) -> list[Output]:
        """The callee's side is at work: wait on (timer C, RFC 3261 section 16.7 step 2)."""
        if self.state in (CallState.CALLING, CallState.RINGING) and self.caller is not None:
            self._shared.alarms.set(self, now + self._shared.config.timers.ring)
        return []

    def provisional(self, leg: Leg, response: Response, now: float) -> list[Output]:
        """The callee rings, or says something before it answers."""
        self.progressed(now)
        told = story.rings(self, response.status, now - self._started_at)
        self.state, self._heard = CallState.RINGING, (leg, response)
        caller = self.caller
        assert caller is not None
        if len(self.tried) > 1 and caller.knows(response):
            caller.pair(leg)
            return [*told]  # the next backend rings for a caller who hears it ring already
        try:
            answer = caller.response(leg, response)
        except MessageError as error:
            return self.refuse(500, error.reason, now)
        return [*told, *self.outputs_pending(), *caller.send(answer, now)]

    def answered_by(self, leg: Leg, response: Response, now: float) -> list[Output]:
        """The callee answered."""
        self.callee_leg = leg
        caller = self.caller
        assert caller is not None
        try:
            answer = caller.response(leg, response)
            if leg.session is not None:
                self.media.learn(leg.session, leg.side)  # of several early dialogs another one may have spoken last
        except MessageError as error:
            return farewell.bye(self._shared, leg, [], now) + self.refuse(502, error.reason, now)
        assert caller.leg is not None and self.attempt is not None
        caller.keep(caller.leg)
        self.attempt.forget_legs(but=leg)
        if carries_sdp(caller.incoming.request):
            self.media.settle()
        self.state, self.answered_at = CallState.ANSWERED, now
        self.tried = [self.backend]  # those that failed before may do again, should this one die
        self.session.watch(response, self.callee.side.other, now)
        self._shared.alarms.set(self, self.session.expires_at)  # from now on nothing else ends it
        AnswerAwaitingAck(self._shared, caller.leg, answer, (leg, response.cseq.number), now)
        outputs = self.outputs_pending() + caller.send(answer, now)
        return [*outputs, CallAnswered(self.token, now - self._started_at)]

    # -- not succeeding -----------------------------------------------------------------------------

    def failed_with(self, response: Response, now: float) -> list[Output]:
        """The callee refused."""
        assert self.caller is not None
        if self.callee.side is Side.BACKEND and response.status in BACKEND_UNAVAILABLE:
            # 16.7 step 6: a 503 is never passed on, as it would speak of all that is behind us; 500 it is.
            otherwise = 500 if response.status == 503 else response.status
            return self._elsewhere(otherwise, f"{self.backend} answered {response.status}", now)
        outputs = self.caller.fail(response, self.callee.hidden, now)
        return outputs + self._end(f"{response.status} {response.reason}", now, "callee", response.status)

    def unanswered(self, reason: str, now: float) -> list[Output]:
        """No answer came at all; a time-out of ours is never taken for an answer of theirs."""
        if self.callee.side is Side.BACKEND:
            return self._elsewhere(504, f"{self.backend}: {reason}", now)
        return self.refuse(480, reason, now)

    def _elsewhere(self, otherwise: int, reason: str, now: float) -> list[Output]:
        """Call the next backend that was not asked yet; when there is none, refuse."""
        doubt = self._home.doubt(self.backend, reason, now)
        moved = self._home.elsewhere(self, reason, now)
        return doubt + (self.refuse(otherwise, reason, now) if moved is None else moved)

    def move(self, successor: str, reason: str, now: float) -> list[Output]:
        """Call another backend; the caller keeps waiting, or hearing it ring."""
        assert self.attempt is not None and self.caller is not None
        outputs = [CallMoved(self.token, self.backend, successor, reason), *self.attempt.give_up(now)]
        self.session.abandon()
        outputs += self.caller.part(now)
        self._home.rehome(self, successor)
        self.callee = self.callee.at(self._shared, successor)
        self.media.forget(Side.BACKEND, Place.on(self._shared, self.callee.flow))
        try:
            return [*outputs, *self._invite(now)]
        except MessageError as error:
            return [*outputs, *self.refuse(error.status, error.reason, now)]

    def refuse(self, status: int, reason: str, now: float) -> list[Output]:
        """Tell the caller that it will not be, and stop calling."""
        return self._stop(status, f"{status} {reason}", [], now)

    def cancelled(self, cancel: Request, now: float) -> list[Output]:
        """The caller gave up before the answer (RFC 3261 section 9.2)."""
        if self.caller is None or self.answered or self.over:
            return []
        carried = self._shared.topology.carried(cancel, self.caller.incoming.hidden)
        reasons = [item for item in carried if item[0] == "reason"]
        return self._stop(487, "cancelled by the caller", reasons, now, "caller")

    def _stop(self, status: int, reason: str, headers: list[Header], now: float, by: str = "proxy") -> list[Output]:
        waiting = self.caller or self.unclaimed
        outputs = [] if waiting is None else waiting.refuse(status, now)
        if self.attempt is not None:
            outputs += self._home.withdraw(self, self.attempt, headers, now)
        return outputs + self._end(reason, now, by, status)

    # -- the calling backend is gone ----------------------------------------------------------------

    def orphan(self, now: float) -> list[Output]:
        """Let the phone ring until another backend claims the call."""
        assert self.caller is not None and self.attempt is not None
        outputs = self.caller.leave(480, now)
        self.caller = None
        offered = self.media.described(Side.BACKEND)
        self.unclaimed = self.attempt.listener = Unclaimed(self._shared, self, offered, self._heard)
        self.media.forget(Side.BACKEND)
        self._shared.alarms.set(self, now + CLAIM_SECONDS)
        return outputs + self.outputs_pending()

    def claim(self, incoming: Incoming, backend: str, now: float) -> list[Output]:
        """Another backend calls the same phone for the same caller: join it to the leg that rings or talks already."""
        waiting = self.rebuilding or self.unclaimed
        assert waiting is not None
        return waiting.claim(incoming, backend, now)

    def rehome(self, backend: str) -> None:
        """It is on another backend from now on."""
        self._home.rehome(self, backend)
        self.callee = replace(self.callee, backend=backend)

    def survive(self, alive: bool, reckoning: Reckoning, now: float) -> list[Output]:
        """This answered call leaves its backend, which is dead or shall have a rest; the client shall not notice."""
        self.session.abandon()
        self.survival = self.survival or Survival(self._shared, self._home, self, now)
        return self.survival.begin(alive, reckoning, now)

    # -- requests within its dialogs ----------------------------------------------------------------

    def request(self, leg: Leg, transaction: ServerTransaction, now: float) -> list[Output]:
        """A party asks something of the other. Raises MessageError."""
        request = transaction.request
        if self.relocation is not None and (taken := self.relocation.take(leg, transaction, now)) is not None:
            return taken
        if leg.side is Side.BACKEND and leg.peer is None and self.answered:
            raise MessageError("the call is on another backend", status=481)
        if request.method == "BYE":
            return self._bye(leg, transaction, now)
        if request.method == "PRACK" and leg.reliable.nobody_waits(RAck.parse(request.get("rack") or "")):
            return self._shared.answer(transaction, response_to(request, 200), now)
        self.accept(request, leg)
        assert leg.peer is not None
        if request.method == "REFER" or (request.method == "INVITE" and leg.side is Side.BACKEND):
            self.transferred = self.transferred or request.method == "REFER"
            self._home.unlearn(self)
        return Forward(self._shared, transaction, leg, leg.peer).start(now)

    def _bye(self, leg: Leg, transaction: ServerTransaction, now: float) -> list[Output]:
        """One party hangs up: answered at once, so that a dead other side delays nobody."""
        request = transaction.request
        outputs = self._shared.answer(transaction, response_to(request, 200), now)
        farewell.hung_up(self._shared, leg, self.legs)
        if self.over:
            return outputs
        if not self.answered and (self.caller is None or leg.side is self.callee.side):
            return outputs + self.refuse(480, "the callee hung up before it answered", now)
        if not self.answered and self.caller is not None:
            return outputs + self.caller.early_bye(leg, request, now)
        outputs += farewell.pass_on(self._shared, leg, request, now)
        return outputs + self._end(f"the {(who := story.party(self, leg.side))} hung up", now, who)

    def hang_up(self, reason: str, now: float, but: Side | None = None, by: str = "proxy") -> list[Output]:
        """End the call from here, on both legs or on all but one side."""
        if self.over:
            return []
        if not self.answered:
            return self.refuse(480, reason, now)
        return farewell.hang_up(self._shared, self.legs, but, now) + self._end(reason, now, by)

    def _end(self, reason: str, now: float, by: str = "proxy", status: int = 0) -> list[Output]:
        self.state = CallState.ENDED
        self._ended_at = now
        self._shared.alarms.set(self, now + LINGER_SECONDS)
        self._home.forget(self)
        outputs: list[Output] = [] if self.rebuilding is None else self.rebuilding.ended(now)
        for leg in self.legs:
            for forward in [one for one in leg.pending if one.server.request.method not in AFTER_THE_END]:
                outputs += forward.give_up(now)
        talked = 0.0 if self.answered_at is None else now - self.answered_at
        return [*outputs, *self.media.release(), CallEnded(self.token, reason, talked, by, status)]

    # -- what Bridge asks ---------------------------------------------------------------------------

    def body_across(self, message: Message, leg: Leg) -> bytes:
        """SDP with our addresses in place of the sender's, other bodies without hosts of the sender's side."""
        return self.session.across(message, leg)

    def outputs_pending(self) -> list[Output]:
        """Media plans that carrying bodies has made."""
        return self.media.plans()

    def accept(self, request: Request, leg: Leg) -> None:
        """Raise MessageError when this cannot be taken in the present state."""
        if self.over and request.method not in AFTER_THE_END:
            raise MessageError("the call is over", status=481)
        if leg.peer is None:
            raise MessageError("the other side is being set up anew; try again", status=491)
        if request.method == "INVITE" and not self.answered:
            raise MessageError("the first INVITE is under way", status=491)
        self.session.begin(request, leg)

    def crossed(self, request: Request, answer: Response | None, far: Leg, now: float) -> list[Output]:
        """A request within the call is done with; see what follows."""
        changed = self.session.done(request, answer, now)
        told = story.crossed(self, request, answer, far, self._shared)
        if self.over:
            return [*told]
        if changed and self.answered:
            self._shared.alarms.set(self, self.session.expires_at)
        if request.method in OTHER_USAGES or (answer is not None and answer.status not in DIALOG_GONE):
            return [*told, *self.outputs_pending()]
        return self.gone(far, "no answer" if answer is None else f"{answer.status} {answer.reason}", now)

    def gone(self, leg: Leg, reason: str, now: float) -> list[Output]:
        """A dialog is no more: the other leg is hung up."""
        return self.hang_up(reason, now, but=leg.side)

    def end(self, reason: str, now: float) -> list[Output]:
        """Hang up both."""
        return self.hang_up(reason, now)

    # -- time ---------------------------------------------------------------------------------------

    def wake(self, now: float) -> list[Output]:
        """Ringing too long, waiting for a claim too long, not refreshed, or lingering long enough."""
        if self.over:
            return self._linger(now)
        if self.survival is not None:
            return self.survival.wake(now)
        if self.answered:
            return self.hang_up("the session was not refreshed", now)
        if self.unclaimed is not None:
            return self.refuse(480, "no backend claimed the call", now)
        return self.refuse(408, "nobody answered", now)

    def _linger(self, now: float) -> list[Output]:
        assert self._ended_at is not None
        if self.session.transferring and now < self._ended_at + TRANSFER_SECONDS:
            self._shared.alarms.set(self, now + LINGER_SECONDS)
            return []
        for leg in self.legs:
            self._shared.legs.remove(leg)
            leg.peer = None
        if self.attempt is not None:
            self.attempt.transaction = None
        # Nothing refers back to the call any more, so it needs no garbage collector.
        self.caller = self.attempt = self.callee_leg = self.unclaimed = None
        self.survival = self.partner = self.relocation = None
        self._heard = (None, None)
        return []
