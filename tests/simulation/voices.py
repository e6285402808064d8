"""What the relay tells of payloads in the simulated network: everybody speaks, and a backend passes it on unchanged.

Not everybody speaks like nobody else: some hold with the maker's music, some send into one call what they hear in
another.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from haproxy_voip.core.address import Address
from haproxy_voip.embedded.phone_call import PhoneCall
from haproxy_voip.proxy.events import MediaPrints
from haproxy_voip.rtp.fingerprint import Print
from haproxy_voip.rtp.flow import StreamPlan
from tests.simulation.cluster import Cluster

# Payloads of the maker's music, in a second and before it begins again: each is common to whoever holds at that time.
MUSIC = 28
# So many words each way are proof: those that wait to be believed, and as many as are needed among some that were lost.
ENOUGH = 12
# How soon the server has passed a payload on.
PASSED_ON_AFTER = 0.01


class Voices:
    """See the module."""

    def __init__(self, cluster: Cluster, random: Random) -> None:
        self._cluster = cluster
        self._random = random
        self._habit: dict[str, str] = {}
        self._heard: dict[str, int] = {}  # by a repeater, last
        self._count = 0
        self._words: Counter[tuple[PhoneCall, PhoneCall]] = Counter()

    def known(self, call: PhoneCall) -> bool:
        """Whether it has been said and heard enough, that nobody else says, to know for certain who talks there."""
        others = [other for talker, other in self._words if talker is call]
        return any(self._words[call, other] >= ENOUGH <= self._words[other, call] for other in others)

    def changed(self, user: str, number: int) -> None:
        """The session of this call: the backend may have led it elsewhere, so what was heard before proves nothing."""
        call = self._cluster.phones[user].calls.get(number) if user in self._cluster.phones else None
        for pair in [pair for pair in self._words if call in pair]:
            del self._words[pair]

    def speak(self, heard: list[tuple[PhoneCall, PhoneCall]]) -> None:
        """One payload of everybody who is heard through a backend."""
        self._count += 1
        plans = {plan.client.remote: plan for plan in self._cluster.proxy.plans.values()}
        whose = {call: user for user, phone in self._cluster.phones.items() for call in phone.calls.values()}
        now, prints = self._cluster.world.now, []
        for call, listener in heard:
            ours, theirs = plans.get(call.media.local), plans.get(listener.media.local)
            if ours is None or theirs is None or not _carried(ours, theirs) or call not in whose:
                continue
            payload = self._says(whose[call])
            if listener in whose:
                self._heard[whose[listener]] = payload
            self._words[call, listener] += self._sincere(whose[call], whose.get(listener))
            prints.append(Print(ours.stream, "client", payload, now))
            prints.append(Print(theirs.stream, "backend", payload, now + PASSED_ON_AFTER))
        prints.sort(key=lambda each: each.at)
        if prints:
            self._cluster.proxy.tell(MediaPrints(tuple(prints), complete=True))

    def _sincere(self, *users: str | None) -> bool:
        return all(user is not None and self._habit.get(user, "speaks") == "speaks" for user in users)

    def _says(self, user: str) -> int:
        habit = self._habit.setdefault(user, self._random.choice(["speaks"] * 6 + ["music", "repeats"]))
        match habit:
            case "music":
                return self._count % MUSIC
            case "repeats" if user in self._heard:
                return self._heard[user]
        return self._random.getrandbits(64)


def _carried(ours: StreamPlan, theirs: StreamPlan) -> bool:
    """Whether a backend lies between, as far as the relay knows."""
    ends: list[Address | None] = [ours.backend.remote, theirs.backend.remote]
    return ours.bridge is None and theirs.bridge is None and None not in ends
