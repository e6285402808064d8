"""Which of the backends that have room a new call goes to. One algorithm per module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Candidate(NamedTuple):
    """A backend that may get the call."""

    name: str
    weight: float  # beside the others'; above 0, and less while it warms up
    calls: int  # that are on it


class Balance(Protocol):
    """An algorithm."""

    def pick(self, candidates: Sequence[Candidate], user: str) -> str:
        """One of these, for a call of this user. Asking changes nothing.

        They are in order of preference, the active one first, and never none.
        """

    def placed(self, at: Candidate) -> None:
        """A call was placed there."""
