"""An answered call whose backend died: it goes on, and is built anew at the next backend behind the parties' backs.

The client keeps its dialog with us and notices nothing. A call from a client is called again, in its name and with
the codecs it uses, at the next backend; a call to a client waits for that backend's INVITE for it, which is answered
with the client's standing answer. Meanwhile, where the two ends of a conversation are both ours and known to be one
(pairing.py), the relay joins them directly; a client that is alone hears comfort noise.

If no backend takes the call, two ends that were joined stay so until somebody hangs up; a single one is hung up.

Encrypted media and faxes are never joined. Where the keys are the phones' own (the backend passes them on) the rebuilt
call goes on with them; where they were the backend's, the call ends, for the client would hear noise.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from haproxy_voip.proxy import farewell, story
from haproxy_voip.proxy.answer import AnswerAwaitingAck
from haproxy_voip.proxy.attempt import BACKEND_UNAVAILABLE, Attempt
from haproxy_voip.proxy.caller import Caller, Incoming
from haproxy_voip.proxy.facts import CallCarried, CallMoved, CallStaysJoined
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.moves import Outcome, Reckoning
from haproxy_voip.proxy.rebuilding import again, standing_answer
from haproxy_voip.proxy.session import NEGOTIATING
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.stream import Place
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response
from haproxy_voip.sip.sdp import keys_equal

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call
    from haproxy_voip.proxy.calls import Calls

# How long the next backend may take to carry the call again. Longer than any server answers a call it can take at
# once; somebody who hears only comfort noise will not wait longer.
REBUILD_SECONDS = 6.0
# From the callee's answer to when its caller surely had it, unless the backend was dead by then: one pass through that
# (pairing.py), and the time in which the death of one that is frozen was not known.
PASSED_ON_SECONDS = 0.5
# How often it is looked whether a backend has answered what was cancelled.
LOOK_SECONDS = 0.02
# Of a call that was up: a server that was restarted just now, or differs from the others, is asked in vain.
NOT_KNOWN_HERE = frozenset({404, 480})


class Survival:
    """One call between two backends. It listens to the INVITE at the next one in the call's place."""

    __slots__ = (
        "_call",
        "_given_up",
        "_held",
        "_home",
        "_queued",
        "_reckonings",
        "_shared",
        "_since",
        "agreed",
        "carried",
        "just_answered",
        "leg",
        "offered",
        "unheard",
    )  # fmt: skip

    def __init__(self, shared: Shared, home: Calls, call: Call, now: float) -> None:
        self._shared = shared
        self._home = home
        self._call = call
        client = call.client_leg
        assert client is not None
        self.leg: Leg = client  # the client's, which nothing happens to
        self.agreed = call.media.described(Side.BACKEND)  # between the client and the backend that carried it
        self.offered = self.agreed  # what an INVITE that claims this call must be equal to
        self.carried = False  # a backend carries the call again
        self._given_up = False  # no backend is asked any more
        self._queued = False  # it waits for its turn
        self._held = False  # it has its turn, and waits for what another call of that caller has left behind
        self._since: float | None = None  # when the backend that carried it last was left
        self._reckonings: list[Reckoning] = []  # that wait to hear what comes of it
        # The client answered the call, but its backend died without saying that it knows: whoever called hears it ring.
        self.unheard = call.callee.side is Side.CLIENT and bool(client.unacknowledged) and not client.acks
        # Its backend did know, and may have died before it told whoever called.
        self.just_answered = call.answered_at is not None and now < call.answered_at + PASSED_ON_SECONDS

    @property
    def call(self) -> Call:
        """That survives."""
        return self._call

    @property
    def at_work(self) -> bool:
        """Whether the next backend may be calling somebody for it: it may take a call, as a queue does, before it calls
        whom the call is for."""
        return self.carried

    # -- leaving the dead backend -------------------------------------------------------------------

    def begin(self, alive: bool, reckoning: Reckoning, now: float) -> list[Output]:
        """End the dialog with the backend, which hears of it if it is alive, and keep the client's."""
        call, client = self._call, self.leg
        self._since = now if self._since is None else self._since
        self._reckonings.append(reckoning)
        reckoning.expect()
        outputs: list[Output] = [] if call.attempt is None else call.attempt.give_up(now)
        outputs += self._home.turns.end(call.caller_name, self, now)
        for leg in call.legs:
            outputs += self._stop_waiting(leg, now)
            if leg is not client:
                outputs += farewell.leave(self._shared, leg, alive, now)
        client.peer, self.carried, self._given_up, self._held = None, False, False, False
        unanswered = bool(client.unacknowledged) and self.agreed is None
        for cseq in list(client.unacknowledged):
            outputs += self._shared.send_ack(client, cseq)
        for answer in client.answers.values():
            answer.taken = self._acknowledged
        call.media.forget(Side.BACKEND)
        call.media.comfort(call.partner is None)
        self._shared.alarms.set(call, now + REBUILD_SECONDS)
        if call.partner is None:
            outputs += self._home.errands.do(lambda one, at: one.media.plans(), call, now)
        # Of two who are joined nobody hears the backend: the relay is told with what it is told next.
        if call.callee.side is Side.BACKEND:
            call.callee_leg = None
            return outputs + self._rebuild("it goes on at the next backend", now)
        call.caller = None  # the next backend's INVITE makes another
        if unanswered:  # the client made the offer, and whoever was to answer it is gone
            return outputs + self.give_up("its session was not agreed on yet", now)
        return outputs

    def _stop_waiting(self, leg: Leg, now: float) -> list[Output]:
        """Who asked something on this leg gets no answer from across; a change of the session may be tried again."""
        outputs: list[Output] = []
        for forward in list(leg.pending):
            if leg.side is Side.BACKEND:  # it asked the client; what a dead one still answers to the client is ignored
                forward.late = self._changed
            outputs += forward.give_up(now, 491 if forward.server.request.method in NEGOTIATING else 487)
        return outputs

    def _changed(self, response: Response, now: float) -> list[Output]:
        """The client agrees to a change of the session that nobody waits for any more."""
        if self._call.over:
            return []
        with suppress(MessageError):  # it is acknowledged whatever it says
            self._call.media.hear(response, Side.CLIENT, told=False)
        return self._call.media.plans()

    def _acknowledged(self, ack: Request, now: float) -> list[Output]:
        """The client confirms, perhaps with the answer to a delayed offer, to a backend that is gone."""
        call = self._call
        if call.over:
            return []
        known = call.media.described(Side.CLIENT) is not None
        call.media.hear(ack, Side.CLIENT, told=False)
        outputs = call.media.plans()
        return outputs if known else outputs + self._rebuild("it goes on at the next backend", now)

    # -- asking the next one ------------------------------------------------------------------------

    def _rebuild(self, reason: str, now: float) -> list[Output]:
        """A call from a client: call for it at the next backend, once its callee is known there."""
        call = self._call
        if call.media.described(Side.CLIENT) is None and self.leg.answers:
            return []  # what it can hear comes with its ACK
        successor = self._home.next_backend(call)
        if successor is None:
            return self.give_up("no other backend", now)
        moved = CallMoved(call.token, call.backend, successor, reason)
        self._home.rehome(call, successor)
        call.tried.append(successor)
        call.callee = call.callee.at(self._shared, successor)
        call.media.forget(Side.BACKEND, Place.on(self._shared, call.callee.flow))
        self._queued = True
        return [moved, *self._home.turns.ask(call.caller_name, self, now)]

    def turn(self, now: float) -> list[Output] | None:
        """No other call of this caller is being built anew."""
        call = self._call
        self._queued = False
        if self._obsolete:
            return None
        if self._home.claims.withdrawn.any(call.caller_name, call.backend, now):
            self._queued = self._held = True
            self._shared.alarms.set(call, now + LOOK_SECONDS)
            return []
        for one in (call, call.partner):
            if one is not None:
                self._shared.alarms.set(one, now + REBUILD_SECONDS)
        backend = call.backend
        return self._home.when_known(call.callee.name, backend, lambda at: self._invite(backend, at), now)

    @property
    def _obsolete(self) -> bool:
        call = self._call
        return call.over or call.survival is not self or call.caller is None or self._given_up

    def _invite(self, backend: str, now: float) -> list[Output]:
        call = self._call
        if self._obsolete or call.caller is None:
            return self._home.turns.end(call.caller_name, self, now)
        if call.backend != backend:
            return []  # that one died as well, while we waited until it knows the callee
        attempt = call.attempt = Attempt(self._shared, call, call.callee)
        attempt.listener = self
        request = again(self._shared, call, call.callee, call.caller.incoming, attempt.contact)
        return [*call.media.plans(), *attempt.start(request, now)]

    # -- what the next backend says to our INVITE ---------------------------------------------------

    def progressed(self, now: float) -> list[Output]:
        """It is at work; it has little time for that."""
        return []

    def provisional(self, leg: Leg, response: Response, now: float) -> list[Output]:
        """Its ringing is nothing to a client that talks already."""
        return []

    def answered_by(self, leg: Leg, response: Response, now: float) -> list[Output]:
        """It takes the call."""
        call = self._call
        try:
            call.media.hear(response, Side.BACKEND, told=False)
        except MessageError as error:
            return farewell.bye(self._shared, leg, [], now) + self.give_up(error.reason, now)
        leg.session = call.media.described(Side.BACKEND)
        if self.agreed is not None and leg.session is not None and not keys_equal(self.agreed, leg.session):
            # The client has the keys of the former backend and would hear noise.
            return farewell.bye(self._shared, leg, [], now) + self.give_up("its keys ended with its backend", now)
        assert call.attempt is not None
        call.attempt.forget_legs(but=leg)
        call.callee_leg = leg
        call.session.watch(response, Side.CLIENT, now)
        return self._shared.send_ack(leg, response.cseq.number) + self._carry(leg, now)

    def failed_with(self, response: Response, now: float) -> list[Output]:
        """It does not; another one may where this one has no room, or does not know whom it is for."""
        reason = f"{self._call.backend} answered {response.status}"
        if response.status in BACKEND_UNAVAILABLE:
            return self.unanswered(reason, now)
        if response.status in NOT_KNOWN_HERE and self._home.next_backend(self._call) is not None:
            return self._rebuild(reason, now)
        return self.give_up(reason, now)

    def unanswered(self, reason: str, now: float) -> list[Output]:
        """It says nothing."""
        return self._home.doubt(self._call.backend, reason, now) + self._rebuild(reason, now)

    # -- the next backend's INVITE for the client ---------------------------------------------------

    def claim(self, incoming: Incoming, backend: str, now: float) -> list[Output]:
        """The next backend calls this client for the same caller: it is answered already. Raises MessageError."""
        call = self._call
        call.media.forget(Side.BACKEND, Place.on(self._shared, incoming.flow))
        offer = call.media.hear(incoming.request, Side.BACKEND, told=False)
        moved = CallMoved(call.token, call.backend, backend, "it goes on at the next backend")
        call.rehome(backend)
        caller = call.caller = Caller(self._shared, call, Side.BACKEND, incoming)
        leg = caller.pair(self.leg)
        caller.keep(leg)
        leg.session = offer
        answer = standing_answer(self._shared, call, incoming.request, leg, offer)
        AnswerAwaitingAck(self._shared, leg, answer, (self.leg, 0), now).taken = self._confirmed
        return [moved, *caller.send(answer, now), *self._carry(leg, now)]

    def _confirmed(self, ack: Request, now: float) -> list[Output]:
        """The backend has our answer, and perhaps answers our offer."""
        call = self._call
        if not call.over:
            call.media.hear(ack, Side.BACKEND, told=False)
        return call.media.plans()

    # -- the end of it ------------------------------------------------------------------------------

    def _carry(self, leg: Leg, now: float) -> list[Output]:
        """A backend carries this call again. Of a conversation the bridge stays until both ends are there."""
        call, partner = self._call, self._call.partner
        leg.peer, self.leg.peer = self.leg, leg
        self.carried = True
        if partner is not None and partner.survival is not None and not partner.survival.carried:
            return call.media.plans()
        outputs = self._settle(now)
        if partner is not None and partner.survival is not None:
            outputs += partner.survival._settle(now)
        return outputs

    def _settle(self, now: float) -> list[Output]:
        """Back to what an answered call is."""
        call = self._call
        self._home.claims.settle(call)
        if call.partner is not None:
            self._home.claims.found(call, now)
        call.survival = call.partner = None
        call.tried = [call.backend]
        call.media.part()
        expires_at = call.session.expires_at
        # A refresh may have been put off until now.
        self._shared.alarms.set(call, None if expires_at is None else max(expires_at, now + REBUILD_SECONDS))
        after = 0.0 if self._since is None else now - self._since
        outputs = [*call.media.plans(), CallCarried(call.token, call.backend, after, now)]
        return [*outputs, *self._reckon("carried", now), *self._home.turns.end(call.caller_name, self, now)]

    def _reckon(self, outcome: Outcome, now: float) -> list[Output]:
        """Whoever counts hears what came of it."""
        reckonings, self._reckonings = self._reckonings, []
        return [fact for reckoning in reckonings for fact in reckoning.settle(outcome, now)]

    def give_up(self, reason: str, now: float) -> list[Output]:
        """No backend takes the call. Two who are joined talk on; who is alone is hung up."""
        call, partner = self._call, self._call.partner
        if partner is None or partner.over:
            return call.hang_up(reason, now, but=Side.BACKEND)
        asked = any(one.attempt is not None and not one.attempt.over for one in (call, partner))
        outputs = self._strand(asked, now)
        if partner.survival is not None:
            outputs += partner.survival._strand(asked, now)
        return [*outputs, CallStaysJoined(call.token, partner.token, call.backend, reason, now)]

    def _strand(self, asked: bool, now: float) -> list[Output]:
        """Ask and wait no more; `asked`: a backend was, and has not answered."""
        self._given_up, self._queued = True, False
        (self._home.claims.strand if asked else self._home.claims.settle)(self._call)
        self._shared.alarms.set(self._call, None)
        return self._reckon("joined", now) + self._abandon(now)

    def _abandon(self, now: float) -> list[Output]:
        """Neither the INVITE nor the dialog at the next backend is wanted any more."""
        call = self._call
        outputs = [] if call.attempt is None else self._home.withdraw(call, call.attempt, [], now)
        outputs += self._home.turns.end(call.caller_name, self, now)
        backend_leg, self.leg.peer = self.leg.peer, None
        if backend_leg is not None:
            outputs += farewell.bye(self._shared, backend_leg, [], now)
            self._shared.legs.remove(backend_leg)
            backend_leg.peer = None
        self.carried = False
        return outputs

    def wake(self, now: float) -> list[Output]:
        """It took too long, or has not begun: another call of that caller goes first."""
        partner = self._call.partner
        if self._held:
            self._held = False
            begun = self.turn(now)
            return self._home.turns.end(self._call.caller_name, self, now) if begun is None else begun
        if self._queued or (partner is not None and partner.survival is not None and partner.survival._queued):
            self._shared.alarms.set(self._call, now + REBUILD_SECONDS)
            return []
        return self.give_up("no backend took the call in time", now)

    def ended(self, now: float) -> list[Output]:
        """The client hung up meanwhile."""
        partner, self._call.partner = self._call.partner, None
        self._given_up, self._queued = True, False
        outputs = self._reckon("ended", now)
        outputs += self._home.turns.end(self._call.caller_name, self, now) if self.carried else self._abandon(now)
        if partner is not None and not partner.over:
            partner.partner = None
            outputs += partner.hang_up("the other party hung up", now, by=story.party(partner, Side.BACKEND))
        return outputs
