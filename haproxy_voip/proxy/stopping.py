"""The end of the proxy, asked for by a signal.

SIGINT: carriers and chat clients are told at once; calls are not touched.

SIGTERM: 1. Nothing new is taken. SIP is answered 503, so that phones, carriers and balancers go elsewhere; chat's
            listeners close, because a refused connection is what sends a chat client to the next address of its domain.
         2. Calls go on, until the last has ended or `proxy.stop_after` is over. Then they are hung up, except answered
            ones whose media the kernel relays: those talk on, and the next process takes the media over.
         3. Carriers and chat clients are told. Not before: a chat session never ends by itself, so there is nothing to
            wait for, and its user can chat until then.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from haproxy_voip.proxy.call import Call
from haproxy_voip.proxy.calls import Calls
from haproxy_voip.proxy.effects import CloseListener, Left
from haproxy_voip.proxy.events import AskedToStop
from haproxy_voip.proxy.isolation import apart
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.stop_facts import CallsCut, CallsLeftAlone, StopWaits

# How often it is looked whether the last call has ended.
LOOK_SECONDS = 0.1
# For a BYE to be answered; one that is lost is sent again after 0.5 s.
BYE_SECONDS = 1.0
# For carriers and clients to hear of our end: two round trips to a carrier far away, with a datagram lost.
LEAVE_SECONDS = 2.0
AT_ONCE = "SIGINT"  # somebody at a terminal, who waits for the prompt


class Step(StrEnum):
    """How far it has come."""

    RUNNING = "running"
    WAITING = "waiting"  # for calls to end
    HANGING_UP = "hanging up"
    LEAVING = "leaving"
    LEFT = "left"


class Stopping:
    """See the module. `leave` tells all others, and says its word when that is done; `relay` is where media are."""

    def __init__(
        self, shared: Shared, calls: Calls, leave: Callable[[Left, float], list[Output]], relay: Callable[[], str]
    ) -> None:
        self.step = Step.RUNNING
        self._shared = shared
        self._calls = calls
        self._leave_others = leave
        self._relay = relay
        self._until = 0.0  # of the step
        self._word = Left()

    def asked(self, event: AskedToStop, now: float) -> list[Output]:
        """Begin the end. Asking once more changes nothing: that is for the edge to hear."""
        if self.step is not Step.RUNNING:
            return []
        if event.signal == AT_ONCE:
            return self._leave(now)
        config, count = self._shared.config, self._calls.count
        self._word = Left(media_stay=self._relay() == "kernel")
        self._shared.admission.stopping = True
        chat = () if config.proxy.xmpp is None else config.proxy.xmpp.listen
        outputs: list[Output] = [CloseListener(endpoint, chat=True) for endpoint in chat]
        if count:
            outputs.append(StopWaits(count, config.proxy.stop_after))
        self.step, self._until = Step.WAITING, now + config.proxy.stop_after
        return outputs + self.wake(now)

    def seconds_left(self, now: float) -> float | None:
        """Until calls are hung up; None: the proxy is not to end."""
        if self.step is Step.RUNNING:
            return None
        return max(self._until - now, 0.0) if self.step is Step.WAITING else 0.0

    def wake(self, now: float) -> list[Output]:
        """Look whether the next step's time has come."""
        match self.step:
            case Step.WAITING if self._calls.count and now >= self._until:
                return self._end_calls(now)
            case Step.WAITING | Step.HANGING_UP if now >= self._until or not self._busy:
                return self._leave(now)
            case Step.LEAVING:
                self.step = Step.LEFT
                return [self._word]
        self._shared.alarms.set(self, min(now + LOOK_SECONDS, self._until))
        return []

    @property
    def _busy(self) -> bool:
        """Whether somebody talks, or has not heard yet that nobody does."""
        waited_for = 0 if self.step is Step.HANGING_UP else self._calls.count
        return bool(waited_for) or self._shared.transactions.parting

    def _end_calls(self, now: float) -> list[Output]:
        self.step, self._until = Step.HANGING_UP, now + BYE_SECONDS
        self._shared.alarms.set(self, now + LOOK_SECONDS)
        calls, stay = self._calls.all, self._word.media_stay
        spared = [call for call in calls if stay and call.answered]
        ended = [call for call in calls if not (stay and call.answered)]
        outputs = [output for call in ended for output in apart(_hang_up, call, now)]
        if ended:
            outputs.append(CallsCut(len(ended)))
        return [*outputs, CallsLeftAlone(len(spared))] if spared else outputs

    def _leave(self, now: float) -> list[Output]:
        self.step = Step.LEAVING
        self._shared.alarms.set(self, now + LEAVE_SECONDS)
        return self._leave_others(self._word, now)


def _hang_up(call: Call, now: float) -> list[Output]:
    if call.over:
        return []  # with its partner
    if call.answered:
        return call.hang_up("the proxy stops", now)
    return call.refuse(503, "the proxy stops", now)
