"""Challenges and credentials that pass through us."""

from __future__ import annotations

import pytest

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.proxy.passing import MAX_NONCES, Passing, rewritten
from haproxy_voip.sip.message import Request, Response, header

FLOW = Flow(Transport.UDP, Address("127.0.0.10", 5060), Address("127.0.1.1", 5060))


def challenge(nonce: str, more: str = "") -> Response:
    value = f'Digest realm="pbx", nonce="{nonce}"{more}'
    return Response(401, "Unauthorized", [header("WWW-Authenticate", value)])


def proven(nonce: str) -> Request:
    value = f'Digest username="1001", realm="pbx", nonce="{nonce}", uri="sip:pbx", response="0"'
    return Request("MESSAGE", "sip:pbx", [header("Authorization", value)])


BARE = Request("MESSAGE", "sip:pbx", [])


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ('Digest realm="pbx", nonce="a", qop="auth", opaque="x,y"', None),
        ('Digest realm="pbx", nonce="a", qop="auth,auth-int"', 'Digest realm="pbx", nonce="a", qop="auth"'),
        ('Digest realm="pbx", qop="auth-int, auth", nonce="a"', 'Digest realm="pbx", qop="auth", nonce="a"'),
        # There is no choice; a request without a body, such as REGISTER, can still be proved.
        ('Digest realm="pbx", nonce="a", qop="auth-int"', None),
        ('Digest realm="say qop=\\"auth,auth-int\\"", nonce="a"', None),
        ("Bearer token", None),
        ("", None),
    ],
)
def test_a_challenge_stays_as_it_is_but_for_auth_int(given: str, made: str | None) -> None:
    assert rewritten(given, stale=False) == (made or given)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ('Digest realm="pbx", nonce="a"', 'Digest realm="pbx", nonce="a", stale=true'),
        ('Digest stale=FALSE, realm="pbx", nonce="a"', 'Digest stale=true, realm="pbx", nonce="a"'),
        ('Digest realm="pbx", nonce="a", stale=TRUE', 'Digest realm="pbx", nonce="a", stale=TRUE'),
        ("Bearer token", "Bearer token"),
    ],
)
def test_one_that_another_backends_credentials_met_is_said_to_be_stale(given: str, made: str) -> None:
    assert rewritten(given, stale=True) == made


def test_credentials_for_another_backends_nonce_are_stale_and_no_failure() -> None:
    passing = Passing(on=True)
    passing.answers(challenge("of-alpha"), BARE, "alpha")
    again = proven("of-alpha")
    assert not passing.failure(challenge("of-beta"), again, FLOW, "beta")
    assert "stale=true" in passing.answers(challenge("of-beta"), again, "beta")[0][1]


def test_credentials_for_its_own_nonce_that_it_refuses_are_a_failure_and_its_answer_stays() -> None:
    passing = Passing(on=True)
    passing.answers(challenge("one"), BARE, "alpha")
    (fact,) = passing.failure(challenge("two"), proven("one"), FLOW, "alpha")
    assert fact.user == "1001"
    assert "stale" not in passing.answers(challenge("two"), proven("one"), "alpha")[0][1]


def test_a_nonce_that_the_backend_calls_stale_itself_is_no_failure() -> None:
    passing = Passing(on=True)
    passing.answers(challenge("one"), BARE, "alpha")
    assert not passing.failure(challenge("two", ", stale=true"), proven("one"), FLOW, "alpha")


def test_the_next_nonce_of_an_acceptance_passes_and_is_known() -> None:
    passing = Passing(on=True)
    accepted = Response(200, "OK", [header("Authentication-Info", 'nextnonce="next", qop=auth')])
    assert passing.answers(accepted, proven("one"), "alpha") == accepted.headers
    assert passing.failure(challenge("two"), proven("next"), FLOW, "alpha")


def test_nonces_are_remembered_up_to_a_limit_and_the_oldest_goes_first() -> None:
    passing = Passing(on=True)
    for number in range(MAX_NONCES + 1):
        passing.answers(challenge(str(number)), BARE, "alpha")
    assert len(passing._backend_of) == MAX_NONCES
    assert not passing.failure(challenge("x"), proven("0"), FLOW, "alpha")
    assert passing.failure(challenge("x"), proven(str(MAX_NONCES)), FLOW, "alpha")


def test_a_nonce_of_unusual_length_is_not_remembered() -> None:
    passing = Passing(on=True)
    passing.answers(challenge("n" * 1000), BARE, "alpha")
    assert not passing._backend_of


def test_a_challenge_that_cannot_be_read_passes_as_it_is() -> None:
    passing = Passing(on=True)
    broken = Response(401, "Unauthorized", [header("WWW-Authenticate", 'Digest realm="')])
    assert passing.answers(broken, proven("one"), "alpha") == broken.headers


def test_nothing_passes_while_the_proxy_authenticates() -> None:
    passing = Passing()
    assert not passing.credentials(proven("one"))
    assert not passing.answers(challenge("one"), BARE, "alpha")
    assert not passing.failure(challenge("one"), proven("one"), FLOW, "alpha")
    assert not passing.unproven(BARE)


def test_a_backend_that_takes_strangers_is_told_of_once() -> None:
    passing = Passing(on=True)
    assert passing.unproven(BARE)
    assert not passing.unproven(proven("one"))
    assert not passing.unproven(Request("OPTIONS", "sip:pbx", []))
    assert [len(passing.unguarded(name, "INVITE")) for name in ("alpha", "alpha", "beta")] == [1, 0, 1]
