"""A 2xx to an INVITE that is sent again until its ACK comes (RFC 3261 section 13.3.1.4)."""

from __future__ import annotations

from collections.abc import Callable

from haproxy_voip.core.effects import Send
from haproxy_voip.proxy.leg import Leg
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response


class AnswerAwaitingAck:
    """Belongs to the user of the transaction layer, because a 2xx is end to end: its ACK is a request of its own.

    `far` is where the ACK goes on: the other leg, and the CSeq of the INVITE there.
    """

    __slots__ = ("_data", "_far", "_gives_up_at", "_interval", "_leg", "_shared", "cseq", "taken", "then")

    def __init__(self, shared: Shared, leg: Leg, answer: Response, far: tuple[Leg, int], now: float) -> None:
        timing = shared.timing
        self._shared = shared
        self._leg = leg
        self._data = answer.encode()
        self._far = far
        self._interval = timing.t1
        self._gives_up_at = now + timing.lifetime
        self.cseq = answer.cseq.number
        self.then: Callable[[float], list[Output]] | None = None  # instead of passing the ACK on, and if none comes
        self.taken: Callable[[Request, float], list[Output]] | None = None  # who takes the ACK instead of the far leg
        leg.answers[self.cseq] = self
        shared.alarms.set(self, now + self._interval)

    def acknowledged(self, ack: Request, now: float) -> list[Output]:
        """The ACK came: stop, and pass it on with whatever it carries."""
        self.stop()
        if self.then is not None:
            return self.then(now)
        if self.taken is not None:
            return self.taken(ack, now)
        far, cseq = self._far
        bridge = self._leg.bridge
        carried = self._shared.topology.carried(ack, self._leg.hidden)
        try:
            body = bridge.body_across(ack, self._leg)
        except MessageError as error:
            # The answer to a delayed offer cannot be taken, and an ACK has no response to say so.
            return bridge.end(error.reason, now)
        return bridge.outputs_pending() + self._shared.send_ack(far, cseq, carried, body)

    def stop(self) -> None:
        """Do not send it again."""
        self._shared.alarms.set(self, None)
        self._leg.answers.pop(self.cseq, None)

    def end(self, reason: str, now: float) -> list[Output]:
        """Its session cannot go on."""
        self.stop()
        return self._leg.bridge.end(reason, now)

    def wake(self, now: float) -> list[Output]:
        """Send it again, or give up: "the dialog is confirmed, but the session SHOULD be terminated"."""
        if now >= self._gives_up_at:
            self.stop()
            return self._leg.bridge.end("no ACK came", now) if self.then is None else self.then(now)
        self._interval = min(2 * self._interval, self._shared.timing.t2)
        self._shared.alarms.set(self, min(now + self._interval, self._gives_up_at))
        return [Send(self._leg.flow, self._data)]
