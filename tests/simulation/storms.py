"""Histories made from a seed: phones call, backends die, networks break; then calm, and what must be so is checked.

`python -m tests.simulation.storms SEED` replays one history and prints its end; `... SEED COUNT` runs several.
"""

from __future__ import annotations

import sys
from collections import Counter
from random import Random
from typing import Any

from haproxy_voip.configuration.model import HealthConfig
from haproxy_voip.embedded.facts import By, PhoneAnswered, PhoneEnded, PhoneHeardRinging, PhoneMediaChanged
from haproxy_voip.embedded.phone_call import PhoneCall
from haproxy_voip.proxy.session import TRANSFER_SECONDS
from tests.simulation.cluster import BACKENDS, USERS, Cluster
from tests.simulation.invariants import Invariants
from tests.simulation.people import ROBOT, Attempt, People
from tests.simulation.proxy_edge import reaches
from tests.simulation.voices import Voices
from tests.simulation.weather import CALM, STORM

PHONES = list(USERS)[:4]
MORE_PHONES = list(USERS)[:8]
TROUBLE_SECONDS = 16.0
# Then all is mended, and calls end; in this time registrations are made again wherever they were lost.
CALM_SECONDS = 12.0
# How often it is listened who hears whom, and how often what they say is told.
LISTEN_EVERY = 0.05
SPEAK_EVERY = 3
# In a good network, with one backend in trouble: a freeze is detected in less than half of this.
SILENT_AT_MOST = 0.6
# Who talks to a backend hears noise until the next one has answered.
ALONE_AT_MOST = 3.0
# From an answer to the moment that both have it.
JUST_ANSWERED = 2 * LISTEN_EVERY
# In every so manieth history the calm lasts until nothing may be left: the longest transaction, a lingering dialog.
REST_EVERY = 6
REST_SECONDS = 72.0
# Probes are most of what happens in a calm. A few histories have the default of 100 ms.
PROBE_INTERVALS = (0.1, *[0.4] * 7)
FAULTS = ("kill", "kill", "freeze", "cut", "maint", "drain")
# The share of these that are a reload instead: it removes the backend, and later adds it somewhere else in the order.
RELOADED = 0.12
# How many backends may be in trouble at once, of three.
TROUBLES = (1, 1, 1, 2, 2, 3)
# A second backend fails with the first, or a moment later.
TOGETHER, TOGETHER_SECONDS = 0.3, 0.5
# The share of changes in calls that a backend does not survive by more than this.
IN_THE_MIDDLE, MIDDLE_SECONDS = 0.02, 0.004


class Storm:
    """One history."""

    def __init__(self, seed: int, **config: Any) -> None:
        """`config` is for the cluster, in place of what the seed says."""
        self.seed = seed
        self.random = Random(seed * 7919 + 1)
        self.rough = self.random.random() < 0.5  # the network loses, doubles and reorders
        self.troubles = self.random.choice(TROUBLES)
        registration = "active" if self.random.random() < 0.3 else "mirror"
        health = HealthConfig(inter=self.random.choice(PROBE_INTERVALS))
        # Backends that show nothing of what belongs together, and lead calls elsewhere: some are lost in doubt, unless
        # the relay tells what is said.
        self.opaque = self.random.random() < 0.4
        self.audible = self.random.random() < 0.6
        users = MORE_PHONES if self.opaque else PHONES
        config = {"registration": registration, "health": health, **config}
        self.cluster = Cluster(seed, trust=self.opaque, opaque=self.opaque, **config)
        self.world = self.cluster.world
        self.invariants = Invariants(self.cluster)
        self.people = People(self.cluster, self.random, users, self._tell)
        self.voices = Voices(self.cluster, self.random)
        self.silent: dict[PhoneCall, float] = {}  # seconds since it was heard last
        self.troubled: dict[str, str] = {}
        self.reloads = Random(seed * 7919 + 5)  # apart, so that the histories without are what they were
        self.outcomes: Counter[str] = Counter()
        self.story: list[str] = []
        self._listened = 0
        self.world.readers.append(self._read)

    def _tell(self, line: str) -> None:
        self.story.append(f"{self.world.now:10.4f} {line}")

    def _read(self, at: float, who: str, fact: object) -> None:
        self._tell(f"{who}: {fact}")
        if isinstance(fact, PhoneMediaChanged):
            self.voices.changed(fact.user, fact.call)
        # Not answered yet at the other end, not acknowledged, not agreed on: a backend dies in the middle of it.
        changes = isinstance(fact, (PhoneAnswered, PhoneMediaChanged, PhoneHeardRinging))
        if changes and self.random.random() < IN_THE_MIDDLE:
            self.world.after(self.random.uniform(0.0, MIDDLE_SECONDS), self._fault_of_the_active)

    def run(self) -> None:
        """Trouble, then calm, then the reckoning."""
        self.world.run_until(lambda: self.cluster.active is not None, 5.0)
        self.people.start(self.rough)
        self.world.run(0.5)
        self.world.weather = STORM if self.rough else CALM
        end = self.world.now + TROUBLE_SECONDS
        self.mended_at = end - 6.0  # no faults begin any more
        self.people.plan(end)
        self._plan_faults()
        self._listen()
        self.world.run(TROUBLE_SECONDS)
        self._calm_down()
        self._check()

    # -- what fails ---------------------------------------------------------------------------------

    def _plan_faults(self) -> None:
        at = self.world.now
        while (at := at + self.random.uniform(1.0, 5.0)) < self.mended_at:
            self.world.at(at, self._fault_of_any)
            if self.random.random() < TOGETHER:
                self.world.at(
                    at + self.random.choice([0.0, self.random.uniform(0.0, TOGETHER_SECONDS)]), self._fault_of_any
                )

    def _fault_of_any(self) -> None:
        self._fault(self.random.choice(list(BACKENDS)))

    def _fault_of_the_active(self) -> None:
        if self.cluster.active is not None and self.world.now < self.mended_at:
            self._fault(self.cluster.active)

    def _fault(self, name: str) -> None:
        kind, lasts = self.random.choice(FAULTS), self.random.uniform(0.2, 5.0)
        if name in self.troubled or len(self.troubled) >= self.troubles:
            return
        if self.reloads.random() < RELOADED:
            kind = "reload"
        self.troubled[name] = kind
        self.people.fault_near()
        self.world.after(self.random.uniform(0.0, MIDDLE_SECONDS), lambda: self._strike(kind, name, lasts))

    def _strike(self, kind: str, name: str, lasts: float) -> None:
        self._listen_now()
        self._tell(f"FAULT {kind} {name} for {lasts:.2f} s")
        match kind:
            case "kill":
                self.world.kill(name)
            case "freeze":
                self.world.freeze(name)
            case "cut":
                self.world.partition("proxy", name)
            case "maint":
                self.cluster.proxy.command("maint", name=name)
            case "drain":
                self.cluster.proxy.command("drain", name=name, move="yes")
            case "reload":
                self.cluster.reload(*(one for one in self.cluster.configured if one != name))
        self.world.after(lasts, lambda: self._mend(kind, name))

    def _mend(self, kind: str, name: str) -> None:
        self._tell(f"MENDED {kind} {name}")
        match kind:
            case "kill":
                self.cluster.start_backend(name)
                self.people.restarted(name)
            case "freeze":
                self.world.thaw(name)
            case "cut":
                self.world.heal("proxy", name)
            case "maint" | "drain":
                self.cluster.proxy.command("ready", name=name)
            case "reload":
                names = [*self.cluster.configured, name]
                self.reloads.shuffle(names)
                self.cluster.reload(*names)
        # Trusted again only after `rise` answered probes; until then it counts as troubled.
        self.world.after(1.5, lambda: self.troubled.pop(name, None))

    # -- what is heard ------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._listened += 1
        heard = self._listen_now()
        if self.audible and self._listened % SPEAK_EVERY == 0:
            self.voices.speak(heard)
        for attempt in self.people.attempts:
            if attempt.call.up:
                self._check_silence(attempt)
        talk = any(phone.calls for phone in self.cluster.phones.values())
        self.world.after(LISTEN_EVERY if talk else LISTEN_EVERY * 10, self._listen)

    def _listen_now(self) -> list[tuple[PhoneCall, PhoneCall]]:
        return self.people.hearing.listen()

    @property
    def fair(self) -> bool:
        """One backend at a time in trouble, a good network, and nothing hidden: nobody notices anything."""
        return self.troubles == 1 and not self.rough and not self.opaque

    def _check_silence(self, attempt: Attempt) -> None:
        call = attempt.call
        if call in self.people.hearing.transferred or call in self.people.held:
            return
        heard = reaches(self.cluster.proxy, call) is not None
        self.silent[call] = 0.0 if heard else self.silent.get(call, 0.0) + LISTEN_EVERY
        longest = ALONE_AT_MOST if attempt.callee == ROBOT else SILENT_AT_MOST
        if [*self.troubled.values()] in (["drain"], ["reload"]):
            longest = JUST_ANSWERED  # nothing is lost of those that are moved from a backend that lives, or stay there
        assert not self.fair or self.silent[call] < longest, f"{attempt.caller} is not heard"

    # -- what must be so ----------------------------------------------------------------------------

    def _calm_down(self) -> None:
        self.world.weather = CALM
        self.world.run(8.0)  # the last faults are mended by now
        self.people.leave()
        self.world.run(CALM_SECONDS)
        self.invariants.check_registrations()
        if self.seed % REST_EVERY == 0:
            self.world.run(REST_SECONDS + (TRANSFER_SECONDS if self.people.hearing.transferred else 0.0))
            self.invariants.check_at_rest()

    def _check(self) -> None:
        ended = {(fact.user, fact.call): fact for fact in self.world.told(PhoneEnded)}
        for attempt in self.people.attempts:
            call = attempt.call
            assert call.over, f"{attempt.caller}'s call of {attempt.at:.3f} s is neither up nor over"
            fact = ended[(attempt.caller, call.number)]
            self.outcomes[f"{fact.status}"] += 1
            if call not in self.people.hearing.transferred:
                self._check_end(attempt, fact)

    def _check_end(self, attempt: Attempt, fact: PhoneEnded) -> None:
        at, caller, callee, call = attempt
        if fact.status == 200 and fact.by is not By.US:
            self.outcomes["lost"] += 1
            doubtful = self.opaque and not self._known(call)
            may_be_lost = self.troubles == 3 or doubtful
            assert may_be_lost, f"{caller}'s call of {at:.3f} s to {callee} was up and did not survive"
        if self.fair:
            assert fact.status in (200, 487), f"{caller}'s call of {at:.3f} s: {fact.status} {fact.reason}"

    def _known(self, call: PhoneCall) -> bool:
        return self.voices.known(call) and call not in self.people.held


def run(seed: int, kind: type[Storm] = Storm) -> Counter[str]:
    """One history. AssertionError names the seed and how to see it again."""
    storm = kind(seed)
    try:
        storm.run()
    except AssertionError as error:
        raise AssertionError(f"{error}\nreplay with: python -m {kind.__module__} {seed}") from error
    return storm.outcomes


def main(kind: type[Storm] = Storm) -> None:
    """Replay a seed with its history, or run several."""
    first = int(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    outcomes: Counter[str] = Counter()
    for seed in range(first, first + count):
        storm = kind(seed)
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
