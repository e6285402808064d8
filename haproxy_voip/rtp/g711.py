"""G.711: one law made the other, byte for byte (ITU-T G.711 section 3 and tables 3 and 4).

Both laws number the magnitudes they can decode from 0 to 127. The conversion is between these numbers, not between
samples, so that it costs one `bytes.translate`, and going there and back loses nothing more than going once.

Servers convert in other ways too, most by decoding and encoding anew. `ALIKE` tells whether one could be made of the
other in any of these ways.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, Literal

Law = Literal["pcma", "pcmu"]

A_LAW: Law = "pcma"  # the encoding names of RFC 3551, in lower case
MU_LAW: Law = "pcmu"

# A positive value of level 0 in each law; a level is in the low seven bits, in A-law with every other bit inverted.
A_LAW_ZERO = 0xD5
MU_LAW_ZERO = 0xFF
SIGN = 0x80

# Table 3: the A-law level for each mu-law level.
A_LEVELS = (
    *(level // 2 for level in range(16)),  # mu-law is twice as fine near zero
    *range(8, 25),
    *(26, 28, 30),
    *range(32, 44),
    45,
    *range(47, 62),
    *range(63, 80),
    *range(81, 128),
)
# Table 4: the mu-law level for each A-law level.
MU_LEVELS = (
    *range(1, 16, 2),
    *range(16, 32),
    *(32, 32, 33, 33, 34, 34, 35, 35),
    *range(36, 48),
    *(48, 48, 49, 49),
    *range(50, 64),
    *(64, 64),
    *range(65, 80),
    *(80, 80),
    *range(81, 128),
)


def _table(zero: int, levels: tuple[int, ...], other_zero: int) -> bytes:
    table = bytearray(256)
    for level, other in enumerate(levels):
        table[zero ^ level] = other_zero ^ other
        table[zero ^ level ^ SIGN] = other_zero ^ other ^ SIGN
    return bytes(table)


A_TO_MU = _table(A_LAW_ZERO, MU_LEVELS, MU_LAW_ZERO)
MU_TO_A = _table(MU_LAW_ZERO, A_LEVELS, A_LAW_ZERO)


def sample(law: Law, code: int) -> int:
    """The 16-bit linear value of one byte, -32124 to 32124 (section 2, tables 1 and 2)."""
    if law == A_LAW:
        level = (code ^ A_LAW_ZERO) & 0x7F
        exponent, mantissa = level >> 4, level & 0x0F
        magnitude = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << (exponent - 1)
    else:
        level = ~code & 0x7F
        exponent, mantissa = level >> 4, level & 0x0F
        magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84
    return magnitude if code & SIGN else -magnitude


def encoded(law: Law, value: int) -> int:
    """The byte for a 16-bit linear value, -32768 to 32767: in whose interval it lies (section 2)."""
    if law == A_LAW:
        magnitude = min(abs(value), 0x7FFF)
        exponent = max(0, magnitude.bit_length() - 8)
        level = (exponent << 4) | ((magnitude >> (exponent + 3 if exponent else 4)) & 0x0F)
        return (A_LAW_ZERO ^ level) & (0xFF if value >= 0 else 0x7F)
    magnitude = min(abs(value), 0x7F7B) + 0x84
    exponent = magnitude.bit_length() - 8
    level = (exponent << 4) | ((magnitude >> (exponent + 3)) & 0x0F)
    return (MU_LAW_ZERO ^ level) & (0xFF if value >= 0 else 0x7F)


def _alike() -> dict[Law, bytes]:
    """Bytes of either law that a conversion, or several one after the other, makes of each other have one number."""
    number = list(range(512))  # of A-law bytes, then of mu-law bytes

    def first(byte: int) -> int:
        while number[byte] != byte:
            byte = number[byte]
        return byte

    for byte in range(256):
        a_law, mu_law = sample(A_LAW, byte), sample(MU_LAW, byte)
        in_mu_law = 256 + A_TO_MU[byte], 256 + encoded(MU_LAW, a_law)
        # Asterisk's table has one entry for eight values, made for the last of them: below zero one on a border of two
        # intervals goes to the other side.
        in_a_law = MU_TO_A[byte], encoded(A_LAW, mu_law), encoded(A_LAW, mu_law | 7)
        for one, other in (*pairwise((byte, *in_mu_law)), *pairwise((256 + byte, *in_a_law))):
            lower, higher = sorted((first(one), first(other)))
            number[higher] = lower
    return {A_LAW: bytes(map(first, range(256))), MU_LAW: bytes(map(first, range(256, 512)))}


# For `bytes.translate`: what is the same in both becomes the same. 200 of the 256 values are left. Magnitudes from 4032
# to 8448 become one, and so do the values from -120 to 8: there the ways to convert disagree by one level, everywhere.
ALIKE: Final = _alike()
