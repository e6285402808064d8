"""A client's attempt to log in (RFC 6120 section 6.4)."""

import pytest

from haproxy_voip.xmpp.errors import SaslFailure
from haproxy_voip.xmpp.sasl.exchange import Challenge, Claimed, KeysWanted, ScramExchange, exchange
from haproxy_voip.xmpp.sasl.scram import fake_keys
from tests.xmpp.sasl.test_scram_server import CHALLENGE, CLIENT_KEY, FINAL, FIRST, KEYS, NONCE, VERIFIER

OFFERED = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN")


def test_plain_with_and_without_an_initial_response() -> None:
    plain = exchange("PLAIN", OFFERED, "voip.test", None)
    assert plain.begin(None) == Challenge(b"")
    claimed = Claimed("juliet", password="secret")
    assert plain.respond(b"\0juliet\0secret") == claimed == plain.begin(b"\0juliet\0secret")
    assert plain.success == b"" and "secret" not in repr(claimed)


@pytest.mark.parametrize("initial", [True, False])
def test_scram_with_and_without_an_initial_response(initial: bool) -> None:
    scram = exchange("SCRAM-SHA-256", OFFERED, "voip.test", b"hash")
    assert isinstance(scram, ScramExchange)
    wanted = scram.begin(FIRST) if initial else (scram.begin(None), scram.respond(FIRST))[1]
    assert wanted == KeysWanted("user", "SHA-256")
    assert scram.keys(KEYS, b"fake", NONCE) == Challenge(CHALLENGE)
    assert scram.respond(FINAL) == Claimed("user", client_key=CLIENT_KEY)
    assert scram.success == VERIFIER


def test_an_unknown_user_is_challenged_and_then_refused() -> None:
    scram = exchange("SCRAM-SHA-256", OFFERED, "voip.test", None)
    assert isinstance(scram, ScramExchange)
    scram.begin(FIRST)
    challenge = scram.keys(None, b"secret", NONCE, 4096)
    salt = fake_keys(b"secret", "SHA-256", "user@voip.test").salt
    assert challenge.data.startswith(b"r=rOprNGfwEbeRWgbNEkqO%") and challenge.data.endswith(b",i=4096")
    assert len(salt) == 16
    with pytest.raises(SaslFailure, match="not-authorized"):
        scram.respond(FINAL)


def test_only_what_was_offered_can_be_chosen() -> None:
    """RFC 6120 section 6.5.7."""
    for mechanism in ("DIGEST-MD5", "SCRAM-SHA-1", "", "plain"):
        with pytest.raises(SaslFailure, match="invalid-mechanism"):
            exchange(mechanism, OFFERED, "voip.test", None)


def test_nobody_acts_for_another_by_scram() -> None:
    scram = exchange("SCRAM-SHA-256", OFFERED, "voip.test", None)
    with pytest.raises(SaslFailure, match="invalid-authzid"):
        scram.begin(b"n,a=romeo@voip.test," + FIRST[3:])
