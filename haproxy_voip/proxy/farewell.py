"""Hanging up one leg by the book (RFC 3261 section 15)."""

from __future__ import annotations

from haproxy_voip.proxy.leg import Leg
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.message import Header, Response
from haproxy_voip.sip.transactions import ClientTransaction


class Silent:
    """Owner of a request whose answer changes nothing."""

    __slots__ = ()

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """Nothing depends on it."""
        return []

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """Nor on this."""
        return []


def bye(shared: Shared, leg: Leg, headers: list[Header], now: float) -> list[Output]:
    """End the dialog, as soon as that may be done.

    A caller that has not acknowledged our 2xx yet may not be sent BYE before it does.
    """
    waiting = next(iter(leg.answers.values()), None)
    if waiting is not None:
        waiting.then = lambda at: _send(shared, leg, headers, at)
        return []
    return _send(shared, leg, headers, now)


def acknowledge_and_bye(shared: Shared, leg: Leg, cseq: int, now: float) -> list[Output]:
    """A 2xx that nobody wants any more is acknowledged, then ended (13.2.2.4)."""
    return shared.send_ack(leg, cseq) + _send(shared, leg, [], now)


def _send(shared: Shared, leg: Leg, headers: list[Header], now: float) -> list[Output]:
    request = leg.dialog.request("BYE", headers)
    return shared.ask(request, leg.flow, Silent(), now)[1]
