"""Histories made from a seed: phones call, backends die, networks break; then calm, and what must be so is checked.

`python -m tests.simulation.storms SEED` replays one history and prints its end; `... SEED COUNT` runs several.
"""

from __future__ import annotations

import sys
from collections import Counter
from random import Random

from haproxy_voip.configuration.model import HealthConfig
from haproxy_voip.core.address import Address
from haproxy_voip.embedded.facts import By, PhoneEnded
from haproxy_voip.embedded.phone_call import PhoneCall
from haproxy_voip.proxy.session import TRANSFER_SECONDS
from tests.simulation.cluster import BACKENDS, PROXY, USERS, Cluster
from tests.simulation.invariants import Invariants
from tests.simulation.opaque import leads_to
from tests.simulation.proxy_edge import reaches
from tests.simulation.weather import CALM, STORM

PHONES = list(USERS)[:4]
MORE_PHONES = list(USERS)[:8]
TROUBLE_SECONDS = 16.0
# Then all is mended, and calls end; in this time registrations are made again wherever they were lost.
CALM_SECONDS = 12.0
# How a number begins, where backends lead calls elsewhere (opaque.py); most are as dialled.
KINDS = ["1", "1", "1", "7", "8"]
# The share of callers who call somebody else at the same time.
TWICE = 0.25
# The share of calls that are transferred in the middle.
TRANSFERRED = 0.15
# How long the other phone may believe in a call that one has ended: while no backend carries it, and while a BYE that
# is lost is sent again (64*T1).
PARTING_SECONDS, LOST_BYE_SECONDS = 8.0, 40.0
# How often it is listened who hears whom.
LISTEN_EVERY = 0.05
# In a good network, with one backend in trouble: a freeze is detected in less than half of this.
SILENT_AT_MOST = 0.6
# In every so manieth history the calm lasts until nothing may be left: the longest transaction, a lingering dialog.
REST_EVERY = 6
REST_SECONDS = 72.0
# Probes are most of what happens in a calm. A few histories have the default of 100 ms.
PROBE_INTERVALS = (0.1, *[0.4] * 7)


class Storm:
    """One history."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed * 7919 + 1)
        self.rough = self.random.random() < 0.5  # the network loses, doubles and reorders
        self.single = self.random.random() < 0.6  # never more than one backend in trouble
        registration = "active" if self.random.random() < 0.3 else "mirror"
        health = HealthConfig(inter=self.random.choice(PROBE_INTERVALS))
        # Backends that show nothing of what belongs together, and lead calls elsewhere: some are lost in doubt.
        self.opaque = self.random.random() < 0.4
        self.users = MORE_PHONES if self.opaque else PHONES
        self.cluster = Cluster(seed, trust=self.opaque, opaque=self.opaque, registration=registration, health=health)
        self.world = self.cluster.world
        self.invariants = Invariants(self.cluster)
        self.attempts: list[tuple[float, str, PhoneCall]] = []
        self.together: list[tuple[str, str, PhoneCall]] = []  # who may hear each other, until that call ends
        self.heard_at: dict[Address, tuple[str, PhoneCall]] = {}  # whom they hear who take their audio there
        self.parted: dict[PhoneCall, float] = {}  # when these ended
        self.transferred: dict[PhoneCall, None] = {}
        self.silent: dict[PhoneCall, float] = {}  # seconds since it was heard last
        self.troubled: dict[str, str] = {}
        self.outcomes: Counter[str] = Counter()
        self.story: list[str] = []
        self.world.readers.append(lambda at, who, fact: self._tell(f"{who}: {fact}"))

    def _tell(self, line: str) -> None:
        self.story.append(f"{self.world.now:10.4f} {line}")

    def run(self) -> None:
        """Trouble, then calm, then the reckoning."""
        self._start()
        self.world.weather = STORM if self.rough else CALM
        end = self.world.now + TROUBLE_SECONDS
        self._plan_calls(end)
        self._plan_faults(end)
        self._listen()
        self.world.run(TROUBLE_SECONDS)
        self._calm_down()
        self._check()

    def _start(self) -> None:
        self.world.run_until(lambda: self.cluster.active is not None, 5.0)
        for user in self.users:
            tcp = self.random.random() < 0.3
            self.cluster.phone(user, tcp=tcp, answer_after=self.random.choice([0.05, 0.3, 2.0]))
            self.cluster.act(user, "register")
        phones = self.cluster.phones.values()
        self.world.run_until(lambda: all(phone.registered for phone in phones), 60.0)
        self.world.run(0.5)

    # -- what happens -------------------------------------------------------------------------------

    def _plan_calls(self, end: float) -> None:
        at = self.world.now
        while (at := at + self.random.expovariate(1.2)) < end - 5.0:
            caller = self.random.choice(self.users)
            for later in (0.0, self.random.uniform(0.0, 0.3)):
                number = self._number(caller)
                third = self.random.choice(self.users) if self.random.random() < TRANSFERRED else ""
                plan = (caller, number, third, self.random.uniform(0.0, 6.0))
                self.world.at(at + later, lambda wanted=plan: self._call(*wanted))  # type: ignore[misc]
                if self.random.random() > TWICE:
                    break

    def _number(self, caller: str) -> str:
        """Somebody else's."""
        while True:
            number = self.random.choice(self.users)
            if self.opaque:
                number = self.random.choice(KINDS) + number[1:]
            if self._callee(number) != caller:
                return number

    def _callee(self, number: str) -> str:
        return leads_to(number) if self.opaque else number

    def _call(self, caller: str, number: str, third: str, talk: float) -> None:
        callee = self._callee(number)
        call = self.cluster.call(caller, number)
        self.attempts.append((self.world.now, caller, call))
        self.together.append((caller, callee, call))
        if third and third not in (caller, callee):
            self.world.after(talk / 2, lambda: self._transfer(caller, callee, third, call))
        self.world.after(talk, lambda: self._hang_up(caller, call))

    def _transfer(self, caller: str, callee: str, third: str, call: PhoneCall) -> None:
        """The caller lets the callee talk to somebody else."""
        if call.up:
            self._tell(f"{caller} transfers {callee} to {third}")
            others = [other for other in self.cluster.phones[callee].calls.values() if not other.over]
            self.transferred |= dict.fromkeys([call, *others])
            self.together += [(callee, third, other) for other in others]
            self.cluster.act(caller, "transfer", call, third)

    def _hang_up(self, caller: str, call: PhoneCall) -> None:
        if not call.over:
            self.cluster.act(caller, "hang_up", call)

    def _plan_faults(self, end: float) -> None:
        at = self.world.now
        while (at := at + self.random.uniform(1.0, 5.0)) < end - 6.0:
            lasts = self.random.uniform(0.2, 5.0)
            kind = self.random.choice(["kill", "kill", "freeze", "cut"])
            name = self.random.choice(list(BACKENDS))
            self.world.at(at, lambda k=kind, n=name, s=lasts: self._fault(k, n, s))  # type: ignore[misc]

    def _fault(self, kind: str, name: str, lasts: float) -> None:
        if name in self.troubled or (self.single and self.troubled):
            return
        self.troubled[name] = kind
        self._tell(f"FAULT {kind} {name} for {lasts:.2f} s")
        {"kill": self.world.kill, "freeze": self.world.freeze, "cut": lambda one: self.world.partition("proxy", one)}[
            kind
        ](name)
        self.world.after(lasts, lambda: self._mend(kind, name))

    def _mend(self, kind: str, name: str) -> None:
        self._tell(f"MENDED {kind} {name}")
        match kind:
            case "kill":
                self.cluster.start_backend(name)
            case "freeze":
                self.world.thaw(name)
            case "cut":
                self.world.heal("proxy", name)
        # Trusted again only after `rise` answered probes; until then it counts as troubled.
        self.world.after(1.5, lambda: self.troubled.pop(name, None))

    def _listen(self) -> None:
        """Nobody is ever heard by somebody they did not call: the worst thing that could happen."""
        for entry in self.together:
            if entry[2].over:
                self.parted.setdefault(entry[2], self.world.now)
        late = self.world.now - (LOST_BYE_SECONDS if self.rough else PARTING_SECONDS)
        self.together = [entry for entry in self.together if self.parted.get(entry[2], self.world.now) > late]
        mine = {call for _, _, call in self.attempts}
        for user, phone in self.cluster.phones.items():
            for call in [call for call in phone.calls.values() if call.up]:
                heard_at = reaches(self.cluster.proxy, call)
                self._check_stranger(user, call, heard_at)
                if call in mine and call not in self.transferred:
                    self._check_silence(user, call, heard_at)
        self.world.after(LISTEN_EVERY, self._listen)

    def _check_stranger(self, user: str, call: PhoneCall, heard_at: Address | None) -> None:
        if heard_at is None or heard_at.host in (PROXY.host, *BACKENDS.values()):
            return  # a port that nobody listens at any more
        others = {other for pair in self.together if user in pair[:2] for other in pair[:2]}
        known = [self.cluster.phones[other].settings.audio.host for other in sorted(others - {user})]
        assert heard_at.host in known, f"{user} is heard at {heard_at}"
        # It was a backend that led it there the first time; whatever dies since then, nobody else is heard there. In
        # doubt a backend may call somebody anew who is in that call already.
        first = self.heard_at.setdefault(heard_at, (user, call))
        if first[0] == user and first[1].number < call.number:
            first = self.heard_at[heard_at] = (user, call)
        known_elsewhere = {first[1], call} & self.transferred.keys()
        assert first[1] is call or known_elsewhere, f"{user} is heard at {heard_at}, where {first[0]} was before"

    def _check_silence(self, user: str, call: PhoneCall, heard_at: Address | None) -> None:
        self.silent[call] = 0.0 if heard_at else self.silent.get(call, 0.0) + LISTEN_EVERY
        surely = self.single and not self.rough and not self.opaque
        assert not surely or self.silent[call] < SILENT_AT_MOST, f"{user} is not heard"

    def _calm_down(self) -> None:
        self.world.weather = CALM
        self.world.run(8.0)  # the last faults are mended by now
        for user, phone in self.cluster.phones.items():
            for call in list(phone.calls.values()):  # also of those who were transferred to each other
                self._hang_up(user, call)
        self.world.run(CALM_SECONDS)
        self.invariants.check_registrations()
        if self.seed % REST_EVERY == 0:
            self.world.run(REST_SECONDS + (TRANSFER_SECONDS if self.transferred else 0.0))
            self.invariants.check_at_rest()

    # -- what must be so ----------------------------------------------------------------------------

    def _check(self) -> None:
        ended = {(fact.user, fact.call): fact for fact in self.world.told(PhoneEnded)}
        for at, caller, call in self.attempts:
            assert call.over, f"{caller}'s call of {at:.3f} s is neither up nor over"
            fact = ended[(caller, call.number)]
            self.outcomes[f"{fact.status}"] += 1
            if call in self.transferred:
                continue
            if fact.status == 200 and fact.by is not By.US:
                self.outcomes["lost"] += 1
                assert not self.single or self.opaque, f"{caller}'s call of {at:.3f} s was up and did not survive"
            if self.single and not self.rough and not self.opaque:
                assert fact.status in (200, 487), f"{caller}'s call of {at:.3f} s: {fact.status} {fact.reason}"


def run(seed: int) -> Counter[str]:
    """One history. AssertionError names the seed and how to see it again."""
    storm = Storm(seed)
    try:
        storm.run()
    except AssertionError as error:
        raise AssertionError(f"{error}\nreplay with: python -m tests.simulation.storms {seed}") from error
    return storm.outcomes


def main() -> None:
    """Replay a seed with its history, or run several."""
    first = int(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    outcomes: Counter[str] = Counter()
    for seed in range(first, first + count):
        storm = Storm(seed)
        try:
            storm.run()
        except AssertionError as error:
            print(*storm.story, sep="\n")
            print(f"seed {seed}: {error}")
            sys.exit(1)
        outcomes += storm.outcomes
    print(f"{count} histories from seed {first}: no invariant broken; calls by status {dict(outcomes)}")


if __name__ == "__main__":
    main()
