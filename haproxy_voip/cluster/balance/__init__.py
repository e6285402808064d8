"""Which of the eligible backends a new call goes to. One algorithm per module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Balance(Protocol):
    """An algorithm."""

    def pick(self, eligible: Sequence[str], active: str) -> str:
        """One of `eligible` (in order of preference, never empty); `active`, the one in charge, is among them."""
