"""A client's attempts to log in, as elements on the stream (RFC 6120 section 6.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

from haproxy_voip.core.credential import ScramKeys
from haproxy_voip.xmpp.element import Element
from haproxy_voip.xmpp.errors import SaslCondition, SaslFailure, StreamCondition, StreamError
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.namespaces import SASL
from haproxy_voip.xmpp.outputs import TlsInfo, Write
from haproxy_voip.xmpp.sasl.exchange import (
    Challenge,
    Claimed,
    Exchange,
    KeysWanted,
    PlainExchange,
    ScramExchange,
    Step,
    exchange,
)
from haproxy_voip.xmpp.sasl.scram import PLUS, from_base64, to_base64
from haproxy_voip.xmpp.server_outputs import Authenticate, CredentialsWanted
from haproxy_voip.xmpp.server_policy import ServerPolicy

# RFC 6120 section 6.4.5: "It is RECOMMENDED that the receiving entity allow at least 2 and no more than 5 retries".
MAX_RETRIES: Final = 5

SaslOutput = Write | CredentialsWanted | Authenticate


@dataclass(frozen=True, slots=True)
class Fakes:
    """How unknown users are challenged."""

    secret: bytes
    iterations: int


class Authenticator:
    """All attempts of one client on one stream."""

    __slots__ = ("_domain", "_endpoint_hash", "_exchange", "_failures", "_fakes", "_mechanism", "offered")

    def __init__(self, domain: str, offered: tuple[str, ...], endpoint_hash: bytes | None, fakes: Fakes) -> None:
        self.offered = offered
        self._domain = domain
        self._endpoint_hash = endpoint_hash
        self._fakes = fakes
        self._exchange: Exchange | None = None
        self._mechanism = ""
        self._failures = 0

    @property
    def under_way(self) -> bool:
        """Whether an exchange has begun and is not decided."""
        return self._exchange is not None

    def receive(self, nonza: Stanza) -> SaslOutput:
        """Take an element of the SASL namespace. Raises StreamError after too many failures."""
        try:
            return self._told(self._step(nonza))
        except SaslFailure as failure:
            return self.refuse(failure)

    def keys(self, keys: ScramKeys | None, nonce: str) -> SaslOutput:
        """Answers CredentialsWanted."""
        assert isinstance(self._exchange, ScramExchange)
        return self._told(self._exchange.keys(keys, self._fakes.secret, nonce, self._fakes.iterations))

    def success(self) -> bytes:
        """`<success/>`, with what the mechanism has to say (section 6.4.6)."""
        assert self._exchange is not None
        said, self._exchange = self._exchange.success, None
        return Element("success", SASL, text=to_base64(said)).encode()

    def refuse(self, failure: SaslFailure) -> Write:
        """This attempt failed. Raises StreamError after too many (section 6.4.5)."""
        self._exchange = None
        self._failures += 1
        if self._failures > MAX_RETRIES:
            raise StreamError(StreamCondition.POLICY_VIOLATION, "too many attempts to log in")
        said = (Element("text", SASL, text=failure.text),) if failure.text else ()
        return Write(Element("failure", SASL, children=(Element(failure.condition, SASL), *said)).encode())

    def _step(self, nonza: Stanza) -> Step:
        payload = nonza.element().text.strip()
        match nonza.name, self._exchange:
            case "auth", _:
                # Section 6.4.2: a client may begin anew, which aborts what it began before.
                self._mechanism = nonza.attributes.get("mechanism", "")
                self._exchange = exchange(self._mechanism, self.offered, self._domain, self._endpoint_hash)
                # "If the initiating entity needs to send a zero-length initial response, it MUST transmit ... '='".
                return self._exchange.begin(from_base64("" if payload == "=" else payload) if payload else None)
            case "response", PlainExchange() | ScramExchange() as begun:
                return begun.respond(from_base64("" if payload == "=" else payload))
            case "abort", _:
                raise SaslFailure(SaslCondition.ABORTED)
            case _:
                raise SaslFailure(SaslCondition.MALFORMED_REQUEST, f"{nonza.name} out of place")

    def _told(self, step: Step) -> SaslOutput:
        match step:
            case Challenge(data):
                return Write(Element("challenge", SASL, text=to_base64(data)).encode())
            case KeysWanted(username, algorithm):
                return CredentialsWanted(username, self._domain, algorithm)
            case Claimed(username, password, client_key):
                return Authenticate(username, self._domain, self._mechanism, password, client_key)
            case _:
                assert_never(step)


def authenticator_for(domain: str, policy: ServerPolicy, tls: TlsInfo | None) -> Authenticator:
    """Where TLS is required and not up nothing is offered, and nothing begins."""
    endpoint_hash = None if tls is None else tls.endpoint_hash
    plain = tls is None and policy.tls_required
    names = ("PLAIN",) if domain in policy.plain_only else policy.mechanisms
    offered = () if plain else offered_mechanisms(names, endpoint_hash)
    return Authenticator(domain, offered, endpoint_hash, Fakes(policy.fake_secret, policy.usual_iterations))


def offered_mechanisms(names: tuple[str, ...], endpoint_hash: bytes | None) -> tuple[str, ...]:
    """What to offer on this connection, best first: -PLUS forms of SCRAM where there is something to bind to."""
    bound = [f"{name}{PLUS}" for name in names if name.startswith("SCRAM-") and endpoint_hash is not None]
    return (*bound, *names)
