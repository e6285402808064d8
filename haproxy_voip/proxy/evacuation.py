"""What follows when a backend goes or comes: everything on it moves or ends, and a record is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from haproxy_voip.cluster.detector import BackendDown
from haproxy_voip.cluster.pool import ActiveChanged
from haproxy_voip.proxy.backends import Backends, Judgement, Retired, Returned, Verdict
from haproxy_voip.proxy.calls import Calls
from haproxy_voip.proxy.facts import BackendLeaves, BackendRestarted, FailoverRecord
from haproxy_voip.proxy.inquiry import Inquiries
from haproxy_voip.proxy.isolation import apart
from haproxy_voip.proxy.moves import Moves, Reckoning
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.subscriptions import Subscriptions
from haproxy_voip.proxy.upstream import Upstream

# Kept for `status`; older ones are in the log.
RECORDS_KEPT = 20


class Evacuation:
    """Carries out what the backends' health decides."""

    def __init__(
        self,
        shared: Shared,
        backends: Backends,
        calls: Calls,
        inquiries: Inquiries,
        subscriptions: Subscriptions,
        upstream: Upstream,
    ) -> None:
        self._shared = shared
        self._backends = backends
        self._calls = calls
        self._inquiries = inquiries
        self._subscriptions = subscriptions
        self._upstream = upstream
        upstream.asked = lambda backend: calls.asked(backend) or inquiries.asked(backend)
        self.records: deque[FailoverRecord] = deque(maxlen=RECORDS_KEPT)
        self.retired: Callable[[float], None] = lambda now: None  # told when a removed backend is not needed any more
        self._judged: list[Judgement] = []  # to be carried out as soon as the relay has been told who is joined

    def carry_out(self, judged: list[Judgement], now: float) -> list[Output]:
        """Do what must be done; facts and effects of the health checks pass through.

        After a death those who talk are joined, and nothing else is done in this step: they wait. All the rest is done
        when this is woken, which is before anything else is received (core/machine.py).
        """
        died = [item.backend for item in judged if isinstance(item, Verdict) and item.down is not None]
        if not died and not self._judged:
            return [*(item for item in judged if isinstance(item, BackendDown)), *self._carry_out(judged, now)]
        outputs: list[Output] = [item for item in judged if isinstance(item, BackendDown)]
        outputs += [output for backend in died for output in apart(self._calls.join, backend, now)]
        self._judged += judged
        self._shared.alarms.set(self, now)
        return outputs

    def wake(self, now: float) -> list[Output]:
        """They hear each other."""
        judged, self._judged = self._judged, []
        return self._carry_out(judged, now)

    def _carry_out(self, judged: list[Judgement], now: float) -> list[Output]:
        outputs: list[Output] = []
        for item in judged:
            match item:
                case Verdict(backend, down):
                    outputs += self._leave(backend, down, now)
                case Returned(backend):
                    outputs += apart(self._calls.returned, backend, now)
                    outputs += apart(self._upstream.came, backend, now)
                case Retired(backend):
                    outputs += self._retire(backend, now)
                case BackendRestarted(backend):
                    outputs += [item, *self._remind(backend, now)]
                case ActiveChanged(old, new):
                    if None in (old, new) or not self._backends.choice.sharing.spreads:
                        outputs.append(item)  # else it is one of several, and nothing changes for anybody
                    outputs += self._registrations(old, new, now)
                case BackendDown():
                    pass  # told already
                case _:
                    outputs.append(item)
        for item in judged:
            if isinstance(item, BackendDown):  # in maintenance there is nothing to leave, but nobody to ask either
                outputs += apart(self._upstream.went, item.backend, now)
        return outputs

    def _leave(self, backend: str, down: BackendDown | None, now: float) -> list[Output]:
        """Most urgent first: callers wait, then the users of the dead one must be known elsewhere."""
        moves = Moves(Reckoning(backend, now))
        successor = self._backends.successor
        outputs: list[Output] = []
        if down is None:
            outputs += apart(lambda name, at: self._calls.join(name, at, alive=True), backend, now)
        if self._shared.config.registration == "active":
            moves.move("registrations", self._upstream.counts(backend)[0] if successor is not None else 0)
        if down is not None:
            outputs += apart(self._upstream.went, backend, now)
        outputs += self._calls.evacuate(backend, moves, down is None, now)
        outputs += self._inquiries.evacuate(backend, moves, now)
        outputs += self._subscriptions.evacuate(backend, self._backends.choice.home, moves, now)
        if down is None:
            outputs += apart(self._upstream.left, backend, now)
        record = FailoverRecord(
            backend,
            successor,
            "maintenance" if down is None else down.signal,
            0.0 if down is None else down.detected_after,
            moves.moved,
            moves.lost,
            now,
            moves.reckoning.counts,
        )
        self.records.append(record)
        return [*outputs, record]

    def _retire(self, backend: str, now: float) -> list[Output]:
        """Its calls stay until they end. It is to send no more, so nobody is registered or subscribed there."""
        self.retired(now)
        moves = Moves(Reckoning(backend, now))
        outputs = apart(lambda name, at: self._calls.keep_from(name, "removed", at), backend, now)
        outputs.append(BackendLeaves(backend, "sip", len(self._calls.on(backend))))
        outputs += self._subscriptions.evacuate(backend, self._backends.choice.home, moves, now)
        if self._backends.detectors[backend].up:
            outputs += apart(self._upstream.left, backend, now)
        return outputs

    def _registrations(self, old: str | None, new: str | None, now: float) -> list[Output]:
        """In `active` mode the registrations follow the active backend."""
        if self._shared.config.registration == "mirror":
            return []
        outputs: list[Output] = []
        if new is not None:
            outputs += apart(self._upstream.came, new, now)
        if old is not None and self._backends.detectors[old].up:
            outputs += apart(self._upstream.left, old, now)
        return outputs

    def _remind(self, backend: str, now: float) -> list[Output]:
        """The backend was away too short to be missed. What it was told it must be told again; what was on it may
        have ended, and each kind finds out in a way that does no harm if all is well."""
        outputs = apart(self._upstream.restarted, backend, now)
        outputs += apart(self._calls.restarted, backend, now)
        return outputs + apart(self._subscriptions.restarted, backend, now)
