"""Storms in which the proxy itself is asked to end (SIGTERM), and another begins at the same addresses.

What OPERATING.md says of stopping and of restarting must hold, whatever else dies: see test_stop_storms.py.
`python -m tests.simulation.stop_storms SEED` replays one history; `... SEED COUNT` runs several.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from haproxy_voip.configuration.model import ProxyConfig, SipConfig, TimersConfig
from haproxy_voip.core.effects import Send
from haproxy_voip.embedded.facts import PhoneEnded
from haproxy_voip.embedded.phone_call import PhoneCall
from haproxy_voip.proxy.effects import Left
from haproxy_voip.proxy.events import AskedToStop, RelayInUse
from haproxy_voip.proxy.facts import CallEnded, CallStarted
from haproxy_voip.proxy.stop_facts import CallsCut, CallsLeftAlone
from haproxy_voip.proxy.stopping import BYE_SECONDS, LEAVE_SECONDS
from haproxy_voip.rtp.flow import StreamPlan
from haproxy_voip.sip.message import Response, parse
from tests.simulation.cluster import BACKENDS, DOMAIN, LISTEN, UP_LIMIT
from tests.simulation.opaque import leads_to
from tests.simulation.people import ROBOT, Attempt
from tests.simulation.storms import Storm, main

# So that phones come back within the calm: they refresh after half of it.
TIMERS = TimersConfig(min_expires=5.0, max_expires=16.0)
# Seconds from the beginning to the signal: early enough that people call the next process.
STOPPED_AFTER = (2.0, 6.0)
# `proxy.stop_after`: nobody is waited for, some are cut off, most calls end by themselves.
PATIENCE = (0.0, 0.5, 2.0, 5.0)
# Until the next process listens.
AWAY = (0.0, 0.05, 0.5, 2.0)
# The share of histories whose media the kernel relays, and of those in which a second signal ends the process as it is.
KERNEL, TWICE = 0.3, 0.2
# How long an inherited flow outlives its last packet.
FLOW_SECONDS = 10.0
# Why an answered call is hung up.
STOPPED = "the proxy stops"
# From a phone's registration until all backends have it.
KNOWN_SECONDS = 1.0
# An operator has nobody to speak to while there is no proxy; the configuration is read by the next one.
COMMANDS = ("maint", "drain", "reload")


class StopStorm(Storm):
    """One history."""

    def __init__(self, seed: int) -> None:
        chance = Random(seed * 7919 + 11)
        self.stop_after = chance.choice(PATIENCE)
        self.stop_in = chance.uniform(*STOPPED_AFTER)
        self.away = chance.choice(AWAY)
        self.kernel = chance.random() < KERNEL
        self.again_in = chance.uniform(0.0, self.stop_after + BYE_SECONDS) if chance.random() < TWICE else None
        self.asked_at, self.gone_at, self.back_at = (float("inf"),) * 3
        self.known: list[str] = []  # contacts when it was asked
        self.late: list[str] = []  # the backends that were in trouble while it stopped
        self.said: set[bytes] = set()  # to phones, before: it is said again to who did not hear it
        self.ended: dict[tuple[str, int], float] = {}  # calls of phones
        self.returned: dict[str, float] = {}  # users who are registered at the next process, since when
        self._ebbing: dict[int, float] = {}  # inherited streams, since when nobody speaks there
        proxy = ProxyConfig(domain=DOMAIN, sip=SipConfig(listen=LISTEN), stop_after=self.stop_after)
        super().__init__(seed, proxy=proxy, timers=TIMERS)
        self._watch_answers()

    @property
    def orphans(self) -> dict[PhoneCall, None]:
        """Calls that the process left behind and nobody relays."""
        return self.people.hearing.orphans

    # -- the end, and the beginning --------------------------------------------------------------------

    def _plan_faults(self) -> None:
        super()._plan_faults()
        self.world.after(self.stop_in, self._stop)

    def _stop(self) -> None:
        self._tell(f"FAULT SIGTERM, patience {self.stop_after:g} s, media {'kernel' if self.kernel else 'userspace'}")
        self.asked_at = self.world.now
        self.known = self._contacts()
        self.late = list(self.troubled)
        proxy = self.cluster.proxy
        proxy.tell(RelayInUse("kernel" if self.kernel else "userspace", 0))
        proxy.tell(AskedToStop("SIGTERM"))
        if self.again_in is not None:
            self.world.after(self.again_in, self._end)
        self.world.after(self.stop_after + BYE_SECONDS + LEAVE_SECONDS, self._check_gone)

    def _contacts(self) -> list[str]:
        bindings = self.cluster.proxy.node.bindings
        return sorted(binding.key for user in self.cluster.phones for binding in bindings.of(user))

    def _watch_answers(self) -> None:
        handlers = self.world.processes["proxy"].handlers
        send: Callable[[Send], None] = handlers[Send]

        def checked(effect: Send) -> None:
            if self.stopping:
                self._check_answer(effect)
            else:
                self.said.add(effect.data)
            send(effect)

        self.world.on("proxy", Send, checked)

    def _read(self, at: float, who: str, fact: object) -> None:
        super()._read(at, who, fact)
        if isinstance(fact, PhoneEnded):
            self.ended[fact.user, fact.call] = at
        if isinstance(fact, Left):
            self.world.after(0.0, self._leave)
        if isinstance(fact, CallStarted) and fact.from_phone:
            assert not self.stopping, f"{fact} while the proxy stops"
        if isinstance(fact, CallEnded) and fact.reason == STOPPED:
            assert not self.kernel, "a call is hung up that the kernel relays"

    @property
    def stopping(self) -> bool:
        """Between the signal and the end."""
        return self.asked_at <= self.world.now < self.gone_at

    def _leave(self) -> None:
        """It has said all that it had to say."""
        if not self.stopping:
            return
        self._check_left()
        self._end()

    def _end(self) -> None:
        """The process ends, and its kernel closes what it had open."""
        if not self.stopping:
            return
        self._listen_now()
        self._tell("the proxy is gone")
        self.gone_at = self.world.now
        edge = self.cluster.proxy
        left: dict[int, StreamPlan] = {}
        if self.kernel:
            left = {stream: plan for stream, plan in edge.plans.items() if plan.client.remote is not None}
        edge.plans.clear()
        edge.inherited = left
        calls = [call for phone in self.cluster.phones.values() for call in phone.calls.values()]
        relayed = {plan.client.remote for plan in left.values()}
        self.orphans.update(dict.fromkeys(call for call in calls if call.media.local not in relayed))
        if left:
            self.people.hearing.late = float("inf")  # who hangs up now tells nobody
        self.world.kill("proxy")
        self.world.after(self.away, lambda: self._begin(left))

    def _begin(self, left: dict[int, StreamPlan]) -> None:
        self._tell("a proxy begins")
        self.back_at = self.world.now
        self.cluster.start_proxy(left)
        self.invariants.watch()
        self.people.hearing.watch()

    # -- what fails besides ------------------------------------------------------------------------------

    def _strike(self, kind: str, name: str, lasts: float) -> None:
        if self._between:
            self.late.append(name)
            kind = "kill" if kind in COMMANDS else kind
        super()._strike(kind, name, lasts)

    def _mend(self, kind: str, name: str) -> None:
        if kind in COMMANDS and self._between:
            if kind == "reload":
                self.cluster.configure(*self.cluster.configured, name)
            kind = "nothing"
        super()._mend(kind, name)

    @property
    def _between(self) -> bool:
        """From the signal until another proxy is there."""
        return self.asked_at <= self.world.now < self.back_at

    # -- what must be so ---------------------------------------------------------------------------------

    def _check_answer(self, effect: Send) -> None:
        """Nobody is registered any more, but told when to come again."""
        if effect.flow.remote.host in BACKENDS.values() or effect.data in self.said:
            return
        message = parse(effect.data)
        if isinstance(message, Response) and message.cseq.method == "REGISTER":
            assert message.status == 503 and message.has("retry-after"), f"REGISTER is answered {message.status}"

    def _check_left(self) -> None:
        """It has said that it is done."""
        calls = self.cluster.proxy.node._calls.all
        assert all(call.answered for call in calls) and (self.kernel or not calls), "calls are left"
        assert set(self._contacts()) <= set(self.known), "somebody was registered"
        cut = [at for at, _, fact in self.world.facts if isinstance(fact, CallsCut | CallsLeftAlone)]
        assert all(at >= self.asked_at + self.stop_after for at in cut), "calls were ended too early"
        if not self.rough and not self.kernel:
            early = [attempt for attempt in self.people.attempts if attempt.at < self.asked_at]
            assert all(attempt.call.over for attempt in early), "somebody was not told that a call is over"
            up = [call for phone in self.cluster.phones.values() for call in phone.calls.values() if call.up]
            assert not up, "somebody believes in a call"

    def _check_gone(self) -> None:
        assert self.gone_at <= self.world.now, "the proxy does not end"

    def _check_silence(self, attempt: Attempt) -> None:
        if attempt.call not in self.orphans:
            super()._check_silence(attempt)

    def _listen(self) -> None:
        super()._listen()
        talking = [call.media.local for phone in self.cluster.phones.values() for call in phone.calls.values()]
        edge = self.cluster.proxy
        if self.back_at <= self.world.now:
            back = [user for user in self.cluster.phones if edge.node.bindings.of(user)]
            self.returned = dict.fromkeys(back, self.world.now) | self.returned
        for stream, plan in list(edge.inherited.items()):
            if plan.client.remote not in talking and self._ebbing.setdefault(stream, self.world.now) < self._dry:
                edge.let_go(stream)

    @property
    def _dry(self) -> float:
        return self.world.now - FLOW_SECONDS

    def _calm_down(self) -> None:
        if self.kernel or self.again_in is not None:
            self.invariants.believers = list(BACKENDS)
        else:
            self.invariants.believers = self.late
        super()._calm_down()
        assert self.cluster.proxy.command("status")["contacts"] == len(self.cluster.phones), (
            "somebody did not come back"
        )
        # Some have forwarded their calls to others (opaque.py).
        users = [user for user in self.cluster.phones if not self.opaque or leads_to(user) == user]
        for caller, callee in zip(users, users[1:] + users[:1], strict=True):
            self._talk(caller, callee)
        assert not self.cluster.proxy.plans, "media streams are left"

    def _talk(self, caller: str, callee: str) -> None:
        """Everybody can be called again, though the backends know them by names of the former life as well."""
        call = self.people.call(caller, callee)
        self.world.run_until(lambda: call.up and any(call in pair for pair in self._listen_now()), UP_LIMIT)
        self.people.hang_up(caller, call)
        self.world.run(1.0)

    def _check_end(self, attempt: Attempt, fact: PhoneEnded) -> None:
        at, caller, callee, _ = attempt
        ended_at = self.ended[caller, fact.call]
        there = self.back_at if callee == ROBOT else self.returned.get(callee, at) + KNOWN_SECONDS
        if ended_at < self.asked_at or at >= there:
            super()._check_end(attempt, fact)
        elif at >= self.back_at:
            self.outcomes["too early"] += 1
        elif at >= self.asked_at and ended_at < self.gone_at:
            assert fact.status in (503, 487), f"{caller}'s call of {at:.3f} s while the proxy stops: {fact.status}"
            self.outcomes["not taken"] += 1
        elif at < self.asked_at and ended_at < self.gone_at:
            cut = ended_at >= self.asked_at + self.stop_after
            self.outcomes["cut"] += cut
            if self.fair:
                assert fact.status in ((200, 487, 503) if cut else (200, 487)), f"{caller}'s call: {fact.status}"
        else:
            self.outcomes["outlived"] += at < self.asked_at


if __name__ == "__main__":
    main(StopStorm)
