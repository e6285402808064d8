"""A 2xx to an INVITE that is sent again until its ACK comes (RFC 3261 section 13.3.1.4)."""

from __future__ import annotations

from collections.abc import Callable

from haproxy_voip.core.effects import Send
from haproxy_voip.proxy.leg import Leg
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.message import Request, Response


class AnswerAwaitingAck:
    """Belongs to the user of the transaction layer, because a 2xx is end to end: its ACK is a request of its own."""

    __slots__ = ("_data", "_gives_up_at", "_interval", "_leg", "_lost", "_shared", "cseq", "far", "then")

    def __init__(
        self, shared: Shared, leg: Leg, answer: Response, lost: Callable[[float], list[Output]], now: float
    ) -> None:
        timing = shared.timing
        self._shared = shared
        self._leg = leg
        self._data = answer.encode()
        self._lost = lost
        self._interval = timing.t1
        self._gives_up_at = now + 64 * timing.t1
        self.cseq = answer.cseq.number
        self.far: tuple[Leg, int] | None = None  # where the ACK goes on, and its CSeq there
        self.then: Callable[[float], list[Output]] | None = None  # instead of passing the ACK on
        leg.answers[self.cseq] = self
        shared.alarms.set(self, now + self._interval)

    def acknowledged(self, ack: Request, now: float) -> list[Output]:
        """The ACK came: stop, and pass it on with whatever it carries."""
        self.stop()
        self._leg.answers.pop(self.cseq, None)
        if self.then is not None:
            return self.then(now)
        if self.far is None:
            return []
        leg, cseq = self.far
        carried = self._shared.topology.carried(ack, self._leg.hidden)
        body = self._leg.bridge.body_across(ack, self._leg) if ack.body else b""
        return self._leg.bridge.outputs_pending() + self._shared.send_ack(leg, cseq, carried, body)

    def stop(self) -> None:
        """Do not send it again."""
        self._shared.alarms.set(self, None)

    def wake(self, now: float) -> list[Output]:
        """Send it again, or give up."""
        if now >= self._gives_up_at:
            self._leg.answers.pop(self.cseq, None)
            return self._lost(now) if self.then is None else self.then(now)
        self._interval = min(2 * self._interval, self._shared.timing.t2)
        self._shared.alarms.set(self, min(now + self._interval, self._gives_up_at))
        return [Send(self._leg.flow, self._data)]
