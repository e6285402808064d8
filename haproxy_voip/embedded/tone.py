"""Tones in G.711 mu-law, made and recognised by content (ITU-T G.711; Goertzel's algorithm).

Frequencies are multiples of 50 Hz, so that each packet of 20 ms holds whole periods.
"""

from __future__ import annotations

import math
from functools import lru_cache

RATE_HZ = 8000
FRAME_SAMPLES = 160  # 20 ms
FRAME_SECONDS = FRAME_SAMPLES / RATE_HZ
STEP_HZ = RATE_HZ // FRAME_SAMPLES
AMPLITUDE = 8000  # of 32,767
# The least share of a packet's energy that lies at the tone: a pure tone has 1, mu-law and noise cost a little.
PURITY = 0.8
# Packets quieter than this (mean square) hold no tone.
SILENCE = 100.0**2

BIAS, CLIP = 0x84, 32_635


def frame(hz: int) -> bytes:
    """20 ms of this tone as mu-law."""
    assert hz % STEP_HZ == 0, f"{hz} Hz is no multiple of {STEP_HZ}"
    turn = 2 * math.pi * hz / RATE_HZ
    return bytes(encode(round(AMPLITUDE * math.sin(turn * n))) for n in range(FRAME_SAMPLES))


@lru_cache(256)
def has_tone(payload: bytes, hz: int) -> bool:
    """Whether these mu-law samples are mostly this tone."""
    samples = [DECODED[byte] for byte in payload]
    count = len(samples)
    energy = sum(sample * sample for sample in samples)
    if not count or energy / count < SILENCE:
        return False
    # Goertzel: the squared magnitude at hz; a pure tone of n samples has energy * n / 2.
    factor = 2 * math.cos(2 * math.pi * hz / RATE_HZ)
    before, last = 0.0, 0.0
    for sample in samples:
        before, last = last, sample + factor * last - before
    power = last * last + before * before - factor * last * before
    return power > PURITY * energy * count / 2


def encode(sample: int) -> int:
    """One 16-bit sample as mu-law."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), CLIP) + BIAS
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> exponent + 3 & 0x0F) & 0xFF


def decode(byte: int) -> int:
    """One mu-law byte as a 16-bit sample."""
    byte = ~byte & 0xFF
    magnitude = ((byte & 0x0F) << 3 | BIAS) << (byte >> 4 & 7)
    return BIAS - magnitude if byte & 0x80 else magnitude - BIAS


DECODED = tuple(decode(byte) for byte in range(256))
