"""The client's side of SCRAM (RFC 5802 section 5)."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.xmpp.errors import SaslFailure
from haproxy_voip.xmpp.sasl.scram import MAX_ITERATIONS, ClientKey, derive_keys
from haproxy_voip.xmpp.sasl.scram_client import KeyDoesNotFit, ScramClient, Secret
from haproxy_voip.xmpp.sasl.scram_server import Binding, ScramServer
from tests.xmpp.sasl.test_scram_server import CHALLENGE, CLIENT_KEY, FINAL, FIRST, KEYS, NONCE, VERIFIER


def client(secret: str | ClientKey = CLIENT_KEY) -> ScramClient:
    known = Secret(secret) if isinstance(secret, str) else Secret(None, (secret,))
    return ScramClient("SHA-256", "user", known, "rOprNGfwEbeRWgbNEkqO")


@pytest.mark.parametrize("secret", ["pencil", CLIENT_KEY])
def test_the_exchange_of_rfc_7677_by_password_and_by_key(secret: str | ClientKey) -> None:
    scram = client(secret)
    assert scram.first() == FIRST
    assert scram.client_key is None
    assert scram.server_first(CHALLENGE) == FINAL
    scram.server_final(VERIFIER)
    assert scram.client_key == CLIENT_KEY


@pytest.mark.parametrize(
    "key",
    [replace(CLIENT_KEY, salt=b"other"), replace(CLIENT_KEY, iterations=4097), replace(CLIENT_KEY, algorithm="SHA-1")],
)
def test_a_key_serves_one_salt(key: ClientKey) -> None:
    with pytest.raises(KeyDoesNotFit):
        client(key).server_first(CHALLENGE)


def test_a_key_that_fits_is_taken_before_the_password_and_one_that_does_not_is_passed_over() -> None:
    """Deriving one takes milliseconds."""
    other = replace(CLIENT_KEY, salt=b"other")
    scram = ScramClient("SHA-256", "user", Secret("wrong", (other, CLIENT_KEY)), "rOprNGfwEbeRWgbNEkqO")
    scram.first()
    assert scram.server_first(CHALLENGE) == FINAL
    by_password = ScramClient("SHA-256", "user", Secret("pencil", (other,)), "rOprNGfwEbeRWgbNEkqO")
    by_password.first()
    assert by_password.server_first(CHALLENGE) == FINAL
    assert "pencil" not in repr(Secret("pencil"))


@pytest.mark.parametrize(
    "challenge",
    [
        CHALLENGE.replace(b"r=rOp", b"r=xOp"),
        b"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        CHALLENGE.replace(b"i=4096", b"i=0"),
        CHALLENGE.replace(b"i=4096", b"i=-1"),
        CHALLENGE.replace(b"i=4096", b"i=%d" % (MAX_ITERATIONS + 1)),
        CHALLENGE.replace(b"i=4096", b"i=99999999999999999999999999"),
        CHALLENGE.replace(b"s=W2", b"s=*2"),
        b"m=x," + CHALLENGE,
        b"e=other-error",
        b"",
        b"\xff",
    ],
)
def test_challenges_that_are_refused(challenge: bytes) -> None:
    for secret in ("pencil", CLIENT_KEY):
        with pytest.raises(SaslFailure):
            client(secret).server_first(challenge)


@pytest.mark.parametrize("end", range(len(CHALLENGE) - len(b",i=4096") + 1))
def test_no_prefix_of_a_challenge_is_one(end: int) -> None:
    with pytest.raises(SaslFailure):
        client().server_first(CHALLENGE[:end])


@pytest.mark.parametrize("final", [b"v=AAAA", b"e=invalid-proof", b"", b"x=y", VERIFIER[:-5] + b"5G4=", b"v=*"])
def test_a_server_that_does_not_know_the_password_is_found_out(final: bytes) -> None:
    scram = client()
    scram.server_first(CHALLENGE)
    with pytest.raises(SaslFailure):
        scram.server_final(final)


def test_a_server_that_skips_the_challenge_is_found_out() -> None:
    with pytest.raises(SaslFailure):
        client().server_final(b"v=")


def test_a_password_that_cannot_be_one_is_not_sent() -> None:
    with pytest.raises(SaslFailure, match="not-authorized"):
        client("a\x07b").server_first(CHALLENGE)


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P"]), min_size=1), st.sampled_from(["SHA-1", "SHA-256"]))
def test_client_and_server_agree(name: str, algorithm: str) -> None:
    key, keys = derive_keys("password", algorithm, b"salt", 8)
    for flag, binding in (("n", Binding()), ("y", Binding()), ("p", Binding(True, True, b"hash"))):
        scram, server = ScramClient(algorithm, name, Secret(None, (key,)), "client"), ScramServer(algorithm, binding)
        if flag != "n":
            scram.bind(b"hash", plus=flag == "p")
        server.client_first(scram.first())
        verifier, found = server.client_final(scram.server_first(server.challenge(keys, "server")))
        scram.server_final(verifier)
        assert found == key and server.username == name


def test_no_hash_no_flag() -> None:
    scram = client()
    scram.bind(None, plus=False)
    assert scram.first() == FIRST


def test_another_certificate_in_between_is_found_out() -> None:
    """What channel binding is for."""
    scram, server = client(), ScramServer("SHA-256", Binding(True, True, b"the server's"))
    scram.bind(b"the man's in the middle", plus=True)
    server.client_first(scram.first())
    with pytest.raises(SaslFailure, match="bindings"):
        server.client_final(scram.server_first(server.challenge(KEYS, NONCE)))
