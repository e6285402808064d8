"""Hanging up one leg by the book (RFC 3261 section 15)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.errors import REASON_PHRASES
from haproxy_voip.sip.message import Header, Request, Response, header
from haproxy_voip.sip.transactions import ClientTransaction

# RFC 3326: not a party hung up, the server did.
ENDED_BY_US = f'SIP;cause=500;text="{REASON_PHRASES[500]}"'


class Silent:
    """Owner of a request whose answer changes nothing."""

    __slots__ = ()

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """Nothing depends on it."""
        return []

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """Nor on this."""
        return []


class Farewell:
    """Owner of a BYE: a backend may want to know who we are, and a BYE it refuses would leave the call open."""

    __slots__ = ("_challenged", "_leg", "_shared")

    def __init__(self, shared: Shared, leg: Leg) -> None:
        self._shared = shared
        self._leg = leg
        self._challenged = False

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """Answer a challenge, once."""
        if response.status not in (401, 407) or self._challenged:
            return []
        self._challenged = True
        credentials = self._shared.answer_challenge(response, transaction.request, self._leg.bridge, self._leg.side)
        if credentials is None:
            return []
        again = self._leg.dialog.request("BYE", [credentials])
        return self._shared.ask(again, self._leg.flow, self, now)[1]

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """Nobody is there to hang up."""
        return []


def leave(shared: Shared, leg: Leg, alive: bool, now: float) -> list[Output]:
    """The call goes on without this leg, whose party hears of it if it is alive."""
    leg.peer = None
    outputs = bye(shared, leg, [], now) if alive else []
    waiting = next(iter(leg.answers.values()), None)
    if alive and waiting is not None and waiting.then is not None:
        waiting.then = partial(_left, shared, leg, waiting.then)  # until the ACK comes the dialog must be found
        return outputs
    forsake(leg)
    shared.legs.remove(leg)
    return outputs


def hung_up(shared: Shared, leg: Leg, legs: list[Leg]) -> None:
    """Whoever is on this leg of a call with these `legs` said BYE. One that was left waits for no ACK any more."""
    forsake(leg)
    if leg.peer is None and leg not in legs:
        shared.legs.remove(leg)


def _left(shared: Shared, leg: Leg, then: Callable[[float], list[Output]], now: float) -> list[Output]:
    shared.legs.remove(leg)
    return then(now)


def bye(shared: Shared, leg: Leg, headers: list[Header], now: float) -> list[Output]:
    """End the dialog, as soon as that may be done.

    A 2xx that came is acknowledged first (13.2.2.4). Who has not acknowledged ours yet may not be sent BYE before
    that (15).
    """
    outputs: list[Output] = []
    for cseq in list(leg.unacknowledged):
        outputs += shared.send_ack(leg, cseq)
    waiting = next(iter(leg.answers.values()), None)
    if waiting is not None:
        waiting.then = lambda at: _send(shared, leg, headers, at)
        return outputs
    return outputs + _send(shared, leg, headers, now)


def pass_on(shared: Shared, leg: Leg, request: Request, now: float) -> list[Output]:
    """Whoever is on this leg said BYE: say it to its peer."""
    outputs: list[Output] = []
    for cseq in list(leg.unacknowledged):
        outputs += shared.send_ack(leg, cseq)  # or it would repeat its 2xx
    if leg.peer is not None:
        outputs += bye(shared, leg.peer, shared.topology.carried(request, leg.hidden), now)
    return outputs


def hang_up(shared: Shared, legs: list[Leg], but: Side | None, now: float) -> list[Output]:
    """End these dialogs; of those on the side `but`, which is gone, nothing is expected any more.

    Why is for our own people: it tells of what is behind us.
    """
    outputs: list[Output] = []
    for leg in legs:
        if leg.side is but:
            forsake(leg)
        else:
            outputs += bye(shared, leg, [header("Reason", ENDED_BY_US)], now)
    return outputs


def forsake(leg: Leg) -> None:
    """Whoever is on this leg is gone or hung up itself: wait for nothing from it."""
    for answer in list(leg.answers.values()):
        answer.stop()


def _send(shared: Shared, leg: Leg, headers: list[Header], now: float) -> list[Output]:
    return shared.ask(leg.dialog.request("BYE", headers), leg.flow, Farewell(shared, leg), now)[1]
