"""Up the ladder of ways to log in (RFC 6120 section 6.4)."""

from base64 import b64decode, b64encode

import pytest

from haproxy_voip.core.chance import Chance
from haproxy_voip.xmpp.client_login import Login, TlsPolicy
from haproxy_voip.xmpp.client_sasl import Climb, Offer, read_failure, refuses_secret
from haproxy_voip.xmpp.element import Element, parse_element
from haproxy_voip.xmpp.errors import SaslCondition, SaslFailure
from haproxy_voip.xmpp.outputs import TlsInfo
from haproxy_voip.xmpp.sasl.ladder import ByClientKey, ByImpersonation, ByPassword, ByToken, Way
from haproxy_voip.xmpp.sasl.scram_client import KeyDoesNotFit
from haproxy_voip.xmpp.sasl.scram_server import Binding, ScramServer
from tests.xmpp.clients import CLIENT_KEY, JULIET, KEYS

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
TLS = TlsInfo(b"hash")
KEY, PASSWORD, ADMIN = ByClientKey(CLIENT_KEY), ByPassword("r0m30myr0m30"), ByImpersonation("admin", "topsecret")
ALL = ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN")


def climb(*ways: Way, tls: TlsPolicy = TlsPolicy.REQUIRED) -> Climb:
    return Climb(Login(jid=JULIET, ways=ways, tls=tls), Chance.seeded(3))


def attempted(found: Climb, offer: Offer) -> tuple[str, bytes] | None:
    """Mechanism and initial response."""
    auth = found.attempt(offer)
    if auth is None:
        return None
    element = parse_element(auth)
    assert element.get("mechanism") == found.mechanism
    return found.mechanism, b64decode(element.text)


def said(name: str, data: bytes = b"") -> Element:
    return Element(name, SASL, text=b64encode(data).decode())


def server(first: bytes, binding: Binding = Binding()) -> tuple[ScramServer, bytes]:  # noqa: B008
    found = ScramServer("SHA-256", binding)
    found.client_first(first)
    return found, found.challenge(KEYS, "server")


def test_a_kept_key_logs_in_and_is_kept() -> None:
    found = climb(KEY)
    _, first = attempted(found, Offer(ALL, TlsInfo())) or ("", b"")
    scram, challenge = server(first)
    final = b64decode(parse_element(found.respond(said("challenge", challenge))).text)
    verifier, client_key = scram.client_final(final)
    assert found.succeed(said("success", verifier)) == client_key == CLIENT_KEY


def test_the_last_word_of_the_server_may_come_as_a_challenge() -> None:
    """RFC 4422 section 3.6."""
    found = climb(PASSWORD)
    _, first = attempted(found, Offer(ALL, TlsInfo())) or ("", b"")
    scram, challenge = server(first)
    verifier, _ = scram.client_final(b64decode(parse_element(found.respond(said("challenge", challenge))).text))
    assert found.respond(said("challenge", verifier)) == b"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
    assert found.succeed(said("success")) == CLIENT_KEY


def test_a_server_that_has_not_shown_that_it_knows_the_password_is_refused() -> None:
    found = climb(PASSWORD)
    _, first = attempted(found, Offer(ALL, TlsInfo())) or ("", b"")
    found.respond(said("challenge", server(first)[1]))
    for claim in (b"", b"v=AAAA"):
        with pytest.raises(SaslFailure):
            found.succeed(said("success", claim))


def test_a_key_that_does_not_fit_gives_way_to_the_next() -> None:
    found = climb(ByClientKey(CLIENT_KEY), PASSWORD)
    attempted(found, Offer(ALL, TlsInfo()))
    with pytest.raises(KeyDoesNotFit):
        found.respond(said("challenge", b"r=" + _nonce(found) + b"x,s=b3RoZXI=,i=4096"))
    assert found.fail(SaslCondition.ABORTED)
    assert [(attempted(found, Offer(ALL, TlsInfo())) or ("",))[0] for _ in range(4)] == [*ALL, ""]


def _nonce(found: Climb) -> bytes:
    assert found._scram is not None
    return found._scram.first().partition(b"r=")[2]


def test_a_refused_password_is_not_tried_by_another_mechanism() -> None:
    """It would lock accounts."""
    found, offer = climb(PASSWORD, ADMIN), Offer(ALL, TlsInfo())
    assert (attempted(found, offer) or ("",))[0] == "SCRAM-SHA-256"
    assert found.fail(SaslCondition.NOT_AUTHORIZED)
    assert attempted(found, offer) == ("PLAIN", b"juliet@im.example.com\0admin\0topsecret")
    assert found.fail(SaslCondition.INVALID_AUTHZID) and attempted(found, offer) is None


def test_a_token_stands_where_the_password_would() -> None:
    found, offer = climb(ByToken("a.b.c"), ADMIN), Offer(ALL, TlsInfo())
    assert attempted(found, offer) == ("PLAIN", b"\0juliet\0a.b.c")
    assert found.fail(SaslCondition.NOT_AUTHORIZED) and found.mechanism == "PLAIN"
    assert attempted(found, offer) == ("PLAIN", b"juliet@im.example.com\0admin\0topsecret")


def test_a_server_that_is_unwell_is_not_asked_again() -> None:
    found = climb(PASSWORD)
    attempted(found, Offer(ALL, TlsInfo()))
    assert not found.fail(SaslCondition.TEMPORARY_AUTH_FAILURE)


def test_passwords_are_shown_under_tls_or_where_the_network_is_trusted() -> None:
    plain = Offer(("PLAIN",), None)
    assert attempted(climb(PASSWORD), plain) is None
    assert attempted(climb(PASSWORD, tls=TlsPolicy.NEVER), plain) == ("PLAIN", b"\0juliet\0r0m30myr0m30")
    assert attempted(climb(PASSWORD), Offer(("PLAIN",), TlsInfo())) == ("PLAIN", b"\0juliet\0r0m30myr0m30")


@pytest.mark.parametrize(
    ("offer", "mechanism", "flag"),
    [
        (Offer(("SCRAM-SHA-256-PLUS", *ALL), TLS, ("tls-server-end-point",)), "SCRAM-SHA-256-PLUS", b"p=tls-server"),
        (Offer(("SCRAM-SHA-256-PLUS", *ALL), TLS, ("tls-exporter",)), "SCRAM-SHA-256", b"n,,"),
        (Offer(("SCRAM-SHA-256-PLUS", *ALL), TLS), "SCRAM-SHA-256", b"n,,"),
        (Offer(ALL, TLS), "SCRAM-SHA-256", b"y,,"),
        (Offer(ALL, TLS, certain=False), "SCRAM-SHA-256", b"n,,"),
        (Offer(ALL, TlsInfo()), "SCRAM-SHA-256", b"n,,"),
    ],
)
def test_channel_binding_is_used_where_both_sides_can(offer: Offer, mechanism: str, flag: bytes) -> None:
    """RFC 5802 section 6, XEP-0440. What is only remembered must not claim that the server cannot."""
    found, first = attempted(climb(PASSWORD), offer) or ("", b"")
    assert found == mechanism and first.startswith(flag)


def test_a_challenge_to_plain_is_out_of_place() -> None:
    found = climb(PASSWORD)
    attempted(found, Offer(("PLAIN",), TlsInfo()))
    with pytest.raises(SaslFailure):
        found.respond(said("challenge", b"?"))


def test_failures_are_read() -> None:
    failure = read_failure(
        parse_element(f"<failure xmlns='{SASL}'><text>a</text><account-disabled/></failure>".encode())
    )
    assert (failure.condition, failure.text) == (SaslCondition.ACCOUNT_DISABLED, "a")
    assert read_failure(Element("failure", SASL)).condition is SaslCondition.NOT_AUTHORIZED


def test_whose_fault_a_failure_is() -> None:
    assert refuses_secret(SaslCondition.NOT_AUTHORIZED) and refuses_secret(SaslCondition.CREDENTIALS_EXPIRED)
    assert not refuses_secret(SaslCondition.INVALID_MECHANISM)
    assert not refuses_secret(SaslCondition.TEMPORARY_AUTH_FAILURE)
