"""The server's side of SCRAM (RFC 5802 section 5)."""

from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haproxy_voip.xmpp.errors import SaslFailure
from haproxy_voip.xmpp.sasl.scram import derive_keys, fake_keys
from haproxy_voip.xmpp.sasl.scram_server import Binding, ScramServer

SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
CLIENT_KEY, KEYS = derive_keys("pencil", "SHA-256", SALT, 4096)
# RFC 7677 section 3.
FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CHALLENGE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
FINAL = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
VERIFIER = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def challenged(binding: Binding = Binding()) -> ScramServer:  # noqa: B008
    server = ScramServer("SHA-256", binding)
    server.client_first(FIRST)
    assert server.challenge(KEYS, NONCE) == CHALLENGE
    return server


def test_the_exchange_of_rfc_7677() -> None:
    server = challenged()
    assert (server.username, server.authzid) == ("user", "")
    assert server.client_final(FINAL) == (VERIFIER, CLIENT_KEY)


def test_the_exchange_of_rfc_5802() -> None:
    client_key, keys = derive_keys("pencil", "SHA-1", b64decode("QSXCR+Q6sek8bf92"), 4096)
    server = ScramServer("SHA-1", Binding())
    server.client_first(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL")
    challenge = server.challenge(keys, "3rfcNHYJY1ZVvWVs7j")
    assert challenge == b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
    final = b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
    assert server.client_final(final) == (b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", client_key)


def test_a_wrong_password_is_not_authorized() -> None:
    server = ScramServer("SHA-256", Binding())
    server.client_first(FIRST)
    server.challenge(fake_keys(b"node", "SHA-256", "user"), NONCE)
    with pytest.raises(SaslFailure, match="not-authorized"):
        server.client_final(FINAL)


@pytest.mark.parametrize(
    ("final", "condition"),
    [
        (FINAL.replace(b"r=rOp", b"r=xOp"), "malformed-request"),
        (FINAL.replace(b"$k0,", b"$k,"), "malformed-request"),
        (FINAL.replace(b"c=biws", b"c=eSws"), "not-authorized"),  # y,, was not what came first
        (FINAL.replace(b"c=biws", b"c=biw"), "incorrect-encoding"),
        (FINAL.replace(b"c=biws,", b""), "malformed-request"),
        (FINAL[: FINAL.index(b",p=")], "malformed-request"),
        (FINAL[:-4] + b"*dVQ", "incorrect-encoding"),
        (FINAL[: FINAL.index(b"p=")] + b"p=AAAA", "malformed-request"),
        (FINAL.replace(b",p=", b",x=y,p="), "not-authorized"),  # the proof is for a message without it
        (FINAL + b",x=y", "malformed-request"),
        (b"", "malformed-request"),
        (b"\xff", "malformed-request"),
    ],
)
def test_a_final_message_that_does_not_fit(final: bytes, condition: str) -> None:
    with pytest.raises(SaslFailure) as caught:
        challenged().client_final(final)
    assert caught.value.condition == condition


@pytest.mark.parametrize("end", range(len(FINAL)))
def test_no_prefix_of_a_proof_is_one(end: int) -> None:
    with pytest.raises(SaslFailure):
        challenged().client_final(FINAL[:end])


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n",
        b"n,",
        b"n,,",
        b"n,,n=user",
        b"n,,r=x,n=user",
        b"n,,m=ext,n=user,r=x",
        b"z,,n=user,r=x",
        b"p=,,n=user,r=x",
        b"n,x=y,n=user,r=x",
        b"n,a=,n=user,r=x",
        b"n,,n=u=ser,r=x",
        b"n,,n=user,r=",
        b"n,,n=,r=x",
        b"n,,n=\xff,r=x",
    ],
)
def test_a_first_message_that_is_malformed(first: bytes) -> None:
    with pytest.raises(SaslFailure, match="malformed-request"):
        ScramServer("SHA-256", Binding()).client_first(first)


@given(st.binary(max_size=40))
def test_noise_is_refused_or_names_somebody(noise: bytes) -> None:
    server = ScramServer("SHA-1", Binding())
    try:
        server.client_first(b"n,," + noise)
    except SaslFailure:
        return
    assert server.username


def test_names_and_authorization_identities_are_unescaped() -> None:
    server = ScramServer("SHA-256", Binding())
    server.client_first(b"n,a=b=2Cc,n=d=3De,r=x,future=ignored".replace(b"future", b"f"))
    assert (server.username, server.authzid) == ("d=e", "b,c")


def test_the_channel_must_be_the_same_on_both_sides() -> None:
    """RFC 5802 section 6, RFC 5929 section 4."""
    gs2_header = b"p=tls-server-end-point,,"
    for seen in (b"our certificate", b"another's"):
        server = ScramServer("SHA-256", Binding(plus=True, offered=True, endpoint_hash=b"our certificate"))
        server.client_first(gs2_header + FIRST[3:])
        server.challenge(KEYS, NONCE)
        final = FINAL.replace(b"c=biws", b"c=" + b64encode(gs2_header + seen))
        # The proof is for another message, so neither gets in; what differs is why.
        with pytest.raises(SaslFailure) as caught:
            server.client_final(final)
        assert ("bindings" in caught.value.text) == (seen != b"our certificate")


@pytest.mark.parametrize(
    ("flag", "binding", "condition"),
    [
        # "If the flag is set to 'y' and the server supports channel binding, the server MUST fail authentication".
        (b"y", Binding(offered=True), "not-authorized"),
        (b"p=tls-server-end-point", Binding(offered=True), "malformed-request"),
        (b"p=tls-unique", Binding(plus=True, offered=True), "malformed-request"),
        (b"n", Binding(plus=True, offered=True), "malformed-request"),
        (b"y", Binding(plus=True, offered=True), "malformed-request"),
    ],
)
def test_flags_that_do_not_fit_what_was_offered(flag: bytes, binding: Binding, condition: str) -> None:
    with pytest.raises(SaslFailure) as caught:
        ScramServer("SHA-256", binding).client_first(flag + FIRST[1:])
    assert caught.value.condition == condition


@pytest.mark.parametrize(("flag", "binding"), [(b"y", Binding()), (b"n", Binding()), (b"n", Binding(offered=True))])
def test_flags_that_fit(flag: bytes, binding: Binding) -> None:
    ScramServer("SHA-256", binding).client_first(flag + FIRST[1:])
