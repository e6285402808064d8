"""What two legs belong to: a call or a subscription."""

from __future__ import annotations

from typing import Protocol

from haproxy_voip.proxy.leg import Leg
from haproxy_voip.proxy.shared import Output
from haproxy_voip.proxy.trunks import Trunk
from haproxy_voip.sip.message import Message, Request, Response

# The dialog is gone when a request in it gets one of these (RFC 5057 section 5.1).
DIALOG_GONE = frozenset({404, 408, 410, 416, 481, 482, 483, 484, 485, 502, 604})


class Bridge(Protocol):
    """The owner of a pair of legs, asked by `Forward` where the two sides differ."""

    token: str  # what we call it, for people
    backend: str
    user: str  # of the client

    @property
    def trunk(self) -> Trunk | None:
        """The trunk that is the client here."""

    def body_across(self, message: Message, leg: Leg) -> bytes:
        """The body for the other leg of a message that came on this one. Raises MessageError when it cannot cross."""

    def outputs_pending(self) -> list[Output]:
        """Effects that carrying a body caused (media plans), to be performed before the message leaves."""

    def accept(self, request: Request, leg: Leg) -> None:
        """Raise MessageError when this request cannot be taken in the present state."""

    def crossed(self, request: Request, answer: Response | None, far: Leg, now: float) -> list[Output]:
        """A request asked on the `far` leg is done with: its final answer from there, None when there is none."""

    def gone(self, leg: Leg, reason: str, now: float) -> list[Output]:
        """The dialog of this leg is no more: end the whole."""

    def end(self, reason: str, now: float) -> list[Output]:
        """End both dialogs."""
