"""Sound by content: a tone goes in, the same tone must come out.

`Ear` is an RTP endpoint (PCMU, 8 kHz, 20 ms, DTMF as RFC 4733 events) beside a SIPp that does the signalling: it sends
one tone, keeps what it hears, and tells how much of that is which tone.
"""

import math
import socket
import struct
import threading
import time
import wave
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from tests.interop.processes import wait_until

RATE = 8000  # samples per second
SAMPLES_PER_PACKET = 160  # 20 ms
PACKET_SECONDS = SAMPLES_PER_PACKET / RATE
PCMU = 0  # RFC 3551 section 6
EVENTS = 101  # the payload type that the scenarios offer for telephone-event (RFC 4733)
DIGITS = "0123456789*#ABCD"  # event codes 0..15
DIGIT_PACKETS = 6  # 120 ms of each digit, and as much silence after it
END_PACKETS = 3  # RFC 4733 section 2.5.1.4: the end is sent three times
LEVEL = 8000  # peak of the tones we send; 32767 is full scale
MAX_HEARD_PACKETS = 50 * 120  # two minutes
MAX_PER_BEAT = 64  # packets read before the next is sent, so that a flood keeps no ear from speaking

CALLER_TONE = 400.0  # Hz, of the ear `caller_ear`
CALLEE_TONE = 900.0
THIRD_TONE = 1300.0

Address = tuple[str, int]


def _ulaw_to_linear(byte: int) -> int:
    byte = ~byte & 0xFF
    magnitude = (((byte & 0x0F) << 3) + 0x84) << ((byte & 0x70) >> 4)
    return 0x84 - magnitude if byte & 0x80 else magnitude - 0x84


def _linear_to_ulaw(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    biased = min(abs(sample), 32635) + 0x84
    exponent = biased.bit_length() - 8
    return ~(sign | exponent << 4 | (biased >> (exponent + 3)) & 0x0F) & 0xFF


ULAW_TO_LINEAR = [_ulaw_to_linear(byte) for byte in range(256)]  # G.711


def decode_ulaw(payload: bytes) -> list[int]:
    return [ULAW_TO_LINEAR[byte] for byte in payload]


def encode_ulaw(samples: list[int]) -> bytes:
    return bytes(_linear_to_ulaw(sample) for sample in samples)


def tone(frequency: float, seconds: float, rate: int = RATE) -> list[int]:
    """A sine."""
    step = 2 * math.pi * frequency / rate
    return [round(LEVEL * math.sin(step * n)) for n in range(int(seconds * rate))]


def share(samples: list[int], frequency: float, rate: int = RATE) -> float:
    """How much of the samples' energy is at a frequency: 1.0 a clean tone, 0.0 silence or something else (Goertzel)."""
    energy = sum(sample * sample for sample in samples)
    # Quieter than 30 of 32767 is comfort noise.
    if not samples or energy < len(samples) * 30 * 30:
        return 0.0
    turn = 2 * math.cos(2 * math.pi * frequency / rate)
    last = before = 0.0
    for sample in samples:
        last, before = sample + turn * last - before, last
    power = last * last + before * before - turn * last * before
    return 2 * power / (len(samples) * energy)


def seconds_of(samples: list[int], frequency: float, rate: int = RATE) -> float:
    """For how long a tone is heard: windows of 50 ms of which it is the better part."""
    window = rate // 20
    starts = range(0, len(samples) - window + 1, window)
    return sum(0.05 for start in starts if share(samples[start : start + window], frequency, rate) > 0.6)


def read_wav(path: Path) -> tuple[list[int], int]:
    """The first channel of a 16-bit file, and its rate."""
    with wave.open(str(path), "rb") as file:
        channels, rate = file.getnchannels(), file.getframerate()
        data = file.readframes(file.getnframes())
    return list(struct.unpack(f"<{len(data) // 2}h", data))[::channels], rate


def _event(code: int, duration: int, *, end: bool) -> bytes:
    """RFC 4733 section 2.3: event, end bit and volume, duration in samples since its start."""
    return struct.pack("!BBH", code, (0x80 if end else 0) | 10, duration)


@dataclass(slots=True)
class Ear:
    """Sends one tone and keeps what comes. `remote` None: the source of the first packet heard."""

    local: Address
    frequency: float
    remote: Address | None = None
    heard: list[bytes] = field(default_factory=list)  # payloads in the order they came
    sources: dict[Address, int] = field(default_factory=dict)  # who sent how many packets
    digits: str = ""  # DTMF heard, each digit once
    sent: int = 0
    kind: int = PCMU  # payload type of what it sends and keeps
    _to_press: deque[bytes] = field(default_factory=deque)  # event payloads, one per packet
    _digit_started: int = 0  # RTP timestamp of the digit being sent
    _last_digit: int = -1  # RTP timestamp of the digit heard last
    _socket: socket.socket | None = None
    _thread: threading.Thread | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        family = socket.AF_INET6 if ":" in self.local[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind(self.local)
        self.local = self._socket.getsockname()[:2]
        self._thread = threading.Thread(target=self._run, name=f"ear {self.local}")
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._socket is not None:
            self._socket.close()

    def press(self, digits: str) -> None:
        """Sends DTMF, 240 ms for each digit, in place of the tone."""
        for digit in digits:
            code = DIGITS.index(digit)
            for packet in range(DIGIT_PACKETS):
                self._to_press.append(_event(code, (packet + 1) * SAMPLES_PER_PACKET, end=False))
            for _ in range(END_PACKETS):
                self._to_press.append(_event(code, DIGIT_PACKETS * SAMPLES_PER_PACKET, end=True))
            self._to_press.extend([b""] * (DIGIT_PACKETS - END_PACKETS))

    def sound(self) -> bytes:
        """What it sends again and again; whole packets."""
        # 8000 Hz / 160 samples: every multiple of 50 Hz fits a packet in whole periods; others repeat after 1 s.
        return encode_ulaw(tone(self.frequency, 1.0))

    def samples(self) -> list[int]:
        """All that was heard so far."""
        return decode_ulaw(b"".join(self.heard))

    def seconds_of(self, frequency: float) -> float:
        return seconds_of(self.samples(), frequency)

    def loudest(self, frequency: float) -> float:
        """The tone's share of the half second in which it has most, 0.0 to 1.0."""
        samples, window = self.samples(), RATE // 2
        starts = range(0, max(1, len(samples) - window + 1), window)
        return max(share(samples[start : start + window], frequency) for start in starts)

    def wait_for(self, frequency: float, seconds: float = 0.5) -> None:
        """Until a tone was heard for so long from now on. Raises ProcessError when it is not within ten times that."""
        wanted = self.seconds_of(frequency) + seconds
        wait_until(lambda: self.seconds_of(frequency) >= wanted, 10 * seconds, f"{frequency} Hz at {self.local}")

    def _run(self) -> None:
        """Packets out on the beat; between two beats, whatever comes in."""
        assert self._socket is not None
        sound = self.sound()
        beat = time.monotonic()
        while not self._ended.is_set():
            if self.remote is not None:
                self._send(self._next_packet(sound))
            beat += PACKET_SECONDS
            self._listen_until(beat)

    def _next_packet(self, sound: bytes) -> bytes:
        timestamp = self.sent * SAMPLES_PER_PACKET
        kind = self.kind
        offset = timestamp % len(sound)
        payload = sound[offset : offset + SAMPLES_PER_PACKET]
        event = self._to_press.popleft() if self._to_press else b""
        if event:
            if event[2:] == SAMPLES_PER_PACKET.to_bytes(2):
                self._digit_started = timestamp
            kind, payload, timestamp = EVENTS, event, self._digit_started
        return struct.pack("!BBHII", 0x80, kind, self.sent & 0xFFFF, timestamp, id(self) & 0xFFFFFFFF) + payload

    def _send(self, packet: bytes) -> None:
        assert self._socket is not None and self.remote is not None
        try:
            self._socket.sendto(packet, self.remote)
        except OSError:
            return  # nobody there (any more): a killed server, or not yet started
        self.sent += 1

    def _listen_until(self, beat: float) -> None:
        """What comes until then; late, what waits: on a busy machine an ear that only spoke would grow deaf."""
        assert self._socket is not None
        for _ in range(MAX_PER_BEAT):
            left = max(0.0, beat - time.monotonic())
            self._socket.settimeout(left)
            try:
                self._receive(self._socket)
            except OSError:
                if left == 0.0:
                    return

    def _receive(self, opened: socket.socket) -> None:
        packet, source = opened.recvfrom(2048)
        if len(packet) < 12 or len(self.heard) >= MAX_HEARD_PACKETS:
            return
        self.sources[source] = self.sources.get(source, 0) + 1
        self._hear(packet[1] & 0x7F, int.from_bytes(packet[4:8]), packet[12:])
        if self.remote is None:
            self.remote = source

    def _hear(self, kind: int, timestamp: int, payload: bytes) -> None:
        if kind == self.kind:
            self.heard.append(payload)
        elif kind == EVENTS and payload and timestamp != self._last_digit:
            self._last_digit = timestamp
            self.digits += DIGITS[payload[0]] if payload[0] < len(DIGITS) else "?"
