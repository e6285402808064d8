"""What a phone says while it rings for nobody: its backend died, and no other one has claimed the call yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.proxy import farewell
from haproxy_voip.proxy.caller import Caller, Incoming
from haproxy_voip.proxy.facts import CallMoved
from haproxy_voip.proxy.farewell import Silent
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.stream import Place
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.grammar import parse_number
from haproxy_voip.sip.headers import RSEQ_MAX, RAck
from haproxy_voip.sip.message import Response, header
from haproxy_voip.sip.sdp import Description

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call

Heard = tuple[Leg | None, Response | None]

# How long a phone rings on for a backend that died before another one claims it. Longer than any failover
# takes, shorter than a caller waits.
CLAIM_SECONDS = 4.0
# Reliable provisional responses one phone may send meanwhile; each comes again until its PRACK.
MAX_PRACKS = 8


class Unclaimed:
    """Listens to the phone in the call's place (`attempt.Listener`) until the call is claimed or given up."""

    __slots__ = ("_call", "_pracked", "_shared", "heard", "leg", "offered")

    def __init__(self, shared: Shared, call: Call, offered: Description | None, heard: Heard) -> None:
        self._shared = shared
        self._call = call
        self.offered = offered  # by the dead backend, to the phone
        # What the phone said last, and on which leg; a final response is kept for who claims the call.
        self.leg, self.heard = heard
        self._pracked: set[str] = set()

    def progressed(self, now: float) -> list[Output]:
        """The phone is at work; it has little time for that now."""
        return []

    def provisional(self, leg: Leg, response: Response, now: float) -> list[Output]:
        """It rings, or says why it does not yet. A reliable response would come again and hold up its answer."""
        self.leg, self.heard = leg, response
        if not response.has("rseq"):
            return []
        rseq = parse_number(response.get("rseq") or "", RSEQ_MAX, "RSeq")
        rack = str(RAck(rseq, response.cseq.number, "INVITE"))
        delayed = self.offered is None  # then the response holds the offer, and nobody is here to answer it
        if rack in self._pracked or delayed or len(self._pracked) >= MAX_PRACKS:
            return []
        self._pracked.add(rack)
        prack = leg.dialog.request("PRACK", [header("RAck", rack)])
        return self._shared.ask(prack, leg.flow, Silent(), now)[1]

    def answered_by(self, leg: Leg, response: Response, now: float) -> list[Output]:
        """It accepts the call; that is for whoever claims it."""
        self.leg, self.heard = leg, response
        return []

    def failed_with(self, response: Response, now: float) -> list[Output]:
        """It declines; that as well."""
        self.leg, self.heard = None, response
        return []

    def unanswered(self, reason: str, now: float) -> list[Output]:
        """It is not there any more."""
        return self._call.refuse(480, reason, now)

    def claim(self, incoming: Incoming, backend: str, now: float) -> list[Output]:
        """A backend calls this phone for the same caller: join it to the leg that rings already."""
        call = self._call
        assert call.attempt is not None
        moved = CallMoved(call.token, call.backend, backend, "the phone rings on")
        call.unclaimed, call.attempt.listener = None, call
        call.rehome(backend)
        call.caller = Caller(self._shared, call, Side.BACKEND, incoming)
        call.media.forget(Side.BACKEND, Place.on(self._shared, incoming.flow))
        try:
            call.media.hear(
                incoming.request, Side.BACKEND, told=False
            )  # for the relay; the phone has an equal offer already
        except MessageError as error:
            return [moved, *call.refuse(error.status, error.reason, now)]
        call.progressed(now)
        return [moved, *self._hand_over(call.caller, now)]

    def _hand_over(self, caller: Caller, now: float) -> list[Output]:
        """It hears what the phone said last."""
        call, leg, heard = self._call, self.leg, self.heard
        if heard is None:
            return call.outputs_pending()
        if leg is None:
            return call.failed_with(heard, now)
        if heard.status >= 200:
            return call.answered_by(leg, heard, now)
        ringing = caller.ringing(leg, heard)
        return call.outputs_pending() + caller.send(ringing, now)

    def refuse(self, status: int, now: float) -> list[Output]:
        """Nobody will claim the call: there is no caller to be told, but a phone that answered meanwhile is hung up."""
        if self.leg is None or self.heard is None or self.heard.status < 200:
            return []
        return farewell.bye(self._shared, self.leg, [], now)
