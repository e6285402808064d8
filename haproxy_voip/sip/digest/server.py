"""The challenging side of Digest authentication (RFC 7616 section 3, RFC 8760, RFC 3261 section 22).

1. Several challenges, the strongest algorithm first, one nonce for all of them (RFC 8760 section 2.3).
2. A right response with a nonce that no longer serves, be it old, replayed or made before a restart, is
   `stale`: the client tries again without asking its user (RFC 7616 section 3.3).
3. COMPAT: the Digest uri need not be the Request-URI, though RFC 7616 section 3.4.6 wants them equal. Hops rewrite
   Request-URIs and clients put other spellings of us there; what a replay could gain is taken by the nonce count.
4. What is unknown costs the same work as what is wrong, and secrets are compared in constant time.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from haproxy_voip.core.credential import Credential
from haproxy_voip.sip.digest.algorithms import ALGORITHMS, canonical, encoded, request_digest, stored_hash
from haproxy_voip.sip.digest.nonces import UNCOUNTED, Nonces
from haproxy_voip.sip.digest.parameters import parse_digest
from haproxy_voip.sip.digest.roles import role_for
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.grammar import quote
from haproxy_voip.sip.message import Request

# A request carries one set of credentials for each proxy that asked; beyond this it is noise.
MAX_CREDENTIALS = 8

NONCE_COUNT = re.compile(r"[0-9A-Fa-f]{8}")  # nc-value = 8LHEX
EXTENDED_VALUE = re.compile(r"(?i)utf-8'[^']*'(?P<value>[^'\"\s]+)")  # RFC 5987 section 3.2.1
REQUIRED = ("nonce", "uri", "response")


@dataclass(frozen=True, slots=True)
class Verified:
    """The request comes from somebody who knows this user's secret."""

    user: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Challenge again; with `stale` the credentials are right and only the nonce no longer serves."""

    stale: bool
    reason: str  # for people, not for the peer
    user: str | None = None  # who it claims to be; None when it offers no credentials for this realm


class Authenticator:
    """Challenges requests in one realm and checks the answers.

    `lookup` finds what is known of a user; `key` must be the same on all nodes that shall accept each other's nonces.
    `algorithms` are offered in this order; offer only what every user can be verified by (`common_algorithms`).
    `now` is wall-clock seconds throughout.
    """

    __slots__ = ("_algorithms", "_lookup", "_nobody", "_nonces", "_quoted_realm", "realm")

    def __init__(
        self,
        realm: str,
        lookup: Callable[[str], Credential | None],
        key: bytes,
        algorithms: Sequence[str] = tuple(ALGORITHMS),
    ) -> None:
        self.realm = realm
        self._lookup = lookup
        # Stands for whoever is unknown: what is done with it is what is done with a user.
        self._nobody = Credential("", realm, ha1="0" * 32, ha1_sha256="0" * 64)
        self._nonces = Nonces(key, realm)
        self._algorithms = tuple(algorithms)
        self._quoted_realm = quote(realm)

    def challenge(self, now: float, stale: bool = False) -> list[str]:
        """The values of WWW-Authenticate or Proxy-Authenticate, one header line each, in this order."""
        nonce = self._nonces.make(now)
        end = ', qop="auth", stale=true' if stale else ', qop="auth"'
        return [
            f'Digest realm={self._quoted_realm}, nonce="{nonce}", algorithm={algorithm}{end}'
            for algorithm in self._algorithms
        ]

    def authenticate(self, request: Request, now: float) -> Verified | Rejected:
        """Check the credentials in the header that belongs to our role for this method (see `role_for`)."""
        return self.verify(request, request.all(role_for(request.method).authorization), now)

    def verify(self, request: Request, values: Sequence[str], now: float) -> Verified | Rejected:
        """Check these values of Authorization or Proxy-Authorization; those for other realms are not ours to judge.

        Raises MessageError (400) for malformed credentials.
        """
        outcome: Verified | Rejected = Rejected(False, "no credentials for this realm")
        for value in values[:MAX_CREDENTIALS]:
            fields = parse_digest(value)
            if fields is None or fields.get("realm") != self.realm:
                continue
            outcome = self._check(request, fields, now)
            if isinstance(outcome, Verified):
                break
        return outcome

    def _check(self, request: Request, fields: Mapping[str, str], now: float) -> Verified | Rejected:
        for name in REQUIRED:
            if name not in fields:
                raise MessageError(f"Digest credentials lack {name!r}")
        user = _username(fields)
        algorithm = canonical(fields.get("algorithm"))
        if algorithm not in self._algorithms:
            return Rejected(False, f"algorithm {fields.get('algorithm', 'MD5')!r} was not offered", user)
        if "qop" in fields and fields["qop"].lower() != "auth":
            return Rejected(False, f"qop {fields['qop']!r} was not offered", user)
        count = _nonce_count(fields)
        if not self._knows_secret(user, algorithm, request.method, fields):
            return Rejected(False, "wrong user or password", user)
        if not self._nonces.use(fields["nonce"], count, now):
            return Rejected(True, "the nonce no longer serves", user)
        return Verified(user)

    def _knows_secret(self, user: str, algorithm: str, method: str, fields: Mapping[str, str]) -> bool:
        """Hashes the same number of times whether the user is unknown, has a password or only a hash."""
        credential = self._lookup(user) or self._nobody
        password = credential.password
        a1 = ALGORITHMS[algorithm](f"{user}:{self.realm}:{password or ''}")
        stored = stored_hash(credential, algorithm) if credential.realm == self.realm else None
        known = credential is not self._nobody and (password is not None or stored is not None)
        expected = request_digest(algorithm, a1 if password is not None else stored or a1, method, fields)
        return hmac.compare_digest(encoded(fields["response"].lower()), encoded(expected)) and known


def _username(fields: Mapping[str, str]) -> str:
    """The user, from `username` or, where it needs more than a quoted string, `username*` (RFC 7616 section 3.4)."""
    plain, extended = fields.get("username"), fields.get("username*")
    if (plain is None) == (extended is None):
        raise MessageError("Digest credentials need either 'username' or 'username*'")
    if plain is not None:
        return plain
    found = EXTENDED_VALUE.fullmatch(extended or "")
    if found is None:
        raise MessageError(f"'username*' is not UTF-8''value: {extended!r}")
    return unquote_to_bytes(found["value"].encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _nonce_count(fields: Mapping[str, str]) -> int:
    """The nonce count, or UNCOUNTED without qop."""
    if "qop" not in fields:
        return UNCOUNTED
    if "cnonce" not in fields:
        raise MessageError("Digest credentials with qop lack 'cnonce'")
    count = fields.get("nc", "")
    if NONCE_COUNT.fullmatch(count) is None:
        raise MessageError(f"nonce count is not eight hexadecimal digits: {count!r}")
    return int(count, 16)
