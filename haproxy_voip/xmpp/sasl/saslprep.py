"""Passwords as both sides must see them alike (RFC 4013)."""

from __future__ import annotations

import stringprep
from typing import Final
from unicodedata import normalize

_PROHIBITED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str) -> str:
    """Mapped and normalised (sections 2.1, 2.2). Raises ValueError at what may not be in a password (section 2.3)."""
    if text.isascii():
        prepared = text
    else:
        spaced = "".join(" " if stringprep.in_table_c12(character) else character for character in text)
        mapped = "".join(character for character in spaced if not stringprep.in_table_b1(character))
        prepared = normalize("NFKC", mapped)
    if any(table(character) for character in prepared for table in _PROHIBITED):
        raise ValueError("a character that may not be in a password")
    return prepared
