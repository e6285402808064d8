"""Who chat users are: what the users files hold of them, checked against what a client proves.

Users of `proxy.domain` have their name there, those of other domains name and domain. Whom the files do not know may
prove themselves with a password, which is then the backend's to check.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential, ScramKeys
from haproxy_voip.xmpp.sasl.ladder import ByClientKey, ByImpersonation, ByPassword, ByToken, Way
from haproxy_voip.xmpp.sasl.saslprep import saslprep
from haproxy_voip.xmpp.sasl.scram import ALGORITHMS, ClientKey, derive_keys
from haproxy_voip.xmpp.server_stream import Authenticate

# What most servers use. More would cost every first login of a user milliseconds of everybody's time.
ITERATIONS = 4096
SALT_BYTES = 16


class WrongPassword(Exception):
    """The client gave one that is not the user's."""


@dataclass(slots=True)
class Account:
    """One user who proved to be it, and what logs it in at backends. Never printed."""

    username: str
    domain: str
    password: str | None = None  # as long as the session lives
    proved: ClientKey | None = None  # from the client's own SCRAM proof
    ours: bool = False  # whether the users file knows it; else only a backend can tell if the password is right
    kept: dict[str, ClientKey] = field(default_factory=dict)  # by backend, from this user's last login there

    def __repr__(self) -> str:
        return f"Account({self.username}@{self.domain})"  # never the secret: it would reach logs

    def ways(
        self, backend: str, ladder: tuple[str, ...], impersonation: ByImpersonation | ByToken | None = None
    ) -> tuple[Way, ...]:
        """How to log in there, in the configured order; `impersonation`: without any secret of the user's."""
        # What a client proved fits our salt. That is the backend's where the users file has its keys, and no password.
        proved = self.proved if self.password is None else None
        keys = [key for key in (self.kept.get(backend), proved) if key is not None]
        found: dict[str, list[Way]] = {
            "key": [ByClientKey(key) for key in keys],
            "password": [] if self.password is None else [ByPassword(self.password, tuple(self.kept.values()))],
            "impersonation": [] if impersonation is None else [impersonation],
        }
        return tuple(way for step in ladder for way in found.get(step, []))

    def same_secret(self, other: Account) -> bool:
        """Whether both proved the same password, where only a backend could tell if it is right."""
        if self.password is None or other.password is None:
            return self.ours and other.ours
        return hmac.compare_digest(self.password.encode(), other.password.encode())


class Accounts:
    """The users files, as chat needs them."""

    def __init__(self, domain: str, credentials: Mapping[str, Credential], chance: Chance) -> None:
        self._domain = domain
        self._chance = chance
        self.replace(credentials)

    def replace(self, credentials: Mapping[str, Credential]) -> None:
        """Know these users from now on."""
        # Localparts compare in lower case (RFC 7622 section 3.3), names in the file are written as people like.
        self._credentials = {name.lower(): credential for name, credential in credentials.items()}
        self._derived: dict[tuple[str, str], ScramKeys] = {}  # at most two for each user of the file
        # Deriving a key from a password takes milliseconds, during which everybody waits: a thousand sessions that log
        # in elsewhere would wait seconds. At most one for each user and backend.
        self._kept: dict[str, dict[str, ClientKey]] = {}

    def keys(self, username: str, domain: str, algorithm: str) -> ScramKeys | None:
        """What a SCRAM client is challenged with; None for users whose password we do not know."""
        credential = self._known(username, domain)
        if credential is None:
            return None
        name = self._name(username, domain)
        known = self._derived.get((name, algorithm))
        if known is None:
            known = self._keys_of(credential, algorithm)
            if known is not None:
                self._derived[name, algorithm] = known
        return known

    def _keys_of(self, credential: Credential, algorithm: str) -> ScramKeys | None:
        kept = {"SHA-1": credential.scram_sha_1, "SHA-256": credential.scram_sha_256}[algorithm]
        if kept is not None:
            return ScramKeys.parse(kept)
        if credential.password is None:
            return None
        return derive_keys(credential.password, algorithm, self._chance.bytes(SALT_BYTES), ITERATIONS)[1]

    def account(self, attempt: Authenticate) -> Account:
        """Who this is. Raises WrongPassword."""
        credential = self._known(attempt.username, attempt.domain)
        known = None if credential is None else credential.password
        if credential is not None and attempt.password is not None and not self._right(attempt):
            raise WrongPassword(attempt.username)
        password = known or attempt.password
        kept = {} if credential is None else self._kept.setdefault(self._name(attempt.username, attempt.domain), {})
        return Account(attempt.username, attempt.domain, password, attempt.client_key, credential is not None, kept)

    def _right(self, attempt: Authenticate) -> bool:
        """Whether a password in the clear is the user's."""
        known = self._known(attempt.username, attempt.domain)
        if known is not None and known.password is not None:
            return _same(known.password, attempt.password or "")  # deriving keys would take a thousand times as long
        for algorithm in ALGORITHMS:
            keys = self.keys(attempt.username, attempt.domain, algorithm)
            if keys is None:
                continue
            try:
                _, given = derive_keys(attempt.password or "", algorithm, keys.salt, keys.iterations)
            except ValueError:
                return False
            return hmac.compare_digest(given.stored_key, keys.stored_key)
        return False

    def _name(self, username: str, domain: str) -> str:
        """What it is called in the files."""
        return username if domain == self._domain else f"{username}@{domain}"

    def _known(self, username: str, domain: str) -> Credential | None:
        credential = self._credentials.get(self._name(username, domain))
        if credential is None or credential.password is credential.scram_sha_1 is credential.scram_sha_256 is None:
            return None
        return credential


def _same(known: str, given: str) -> bool:
    """Whether two passwords are one (RFC 4013)."""
    try:
        return hmac.compare_digest(saslprep(known).encode(), saslprep(given).encode())
    except ValueError:
        return False
