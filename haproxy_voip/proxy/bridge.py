"""What two legs belong to: a call or a subscription."""

from __future__ import annotations

from typing import Protocol

from haproxy_voip.proxy.leg import Leg
from haproxy_voip.proxy.shared import Output
from haproxy_voip.sip.message import Message, Request


class Bridge(Protocol):
    """The owner of a pair of legs, asked by `Forward` where the two sides differ."""

    backend: str
    user: str  # of the client

    def body_across(self, message: Message, leg: Leg) -> bytes:
        """The body for the other leg of a message that came on this one. Raises MessageError when it cannot cross."""

    def outputs_pending(self) -> list[Output]:
        """Effects that carrying a body caused (media plans), to be performed before the message leaves."""

    def accept(self, request: Request, leg: Leg) -> None:
        """Raise MessageError when this request cannot be taken in the present state."""

    def gone(self, leg: Leg, reason: str, now: float) -> list[Output]:
        """The dialog of this leg is no more (481, 408 to a request in it): end the whole."""
