"""Speech that is known to the packet, made from a seed: nobody's recording, and different at every phone.

Syllables of a voice (a pulse train through two formants), hisses and pauses, as mu-law. Each speaker's has its own
noise in the lowest bit, so that every packet of everybody is one of its kind; a packet that comes out somewhere tells
who said it, and when. Servers that do not transcode pass it on byte for byte.
"""

import math
import random
import time
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

from tests.interop.audio import PACKET_SECONDS, RATE, SAMPLES_PER_PACKET, encode_ulaw
from tests.interop.hearing import TimedEar

VIDEO = 99  # the payload type that a handset with a camera offers for H.264
SECONDS = 60  # then it says the same again, which is not taken for speech (rtp/fingerprint.py)
VOWELS = ((700, 1200), (300, 2300), (500, 900), (400, 1900), (600, 1700))  # formants, Hz
LOUD, HISS, BREATH = 3000.0, 600.0, 25.0  # peaks; 32767 is full scale
PITCHES = (110.0, 205.0)  # Hz, of the two voices there are


@cache
def _said_by(pitch: float) -> bytes:
    """What this voice says."""
    chance = random.Random(int(pitch))
    samples: list[float] = []
    while len(samples) < SECONDS * RATE:
        length = int(chance.uniform(0.10, 0.26) * RATE)
        kind = chance.random()
        if kind < 0.65:
            samples += _syllable(chance, pitch * chance.uniform(0.85, 1.2), length)
        elif kind < 0.8:
            samples += [chance.uniform(-HISS, HISS) for _ in range(length // 2)]
        else:
            samples += [chance.uniform(-BREATH, BREATH) for _ in range(2 * length)]
    return encode_ulaw([round(sample) for sample in samples[: SECONDS * RATE]])


def _syllable(chance: random.Random, pitch: float, length: int) -> list[float]:
    """One vowel that swells and fades."""
    said = [chance.uniform(-0.02, 0.02) for _ in range(length)]
    for at in range(0, length, int(RATE / pitch)):
        said[at] += 1.0
    for formant in chance.choice(VOWELS):
        turn, last, before = 2 * 0.97 * math.cos(2 * math.pi * formant / RATE), 0.0, 0.0
        for at, sample in enumerate(said):
            last, before = sample + turn * last - 0.97 * 0.97 * before, last
            said[at] = last
    loudest = max(map(abs, said))
    return [LOUD * sample / loudest * math.sin(math.pi * at / length) for at, sample in enumerate(said)]


def said(speaker: int) -> bytes:
    """What this speaker says, mu-law."""
    base = _said_by(PITCHES[speaker % len(PITCHES)])
    start = speaker * 7919 % len(base)
    lowest = int.from_bytes(b"\x01" * len(base))
    noise = random.Random(speaker).getrandbits(8 * len(base)) & lowest
    mixed = int.from_bytes(base[start:] + base[:start]) ^ noise
    return mixed.to_bytes(len(base))


def packets_of(sound: bytes) -> list[bytes]:
    """As they are sent."""
    return [sound[at : at + SAMPLES_PER_PACKET] for at in range(0, len(sound), SAMPLES_PER_PACKET)]


@dataclass(slots=True)
class Speaker(TimedEar):
    """A phone's ear and mouth. `number` says who speaks."""

    number: int = 0
    known: dict[bytes, int] = field(default_factory=dict)  # a packet of ours -> its place
    said_at: list[float] = field(default_factory=list)  # when each packet was sent

    def start(self) -> None:
        self.known = {packet: place for place, packet in enumerate(packets_of(self.sound()))}
        TimedEar.start(self)

    def sound(self) -> bytes:
        return said(self.number)

    def heard_of(self, other: "Speaker", begin: float, end: float) -> list[tuple[float, int]]:
        """When which packet of the other's speech came."""
        found = []
        for packet in list(self.packets):
            place = other.known.get(packet.payload) if begin <= packet.at <= end else None
            if place is not None:
                found.append((packet.at, place))
        return found

    def missed(self, other: "Speaker", begin: float, end: float) -> tuple[float, float]:
        """The longest piece of what the other said in this time that was not heard: its seconds, and when it began.

        To be asked when something that was said later is heard. On a busy machine a phone stands still itself, and then
        says a second's worth at once: of seconds of speech and of the clock the fewer count.
        """
        places = {place for _, place in self.heard_of(other, begin, math.inf)}
        longest, run = (0.0, begin), list[float]()
        for number, at in enumerate(list(other.said_at)):
            if begin <= at <= end:
                run = [] if number % len(other.known) in places else [*run, at]
                if run:
                    longest = max(longest, (min(len(run) * PACKET_SECONDS, at - run[0] + PACKET_SECONDS), run[0]))
        return longest

    def follows(self, other: "Speaker", moment: float) -> bool:
        """Whether something is heard that the other said after this moment."""
        said = {number % len(other.known) for number, at in enumerate(list(other.said_at)) if at > moment}
        return any(place in said for _, place in self.heard_of(other, moment, math.inf))

    def _send(self, packet: bytes) -> None:
        before = self.sent
        TimedEar._send(self, packet)
        self.said_at += [time.monotonic()] * (self.sent - before)

    def disorder(self, other: "Speaker", begin: float, end: float) -> list[str]:
        """What came twice, or after what was said later."""
        length = len(other.known)
        heard = self.heard_of(other, begin, end)
        found = []
        for index, ((_, one), (at, next_one)) in enumerate(pairwise(heard)):
            step = (next_one - one) % length
            if step == 0 or step > length // 2:
                around = [place for _, place in heard[max(0, index - 4) : index + 6]]
                found.append(f"packet {next_one} after {one} at {at - begin:.3f} s: {around}")
        return found


@dataclass(slots=True)
class Pictures(Speaker):
    """A camera and a screen: packets of which no two are alike."""

    kind: int = VIDEO

    def sound(self) -> bytes:
        return random.Random(self.number).randbytes(SECONDS * RATE)


def speaker(address: str, number: int) -> Speaker:
    """One who speaks at this address, not started yet."""
    return Speaker((address, 0), 0.0, number=number)
