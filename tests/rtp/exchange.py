"""Phones and a server in virtual time, for the tests of what a relay can tell from payloads that pass."""

from dataclasses import dataclass, field
from random import Random

from haproxy_voip.rtp.fingerprint import MATCHES_EACH_WAY, RIPE_SECONDS, Fingerprints
from haproxy_voip.rtp.flow import Side

PACKET = 0.16  # seconds between sampled packets: one in eight of 50


@dataclass
class Exchange:
    """Phones and a server, and a relay between that tells what passes."""

    prints: Fingerprints = field(default_factory=Fingerprints)
    random: Random = field(default_factory=lambda: Random(1))
    now: float = 100.0
    loss: float = 0.0
    passing: list[tuple[float, int, Side, int]] = field(default_factory=list)

    def voice(self) -> int:
        """A payload nobody has sent before."""
        return self.random.getrandbits(64)

    def hears(self, stream: int, payload: int, after: float = 0.002) -> None:
        """The server sends this on that stream."""
        if self.random.random() >= self.loss:
            self.passing.append((self.now + after, stream, "backend", payload))

    def says(self, stream: int, payload: int) -> None:
        self.passing.append((self.now, stream, "client", payload))

    def talk(self, talker: int, *listeners: int, packets: int = 1, payload: int | None = None) -> None:
        """The server passes on what the talker says."""
        for _ in range(packets):
            said = self.voice() if payload is None else payload
            self.says(talker, said)
            for listener in listeners:
                self.hears(listener, said, self.random.uniform(0.001, 0.06))
            self.wait(PACKET)

    def converse(self, one: int, other: int, words: int = MATCHES_EACH_WAY) -> None:
        """Each says so many words to the other, in turns."""
        for _ in range(words):
            self.talk(one, other)
            self.talk(other, one)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.flush(self.now)

    def flush(self, until: float) -> None:
        due = sorted(item for item in self.passing if item[0] <= until)
        self.passing = [item for item in self.passing if item[0] > until]
        for at, stream, side, payload in due:
            self.prints.heard(stream, side, payload, at)
        self.prints.advance(until)

    def rest(self) -> "Exchange":
        """Everything has arrived and is ripe."""
        self.wait(2 * RIPE_SECONDS)
        return self

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return self.prints.pairs()
