"""Up the ladder: one attempt to log in after the other, until one succeeds or none is left (RFC 6120 section 6.4)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from haproxy_voip.core.chance import Chance
from haproxy_voip.xmpp.client_login import Login, TlsPolicy
from haproxy_voip.xmpp.element import Element
from haproxy_voip.xmpp.errors import SaslCondition, SaslFailure
from haproxy_voip.xmpp.namespaces import SASL
from haproxy_voip.xmpp.outputs import TlsInfo
from haproxy_voip.xmpp.sasl.ladder import ByClientKey, ByImpersonation, ByPassword, ByToken, Rung, Way, rungs
from haproxy_voip.xmpp.sasl.plain import Plain
from haproxy_voip.xmpp.sasl.scram import CHANNEL_BINDING_TYPE, PLUS, ClientKey, from_base64, to_base64
from haproxy_voip.xmpp.sasl.scram_client import ScramClient, Secret

# What says that the mechanism was at fault, so that the same secret may be tried by another. After anything else it is
# not: repeating a wrong password locks accounts.
_MECHANISM_AT_FAULT: Final = {
    SaslCondition.ABORTED,
    SaslCondition.ENCRYPTION_REQUIRED,
    SaslCondition.INCORRECT_ENCODING,
    SaslCondition.INVALID_MECHANISM,
    SaslCondition.MALFORMED_REQUEST,
    SaslCondition.MECHANISM_TOO_WEAK,
}


@dataclass(frozen=True, slots=True)
class Offer:
    """What the server offers on this connection, as far as it is known."""

    mechanisms: Collection[str]
    tls: TlsInfo | None
    channel_bindings: Collection[str] = ()  # XEP-0440
    certain: bool = True  # False: remembered from another connection


class Climb:
    """All attempts of one login: `attempt`, `respond` to challenges, `succeed`, or `fail` and `attempt` again."""

    __slots__ = ("_chance", "_exhausted", "_login", "_scram", "_tried", "_verified", "mechanism")

    def __init__(self, login: Login, chance: Chance) -> None:
        self.mechanism = ""  # of the attempt under way
        self._login = login
        self._chance = chance
        self._tried: list[Rung] = []
        self._exhausted: list[Way] = []  # refused, and not because of the mechanism
        self._scram: ScramClient | None = None
        self._verified = False  # the server has shown that it knows the password

    def attempt(self, offer: Offer) -> bytes | None:
        """`<auth/>` for the next rung, or None when none is left."""
        protected = offer.tls is not None or self._login.tls is TlsPolicy.NEVER
        for rung in rungs(self._login.ways, offer.mechanisms, protected=protected):
            if rung not in self._tried and rung.way not in self._exhausted:
                self._tried.append(rung)
                initial = self._initial(rung, offer)
                return Element("auth", SASL, {"mechanism": self.mechanism}, text=to_base64(initial)).encode()
        return None

    def respond(self, challenge: Element) -> bytes:
        """`<response/>`. Raises SaslFailure or KeyDoesNotFit: send ABORT, and go on with the next."""
        said = from_base64(challenge.text.strip())
        if self._scram is None:
            raise SaslFailure(SaslCondition.ABORTED, "a challenge to PLAIN")
        if self._scram.client_key is None:
            return Element("response", SASL, text=to_base64(self._scram.server_first(said))).encode()
        # RFC 4422 section 3.6: where success cannot carry data the server's last word is a challenge.
        self._scram.server_final(said)
        self._verified = True
        return Element("response", SASL).encode()

    def succeed(self, success: Element) -> ClientKey | None:
        """The key worth keeping, if any. Raises SaslFailure when the server did not show that it knows the password."""
        if self._scram is None:
            return None
        if not self._verified:
            self._scram.server_final(from_base64(success.text.strip()))
        return self._scram.client_key

    def fail(self, condition: SaslCondition) -> bool:
        """The attempt failed: whether to go on with the next."""
        if condition not in _MECHANISM_AT_FAULT:
            self._exhausted.append(self._tried[-1].way)
        return condition is not SaslCondition.TEMPORARY_AUTH_FAILURE

    def _initial(self, rung: Rung, offer: Offer) -> bytes:
        self._scram, self._verified, self.mechanism = None, False, rung.mechanism
        jid = self._login.jid
        match rung.way:
            case ByImpersonation(authcid, password):
                return Plain(str(jid.bare), authcid, password).encode()
            case ByToken(token):
                return Plain("", jid.local, token).encode()
            case ByPassword(password) if rung.mechanism == "PLAIN":
                return Plain("", jid.local, password).encode()
            case ByPassword(password, known):
                return self._begin_scram(rung.mechanism, Secret(password, known), offer)
            case ByClientKey(key):
                return self._begin_scram(rung.mechanism, Secret(None, (key,)), offer)

    def _begin_scram(self, mechanism: str, secret: Secret, offer: Offer) -> bytes:
        nonce = self._chance.token() + self._chance.token()
        scram = self._scram = ScramClient(mechanism.removeprefix("SCRAM-"), self._login.jid.local, secret, nonce)
        endpoint_hash = None if offer.tls is None else offer.tls.endpoint_hash
        if endpoint_hash is not None and offer.certain:
            plus_offered = any(name.endswith(PLUS) for name in offer.mechanisms)
            if mechanism + PLUS in offer.mechanisms and CHANNEL_BINDING_TYPE in offer.channel_bindings:
                self.mechanism = mechanism + PLUS
                scram.bind(endpoint_hash, plus=True)
            elif not plus_offered:
                scram.bind(endpoint_hash, plus=False)
        return scram.first()


ABORT: Final = Element("abort", SASL).encode()


def read_failure(failure: Element) -> SaslFailure:
    """What `<failure/>` says; not-authorized where it says nothing we know."""
    text = failure.find("text")
    for child in failure.children:
        if child.name in SaslCondition.__members__.values():
            return SaslFailure(SaslCondition(child.name), "" if text is None else text.text)
    return SaslFailure(SaslCondition.NOT_AUTHORIZED, "" if text is None else text.text)


def refuses_secret(condition: SaslCondition) -> bool:
    """Whether the server refused the secret or the account, and not the mechanism or the moment."""
    return condition not in _MECHANISM_AT_FAULT and condition is not SaslCondition.TEMPORARY_AUTH_FAILURE
