"""The answering side of Digest authentication (RFC 7616 section 3.4, RFC 8760 section 2.4, RFC 3261 section 22).

Of several challenges the strongest that the credential suffices for is answered: a stored hash serves only
the realm it was made for, a password any realm, so no server learns what would open another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from haproxy_voip.core.credential import Credential
from haproxy_voip.sip.digest.algorithms import ALGORITHMS, canonical, hash_a1, request_digest
from haproxy_voip.sip.digest.parameters import parse_digest
from haproxy_voip.sip.digest.roles import Role, role_of
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.grammar import quote
from haproxy_voip.sip.message import Response

# More challenges than this in one response are not read.
MAX_CHALLENGES = 16
# What each challenge of a server has in common with the last: realms, and spellings of algorithms.
WORDS_SHARED = 128

STRENGTH = {algorithm: -place for place, algorithm in enumerate(ALGORITHMS)}


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge that can be answered: its algorithm is known and it does not insist on qop auth-int."""

    realm: str
    nonce: str
    algorithm: str  # as ALGORITHMS names it
    algorithm_token: str | None  # as the server wrote it; None when it named none
    qop: bool  # whether qop=auth is used; otherwise as in RFC 2069
    opaque: str | None
    stale: bool

    @classmethod
    def parse(cls, value: str) -> Challenge | None:
        """Read a value of WWW-Authenticate or Proxy-Authenticate; None when we cannot answer it.

        Raises MessageError when it is malformed.
        """
        fields = parse_digest(value)
        if fields is None:
            return None
        if "realm" not in fields or "nonce" not in fields:
            raise MessageError("a Digest challenge lacks realm or nonce")
        token = fields.get("algorithm")
        algorithm = canonical(token)
        qops = [qop.strip().lower() for qop in fields.get("qop", "").split(",") if qop.strip()]
        if algorithm is None or (qops and "auth" not in qops):
            return None
        stale = fields.get("stale", "").lower() == "true"
        return cls(
            realm=_shared(fields["realm"]),
            nonce=fields["nonce"],
            algorithm=algorithm,
            algorithm_token=None if token is None else _shared(token),
            qop=bool(qops),
            opaque=fields.get("opaque"),
            stale=stale,
        )


@dataclass(slots=True)
class AuthenticationSession:
    """One nonce of a server and our use of it for one user (RFC 7616 section 3.6).

    Lasts until the server challenges again; then ask `refused`, and begin another.
    """

    role: Role
    challenge: Challenge
    credential: Credential  # it suffices for the challenge
    nonce_count: int = 0

    @classmethod
    def for_response(cls, response: Response, credential: Credential) -> AuthenticationSession | None:
        """Begin with what a 401 or 407 asks for; None when it asks for nothing the credential suffices for."""
        role = role_of(response.status)
        if role is None:
            return None
        return cls.for_challenges(role, response.all(role.challenge), credential)

    @classmethod
    def for_challenges(cls, role: Role, values: Iterable[str], credential: Credential) -> AuthenticationSession | None:
        """Begin with the strongest of these challenges; of equally strong ones the first (RFC 8760 section 2.4)."""
        best: AuthenticationSession | None = None
        for challenge in _answerable(values):
            if best is not None and STRENGTH[challenge.algorithm] <= STRENGTH[best.challenge.algorithm]:
                continue
            if hash_a1(credential, challenge.algorithm, challenge.realm) is not None:
                best = cls(role, challenge, credential)
        return best

    def authorization(self, method: str, uri: str, cnonce: str) -> tuple[str, str]:
        """The header, as (lower-case name, value), for the next request; its nonce count is one more than the last's.

        `uri` is the Request-URI as sent; `cnonce` a token nobody can guess.
        """
        challenge, credential = self.challenge, self.credential
        self.nonce_count += 1
        fields = {"nonce": challenge.nonce, "uri": uri}
        if challenge.qop:
            fields |= {"qop": "auth", "nc": f"{self.nonce_count:08x}", "cnonce": cnonce}
        a1 = hash_a1(credential, challenge.algorithm, challenge.realm)
        assert a1 is not None
        response = request_digest(challenge.algorithm, a1, method, fields)
        value = (
            f"Digest username={quote(credential.user)}, realm={quote(challenge.realm)}, "
            f'nonce={quote(challenge.nonce)}, uri={quote(uri)}, response="{response}"'
        )
        if challenge.algorithm_token is not None:
            value += f", algorithm={challenge.algorithm_token}"
        if challenge.opaque is not None:
            value += f", opaque={quote(challenge.opaque)}"
        if challenge.qop:
            value += f", cnonce={quote(cnonce)}, qop=auth, nc={fields['nc']}"
        return self.role.authorization, value

    def refused(self, again: AuthenticationSession) -> bool:
        """Whether a new challenge to a request that carried our answer means that the secret is wrong.

        A server may let a nonce end without saying stale, so only the answer to a fresh one counts as refused.
        """
        return not again.challenge.stale and self.nonce_count <= 1 and again.challenge.realm == self.challenge.realm


@lru_cache(WORDS_SHARED)
def _shared(word: str) -> str:
    """One string for all that are equal."""
    return word


def _answerable(values: Iterable[str]) -> Iterator[Challenge]:
    """The challenges we can answer; a malformed one does not spoil the others."""
    for count, value in enumerate(values):
        if count >= MAX_CHALLENGES:
            return
        try:
            challenge = Challenge.parse(value)
        except MessageError:
            continue
        if challenge is not None:
            yield challenge
