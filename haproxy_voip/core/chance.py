"""Randomness, handed in: SystemRandom in production, a seeded Random in simulation.

Branches, tags, Call-IDs and nonces must be unguessable (RFC 3261 section 19.3: at least 32 bits of it).
"""

from __future__ import annotations

from random import Random, SystemRandom

TOKEN_BITS = 64
TOKEN_DIGITS = TOKEN_BITS // 4
# Random bytes asked of the system at once: 512 tokens.
BLOCK_BYTES = 4096


class Chance:
    """Where every random choice of a node comes from."""

    __slots__ = ("_getrandbits", "random")

    def __init__(self, random: Random) -> None:
        self.random = random
        self._getrandbits = random.getrandbits

    @staticmethod
    def system() -> Chance:
        """Unguessable, for production."""
        return _SystemChance()

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


class _SystemChance(Chance):
    """A call takes a dozen tokens, and a call into the kernel for each would cost more than all else about them.

    Each digit is given out once. A process that forks would give out its digits twice; ours never does.
    """

    __slots__ = ("_at", "_digits")

    def __init__(self) -> None:
        super().__init__(SystemRandom())
        self._digits = ""
        self._at = 0

    def token(self) -> str:
        """See Chance."""
        begin = self._at
        if begin == len(self._digits):
            self._digits, begin = self.random.randbytes(BLOCK_BYTES).hex(), 0
        self._at = begin + TOKEN_DIGITS
        return self._digits[begin : self._at]
