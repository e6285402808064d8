"""What was found in somebody else's files: users, what was passed over, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from haproxy_voip.core.credential import Credential


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, counted from 1."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Secret:
    """A password, or hashes of user, realm and password; never shown."""

    password: str | None = field(default=None, repr=False)
    ha1: str | None = field(default=None, repr=False)
    ha1_sha256: str | None = field(default=None, repr=False)
    realm: str | None = None  # of the hashes; None: whichever the users' file has


@dataclass(frozen=True, slots=True)
class Account:
    """One user."""

    user: str
    secret: Secret
    place: Place

    def credential(self, realm: str) -> Credential:
        """As the users' file of this realm holds it. Raises ValueError where a hash is of another realm."""
        secret = self.secret
        if secret.password is not None:
            return Credential(self.user, realm, password=secret.password)
        if secret.realm not in (None, realm):
            raise ValueError(
                f"its hash is good for the realm {secret.realm!r} only, and the users' file has {realm!r}: "
                "give the user a new password with users add"
            )
        return Credential(self.user, realm, ha1=_lower(secret.ha1), ha1_sha256=_lower(secret.ha1_sha256))


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is not imported, and why."""

    place: Place
    what: str  # a user or a section; empty for a line as such
    why: str

    def __str__(self) -> str:
        return printable(f"{self.place}: {f'{self.what}: ' if self.what else ''}{self.why}")


@dataclass(slots=True)
class Findings:
    """All of it, in the order of the files."""

    accounts: list[Account] = field(default_factory=list)
    skipped: list[Note] = field(default_factory=list)  # no phone of ours: a trunk, a template's leftover
    bad: list[Note] = field(default_factory=list)  # somebody should look at it

    def add(self, other: Findings) -> None:
        """Take over what was found elsewhere."""
        self.accounts += other.accounts
        self.skipped += other.skipped
        self.bad += other.bad


def printable(text: str) -> str:
    """Fit for a terminal: what is not, as escapes. Files may hold control characters, and bytes that are no UTF-8."""
    return text if text.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()
