"""G.711: one law made the other, byte for byte (ITU-T G.711 section 3 and tables 3 and 4).

Both laws number the magnitudes they can decode from 0 to 127. The conversion is between these numbers, not between
samples, so that it costs one `bytes.translate`, and going there and back loses nothing more than going once.
"""

from __future__ import annotations

from typing import Literal

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
