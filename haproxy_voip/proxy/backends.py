"""The backends' health: a detector for each, fed with everything that tells of its life, and the pool they make.

Probes are SIP OPTIONS written here and sent by the edge from a socket of their own; any answer at all means alive
(PJSIP answers OPTIONS of strangers 401 or 404).
"""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.cluster.choice import Choice, Sharing, Terms
from haproxy_voip.cluster.detector import (
    BackendDown,
    BackendUp,
    CanaryDue,
    Detector,
    DetectorOutput,
    LookDue,
    ProbeDue,
    StirDue,
)
from haproxy_voip.cluster.health import Health, HealthTiming
from haproxy_voip.cluster.pool import ActiveChanged, Admin, Cause, Evacuate, Pool, PoolOutput, PoolRefusal, Retire
from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.deadlines import Deadlines
from haproxy_voip.proxy.effects import (
    CloseCanary,
    ForgetBackend,
    LookForReply,
    OpenCanary,
    Probe,
    Service,
    StirCanary,
)
from haproxy_voip.proxy.facts import AdminChanged, BackendRestarted, TooFewBackends
from haproxy_voip.proxy.network import Network
from haproxy_voip.proxy.shared import Output
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, header, parse

# Two idle connections that lived as long as each other but for this share, and this many seconds, were closed by habit.
HABIT_SHARE, HABIT_SECONDS = 0.05, 0.5


@dataclass(slots=True)
class Verdict:
    """A backend is gone and must be left: for the node alone, it never leaves it."""

    backend: str
    down: BackendDown | None  # None: an operator took it into maintenance


@dataclass(slots=True)
class Returned:
    """A backend may be used again: for the node alone, it never leaves it."""

    backend: str


@dataclass(slots=True)
class Retired:
    """A backend was removed and is not needed any more: for the node alone, it never leaves it."""

    backend: str


@dataclass(slots=True)
class Canary:
    """What became of the idle connections to one backend.

    One that ends while probes are answered, and can be made anew, tells of a restart that was too fast for them. But
    servers also close what is idle: that happens after the same time again and again, which no restart does.
    """

    opened_at: float | None = None
    lived: float | None = None  # the one before this, in seconds
    ended: bool = False  # before its time

    def opened(self, now: float) -> bool:
        """Whether the backend was restarted since the one before."""
        ended, self.ended = self.ended, False
        self.opened_at = now
        return ended

    def closed(self, now: float) -> None:
        """It ended, or could not be made."""
        if self.opened_at is None:
            return
        life, self.opened_at = now - self.opened_at, None
        habit = self.lived is not None and abs(life - self.lived) <= HABIT_SHARE * life + HABIT_SECONDS
        self.lived = life
        self.ended = not habit


Judgement = Output | Verdict | Returned | Retired


def sharing(config: Config) -> Sharing:
    """How telephony is shared."""
    terms = {one.name: Terms(one.weight, one.max_calls, one.slowstart) for one in config.backends}
    return Sharing(config.balance, config.panic, terms)


class Backends:
    """Detectors and the pool, of the backends' telephony."""

    service: Service = "sip"

    def __init__(self, config: Config, network: Network, chance: Chance, now: float) -> None:
        timing, names = _timing(config), self._names(config)
        self._network = network
        self._domain = config.proxy.domain
        self._tag = chance.token()
        self._chance = chance
        self._alarms: Deadlines[Detector] = Deadlines()
        self.choice = Choice(Pool(names, self._failback(config), now), self._sharing(config))
        self.pool = self.choice.pool
        self._panic = False  # it was said
        self.detectors = {name: Detector(name, timing, now) for name in names}
        for detector in self.detectors.values():
            self._alarms.set(detector, detector.deadline)
        self._canaries = {name: Canary() for name in names}
        self._began = False  # the first probes were sent
        self._stirred = 0  # times something was said on any of them

    def _names(self, config: Config) -> list[str]:
        return list(config.sip_endpoints)

    def _sharing(self, config: Config) -> Sharing:
        return sharing(config)

    def _failback(self, config: Config) -> float | None:
        return None if self._sharing(config).spreads else config.failback

    def reconfigure(self, config: Config, now: float) -> list[Judgement]:
        """Have these backends from now on: new ones are probed first, those that are missing leave (`drop` them)."""
        timing, occupied = _timing(config), self.pool.occupied
        for detector in self.detectors.values():
            detector.retime(timing)
        self.choice.arrange(self._sharing(config))
        names = self._names(config)
        for name in names:
            if name not in self.detectors:
                detector = self.detectors[name] = Detector(name, timing, now)
                self._canaries[name] = Canary()
                self._alarms.set(detector, detector.deadline)
        outputs = self._pooled(self.pool.arrange(names, self._failback(config), now), None)
        return [*outputs, *(Returned(name) for name in self.pool.occupied if name not in occupied)]

    def drop(self, backend: str) -> list[Output]:
        """Nothing is left of one that was removed."""
        self.pool.drop(backend)
        self._alarms.set(self.detectors.pop(backend), None)
        del self._canaries[backend]
        return [CloseCanary(backend, self.service), ForgetBackend(backend, self.service)]

    @property
    def eligible(self) -> list[str]:
        """All that may get new calls; the active one first, then by preference."""
        return self.choice.eligible

    @property
    def successor(self) -> str | None:
        """Who gets new calls now, for people; None: nobody."""
        if not self.choice.sharing.spreads or self.pool.active is None:
            return self.pool.active
        return ", ".join(self.pool.eligible)

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due."""
        probe_at, pool_at = self._alarms.next, self.pool.deadline
        return pool_at if probe_at is None or (pool_at is not None and pool_at < probe_at) else probe_at

    def wake(self, now: float) -> list[Judgement]:
        """Probe what is due, judge what is overdue."""
        if not self._began:
            self._began = True
            self.pool.begin(now)
        outputs: list[Judgement] = []
        for detector in self._alarms.due(now):
            outputs += self._judged(detector, detector.wake(now), now)
        pool_at = self.pool.deadline
        if pool_at is not None and pool_at <= now:
            outputs += self._pooled(self.pool.wake(now), None)
        return outputs

    # -- signals; of a backend that was dropped they say nothing any more ------------------------------

    def answered(self, backend: str, data: bytes, now: float) -> list[Judgement]:
        """Something came back on the probe socket."""
        try:
            message = parse(data)
            number = message.cseq.number if isinstance(message, Response) else 0
        except MessageError:
            return []
        detector = self.detectors.get(backend)
        return [] if detector is None else self._judged(detector, detector.answered(number, now), now)

    def looked(self, backend: str, number: int, now: float) -> list[Judgement]:
        """Whatever had come back on the probe socket was read."""
        detector = self.detectors.get(backend)
        return [] if detector is None else self._judged(detector, detector.looked(number, now), now)

    def refused(self, backend: str, now: float) -> list[Judgement]:
        """ICMP says that nobody listens there."""
        detector = self.detectors.get(backend)
        return [] if detector is None else self._judged(detector, detector.refused(now), now)

    def canary_opened(self, backend: str, now: float) -> list[Judgement]:
        """The idle connection stands."""
        detector = self.detectors.get(backend)
        if detector is None:
            return []
        detector.canary_opened(now)
        outputs = self._judged(detector, [], now)
        if detector.up and self._canaries[backend].opened(now):
            outputs.append(BackendRestarted(backend))
        return outputs

    def canary_closed(self, backend: str, now: float) -> list[Judgement]:
        """The idle connection ended."""
        detector = self.detectors.get(backend)
        if detector is None:
            return []
        self._canaries[backend].closed(now)
        return self._judged(detector, detector.canary_closed(now), now)

    def doubt(self, backend: str, reason: str, now: float) -> list[Judgement]:
        """Real traffic went wrong there."""
        detector = self.detectors.get(backend)
        return [] if detector is None else self._judged(detector, detector.passive_failure(reason, now), now)

    def media_silent(self, backend: str, calls: int, of: int, now: float) -> list[Judgement]:
        """Its media stopped on so many of the calls it carries."""
        detector = self.detectors.get(backend)
        return [] if detector is None else self._judged(detector, detector.media_silent(calls, of, now), now)

    def media_refused(self, backend: str, now: float) -> list[Judgement]:
        """ICMP says that nobody listens where the media of one of its calls go."""
        detector = self.detectors.get(backend)
        return [] if detector is None else self._judged(detector, detector.media_refused(now), now)

    def seen(self, backend: str, now: float) -> None:
        """A message came from it."""
        self.detectors[backend].seen_alive(now)

    # -- commands -----------------------------------------------------------------------------------

    def set_admin(self, backend: str, state: Admin, now: float) -> list[Judgement]:
        """An operator's word. Raises PoolRefusal."""
        before = backend in self.pool.occupied
        changed = self.pool.set_admin(backend, state, now)
        outputs: list[Judgement] = [AdminChanged(backend, state), *self._pooled(changed, None)]
        if backend in self.pool.occupied and not before:
            outputs.append(Returned(backend))  # out of maintenance
        return outputs

    def switch(self, backend: str, now: float) -> list[Judgement]:
        """Make it the active one. Raises PoolRefusal."""
        balance = self.choice.sharing.balance
        if self.choice.sharing.spreads:
            raise PoolRefusal(f"balance is {balance}: every backend that is ready gets calls; drain the others instead")
        return self._pooled(self.pool.switch(backend, now), None)

    def follow(self, backend: str, now: float) -> list[Judgement]:
        """Make it the active one because another service of it is. It can be used."""
        return self._pooled(self.pool.follow(backend, now), None)

    # -- carrying out -------------------------------------------------------------------------------

    def _judged(self, detector: Detector, judged: list[DetectorOutput], now: float) -> list[Judgement]:
        outputs: list[Judgement] = []
        for output in judged:
            match output:
                case ProbeDue(backend, number):
                    outputs += self._probe(backend, number)
                case LookDue(backend, number):
                    outputs.append(LookForReply(backend, number, self.service))
                case StirDue(backend):
                    outputs += self._stir(backend)
                case CanaryDue(backend):
                    outputs.append(OpenCanary(backend, self.service))
                case BackendUp(backend):
                    outputs.append(output)
                    if self.pool.members[backend].health is Health.DOWN:
                        detector.burdened()  # it is back: everybody comes to have a place there
                    outputs += self._pooled(self.pool.up(backend, now), None)
                    outputs.append(Returned(backend))
                case BackendDown(backend):
                    self._canaries[backend] = Canary()
                    outputs += [output, CloseCanary(backend, self.service)]
                    outputs += self._pooled(self.pool.down(backend, now), output)
        self._alarms.set(detector, detector.deadline)
        return outputs

    def _pooled(self, pooled: list[PoolOutput], down: BackendDown | None) -> list[Judgement]:
        self._spread_burden(pooled)
        judged: list[Judgement] = []
        for output in pooled:
            match output:
                case Evacuate(backend):
                    judged.append(Verdict(backend, down))
                case Retire(backend):
                    judged.append(Retired(backend))
                case _:
                    judged.append(output)
        if self.choice.panic is not self._panic:
            self._panic = not self._panic
            judged.append(TooFewBackends(self._panic, self.choice.percent_up, self.choice.sharing.panic))
        return judged

    def _spread_burden(self, pooled: list[PoolOutput]) -> None:
        """Detectors are told whose backend is the last one, and whose gets everything now."""
        usable = self.pool.eligible
        for name, detector in self.detectors.items():
            # Of too few, each is as good as the last: it is busy rather than dead, and the others could not take over.
            detector.last = usable in ([], [name]) or self.choice.panic
        if self.choice.sharing.spreads:
            if any(isinstance(output, Evacuate) for output in pooled):
                self._burden(usable)
            return
        for output in pooled:
            if isinstance(output, ActiveChanged) and output.new is not None and output.why is not Cause.START:
                self._burden([output.new])

    def _burden(self, names: list[str]) -> None:
        for name in names:
            self.detectors[name].burdened()
            self._alarms.set(self.detectors[name], self.detectors[name].deadline)

    def _stir(self, backend: str) -> list[Output]:
        """What is said on its canary, which to a UDP backend is TCP. Answered where it came from, whatever our port."""
        self._stirred += 1
        transport = self._network.endpoint(backend).transport
        over = Transport.TCP if transport is Transport.UDP else transport
        return [StirCanary(backend, self._options(backend, self._stirred, over))]

    def _probe(self, backend: str, number: int) -> list[Output]:
        return [Probe(backend, self._options(backend, number))]

    def _options(self, backend: str, number: int, over: Transport | None = None) -> bytes:
        """A probe; its number is its CSeq, which every answer repeats (RFC 3261 section 8.2.6.2).

        `over` another transport than probes are sent by it has Call-IDs of its own.
        """
        transport, address = self._network.endpoint(backend)
        local = self._network.local_for(transport, address)
        sent_by = self._network.sent_by(Flow(transport, local, address))
        uri = self._network.uri(backend)
        headers = [
            header(
                "Via", f"SIP/2.0/{(over or transport).upper()} {sent_by};branch=z9hG4bK{self._chance.token()};rport"
            ),
            header("Max-Forwards", "1"),
            header("From", f"<sip:{self._domain}>;tag={self._tag}"),
            header("To", f"<{uri}>"),
            # Of its own: SIPp, for one, takes a second request of the same Call-ID for a repetition of the first.
            header("Call-ID", f"{self._tag}{over or ''}{backend}{number}"),
            header("CSeq", f"{number} OPTIONS"),
            header("Accept", "application/sdp"),
        ]
        return Request("OPTIONS", uri, headers).encode()


def _timing(config: Config) -> HealthTiming:
    health = config.health
    return HealthTiming(
        inter=health.inter,
        fastinter=health.fastinter,
        downinter=health.downinter,
        timeout=health.timeout,
        rise=health.rise,
        fall=health.fall,
    )
