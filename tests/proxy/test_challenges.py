"""The challenges of a backend to one request of ours."""

from __future__ import annotations

from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.proxy.authentication import Authentication
from haproxy_voip.proxy.challenges import MAX_CHALLENGES, Challenges
from haproxy_voip.sip.message import Request, Response, header, response_to

URI = "sip:192.0.2.1"


def made(user: str = "1001") -> tuple[Authentication, Challenges]:
    credentials = {"1001": Credential("1001", "voip.test", password="secret")}
    authentication = Authentication("voip.test", credentials, Chance.seeded(1))
    return authentication, Challenges(authentication, "alpha", user)


def asked(**headers: str) -> Request:
    lines = [header("CSeq", "7 REGISTER"), header("From", "<sip:a@b>;tag=1"), header("To", "<sip:a@b>")]
    return Request("REGISTER", URI, [*lines, header("Via", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1")])


def challenge(request: Request, nonce: str, status: int = 401, stale: bool = False) -> Response:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    value = f'Digest realm="pbx", nonce="{nonce}", qop="auth"{", stale=true" if stale else ""}'
    return response_to(request, status, None, "t", (header(name, value),))


def test_the_request_comes_again_with_credentials_and_the_next_cseq() -> None:
    _, challenges = made()
    again = challenges.again(challenge(asked(), "n1"), asked())
    assert again is not None
    assert again.cseq.number == 8
    assert not again.has("via")
    assert 'nonce="n1"' in (again.get("authorization") or "")


def test_the_next_request_proves_itself_at_once_with_a_higher_count() -> None:
    authentication, challenges = made()
    challenges.again(challenge(asked(), "n1"), asked())
    later = asked()
    Challenges(authentication, "alpha", "1001").prove(later)
    assert "nc=00000002" in (later.get("authorization") or "")
    other = asked()
    Challenges(authentication, "beta", "1001").prove(other)
    assert not other.has("authorization")


def test_a_fresh_nonces_answer_that_is_refused_means_a_wrong_secret() -> None:
    _, challenges = made()
    again = challenges.again(challenge(asked(), "n1"), asked())
    assert again is not None
    assert challenges.again(challenge(again, "n2"), again) is None
    assert challenges.refused


def test_an_old_nonces_answer_that_is_refused_means_an_old_nonce() -> None:
    authentication, challenges = made()
    challenges.again(challenge(asked(), "n1"), asked())
    later = asked()
    second = Challenges(authentication, "alpha", "1001")
    second.prove(later)
    again = second.again(challenge(later, "n2"), later)
    assert again is not None and not second.refused
    assert "n2" in (again.get("authorization") or "")
    assert len(again.all("authorization")) == 1


def test_a_proxy_and_a_registrar_behind_it_are_both_answered() -> None:
    _, challenges = made()
    first = challenges.again(challenge(asked(), "p", 407), asked())
    assert first is not None
    second = challenges.again(challenge(first, "r"), first)
    assert second is not None
    assert second.has("proxy-authorization") and second.has("authorization")


def test_there_is_an_end_to_stale_nonces() -> None:
    _, challenges = made()
    request = asked()
    for number in range(MAX_CHALLENGES):
        again = challenges.again(challenge(request, f"n{number}", stale=True), request)
        assert again is not None
        request = again
    assert challenges.again(challenge(request, "last", stale=True), request) is None


def test_who_has_no_credentials_cannot_answer() -> None:
    _, challenges = made("9999")
    assert challenges.again(challenge(asked(), "n1"), asked()) is None
    assert not challenges.refused
