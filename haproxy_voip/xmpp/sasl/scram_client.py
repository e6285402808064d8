"""The client's side of one SCRAM exchange (RFC 5802 section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest

from haproxy_voip.xmpp.errors import SaslCondition, SaslFailure
from haproxy_voip.xmpp.sasl.scram import (
    CHANNEL_BINDING_TYPE,
    MAX_ITERATIONS,
    ClientKey,
    attributes,
    derive_keys,
    digest,
    expect,
    from_base64,
    malformed,
    sign,
    to_base64,
    to_saslname,
    to_text,
    xor,
)


class KeyDoesNotFit(Exception):
    """The server's salt or iterations are not the key's. Nobody's mistake: some servers make a salt for each login."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What proves who the user is: a password, or None, and keys made from it for some salts."""

    password: str | None
    known: tuple[ClientKey, ...] = ()

    def __repr__(self) -> str:
        return "Secret()"


class ScramClient:
    """first, server_first, server_final. A key is taken before the password; without one the server's salt must fit."""

    __slots__ = ("_bare", "_bound_to", "_gs2_header", "_nonce", "_secret", "_signature", "algorithm", "client_key")

    def __init__(self, algorithm: str, username: str, secret: Secret, nonce: str) -> None:
        self.algorithm = algorithm
        self.client_key: ClientKey | None = None  # what may be kept, once server_first was answered
        self._secret = secret
        self._nonce = nonce
        self._bare = f"n={to_saslname(username)},r={nonce}"
        self._gs2_header = "n,,"
        self._bound_to = b""
        self._signature = b""  # what the server must show

    def bind(self, endpoint_hash: bytes | None, *, plus: bool) -> None:
        """Call before `first`. `plus` uses channel binding; a hash alone tells that we could have (section 6)."""
        if endpoint_hash is not None:
            self._gs2_header = f"p={CHANNEL_BINDING_TYPE},," if plus else "y,,"
            self._bound_to = endpoint_hash if plus else b""

    def first(self) -> bytes:
        """The client-first-message."""
        return (self._gs2_header + self._bare).encode()

    def server_first(self, message: bytes) -> bytes:
        """The client-final-message. Raises SaslFailure, or KeyDoesNotFit."""
        text = to_text(message)
        nonce, salt, iterations = expect(text, "r", "s", "i")
        # Section 5.1: "The client MUST verify that the initial part of the nonce ... is the same as the nonce it sent"
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise malformed("the server's nonce does not begin with ours")
        if not (iterations.isascii() and iterations.isdigit()) or not 0 < int(iterations[:9]) <= MAX_ITERATIONS:
            raise malformed(f"{iterations[:20]} iterations")
        key = self.client_key = self._key(from_base64(salt), int(iterations))
        without_proof = f"c={to_base64(self._gs2_header.encode() + self._bound_to)},r={nonce}"
        auth_message = f"{self._bare},{text},{without_proof}".encode()
        self._signature = sign(key.algorithm, key.server_key, auth_message)
        proof = xor(key.client_key, sign(key.algorithm, digest(key.algorithm, key.client_key), auth_message))
        return f"{without_proof},p={to_base64(proof)}".encode()

    def _key(self, salt: bytes, iterations: int) -> ClientKey:
        for key in self._secret.known:
            if (key.algorithm, key.salt, key.iterations) == (self.algorithm, salt, iterations):
                return key
        if self._secret.password is None:
            raise KeyDoesNotFit
        try:
            return derive_keys(self._secret.password, self.algorithm, salt, iterations)[0]
        except ValueError as error:
            raise SaslFailure(SaslCondition.NOT_AUTHORIZED, str(error)) from None

    def server_final(self, message: bytes) -> None:
        """Verify the server. Raises SaslFailure."""
        [(name, value), *_] = attributes(to_text(message))
        if name == "e":
            raise SaslFailure(SaslCondition.NOT_AUTHORIZED, value)
        # Section 5: "If the two are different, the client MUST consider the authentication exchange to be unsuccessful"
        if name != "v" or not self._signature or not compare_digest(from_base64(value), self._signature):
            raise SaslFailure(SaslCondition.NOT_AUTHORIZED, "the server does not know the password")
