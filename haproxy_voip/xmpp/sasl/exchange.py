"""One client's attempt to log in with us as the server (RFC 6120 section 6.4): PLAIN or SCRAM behind one face.

`begin`, then `respond` to each challenge. Each gives the next `Step`, or raises SaslFailure.
"""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.core.credential import ScramKeys
from haproxy_voip.xmpp.errors import SaslCondition, SaslFailure
from haproxy_voip.xmpp.sasl.plain import Plain, localpart_of
from haproxy_voip.xmpp.sasl.scram import MIN_ITERATIONS, PLUS, ClientKey, fake_keys
from haproxy_voip.xmpp.sasl.scram_server import Binding, ScramServer


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send this and wait for the response."""

    data: bytes


@dataclass(frozen=True, slots=True)
class KeysWanted:
    """Call `keys` with what is known of this user."""

    username: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """The client says who it is; a password is still to be checked, a key is proved."""

    username: str
    password: str | None = None
    client_key: ClientKey | None = None

    def __repr__(self) -> str:
        return f"Claimed({self.username!r})"  # never the secret


Step = Challenge | KeysWanted | Claimed


class PlainExchange:
    """RFC 4616."""

    success = b""  # what goes with <success/>

    def __init__(self, domain: str) -> None:
        self._domain = domain

    def begin(self, initial: bytes | None) -> Step:
        """RFC 4422 section 5: without an initial response the server challenges with nothing."""
        return Challenge(b"") if initial is None else self.respond(initial)

    def respond(self, response: bytes) -> Step:
        """Raises SaslFailure."""
        plain = Plain.parse(response)
        return Claimed(localpart_of(plain.authcid, plain.authzid, self._domain), password=plain.password)


class ScramExchange:
    """RFC 5802."""

    def __init__(self, mechanism: str, domain: str, binding: Binding) -> None:
        self.success = b""
        self._scram = ScramServer(mechanism.removeprefix("SCRAM-").removesuffix(PLUS), binding)
        self._domain = domain
        self._username = ""

    def begin(self, initial: bytes | None) -> Step:
        """Section 5: the client speaks first, if need be after an empty challenge."""
        return Challenge(b"") if initial is None else self.respond(initial)

    def respond(self, response: bytes) -> Step:
        """Raises SaslFailure."""
        if not self._username:
            self._scram.client_first(response)
            self._username = localpart_of(self._scram.username, self._scram.authzid, self._domain)
            return KeysWanted(self._username, self._scram.algorithm)
        self.success, client_key = self._scram.client_final(response)
        return Claimed(self._username, client_key=client_key)

    def keys(self, keys: ScramKeys | None, secret: bytes, nonce: str, iterations: int = MIN_ITERATIONS) -> Challenge:
        """Answers KeysWanted; None for an unknown user, who is challenged all the same. `secret` keys the fake."""
        known = keys or fake_keys(secret, self._scram.algorithm, f"{self._username}@{self._domain}", iterations)
        return Challenge(self._scram.challenge(known, nonce))


Exchange = PlainExchange | ScramExchange


def exchange(mechanism: str, offered: tuple[str, ...], domain: str, endpoint_hash: bytes | None) -> Exchange:
    """Begin with the mechanism the client chose. Raises SaslFailure(invalid-mechanism) when it was not offered."""
    if mechanism not in offered:
        raise SaslFailure(SaslCondition.INVALID_MECHANISM, mechanism)
    if mechanism == "PLAIN":
        return PlainExchange(domain)
    plus_offered = any(name.endswith(PLUS) for name in offered)
    return ScramExchange(mechanism, domain, Binding(mechanism.endswith(PLUS), plus_offered, endpoint_hash))
