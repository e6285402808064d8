"""Who a client is, and who we are to a backend."""

from __future__ import annotations

import pytest

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.proxy.authentication import Authentication, Challenged
from haproxy_voip.sip.digest import AuthenticationSession
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, header

REALM = "voip.test"
FLOW = Flow(Transport.UDP, Address("192.0.2.1", 5060), Address("192.0.2.7", 5060))
ALICE = Credential("1001", REALM, password="secret")


def made(*credentials: Credential) -> Authentication:
    return Authentication(REALM, {one.user: one for one in credentials or (ALICE,)}, Chance.seeded(1))


def request(method: str = "MESSAGE", sender: str = "1001") -> Request:
    address = f"<sip:{sender}@{REALM}>"
    return Request(method, f"sip:{REALM}", [header("From", f"{address};tag=1"), header("To", address)])


def proven(authentication: Authentication, asked: Request, secret: Credential = ALICE) -> Request:
    challenged = authentication.check(asked, FLOW, 0.0)
    assert isinstance(challenged, Challenged)
    session = AuthenticationSession.for_response(Response(challenged.status, None, challenged.headers), secret)
    assert session is not None
    asked.add(*session.authorization(asked.method, asked.uri, "cnonce"))
    return asked


@pytest.mark.parametrize(("method", "status"), [("REGISTER", 401), ("MESSAGE", 407), ("INVITE", 407)])
def test_a_stranger_is_challenged_in_the_role_we_have_for_it(method: str, status: int) -> None:
    challenged = made().check(request(method), FLOW, 0.0)
    assert isinstance(challenged, Challenged)
    assert challenged.status == status and challenged.fact is None


def test_who_knows_the_secret_is_who_it_says() -> None:
    authentication = made()
    assert authentication.check(proven(authentication, request()), FLOW, 1.0) == "1001"
    assert authentication.knows("1001") and not authentication.knows("1002")


def test_a_wrong_secret_is_told() -> None:
    authentication = made()
    wrong = proven(authentication, request(), Credential("1001", REALM, password="guess"))
    challenged = authentication.check(wrong, FLOW, 1.0)
    assert isinstance(challenged, Challenged)
    assert challenged.fact is not None and challenged.fact.user == "1001"


def test_nobody_speaks_in_another_users_name() -> None:
    authentication = made()
    with pytest.raises(MessageError) as caught:
        authentication.check(proven(authentication, request(sender="1002")), FLOW, 1.0)
    assert caught.value.status == 403


def test_new_users_end_what_backends_were_told_of_old_secrets() -> None:
    authentication = made()
    challenge = Response(401, None, [header("WWW-Authenticate", 'Digest realm="pbx", nonce="n"')])
    session = authentication.session(challenge, "1001")
    assert session is not None
    authentication.sessions["alpha"]["1001"] = session
    authentication.replace(REALM, {})
    assert not authentication.sessions
    assert authentication.session(challenge, "1001") is None
    assert authentication.answer(challenge, request(), "1001") is None


def test_a_hash_is_good_for_its_realm_only() -> None:
    authentication = made(Credential("1001", REALM, ha1="0" * 32))
    for realm, possible in ((REALM, True), ("pbx", False)):
        challenge = Response(401, None, [header("WWW-Authenticate", f'Digest realm="{realm}", nonce="n"')])
        assert (authentication.answer(challenge, request("REGISTER"), "1001") is not None) is possible
