"""The chat health of the backends: detectors and a pool of its own, as its telephony may be well while its chat is not.

Where sessions are open, one of them asks for an acknowledgement (XEP-0198 section 4): that costs the server nothing,
and it says that the very streams our users depend on are served. Where none is, or something looks bad, a new
connection is made and its stream header must be answered.

Where an account is configured, somebody logs in and pings now and then (cluster/deep.py). A backend at which that
fails is down although it is there; its detector and its canary go on.
"""

from __future__ import annotations

from collections.abc import Callable

from haproxy_voip.cluster.choice import Sharing
from haproxy_voip.cluster.deep import DeepCheck, DeepTiming
from haproxy_voip.cluster.detector import BackendDown, BackendUp, Detector, DetectorOutput
from haproxy_voip.configuration.model import Config
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.deadlines import Deadlines
from haproxy_voip.proxy.backends import Backends, Judgement
from haproxy_voip.proxy.chat.patience import Patience
from haproxy_voip.proxy.chat_facts import DeepProbeFailed
from haproxy_voip.proxy.effects import ProbeDeeply, ProbeStream, Service
from haproxy_voip.proxy.events import DeepProbeDone
from haproxy_voip.proxy.network import Network
from haproxy_voip.proxy.shared import Output

# Asks through an open session; None when there is none that could.
AskSession = Callable[[str, int], list[Output] | None]


class ChatBackends(Backends):
    """See the module."""

    service: Service = "xmpp"

    def __init__(self, config: Config, network: Network, chance: Chance, now: float) -> None:
        super().__init__(config, network, chance, now)
        domain = config.chat_domains[0]
        self._header = (
            f"<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='jabber:client' "
            "xmlns:stream='http://etherx.jabber.org/streams'>"
        ).encode()
        self.ask_session: AskSession = lambda backend, number: None
        self._deep = {name: DeepCheck(name, timing) for name, timing in _deep_timings(config).items()}
        self._deep_alarms: Deadlines[DeepCheck] = Deadlines()
        self._patience = {name: Patience(detector.timing) for name, detector in self.detectors.items()}

    def _names(self, config: Config) -> list[str]:
        return list(config.xmpp_endpoints)

    def _sharing(self, config: Config) -> Sharing:
        """One backend has all sessions: two users at two servers that know nothing of each other could not talk."""
        return Sharing()

    def reconfigure(self, config: Config, now: float) -> list[Judgement]:
        """As for telephony, and whoever has an account is probed by it."""
        for name, timing in _deep_timings(config).items():
            deep = self._deep.setdefault(name, DeepCheck(name, timing))
            deep.retime(timing)
        outputs = super().reconfigure(config, now)
        self._patience = {name: Patience(detector.timing) for name, detector in self.detectors.items()}
        return outputs

    def drop(self, backend: str) -> list[Output]:
        """Nothing is left of one that was removed."""
        self._patience.pop(backend, None)
        deep = self._deep.pop(backend, None)
        if deep is not None:
            self._deep_alarms.set(deep, None)
        return super().drop(backend)

    def _probe(self, backend: str, number: int) -> list[Output]:
        if self.detectors[backend].up and self.detectors[backend].suspected_for is None:
            asked = self.ask_session(backend, number)
            if asked is not None:
                return asked
        return [ProbeStream(backend, number, self._header)]

    def _stir(self, backend: str) -> list[Output]:
        """Servers leave an idle stream alone for minutes; another canary is made when they do not."""
        return []

    def probe_answered(self, backend: str, number: int, now: float) -> list[Judgement]:
        """The backend answered this probe, on whichever stream."""
        detector = self.detectors.get(backend)
        return [] if detector is None else self._judged(detector, detector.answered(number, now), now)

    # -- deep probes --------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due."""
        at, deep_at = super().deadline, self._deep_alarms.next
        return at if deep_at is None or (at is not None and at < deep_at) else deep_at

    def wake(self, now: float) -> list[Judgement]:
        """Probe what is due, judge what is overdue."""
        outputs = super().wake(now)
        for deep in self._deep_alarms.due(now):
            outputs += [ProbeDeeply(due.backend, due.number) for due in deep.wake(now)]
            self._deep_alarms.set(deep, deep.deadline)
        return outputs

    def deep_failure(self, backend: str) -> str | None:
        """What the last login and ping there failed by."""
        deep = self._deep.get(backend)
        return None if deep is None else deep.reason

    def deep_probe_done(self, event: DeepProbeDone, now: float) -> list[Judgement]:
        """Somebody logged in and pinged, or could not."""
        deep, detector = self._deep.get(event.backend), self.detectors.get(event.backend)
        if deep is None or detector is None or not deep.awaits(event.number):
            return []
        was_failing, changed = deep.failing, deep.done(event.failure, now)
        self._deep_alarms.set(deep, deep.deadline)
        outputs: list[Judgement] = []
        if deep.reason is not None and not was_failing:
            outputs.append(DeepProbeFailed(deep.name, deep.reason))
        if changed and deep.failing:
            down = BackendDown(deep.name, f"deep probe: {deep.reason}", now - deep.failing_since, 0.0)
            outputs += [down, *self._pooled(self.pool.down(deep.name, now), down)]
        elif changed and detector.up:
            outputs += super()._judged(detector, [BackendUp(deep.name)], now)
        return outputs

    def refused(self, backend: str, now: float) -> list[Judgement]:
        """Nobody listens there."""
        if backend in self._patience:
            self._patience[backend].gone()
        return super().refused(backend, now)

    def _judged(self, detector: Detector, judged: list[DetectorOutput], now: float) -> list[Judgement]:
        """A backend that is there is asked more deeply; what that said last goes on until it says otherwise."""
        self._bear(detector, judged, now)
        deep = self._deep.get(detector.name)
        if deep is None or not judged:
            return super()._judged(detector, judged, now)
        for output in judged:
            if isinstance(output, BackendUp):
                deep.begin(now)
            elif isinstance(output, BackendDown):
                deep.pause()
        self._deep_alarms.set(deep, deep.deadline)
        held = [output for output in judged if not (deep.failing and isinstance(output, BackendUp))]
        return super()._judged(detector, held, now)

    def _bear(self, detector: Detector, judged: list[DetectorOutput], now: float) -> None:
        """With the silence of one that was taken for dead by mistake, from now on or no longer."""
        patience = self._patience[detector.name]
        changed = patience.calmed(now)
        for output in judged:
            if isinstance(output, BackendUp):
                changed = patience.up(now) or changed
            elif isinstance(output, BackendDown):
                patience.down(output.signal, now)
        if changed:
            detector.retime(patience.due_timing)

    def shuts_down(self, backend: str, now: float) -> list[Judgement]:
        """It told a client of ours so."""
        detector = self.detectors.get(backend)
        return [] if detector is None else self._judged(detector, detector.shuts_down(now), now)

    def crowded(self, now: float) -> None:
        """Many log in: all servers may be slow, and to leave one costs most while few are ready elsewhere."""
        for detector in self.detectors.values():
            detector.busy(now)

    def next_after(self, backend: str) -> str | None:
        """Where what is on this backend would go: the best of the others."""
        others = [name for name in self.pool.eligible if name != backend]
        return next(filter(self.pool.favours, others), others[0] if others else None)


def _deep_timings(config: Config) -> dict[str, DeepTiming]:
    """By backend, for those that have an account."""
    health = config.health
    return {
        backend.name: DeepTiming(probe.inter, probe.timeout, health.rise, health.fall)
        for backend in config.backends
        if (probe := backend.chat.probe) is not None
    }
