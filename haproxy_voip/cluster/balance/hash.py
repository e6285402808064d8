"""Each user is on one backend, and comes back to it.

Weighted rendezvous hashing (Wang and Ravishankar, 2014): each backend draws a number for the user, the best wins. When
a backend is lost only its users move, each to the next of their own order; when it returns only they come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import log

from haproxy_voip.cluster.balance import Candidate

DRAWN_BYTES = 6
DRAWN_FROM = 2.0**48  # what a float holds without rounding, with room


class Hash:
    """The algorithm named `hash` in the configuration."""

    __slots__ = ()

    def pick(self, candidates: Sequence[Candidate], user: str) -> str:
        """The user's."""
        return min(candidates, key=lambda one: -log(_drawn(user, one.name)) / one.weight).name

    def placed(self, at: Candidate) -> None:
        """It is all the same."""


def _drawn(user: str, backend: str) -> float:
    """Between 0 and 1, neither included; the same in every process."""
    digest = blake2b(f"{backend}\0{user}".encode(errors="surrogateescape"), digest_size=DRAWN_BYTES).digest()
    return (int.from_bytes(digest) + 0.5) / DRAWN_FROM
