"""haproxy_voip.sip.digest.server: who gets in, who is asked again, and who is told to stop."""

import pytest

from haproxy_voip.core.credential import Credential
from haproxy_voip.sip.digest.algorithms import md5, sha256
from haproxy_voip.sip.digest.client import AuthenticationSession
from haproxy_voip.sip.digest.nonces import NONCE_LIFE
from haproxy_voip.sip.digest.roles import PROXY, REGISTRAR, role_for
from haproxy_voip.sip.digest.server import MAX_CREDENTIALS, Authenticator, Rejected, Verified
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, header

REALM = "voip.test"
NOW = 1_700_000_000.0
ALICE = Credential("alice", REALM, password="wonderland")
USERS = {
    "alice": ALICE,
    "md5": Credential("md5", REALM, ha1=md5(f"md5:{REALM}:pw")),
    "sha": Credential("sha", REALM, ha1_sha256=sha256(f"sha:{REALM}:pw")),
    'the "boss" \\o/': Credential('the "boss" \\o/', REALM, password="pw"),
    "Jäsøn": Credential("Jäsøn", REALM, password="Ünïcode"),
    "foreign": Credential("foreign", "elsewhere", ha1=md5(f"foreign:{REALM}:pw")),
}


def authenticator(key: bytes = b"key") -> Authenticator:
    return Authenticator(REALM, USERS.get, key)


def session(challenges: list[str], credential: Credential = ALICE) -> AuthenticationSession:
    found = AuthenticationSession.for_challenges(PROXY, challenges, credential)
    assert found is not None
    return found


def invite(*authorizations: str, uri: str = "sip:bob@voip.test", name: str = "proxy-authorization") -> Request:
    return Request("INVITE", uri, [header(name, value) for value in authorizations])


def answered(request: Request, to: AuthenticationSession, uri: str | None = None) -> Request:
    request.add(*to.authorization(request.method, uri or request.uri, "cnonce"))
    return request


def test_register_is_challenged_by_the_registrar_and_all_else_by_the_proxy() -> None:
    assert role_for("REGISTER") is REGISTRAR
    assert role_for("INVITE") is PROXY
    assert (REGISTRAR.status, PROXY.status) == (401, 407)


def test_sha256_is_offered_before_md5_with_one_nonce() -> None:
    """RFC 8760 section 2.3: "in order of preference, starting with the most preferred"."""
    first, second = authenticator().challenge(NOW)
    assert 'algorithm=SHA-256, qop="auth"' in first and 'algorithm=MD5, qop="auth"' in second
    assert first.split("nonce=")[1][:50] == second.split("nonce=")[1][:50]
    assert "stale" not in first
    assert authenticator().challenge(NOW, stale=True)[1].endswith(", stale=true")


def test_no_credentials_are_no_failure_of_anybody() -> None:
    assert authenticator().authenticate(invite(), NOW) == Rejected(False, "no credentials for this realm")


@pytest.mark.parametrize("user", ["alice", 'the "boss" \\o/', "Jäsøn"])
@pytest.mark.parametrize("choice", [0, 1])
def test_the_right_password_is_verified_with_either_algorithm(user: str, choice: int) -> None:
    server = authenticator()
    request = answered(invite(), session([server.challenge(NOW)[choice]], USERS[user]))
    assert server.authenticate(request, NOW) == Verified(user)


@pytest.mark.parametrize("user", ["md5", "sha"])
def test_a_stored_hash_serves_its_algorithm(user: str) -> None:
    server = authenticator()
    request = answered(invite(), session(server.challenge(NOW), USERS[user]))
    assert server.authenticate(request, NOW) == Verified(user)


@pytest.mark.parametrize("user", ["alice", "md5", "nobody", "foreign"])
@pytest.mark.parametrize("password", ["wrong", ""])
def test_wrong_passwords_and_unknown_users_look_alike(user: str, password: str) -> None:
    server = authenticator()
    request = answered(invite(), session(server.challenge(NOW), Credential(user, REALM, password=password)))
    assert server.authenticate(request, NOW) == Rejected(False, "wrong user or password", user)


def test_a_hash_made_for_another_realm_opens_nothing() -> None:
    server = authenticator()
    to = session([server.challenge(NOW)[1]], Credential("foreign", REALM, password="pw"))
    assert isinstance(server.authenticate(answered(invite(), to), NOW), Rejected)


def test_the_method_is_part_of_the_proof() -> None:
    server = authenticator()
    request = answered(invite(), session(server.challenge(NOW)))
    request.method = "MESSAGE"
    assert server.authenticate(request, NOW) == Rejected(False, "wrong user or password", "alice")


def test_a_nonce_serves_many_requests_but_each_count_once() -> None:
    server = authenticator()
    to = session(server.challenge(NOW))
    first = answered(invite(), to)
    assert server.authenticate(first, NOW) == Verified("alice")
    assert server.authenticate(answered(invite(), to), NOW + 1) == Verified("alice")
    assert server.authenticate(first, NOW + 2) == Rejected(True, "the nonce no longer serves", "alice")


@pytest.mark.parametrize("later", [NONCE_LIFE, 1e6])
def test_right_credentials_with_an_old_nonce_are_stale(later: float) -> None:
    server = authenticator()
    request = answered(invite(), session(server.challenge(NOW)))
    assert server.authenticate(request, NOW + later) == Rejected(True, "the nonce no longer serves", "alice")


def test_wrong_credentials_with_an_old_nonce_are_not_stale() -> None:
    server = authenticator()
    request = answered(invite(), session(server.challenge(NOW), Credential("alice", REALM, password="guess")))
    assert server.authenticate(request, NOW + 1e6) == Rejected(False, "wrong user or password", "alice")


def test_a_nonce_made_before_a_restart_with_a_new_key_is_stale() -> None:
    request = answered(invite(), session(authenticator(b"old").challenge(NOW)))
    assert authenticator(b"new").authenticate(request, NOW) == Rejected(True, "the nonce no longer serves", "alice")


def test_another_node_with_the_same_key_verifies() -> None:
    request = answered(invite(), session(authenticator().challenge(NOW)))
    assert authenticator().authenticate(request, NOW) == Verified("alice")


def test_a_phone_without_qop_gets_in_once_for_each_nonce() -> None:
    server = authenticator()
    challenge = server.challenge(NOW)[1].replace(', qop="auth"', "").replace(", algorithm=MD5", "")
    request = answered(invite(), session([challenge]))
    assert "qop" not in request.all("proxy-authorization")[0]
    assert server.authenticate(request, NOW) == Verified("alice")
    assert server.authenticate(request, NOW) == Rejected(True, "the nonce no longer serves", "alice")


def test_credentials_for_other_realms_and_schemes_are_passed_over() -> None:
    server = authenticator()
    mine = session(server.challenge(NOW)).authorization("INVITE", "sip:bob@voip.test", "c")[1]
    other = mine.replace('realm="voip.test"', 'realm="elsewhere"')
    assert server.authenticate(invite(other), NOW) == Rejected(False, "no credentials for this realm")
    assert server.authenticate(invite(other, "Bearer x", mine), NOW) == Verified("alice")


def test_only_so_many_credentials_are_read() -> None:
    server = authenticator()
    mine = session(server.challenge(NOW)).authorization("INVITE", "sip:bob@voip.test", "c")[1]
    assert isinstance(server.authenticate(invite(*["Bearer x"] * MAX_CREDENTIALS, mine), NOW), Rejected)


@pytest.mark.parametrize("uri", ["sip:bob@VOIP.test", "sip:b%6fb@voip.test", "sip:voip.test:5070", "sip:192.0.2.1"])
def test_a_digest_uri_that_a_hop_or_a_client_spelled_differently_is_taken(uri: str) -> None:
    server = authenticator()
    assert server.authenticate(answered(invite(), session(server.challenge(NOW)), uri), NOW) == Verified("alice")


def test_an_extended_username_is_read() -> None:
    """RFC 7616 section 3.4: username* = UTF-8''J%C3%A4s%C3%B8n."""
    server = authenticator()
    _, value = session(server.challenge(NOW), USERS["Jäsøn"]).authorization("INVITE", "sip:bob@voip.test", "c")
    value = value.replace('username="Jäsøn"', "username*=UTF-8''J%C3%A4s%C3%B8n")
    assert server.authenticate(invite(value), NOW) == Verified("Jäsøn")


def test_an_extended_username_that_is_no_utf_8_is_nobodys() -> None:
    server = authenticator()
    _, value = session(server.challenge(NOW)).authorization("INVITE", "sip:bob@voip.test", "c")
    value = value.replace('username="alice"', "username*=UTF-8''a\udc95%95")
    assert server.authenticate(invite(value), NOW) == Rejected(False, "wrong user or password", "a\udc95\udc95")


GOOD = (
    'Digest username="a", realm="voip.test", nonce="n", uri="sip:bob@voip.test", response="r", '
    'cnonce="c", qop=auth, nc=00000001'
)


@pytest.mark.parametrize(
    "value",
    [
        GOOD.replace('nonce="n", ', ""),
        GOOD.replace('response="r", ', ""),
        GOOD.replace('username="a", ', ""),
        GOOD.replace('username="a"', "username*=a"),
        GOOD.replace("nc=00000001", "nc=1"),
        GOOD.replace("nc=00000001", "nc=0000000g"),
        GOOD.replace(", nc=00000001", ""),
        GOOD.replace(', cnonce="c"', ""),
        GOOD.replace('response="r"', 'response="r'),
    ],
)
def test_malformed_credentials_are_a_bad_request(value: str) -> None:
    with pytest.raises(MessageError) as caught:
        authenticator().authenticate(invite(value), NOW)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "value", [GOOD + ", algorithm=SHA-512-256", GOOD.replace("qop=auth", "qop=auth-int"), GOOD.replace('"r"', '"ä"')]
)
def test_what_was_not_offered_is_challenged_again(value: str) -> None:
    outcome = authenticator().authenticate(invite(value), NOW)
    assert isinstance(outcome, Rejected) and not outcome.stale and outcome.user == "a"


def test_an_algorithm_not_offered_does_not_open_the_door() -> None:
    server = Authenticator(REALM, USERS.get, b"key", algorithms=("SHA-256",))
    challenge = server.challenge(NOW)[0].replace("SHA-256", "MD5")
    assert len(server.challenge(NOW)) == 1
    assert isinstance(server.authenticate(answered(invite(), session([challenge])), NOW), Rejected)


def test_every_prefix_of_an_answer_is_judged_or_refused() -> None:
    server = authenticator()
    _, value = session(server.challenge(NOW)).authorization("INVITE", "sip:bob@voip.test", "c")
    for end in range(len(value)):
        try:
            outcome = server.authenticate(invite(value[:end]), NOW)
        except MessageError:
            continue
        assert isinstance(outcome, Rejected)
