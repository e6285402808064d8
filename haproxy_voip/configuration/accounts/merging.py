"""What becomes of users who were found, beside those the users' file has already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from haproxy_voip.configuration import users
from haproxy_voip.configuration.accounts.found import Account, Note, Place
from haproxy_voip.core.credential import Credential

HASHES = ("ha1", "ha1_sha256")


class Verdict(StrEnum):
    """What is done with a user."""

    ADDED = "added"
    CHANGED = "changed"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Row:
    """One user."""

    verdict: Verdict
    user: str
    place: Place
    why: str = ""


@dataclass(slots=True)
class Plan:
    """All of them."""

    rows: list[Row] = field(default_factory=list)
    bad: list[Note] = field(default_factory=list)
    credentials: list[Credential] = field(default_factory=list)  # those added and changed

    def count(self, verdict: Verdict) -> int:
        """How many users it befalls."""
        return sum(row.verdict is verdict for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """What the operator asked for."""

    replace: bool = False  # the found secret takes the place of another one
    hashed: bool = False  # hashes are kept of passwords


def plan(known: users.Users, accounts: Sequence[Account], how: How) -> Plan:
    """One row or one mistake for each account; a user who is found twice with the same secret counts once."""
    made = Plan()
    seen: dict[str, Account] = {}
    for account in accounts:
        first = seen.setdefault(account.user, account)
        if first is not account and first.secret == account.secret:
            continue
        try:
            if first is not account:
                raise ValueError(f"has another secret at {first.place}")
            credential = account.credential(known.realm)
            users.check(credential)
        except ValueError as error:
            made.bad.append(Note(account.place, account.user, str(error)))
            continue
        row = _row(account, credential, known.credentials.get(account.user), how)
        made.rows.append(row)
        if row.verdict is not Verdict.KEPT:
            made.credentials.append(_hashed(credential) if how.hashed else credential)
    return made


def same_secret(one: Credential, other: Credential) -> bool:
    """Whether the two prove the same, as far as both say."""
    if one.password is not None and other.password is not None:
        return one.password == other.password
    ours, theirs = _hashed(one), _hashed(other)
    both = [name for name in HASHES if getattr(ours, name) is not None and getattr(theirs, name) is not None]
    return bool(both) and all(getattr(ours, name) == getattr(theirs, name) for name in both)


def _row(account: Account, found: Credential, known: Credential | None, how: How) -> Row:
    if known is None:
        return Row(Verdict.ADDED, account.user, account.place)
    if same_secret(known, found):
        return Row(Verdict.KEPT, account.user, account.place, "has this secret already")
    if how.replace:
        return Row(Verdict.CHANGED, account.user, account.place, "had another secret")
    return Row(Verdict.KEPT, account.user, account.place, "has another secret; --replace takes this one")


def _hashed(credential: Credential) -> Credential:
    if credential.password is None:
        return credential
    return users.hashed(credential.user, credential.realm, credential.password)
