"""What a Digest response is computed from (RFC 7616 section 3.4, RFC 8760 section 2).

response = H( H(A1) : nonce : nc : cnonce : qop : H(A2) )     with qop
response = H( H(A1) : nonce : H(A2) )                         without, as in RFC 2069
A1 = username : realm : password         A2 = method : digest-uri
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

from haproxy_voip.core.credential import Credential


def md5(text: str) -> str:
    """32 lower-case hexadecimal digits. Still what most phones speak; RFC 8760 keeps it for them."""
    return hashlib.md5(encoded(text), usedforsecurity=False).hexdigest()


def sha256(text: str) -> str:
    """64 lower-case hexadecimal digits."""
    return hashlib.sha256(encoded(text)).hexdigest()


def encoded(text: str) -> bytes:
    """The bytes that were on the wire: UTF-8, and whatever else could not be read as such (RFC 7616 section 4)."""
    return text.encode("utf-8", "surrogateescape")


# Strongest first: the order in which they are offered and preferred (RFC 8760 section 2.4).
ALGORITHMS: Mapping[str, Callable[[str], str]] = {"SHA-256": sha256, "MD5": md5}
_NAMES = {name: name for name in ALGORITHMS}  # by equal strings: whoever keeps one keeps ours


def canonical(token: str | None) -> str | None:
    """The algorithm as ALGORITHMS names it, whatever its case; None when unsupported. Absent means MD5."""
    return _NAMES.get("MD5" if token is None else token.upper())


def stored_hash(credential: Credential, algorithm: str) -> str | None:
    """H(A1) as it was stored, good for the credential's own realm only."""
    stored = credential.ha1 if algorithm == "MD5" else credential.ha1_sha256
    return None if stored is None else stored.lower()


def hash_a1(credential: Credential, algorithm: str, realm: str) -> str | None:
    """H(A1) for this realm, or None when the credential does not suffice: a hash serves one realm, a password any."""
    if credential.password is not None:
        return ALGORITHMS[algorithm](f"{credential.user}:{realm}:{credential.password}")
    return stored_hash(credential, algorithm) if credential.realm == realm else None


def request_digest(algorithm: str, a1: str, method: str, fields: Mapping[str, str]) -> str:
    """The response for these `nonce` and `uri`, and `nc`, `cnonce` and `qop` where qop is there. `a1` is H(A1)."""
    digest = ALGORITHMS[algorithm]
    a2 = digest(f"{method}:{fields['uri']}")
    qop = fields.get("qop")
    if qop is None:
        return digest(f"{a1}:{fields['nonce']}:{a2}")
    return digest(f"{a1}:{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:{qop}:{a2}")


def common_algorithms(credentials: Iterable[Credential], realm: str) -> tuple[str, ...]:
    """The algorithms to offer: those that every one of these can be verified by, strongest first.

    To offer another would lock out users of whom only one hash is known, as a client answers the first it supports.
    Where nothing suits everybody all are offered, which leaves it to the clients.
    """
    common = list(ALGORITHMS)
    for credential in credentials:
        if credential.password is None:
            known = credential.realm == realm
            common = [name for name in common if known and stored_hash(credential, name) is not None]
    return tuple(common or ALGORITHMS)
