"""What is known of one user's secret."""

from __future__ import annotations

import re
from binascii import Error, a2b_base64
from dataclasses import dataclass

# RFC 5803 section 2: scheme "$" iterations ":" salt "$" StoredKey ":" ServerKey
STORED = re.compile(
    r"SCRAM-(?P<algorithm>SHA-1|SHA-256)\$(?P<iterations>[1-9][0-9]{0,5}):(?P<salt>[A-Za-z0-9+/=]{4,344})"
    r"\$(?P<stored>[A-Za-z0-9+/=]{28,44}):(?P<server>[A-Za-z0-9+/=]{28,44})"
)
KEY_BYTES = {"SHA-1": 20, "SHA-256": 32}


@dataclass(frozen=True, slots=True)
class Secret:
    """What proves that we are somebody: a password or a key. Never printed."""

    text: str

    def __repr__(self) -> str:
        return "Secret()"  # it would reach logs


@dataclass(frozen=True, slots=True)
class Credential:
    """A password, or hashes of it: those for telephony are good for `realm` only (RFC 7616 section 3.4.2, A1).

    At least one is set.
    """

    user: str
    realm: str
    password: str | None = None
    ha1: str | None = None  # MD5(user:realm:password), 32 lower-case hexadecimal digits
    ha1_sha256: str | None = None  # SHA-256 of the same, 64 digits
    scram_sha_1: str | None = None  # for chat, as `ScramKeys.parse` reads it
    scram_sha_256: str | None = None

    def __repr__(self) -> str:
        return f"Credential(user={self.user!r}, realm={self.realm!r})"  # never the secret: it would reach logs

    @property
    def can_call(self) -> bool:
        """Whether it is good for SIP's digest."""
        return not (self.password is self.ha1 is self.ha1_sha256 is None)


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a server keeps of a password (RFC 5802 section 3). Nobody can log in with it."""

    algorithm: str  # SHA-1 or SHA-256
    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return f"ScramKeys(algorithm={self.algorithm!r}, iterations={self.iterations})"  # others allow guessing

    @classmethod
    def parse(cls, text: str) -> ScramKeys:
        """Read `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`, all but the number in base64 (RFC 5803).

        Raises ValueError, and never tells what was in it.
        """
        found = STORED.fullmatch(text)
        if found is None:
            raise ValueError("these are no SCRAM keys as RFC 5803 writes them")
        try:
            salt, stored, server = (a2b_base64(found[name]) for name in ("salt", "stored", "server"))
        except Error:
            raise ValueError("a part of these SCRAM keys is no base64") from None
        if {len(stored), len(server)} != {KEY_BYTES[found["algorithm"]]}:
            raise ValueError(f"these SCRAM keys have not the length of {found['algorithm']}")
        return cls(found["algorithm"], salt, int(found["iterations"]), stored, server)
