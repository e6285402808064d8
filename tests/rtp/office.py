"""Hundreds of phones that speak, and what a relay hears of them on their way through a server.

What is said is speech (speech/README.md), cut anywhere, as loud as may be. Phones are silent in several ways; the
server may put one law into the other, hide losses, wait for late packets, mix.

`python -m tests.rtp.office SEED HISTORIES CALLS` measures how soon calls are paired, and that none is paired wrongly.
"""

from __future__ import annotations

import heapq
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from haproxy_voip.rtp.fingerprint import MIN_PAYLOAD_BYTES, PRINT_BYTES, Fingerprints, hash_of, sampled
from haproxy_voip.rtp.flow import Side
from haproxy_voip.rtp.g711 import A_LAW, MU_LAW, MU_TO_A, Law, encoded, sample

FRAME = 160  # samples, 20 ms
FRAME_SECONDS = 0.02
SPEECH = [(Path(__file__).parent / f"speech/{name}.ulaw").read_bytes() for name in ("one", "other")]
# As Asterisk does it.
SERVERS_TABLE: dict[tuple[Law, Law], bytes] = {
    (MU_LAW, A_LAW): bytes(encoded(A_LAW, sample(MU_LAW, byte) | 7) for byte in range(256)),
    (A_LAW, MU_LAW): bytes(encoded(MU_LAW, sample(A_LAW, byte)) for byte in range(256)),
}
PAYLOAD_TYPE: dict[Law, int] = {MU_LAW: 0, A_LAW: 8}
SILENCE = {MU_LAW: b"\xff" * FRAME, A_LAW: b"\xd5" * FRAME}
QUIET = bytes(encoded(MU_LAW, (byte % 32 - 16) * 4) for byte in range(256))
GAINS = [0.25 + 0.05 * step for step in range(16)]


@cache
def louder(gain: float) -> bytes:
    """The table that makes mu-law so much louder."""
    return bytes(encoded(MU_LAW, round(gain * sample(MU_LAW, byte))) for byte in range(256))


@dataclass(eq=False)
class Phone:
    """One stream, its client's habits and its way to the server."""

    stream: int
    law: Law = MU_LAW
    silent: str = "noise"  # noise | zeros | dtx: what it sends when nobody speaks
    loss: float = 0.0  # between relay and server
    jitter: float = 0.002
    repeats: bool = False  # whether the server hides losses by the packet before

    @classmethod
    def any(cls, stream: int, random: Random) -> Phone:
        """Some phone or other."""
        return cls(
            stream,
            law=random.choice([MU_LAW, MU_LAW, A_LAW]),
            silent=random.choice(["noise", "zeros", "dtx"]),
            loss=random.choice([0.0, 0.0, 0.01, 0.05]),
            jitter=random.choice([0.002, 0.01, 0.03]),
            repeats=random.random() < 0.3,
        )


def voice(random: Random) -> Iterator[bytes]:
    """Frames of somebody who speaks on and on, like nobody else."""
    while True:
        speech, table = random.choice(SPEECH), louder(random.choice(GAINS))
        begin = random.randrange(len(speech) - FRAME * 20)
        end = min(begin + FRAME * random.randrange(20, 150), len(speech) - FRAME)
        for at in range(begin, end, FRAME):
            yield speech[at : at + FRAME].translate(table)


@dataclass
class Office:
    """Relay, server and time. Phones `say` mu-law; whatever brings frames is in `activities`, called at every frame."""

    random: Random
    now: float = 100.0
    prints: Fingerprints = field(default_factory=Fingerprints)
    activities: list[Callable[[], None]] = field(default_factory=list)
    _passing: list[tuple[float, int, int, Side, int]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)
    _arrived: dict[int, float] = field(default_factory=dict)

    # -- packets ------------------------------------------------------------------------------------

    def say(self, phone: Phone, frame: bytes) -> bytes:
        """A phone's packet passes the relay; as it is now."""
        payload = frame if phone.law == MU_LAW else frame.translate(MU_TO_A)
        at = self.now + self.random.uniform(0.0, phone.jitter)
        self._arrived[phone.stream] = at
        self._pass(at, phone, "client", payload)
        return payload

    def hear(self, phone: Phone, talker: Phone, payload: bytes, delay: float = 0.001) -> None:
        """The server sends on what it got."""
        if self.random.random() < phone.loss:
            if not phone.repeats:
                return
            payload = SILENCE[talker.law]
        if talker.law != phone.law:
            payload = payload.translate(SERVERS_TABLE[talker.law, phone.law])
        at = max(self.now, self._arrived.get(talker.stream, 0.0)) + delay + self.random.uniform(0.0002, 0.003)
        self._pass(at, phone, "backend", payload)

    def play(self, phone: Phone, frame: bytes, delay: float = 0.0) -> None:
        """The server sends something of its own, in mu-law."""
        payload = frame if phone.law == MU_LAW else frame.translate(SERVERS_TABLE[MU_LAW, A_LAW])
        self._pass(self.now + delay, phone, "backend", payload)

    def _pass(self, at: float, phone: Phone, side: Side, payload: bytes) -> None:
        if len(payload) >= MIN_PAYLOAD_BYTES and sampled(payload):
            known = hash_of(PAYLOAD_TYPE[phone.law], payload[:PRINT_BYTES])
            heapq.heappush(self._passing, (at, next(self._order), phone.stream, side, known))

    def run(self, seconds: float, watch: Callable[[], None] = lambda: None) -> None:
        """Let so much time pass; `watch` is called when the relay has told what it heard, every 200 ms."""
        for count in range(round(seconds / FRAME_SECONDS)):
            for activity in self.activities:
                activity()
            self.now += FRAME_SECONDS
            while self._passing and self._passing[0][0] <= self.now:
                at, _, stream, side, known = heapq.heappop(self._passing)
                self.prints.heard(stream, side, known, at)
            if count % 10 == 9:
                self.prints.advance(self.now)
                watch()

    # -- what people do -----------------------------------------------------------------------------

    def silence(self, phone: Phone) -> bytes | None:
        """What a phone sends when nobody speaks."""
        match phone.silent:
            case "noise":
                return self.random.randbytes(FRAME).translate(QUIET)
            case "zeros":
                return SILENCE[MU_LAW]
        return None

    def converse(self, *phones: Phone, mixes: bool = False) -> Callable[[], None]:
        """They speak in turns, at times at once; each hears the others, mixed if several speak and `mixes`."""
        voices = {phone: voice(self.random) for phone in phones}
        until = dict.fromkeys(phones, 0.0)
        delay = self.random.choice([0.0005, 0.02, 0.06, 0.12])
        pause_until = 0.0

        def frame() -> None:
            nonlocal pause_until
            if self.now >= pause_until:
                talker = self.random.choice(phones)
                until[talker] = self.now + 0.2 + self.random.expovariate(1 / 1.5)
                pause_until = until[talker] + self.random.uniform(-0.4, 0.8)
            said = {}
            for phone in phones:
                speaks = self.now < until[phone]
                sound = next(voices[phone]) if speaks else self.silence(phone)
                if sound is not None:
                    said[phone] = (speaks, self.say(phone, sound))
            for listener in phones:
                others = [(phone, what) for phone, what in said.items() if phone is not listener]
                speaking = [(phone, what) for phone, what in others if what[0]]
                if mixes and len(speaking) > 1:
                    self.play(listener, self.random.randbytes(FRAME), delay)
                elif mixes and not speaking:
                    self.play(listener, SILENCE[MU_LAW], delay)
                else:
                    for phone, what in speaking if mixes else others:
                        self.hear(listener, phone, what[1], delay)

        self.activities.append(frame)
        return frame

    def broadcast(self, listeners: list[Phone], apart: float = 0.0) -> None:
        """The server plays one recording to all, each `apart` seconds after the other."""
        recording = [*itertools.islice(voice(self.random), 200)]
        began = self.now

        def frame() -> None:
            for index, phone in enumerate(listeners):
                position = round((self.now - began - index * apart) / FRAME_SECONDS)
                if position >= 0:
                    self.play(phone, recording[position % len(recording)])

        self.activities.append(frame)


def history(seed: int, calls: int, seconds: float = 20.0) -> list[float | None]:
    """So many calls, a tenth of it conferences and music: when each call was paired. AssertionError if wrongly."""
    random = Random(seed)
    office = Office(random)
    phones = [Phone.any(stream, random) for stream in range(2 * calls + calls // 2)]
    friends = {}
    for index in range(0, 2 * calls, 2):
        office.converse(*phones[index : index + 2])
        friends |= {index: index + 1, index + 1: index}
    rest = phones[2 * calls :]
    for index in range(0, len(rest) // 2, 4):
        office.converse(*rest[index : index + 4], mixes=True)
    office.broadcast(rest[len(rest) // 2 :], apart=random.choice([0.0, 0.02, 0.5]))
    paired: dict[int, float] = {}
    began = office.now

    def watch() -> None:
        for one, other in office.prints.pairs():
            assert friends.get(one) == other, f"{one} and {other} are taken for a pair after {office.now - began:.1f} s"
            paired.setdefault(one, office.now - began)

    office.run(seconds, watch)
    return [paired.get(one) for one in range(0, 2 * calls, 2)]


def main() -> None:
    """Measure; see the module."""
    first, histories, calls = map(int, sys.argv[1:4])
    times: list[float | None] = []
    for seed in range(first, first + histories):
        times += history(seed, calls)
    found = sorted(at for at in times if at is not None)
    print(f"{len(times)} calls in {histories} histories, no wrong pair; {len(found) / len(times):.1%} paired in 20 s")
    for share in (0.5, 0.9, 0.99):
        print(f"  {share:.0%} of those within {found[int(share * (len(found) - 1))]:.1f} s")


if __name__ == "__main__":
    main()
