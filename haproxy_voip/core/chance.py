"""Randomness, handed in: SystemRandom in production, a seeded Random in simulation.

Branches, tags, Call-IDs and nonces must be unguessable (RFC 3261 section 19.3: at least 32 bits of it).
"""

from __future__ import annotations

from random import Random, SystemRandom

TOKEN_BITS = 64


class Chance:
    """Where every random choice of a node comes from."""

    __slots__ = ("_getrandbits", "random")

    def __init__(self, random: Random) -> None:
        self.random = random
        self._getrandbits = random.getrandbits

    @classmethod
    def system(cls) -> Chance:
        """Unguessable, for production."""
        return cls(SystemRandom())

    @classmethod
    def seeded(cls, seed: int) -> Chance:
        """The same history for the same seed, for simulation."""
        return cls(Random(seed))

    def token(self) -> str:
        """16 hexadecimal digits, 64 random bits: a tag, a branch suffix, a Call-ID."""
        return f"{self._getrandbits(TOKEN_BITS):016x}"

    def bytes(self, count: int) -> bytes:
        """`count` random bytes: a key."""
        return self._getrandbits(8 * count).to_bytes(count, "big")

    def below(self, limit: int) -> int:
        """A whole number from 0 to limit - 1."""
        return self.random.randrange(limit)

    def between(self, low: float, high: float) -> float:
        """A time or a share, uniformly."""
        return self.random.uniform(low, high)
