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

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from haproxy_voip.proxy import farewell
from haproxy_voip.proxy.answer import AnswerAwaitingAck
from haproxy_voip.proxy.attempt import BACKEND_UNAVAILABLE, Attempt
from haproxy_voip.proxy.caller import Caller, Incoming
from haproxy_voip.proxy.facts import CallMoved, CallStranded
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.media import SDP
from haproxy_voip.proxy.session import NEGOTIATING
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.stream import Place
from haproxy_voip.proxy.topology import TOKEN_HEADER
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, header, response_to
from haproxy_voip.sip.sdp import Description, keys_equal, parse
from haproxy_voip.sip.sdp.narrowing import answering, narrowed

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call
    from haproxy_voip.proxy.calls import Calls

# How long the next backend may take to carry the call again. Longer than any server answers a call it can take at
# once; somebody who hears only comfort noise will not wait longer.
REBUILD_SECONDS = 6.0
# They name dialogs that ended with the former backend; what they asked for was done when it answered.
OF_THE_FIRST_INVITE = frozenset({"replaces", "join", "target-dialog", "require"})


class Survival:
    """One call between two backends. It listens to the INVITE at the next one in the call's place."""

    __slots__ = (
        "_agreed", "_call", "_given_up", "_home", "_queued", "_shared", "carried", "leg", "offered", "unheard",
    )  # fmt: skip

    def __init__(self, shared: Shared, home: Calls, call: Call) -> None:
        self._shared = shared
        self._home = home
        self._call = call
        client = call.client_leg
        assert client is not None
        self.leg: Leg = client  # the client's, which nothing happens to
        self._agreed = call.media.described(Side.BACKEND)
        self.offered = self._agreed  # what an INVITE that claims this call must be equal to
        self.carried = False  # a backend carries the call again
        self._given_up = False  # no backend is asked any more
        self._queued = False  # it waits for its turn
        # The client answered, but its backend died without saying that it knows: whoever called hears it ring still.
        self.unheard = call.callee.side is Side.CLIENT and any(leg.answers for leg in call.legs if leg is not client)

    # -- leaving the dead backend -------------------------------------------------------------------

    def begin(self, alive: bool, now: float) -> list[Output]:
        """End the dialog with the backend, which hears of it if it is alive, and keep the client's."""
        call, client = self._call, self.leg
        outputs: list[Output] = [] if call.attempt is None else call.attempt.give_up(now)
        outputs += self._home.turns.end(call.caller_name, self, now)
        for leg in call.legs:
            outputs += self._stop_waiting(leg, now)
            if leg is not client:
                outputs += self._leave(leg, alive, now)
        client.peer, self.carried, self._given_up = None, False, False
        unanswered = bool(client.unacknowledged) and self._agreed is None
        for cseq in list(client.unacknowledged):
            outputs += self._shared.send_ack(client, cseq)
        for answer in client.answers.values():
            answer.taken = self._acknowledged
        call.media.forget(Side.BACKEND)
        call.media.comfort(call.partner is None)
        self._shared.alarms.set(call, now + REBUILD_SECONDS)
        outputs += call.media.plans()
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
            forward.late = self._changed
            outputs += forward.give_up(now, 491 if forward.server.request.method in NEGOTIATING else 487)
        return outputs

    def _leave(self, leg: Leg, alive: bool, now: float) -> list[Output]:
        leg.peer = None
        outputs = farewell.bye(self._shared, leg, [], now) if alive else []
        waiting = next(iter(leg.answers.values()), None)
        if alive and waiting is not None and waiting.then is not None:
            waiting.then = partial(self._left, leg, waiting.then)  # until the ACK comes the dialog must be found
            return outputs
        farewell.forsake(leg)
        self._shared.legs.remove(leg)
        return outputs

    def _left(self, leg: Leg, bye: Callable[[float], list[Output]], now: float) -> list[Output]:
        self._shared.legs.remove(leg)
        return bye(now)

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
        request = self._request(call.caller.incoming, attempt.contact)
        return [*call.media.plans(), *attempt.start(request, now)]

    def _request(self, incoming: Incoming, contact: str) -> Request:
        """The client's INVITE once more, in the terms that were agreed on since."""
        call = self._call
        request = call.callee.request(self._shared, incoming.request, contact)
        for item in self._shared.topology.carried(incoming.request, incoming.hidden):
            if item[0] not in OF_THE_FIRST_INVITE:
                request.headers.append(item)
        request.add(TOKEN_HEADER, call.token)
        terms = call.session.terms(Side.CLIENT)
        if terms is not None:
            request.set("session-expires", terms)
        session = call.media.described(Side.CLIENT)
        if session is not None:
            body = call.media.written(parse(narrowed(session, self._agreed)), Side.BACKEND, None)
            request.set("content-type", SDP)
            request.body = self._shared.topology.without_hosts(body, self.leg.hidden)
        return request

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
        if self._agreed is not None and leg.session is not None and not keys_equal(self._agreed, leg.session):
            # The client has the keys of the former backend and would hear noise.
            return farewell.bye(self._shared, leg, [], now) + self.give_up("its keys ended with its backend", now)
        assert call.attempt is not None
        call.attempt.forget_legs(but=leg)
        call.callee_leg = leg
        call.session.watch(response, Side.CLIENT, now)
        return self._shared.send_ack(leg, response.cseq.number) + self._carry(leg, now)

    def failed_with(self, response: Response, now: float) -> list[Output]:
        """It does not; another one may where this one has no room."""
        reason = f"{self._call.backend} answered {response.status}"
        if response.status in BACKEND_UNAVAILABLE:
            return self.unanswered(reason, now)
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
        answer = self._answer(incoming.request, leg, offer)
        AnswerAwaitingAck(self._shared, leg, answer, (self.leg, 0), now).taken = self._confirmed
        return [moved, *caller.send(answer, now), *self._carry(leg, now)]

    def _answer(self, invite: Request, leg: Leg, offer: Description | None) -> Response:
        """The client's standing answer; to an INVITE without offer, the same as an offer."""
        call = self._call
        answer = response_to(invite, 200, None, leg.dialog.local_tag)
        answer.headers.extend(item for item in invite.headers if item[0] == "record-route")
        answer.add("Contact", leg.contact)
        terms = call.session.terms(Side.BACKEND)
        if terms is not None and "timer" in invite.option_tags("supported"):
            answer.add("Session-Expires", terms)
            answer.add("Require", "timer")
        session = call.media.described(Side.CLIENT)
        if session is not None:
            text = narrowed(session, self._agreed) if offer is None else answering(session, offer)
            answer.headers.append(header("Content-Type", SDP))
            body = call.media.written(parse(text), Side.BACKEND, leg)
            answer.body = self._shared.topology.without_hosts(body, self.leg.hidden)
        return answer

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
        call.survival = call.partner = None
        call.tried = [call.backend]
        call.media.part()
        self._home.claims.settle(call)
        expires_at = call.session.expires_at
        # A refresh may have been put off until now.
        self._shared.alarms.set(call, None if expires_at is None else max(expires_at, now + REBUILD_SECONDS))
        return call.media.plans() + self._home.turns.end(call.caller_name, self, now)

    def give_up(self, reason: str, now: float) -> list[Output]:
        """No backend takes the call. Two who are joined talk on; who is alone is hung up."""
        call, partner = self._call, self._call.partner
        if partner is None or partner.over:
            return call.hang_up(reason, now, but=Side.BACKEND)
        outputs = self._strand(now)
        if partner.survival is not None:
            outputs += partner.survival._strand(now)
        return [*outputs, CallStranded(call.token, reason)]

    def _strand(self, now: float) -> list[Output]:
        """Ask and wait no more."""
        self._given_up, self._queued = True, False
        self._home.claims.settle(self._call)
        self._shared.alarms.set(self._call, None)
        return self._abandon(now)

    def _abandon(self, now: float) -> list[Output]:
        """Neither the INVITE nor the dialog at the next backend is wanted any more."""
        call = self._call
        outputs = [] if call.attempt is None else call.attempt.cancel([], now)
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
        if self._queued or (partner is not None and partner.survival is not None and partner.survival._queued):
            self._shared.alarms.set(self._call, now + REBUILD_SECONDS)
            return []
        return self.give_up("no backend took the call in time", now)

    def ended(self, now: float) -> list[Output]:
        """The client hung up meanwhile."""
        partner, self._call.partner = self._call.partner, None
        self._given_up, self._queued = True, False
        outputs = self._home.turns.end(self._call.caller_name, self, now) if self.carried else self._abandon(now)
        if partner is not None and not partner.over:
            partner.partner = None
            outputs += partner.hang_up("the other party hung up", now)
        return outputs
