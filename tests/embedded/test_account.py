"""Answers to challenges, kept and used again."""

from __future__ import annotations

from haproxy_voip.core.credential import Credential
from haproxy_voip.embedded.account import Account
from haproxy_voip.sip.message import Request, Response, header

LINES = [
    header("via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx"),
    header("from", "<sip:1001@voip.example>;tag=1"),
    header("to", "<sip:voip.example>"),
    header("call-id", "c"),
    header("cseq", "7 OPTIONS"),
]


def request(method: str = "OPTIONS") -> Request:
    return Request(method, "sip:voip.example", [*LINES])


def challenge(nonce: str, stale: str = "", status: int = 407) -> Response:
    name = "proxy-authenticate" if status == 407 else "www-authenticate"
    return Response(
        status, None, [header(name, f'Digest realm="r", nonce="{nonce}", qop="auth", algorithm=MD5{stale}')]
    )


def test_a_challenged_request_goes_out_again_with_the_next_cseq_and_credentials() -> None:
    account = Account(Credential("1001", "", "secret"))
    again = account.repeated(request(), challenge("one"))
    assert again is not None and again.cseq.number == 8 and not again.has("via")
    account.authorize(again, "cnonce")
    assert 'nonce="one"' in (again.get("proxy-authorization") or "")


def test_what_was_challenged_once_is_answered_in_advance() -> None:
    account = Account(Credential("1001", "", "secret"))
    account.repeated(request(), challenge("one"))
    account.repeated(request(), challenge("two", status=401))
    for count in ("00000001", "00000002"):
        later = request("INVITE")
        account.authorize(later, "cnonce")
        assert f"nc={count}" in (later.get("proxy-authorization") or "")
        assert f"nc={count}" in (later.get("authorization") or "")


def test_an_ack_gets_no_credentials_of_its_own() -> None:
    account = Account(Credential("1001", "", "secret"))
    account.repeated(request(), challenge("one"))
    ack = request("ACK")
    account.authorize(ack, "cnonce")
    assert not ack.has("proxy-authorization")


def test_a_second_challenge_to_fresh_credentials_means_a_wrong_password_unless_stale() -> None:
    account = Account(Credential("1001", "", "secret"))
    again = account.repeated(request(), challenge("one"))
    assert again is not None
    account.authorize(again, "cnonce")
    assert account.repeated(again, challenge("two", ", stale=true")) is not None
    account.authorize(again, "cnonce")
    assert account.repeated(again, challenge("three")) is None


def test_no_challenge_and_one_we_cannot_answer_are_left_to_the_asker() -> None:
    account = Account(Credential("1001", "", "secret"))
    assert account.repeated(request(), Response(401)) is None
    basic = Response(401, None, [header("www-authenticate", 'Basic realm="r"')])
    assert account.repeated(request(), basic) is None
