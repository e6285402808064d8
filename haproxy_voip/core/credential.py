"""What is known of one user's secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credential:
    """A password, or hashes of it that are good for `realm` only (RFC 7616 section 3.4.2, A1).

    At least one of the three is set.
    """

    user: str
    realm: str
    password: str | None = None
    ha1: str | None = None  # MD5(user:realm:password), 32 lower-case hexadecimal digits
    ha1_sha256: str | None = None  # SHA-256 of the same, 64 digits

    def __repr__(self) -> str:
        return f"Credential(user={self.user!r}, realm={self.realm!r})"  # never the secret: it would reach logs
