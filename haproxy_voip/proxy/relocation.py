"""A conversation of two calls moves from a backend that lives to another one, and nobody hears it: make before break.

1. It is built anew at the next backend, as after a failure (survival.py), while its own still carries it: an INVITE in
   the name of who called, and a standing answer to that backend's INVITE for the other one.
2. When both dialogs stand there, the two clients are joined in the relay. What the old backend has on its way to them
   arrives in the next moment.
3. Then the old dialogs are ended, and the relay hands the two over to the new backend when it is heard to carry them.

Until (2) nothing has changed for anybody: whatever goes wrong, or is asked for in the call meanwhile, calls it off.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from haproxy_voip.proxy import farewell
from haproxy_voip.proxy.answer import AnswerAwaitingAck
from haproxy_voip.proxy.attempt import Attempt
from haproxy_voip.proxy.caller import Caller, Incoming
from haproxy_voip.proxy.facts import CallCarried, CallMoved
from haproxy_voip.proxy.invitation import Invitation
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.rebuilding import again, standing_answer
from haproxy_voip.proxy.session import NEGOTIATING
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.stream import Place
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Message, Request, Response, response_to
from haproxy_voip.sip.sdp import Description, keys_equal, locate_sdp, parse
from haproxy_voip.sip.transactions import ServerTransaction

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call
    from haproxy_voip.proxy.calls import Calls

# How long the next backend may take; nobody waits for it, but the calls of others do.
MOVE_SECONDS = 6.0
# For what the old backend was sent to come back from it: a jitter buffer, or a packet of the longest kind in use.
ON_ITS_WAY_SECONDS = 0.1
REASON = "its backend is drained"


class Step(StrEnum):
    """How far a relocation has come."""

    ASKING = "asking"
    JOINED = "joined"
    OVER = "over"


class Half:
    """One of the two calls: `call.relocation`, meanwhile. It listens to the INVITE at the next backend in its place."""

    __slots__ = ("attempt", "call", "caller", "leg", "new", "offered", "response", "session", "whole")

    unheard = False  # for claims.py: somebody hears it
    carried = False

    def __init__(self, whole: Relocation, call: Call) -> None:
        self.whole = whole
        self.call = call
        self.leg: Leg = call.client_leg
        self.offered = call.media.described(Side.BACKEND)  # what an INVITE that claims it must be equal to
        self.attempt: Attempt | None = None
        self.caller: Caller | None = None
        self.new: Leg | None = None  # the dialog at the next backend
        self.session: Description | None = None  # and what it said of its media
        self.response: Response | None = None

    @property
    def partner(self) -> Call:
        """The other one."""
        theirs, ours = self.whole.theirs.call, self.whole.ours.call
        return theirs if self.call is ours else ours

    @property
    def at_work(self) -> bool:
        """Whether the next backend may be calling somebody for it."""
        return self.attempt is not None

    # -- what the next backend says to our INVITE ---------------------------------------------------

    def progressed(self, now: float) -> list[Output]:
        """It has its time."""
        return []

    def provisional(self, leg: Leg, response: Response, now: float) -> list[Output]:
        """Nobody waits for it."""
        return []

    def answered_by(self, leg: Leg, response: Response, now: float) -> list[Output]:
        """It takes the call."""
        assert self.attempt is not None
        self.attempt.forget_legs(but=leg)
        self.new, self.response = leg, response
        outputs = self.whole.shared.send_ack(leg, response.cseq.number)
        return outputs + self._agreed(response, now)

    def _agreed(self, message: Message, now: float) -> list[Output]:
        """The new dialog stands, if this says where its media are."""
        try:
            found = locate_sdp(message.get("content-type"), message.body)
            self.session = None if found is None else parse(message.body[found])
        except MessageError as error:
            return self.whole.call_off(error.reason, now)
        if self.session is None or (self.offered is not None and not keys_equal(self.offered, self.session)):
            return self.whole.call_off("the next backend offers another session", now)
        assert self.new is not None
        self.new.session = self.session
        return self.whole.advance(now)

    def failed_with(self, response: Response, now: float) -> list[Output]:
        """It does not."""
        return self.whole.call_off(f"{self.whole.target} answered {response.status}", now)

    def unanswered(self, reason: str, now: float) -> list[Output]:
        """It says nothing."""
        return self.whole.call_off(f"{self.whole.target}: {reason}", now)

    # -- the next backend's INVITE for the client ---------------------------------------------------

    def claim(self, incoming: Incoming, backend: str, now: float) -> list[Output]:
        """The next backend calls this client, who talks already."""
        shared, call = self.whole.shared, self.call
        caller = self.caller = Caller(shared, call, Side.BACKEND, incoming)
        new = self.new = caller.stand_alone()
        found = locate_sdp(incoming.request.get("content-type"), incoming.request.body)
        offer = None if found is None else parse(incoming.request.body[found])
        answer = standing_answer(shared, call, incoming.request, new, offer)

        def confirmed(ack: Request, at: float) -> list[Output]:
            return self._agreed(incoming.request if offer is not None else ack, at)

        AnswerAwaitingAck(shared, new, answer, (self.leg, 0), now).taken = confirmed
        return caller.send(answer, now)

    # -- meanwhile ----------------------------------------------------------------------------------

    def take(self, leg: Leg, transaction: ServerTransaction, now: float) -> list[Output] | None:
        """A request in this call; None: it is not affected. Raises MessageError when it may be tried again later."""
        request = transaction.request
        if request.method == "BYE" and leg is self.new:
            answer = self.whole.shared.answer(transaction, response_to(request, 200), now)
            return answer + self._left(now)
        if leg is self.new or (self.whole.step is Step.JOINED and request.method != "BYE"):
            raise MessageError("the call is being moved; try again", status=491)
        if request.method in NEGOTIATING or request.method == "REFER":
            return self.whole.call_off("something changed in it", now) + self.call.request(leg, transaction, now)
        return None

    def _left(self, now: float) -> list[Output]:
        """The next backend hung up."""
        assert self.new is not None
        farewell.forsake(self.new)
        self.whole.shared.legs.remove(self.new)
        self.new = None
        return self.whole.call_off(f"{self.whole.target} hung up", now)

    def ended(self, now: float) -> list[Output]:
        """The call is over."""
        return self.whole.call_off("it ended", now)

    def dropped(self, now: float) -> list[Output]:
        """The dialog at the next backend is not wanted any more."""
        outputs = [] if self.attempt is None else self.whole.home.withdraw(self.call, self.attempt, [], now)
        if self.new is not None:
            outputs += farewell.leave(self.whole.shared, self.new, True, now)
        self.call.relocation = None
        return outputs

    def settled(self, alive: bool, now: float) -> list[Output]:
        """The new dialog takes the old one's place."""
        call, shared, new, former = self.call, self.whole.shared, self.new, self.call.backend
        assert new is not None and self.session is not None
        outputs: list[Output] = []
        if not alive:
            self.whole.home.remember(call)
        for leg in call.legs:
            if leg is not self.leg and leg is not new:
                outputs += farewell.leave(shared, leg, alive, now)
        new.peer, self.leg.peer = self.leg, new
        if self.attempt is not None:
            call.attempt, call.callee_leg = self.attempt, new
            self.attempt.listener = call
            call.callee = self.whole.callee
        elif self.caller is not None:
            call.caller = self.caller
            self.caller.keep(new)
        call.rehome(self.whole.target)
        call.tried = [self.whole.target]
        call.relocation = None
        call.media.forget(Side.BACKEND, Place.on(shared, new.flow))
        call.media.learn(self.session, Side.BACKEND, told=False)
        call.media.part()
        if self.response is not None:
            call.session.watch(self.response, Side.CLIENT, now)
            shared.alarms.set(call, call.session.expires_at)
        moved = CallMoved(call.token, former, self.whole.target, REASON)
        carried = CallCarried(call.token, self.whole.target, now - self.whole.since, now)
        return [moved, *call.media.plans(), *outputs, carried]


class Relocation:
    """See the module. `ours` is the call from a client, `theirs` the one to the other client."""

    def __init__(self, home: Calls, ours: Call, theirs: Call, target: str, now: float) -> None:
        self.shared: Shared = home.shared
        self.since = now
        self.target = target
        self.step = Step.ASKING
        self.why = ""  # it was called off
        self.home = home
        self.callee: Invitation = ours.callee.at(self.shared, target)
        self.ours = ours.relocation = Half(self, ours)
        self.theirs = theirs.relocation = Half(self, theirs)

    def begin(self, now: float) -> list[Output]:
        """Ask the next backend, once it knows the callee."""
        self.home.claims.rebuild(self.ours.call)
        self.home.claims.wait(self.theirs.call)
        self.shared.alarms.set(self, now + MOVE_SECONDS)
        return self.home.when_known(self.callee.name, self.target, self._invite, now)

    def _invite(self, now: float) -> list[Output]:
        call = self.ours.call
        if self.step is not Step.ASKING or call.caller is None:
            return []
        attempt = self.ours.attempt = Attempt(self.shared, call, self.callee)
        attempt.listener = self.ours
        incoming = call.caller.incoming
        return attempt.start(again(self.shared, call, self.callee, incoming, attempt.contact), now)

    def advance(self, now: float) -> list[Output]:
        """One more dialog stands."""
        if self.ours.session is None or self.theirs.session is None or self.step is not Step.ASKING:
            return []
        ours, theirs = self.ours.call.media, self.theirs.call.media
        if not ours.join(theirs, alive=True):
            return self.call_off("its media cannot be joined any more", now)
        self.step = Step.JOINED
        self.shared.alarms.set(self, now + ON_ITS_WAY_SECONDS)
        return ours.plans() + theirs.plans()

    def wake(self, now: float) -> list[Output]:
        """Nothing is on its way any more; or it took too long."""
        if self.step is Step.JOINED:
            return self.finish(True, now)
        return self.call_off(f"{self.target} did not take it in time", now)

    def finish(self, alive: bool, now: float) -> list[Output]:
        """Leave the old backend, which hears of it if it is `alive`."""
        self._over()
        return self.ours.settled(alive, now) + self.theirs.settled(alive, now)

    def call_off(self, why: str, now: float, alive: bool = True) -> list[Output]:
        """All stays as it is. Who is joined already goes on to the new backend, if nobody hung up.

        `alive`: whether the old backend is.
        """
        if self.step is Step.OVER:
            return []
        joined = self.step is Step.JOINED
        stand = self.ours.new is not None and self.theirs.new is not None
        if joined and stand and not self.ours.call.over and not self.theirs.call.over:
            return self.finish(alive, now)
        self._over()
        self.why = why
        outputs: list[Output] = []
        for half in (self.ours, self.theirs):
            outputs += half.dropped(now)
            if joined and not half.call.over:
                half.call.media.part()
                outputs += half.call.media.plans()
        return outputs

    def end(self, reason: str, now: float) -> list[Output]:
        """A mistake of ours."""
        return self.call_off(reason, now)

    def _over(self) -> None:
        self.step = Step.OVER
        self.shared.alarms.set(self, None)
        self.home.claims.settle(self.theirs.call)
