"""haproxy_voip.sip.digest.client: which challenge is answered, and how."""

import pytest

from haproxy_voip.core.credential import Credential
from haproxy_voip.sip.digest.algorithms import md5
from haproxy_voip.sip.digest.client import MAX_CHALLENGES, AuthenticationSession, Challenge
from haproxy_voip.sip.digest.parameters import parse_digest
from haproxy_voip.sip.digest.roles import PROXY, REGISTRAR
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Response, header

PASSWORD = Credential("alice", "ours", password="secret")
RFC7616_SHA256 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
RFC7616_MD5 = RFC7616_SHA256.replace("SHA-256", "MD5")


def begin(*values: str, credential: Credential = PASSWORD) -> AuthenticationSession | None:
    return AuthenticationSession.for_challenges(PROXY, values, credential)


def fields_of(session: AuthenticationSession | None, uri: str = "sip:b@h") -> dict[str, str]:
    assert session is not None
    fields = parse_digest(session.authorization("INVITE", uri, "cnonce")[1])
    assert fields is not None
    return fields


@pytest.mark.parametrize(
    ("challenge", "response"),
    [
        (RFC7616_MD5, "8ca523f5e9506fed4657c9700eebdbec"),
        (RFC7616_SHA256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc7616_section_3_9_1_is_answered_as_there(challenge: str, response: str) -> None:
    session = begin(challenge, credential=Credential("Mufasa", "", password="Circle of Life"))
    assert session is not None
    name, value = session.authorization("GET", "/dir/index.html", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    assert name == "proxy-authorization"
    assert f'response="{response}"' in value
    assert 'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"' in value
    assert "qop=auth, nc=00000001" in value


def test_the_strongest_challenge_is_answered_wherever_it_stands() -> None:
    for values in ([RFC7616_SHA256, RFC7616_MD5], [RFC7616_MD5, RFC7616_SHA256]):
        assert fields_of(begin(*values))["algorithm"] == "SHA-256"


def test_of_equally_strong_challenges_the_first_is_answered() -> None:
    assert fields_of(begin('Digest realm="a", nonce="1"', 'Digest realm="b", nonce="2"'))["realm"] == "a"


def test_a_stored_hash_answers_its_own_realm_and_algorithm_only() -> None:
    stored = Credential("alice", "ours", ha1=md5("alice:ours:secret"))
    ours, theirs = 'Digest realm="ours", nonce="n"', 'Digest realm="theirs", nonce="n"'
    assert fields_of(begin(theirs, ours, credential=stored)) == fields_of(begin(ours))
    assert begin(theirs, credential=stored) is None
    assert begin(ours + ", algorithm=SHA-256", credential=stored) is None


def test_a_password_answers_any_realm() -> None:
    assert fields_of(begin('Digest realm="theirs", nonce="n"'))["realm"] == "theirs"


def test_the_algorithm_is_echoed_as_written_and_left_out_when_it_was() -> None:
    assert fields_of(begin('Digest realm="r", nonce="n", algorithm=md5'))["algorithm"] == "md5"
    assert "algorithm" not in fields_of(begin('Digest realm="r", nonce="n"'))


def test_without_qop_neither_cnonce_nor_count_is_sent() -> None:
    fields = fields_of(begin('Digest realm="r", nonce="n"'))
    assert set(fields) == {"username", "realm", "nonce", "uri", "response"}


def test_the_nonce_count_grows_with_each_request() -> None:
    session = begin('Digest realm="r", nonce="n", qop=auth')
    assert [fields_of(session)["nc"] for _ in range(3)] == ["00000001", "00000002", "00000003"]


@pytest.mark.parametrize(
    "value",
    [
        'Digest realm="r", nonce="n", qop="auth-int"',
        'Digest realm="r", nonce="n", algorithm=SHA-512-256',
        'Digest realm="r", nonce="n", algorithm=MD5-sess',
        'Basic realm="r"',
        'Digest realm="r"',
        "Digest realm=",
        "",
    ],
)
def test_what_cannot_be_answered_does_not_hide_what_can(value: str) -> None:
    assert begin(value) is None
    assert fields_of(begin(value, 'Digest realm="good", nonce="n"'))["realm"] == "good"


def test_a_challenge_without_nonce_is_malformed() -> None:
    with pytest.raises(MessageError):
        Challenge.parse('Digest realm="r"')


def test_only_so_many_challenges_are_read() -> None:
    assert begin(*['Basic realm="r"'] * MAX_CHALLENGES, RFC7616_MD5) is None


def test_quotes_in_names_are_escaped() -> None:
    session = begin(r'Digest realm="a \"b\"", nonce="n"', credential=Credential('x"y\\', "r", password="p"))
    assert fields_of(session)["username"] == 'x"y\\'
    assert fields_of(session)["realm"] == 'a "b"'


@pytest.mark.parametrize(("status", "role"), [(401, REGISTRAR), (407, PROXY)])
def test_the_status_says_which_headers_ask_and_answer(status: int, role: object) -> None:
    headers = [
        header("www-authenticate", 'Digest realm="registrar", nonce="n"'),
        header("proxy-authenticate", 'Digest realm="proxy", nonce="n"'),
    ]
    session = AuthenticationSession.for_response(Response(status, headers=headers), PASSWORD)
    assert session is not None
    assert session.role is role
    assert session.challenge.realm == ("registrar" if status == 401 else "proxy")


def test_other_statuses_ask_for_nothing() -> None:
    headers = [header("www-authenticate", 'Digest realm="r", nonce="n"')]
    assert AuthenticationSession.for_response(Response(403, headers=headers), PASSWORD) is None


def test_a_fresh_nonce_challenged_again_means_a_wrong_secret() -> None:
    first, again = begin('Digest realm="r", nonce="1", qop=auth'), begin('Digest realm="r", nonce="2", qop=auth')
    stale = begin('Digest realm="r", nonce="2", qop=auth, stale=TRUE')
    assert first is not None and again is not None and stale is not None
    first.authorization("REGISTER", "sip:h", "c")
    assert first.refused(again)
    assert not first.refused(stale)
    first.authorization("REGISTER", "sip:h", "c")
    assert not first.refused(again)  # some servers end a nonce without saying stale


def test_all_challenges_of_a_server_share_what_they_have_in_common() -> None:
    """One is kept for each user at each backend."""
    first, second = (Challenge.parse(f'Digest realm="pbx", nonce="{nonce}", algorithm=Md5') for nonce in "12")
    assert first is not None and second is not None
    assert first.realm is second.realm
    assert first.algorithm_token is second.algorithm_token
    assert first.algorithm is second.algorithm
