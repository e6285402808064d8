"""An answered call whose backend died: it goes on, and is built anew at the next backend behind the parties' backs.

The client keeps its dialog with us and notices nothing. A call from a client is called again, in its name and with
the codecs it uses, at the next backend; a call to a client waits for that backend's INVITE for it, which is answered
with the client's standing answer. Meanwhile, where the two ends of a conversation are both ours and known to be one
(pairing.py), the relay joins them directly; a client that is alone hears comfort noise.

If no backend takes the call, two ends that were joined stay so until somebody hangs up; a single one is hung up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.proxy import farewell
from haproxy_voip.proxy.answer import AnswerAwaitingAck
from haproxy_voip.proxy.attempt import Attempt
from haproxy_voip.proxy.caller import Caller, Incoming
from haproxy_voip.proxy.facts import CallMoved, CallStranded
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.media import SDP
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.stream import Place
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Response, header, response_to
from haproxy_voip.sip.sdp import parse
from haproxy_voip.sip.sdp.narrowing import narrowed

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call
    from haproxy_voip.proxy.calls import Calls

# How long the next backend may take to carry the call again. Longer than any server answers a call it can take at
# once; somebody who hears only comfort noise will not wait longer.
REBUILD_SECONDS = 6.0


class Survival:
    """One call between two backends. It listens to the INVITE at the next one in the call's place."""

    __slots__ = ("_agreed", "_call", "_given_up", "_home", "_shared", "carried", "leg", "offered")

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

    # -- leaving the dead backend -------------------------------------------------------------------

    def begin(self, now: float) -> list[Output]:
        """Forget the dialog with the dead backend and keep the client's."""
        call, client = self._call, self.leg
        outputs: list[Output] = [] if call.attempt is None else call.attempt.give_up(now)
        outputs += self._home.turns.end(call.caller_name, self, now)
        for leg in call.legs:
            for forward in list(leg.pending):
                outputs += forward.give_up(now)
            if leg is not client:
                farewell.forsake(leg)
                self._shared.legs.remove(leg)
        for cseq in list(client.unacknowledged):
            outputs += self._shared.send_ack(client, cseq)
        for answer in client.answers.values():
            answer.then = lambda at: []  # its ACK concerns nobody else any more
        client.peer, self.carried, self._given_up = None, False, False
        call.media.forget(Side.BACKEND)
        call.media.comfort(call.partner is None)
        self._shared.alarms.set(call, now + REBUILD_SECONDS)
        outputs += call.media.plans()
        if call.callee.side is Side.CLIENT:
            call.caller = None  # the next backend's INVITE makes another
            return outputs
        call.callee_leg = None
        return outputs + self._rebuild(now)

    def _rebuild(self, now: float) -> list[Output]:
        """A call from a client: call for it at the next backend, once its callee is known there."""
        call = self._call
        successor = self._home.next_backend(call)
        if successor is None:
            return self.give_up("no other backend", now)
        moved = CallMoved(call.token, call.backend, successor, "its backend died; the call goes on")
        self._home.rehome(call, successor)
        call.tried.append(successor)
        call.callee = call.callee.at(self._shared, successor)
        call.media.forget(Side.BACKEND, Place.on(self._shared, call.callee.flow))
        return [moved, *self._home.turns.ask(call.caller_name, self, now)]

    def turn(self, now: float) -> list[Output] | None:
        """No other call of this caller is being built anew."""
        call = self._call
        if self._obsolete:
            return None
        return self._home.when_known(call.callee.name, call.backend, self._invite, now)

    @property
    def _obsolete(self) -> bool:
        call = self._call
        return call.over or call.survival is not self or call.caller is None or self._given_up

    def _invite(self, now: float) -> list[Output]:
        call = self._call
        if self._obsolete or call.caller is None:
            return self._home.turns.end(call.caller_name, self, now)
        original, hidden = call.caller.incoming.request, call.caller.incoming.hidden
        attempt = call.attempt = Attempt(self._shared, call, call.callee)
        attempt.listener = self
        request = call.callee.request(self._shared, original, attempt.contact)
        request.headers.extend(self._shared.topology.carried(original, hidden))
        session = call.media.described(Side.CLIENT)
        if session is not None:
            offer = parse(narrowed(session, self._agreed))
            request.set("content-type", SDP)
            request.body = call.media.written(offer, Side.BACKEND, None)
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
        assert call.attempt is not None
        call.attempt.forget_legs(but=leg)
        call.callee_leg = leg
        leg.session = call.media.described(Side.BACKEND)
        outputs = self._shared.send_ack(leg, response.cseq.number)
        call.session.watch(response, now)
        outputs += self._carry(leg, now)
        return outputs + self._home.turns.end(call.caller_name, self, now)

    def failed_with(self, response: Response, now: float) -> list[Output]:
        """It does not."""
        return self.give_up(f"{self._call.backend} answered {response.status}", now)

    def unanswered(self, reason: str, now: float) -> list[Output]:
        """It says nothing."""
        return self._home.doubt(self._call.backend, reason, now) + self._rebuild(now)

    # -- the next backend's INVITE for the client ---------------------------------------------------

    def claim(self, incoming: Incoming, backend: str, now: float) -> list[Output]:
        """The next backend calls this client for the same caller: it is answered already."""
        call = self._call
        moved = CallMoved(call.token, call.backend, backend, "its backend died; the call goes on")
        call.rehome(backend)
        caller = call.caller = Caller(self._shared, call, Side.BACKEND, incoming)
        call.media.forget(Side.BACKEND, Place.on(self._shared, incoming.flow))
        offer = call.media.hear(incoming.request, Side.BACKEND, told=False)
        leg = caller.pair(self.leg)
        caller.keep(leg)
        answer = response_to(incoming.request, 200, None, leg.dialog.local_tag)
        answer.headers.extend(item for item in incoming.request.headers if item[0] == "record-route")
        answer.add("Contact", leg.contact)
        session = call.media.described(Side.CLIENT)
        if session is not None and offer is not None:
            answer.headers.append(header("Content-Type", SDP))
            answer.body = call.media.written(parse(narrowed(session, offer)), Side.BACKEND, leg)
        AnswerAwaitingAck(self._shared, leg, answer, (self.leg, 0), now).then = lambda at: []
        return [moved, *caller.send(answer, now), *self._carry(leg, now)]

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
        self._shared.alarms.set(call, call.session.expires_at)
        return call.media.plans()

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
        self._given_up = True
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
        """It took too long."""
        return self.give_up("no backend took the call in time", now)

    def ended(self, now: float) -> list[Output]:
        """The client hung up meanwhile."""
        partner, self._call.partner = self._call.partner, None
        self._given_up = True
        outputs = self._home.turns.end(self._call.caller_name, self, now) if self.carried else self._abandon(now)
        if partner is not None and not partner.over:
            partner.partner = None
            outputs += partner.hang_up("the other party hung up", now)
        return outputs
