"""Requests outside dialogs, both ways."""

from __future__ import annotations

import pytest

from haproxy_voip.core.events import StreamClosed
from haproxy_voip.sip.message import Request, Response, header, response_to
from tests.proxy.servers import Servers, register
from tests.proxy.stage import DOMAIN, Peer

CHALLENGE = 'Digest realm="pbx", nonce="abc", qop="auth"'


def asked(stage: Servers, method: str = "MESSAGE", **headers: str) -> tuple[Peer, Request]:
    alice = stage.phone("1001")
    alice.request(method, f"sip:1002@{DOMAIN}", body=b"hello", content_type="text/plain", **headers)
    return alice, stage.alpha.take_request(method)


@pytest.mark.parametrize("method", ["OPTIONS", "MESSAGE", "PUBLISH", "INFO", "NEWMETHOD"])
def test_a_clients_request_goes_across_and_its_answer_back(method: str) -> None:
    stage = Servers()
    alice, at_alpha = asked(stage, method, event="presence")
    assert at_alpha.body == b"hello"
    assert not at_alpha.has("proxy-authorization")
    stage.alpha.answer(at_alpha, 202, x_extra="kept")
    answer = alice.take_response(202)
    assert answer.get("x-extra") == "kept"
    stage.assert_nothing_left()


@pytest.mark.parametrize("method", ["MESSAGE", "INFO", "NOTIFY", "NEWMETHOD"])
def test_a_backends_request_goes_to_the_contact(method: str) -> None:
    stage = Servers()
    bob = stage.phone("1002")
    uri = f"sip:{stage.token_of('1002')}@127.0.0.10:5060"
    stage.alpha.send(stage.alpha.new(method, uri, event="message-summary", subscription_state="active"))
    at_bob = bob.take_request(method)
    assert at_bob.uri == "sip:1002@127.0.1.2:5060"
    bob.answer(at_bob, 200)
    stage.alpha.take(200)
    stage.assert_nothing_left()


def test_an_unsolicited_message_summary_reaches_the_phone_with_its_body() -> None:
    stage = Servers()
    bob = stage.phone("1002")
    uri = f"sip:{stage.token_of('1002')}@127.0.0.10:5060"
    body = b"Messages-Waiting: yes\r\nMessage-Account: sip:1002@127.0.0.11\r\n"
    kind = "application/simple-message-summary"
    stage.alpha.send(stage.alpha.new("NOTIFY", uri, body=body, content_type=kind, event="message-summary"))
    at_bob = bob.take_request("NOTIFY")
    assert at_bob.body == b"Messages-Waiting: yes\r\nMessage-Account: sip:1002@voip.test\r\n"
    bob.answer(at_bob, 200)
    stage.alpha.take(200)
    stage.assert_nothing_left()


def test_a_backends_challenge_is_answered_with_the_clients_credentials() -> None:
    stage = Servers()
    alice, at_alpha = asked(stage)
    challenge = response_to(at_alpha, 401, None, "t", (header("WWW-Authenticate", CHALLENGE),))
    stage.alpha.send(challenge)
    again = stage.alpha.take_request("MESSAGE")
    assert 'username="1001"' in (again.get("authorization") or "")
    assert again.cseq.number == at_alpha.cseq.number + 1
    stage.alpha.answer(again, 200)
    alice.take(200)


def test_credentials_a_backend_refuses_are_the_clients_403() -> None:
    stage = Servers()
    alice, request = asked(stage)
    for _ in range(2):
        stage.alpha.send(response_to(request, 401, None, "t", (header("WWW-Authenticate", CHALLENGE),)))
        request = stage.alpha.inbox.pop() if stage.alpha.inbox else request  # type: ignore[assignment]
    alice.take(403)
    stage.assert_nothing_left()


def test_what_is_safe_is_asked_elsewhere_when_the_backend_dies() -> None:
    stage = Servers()
    alice, _ = asked(stage, "OPTIONS")
    stage.kill("alpha")
    stage.beta.answer(stage.beta.take_request("OPTIONS"), 200)
    alice.take(200)
    record = stage.node._evacuation.records[-1]
    assert record.moved == {"requests in flight": 1}
    stage.assert_nothing_left()


def test_what_is_not_safe_is_refused_when_the_backend_dies() -> None:
    stage = Servers()
    alice, _ = asked(stage, "MESSAGE")
    stage.kill("alpha")
    assert not [one for one in stage.beta.inbox if isinstance(one, Request) and one.method == "MESSAGE"]
    alice.take(504)
    assert stage.node._evacuation.records[-1].lost == {"requests in flight": 1}


def test_a_request_is_asked_at_two_backends_at_most() -> None:
    stage = Servers()
    alice, _ = asked(stage, "OPTIONS")
    stage.kill("alpha")
    stage.beta.take("OPTIONS")
    stage.kill("beta")
    alice.take(504)
    assert not stage.charlie.inbox


def test_without_another_backend_it_is_503_with_retry_after() -> None:
    stage = Servers()
    alice, _ = asked(stage, "OPTIONS")
    stage.kill("charlie")
    stage.kill("beta")
    stage.kill("alpha")
    assert alice.take_response(503).has("retry-after")


def test_503_sends_even_a_message_elsewhere_and_is_never_passed_on() -> None:
    stage = Servers()
    alice, at_alpha = asked(stage)
    stage.alpha.answer(at_alpha, 503)
    stage.beta.answer(stage.beta.take_request("MESSAGE"), 503)
    alice.take(500)
    stage.assert_nothing_left()


def test_408_is_never_passed_on() -> None:
    stage = Servers()
    alice, at_alpha = asked(stage)
    stage.alpha.answer(at_alpha, 408)
    alice.take(504)
    stage.assert_nothing_left()


def test_what_nobody_answers_in_time_gets_no_408() -> None:
    """RFC 4320 section 4.2: who asked has timed out by then as well, so nothing is said but the 100 of its rule 4.1."""
    stage = Servers()
    bob = stage.phone("1002")
    stage.alpha.send(stage.alpha.new("MESSAGE", f"sip:{stage.token_of('1002')}@127.0.0.10:5060"))
    alice, _ = asked(stage)
    bob.take("MESSAGE")
    stage.pass_time(33)
    for peer in (alice, stage.alpha):
        assert {one.status for one in peer.inbox if isinstance(one, Response)} == {100}
    stage.assert_nothing_left()


def test_a_connection_that_ends_with_a_request_on_it_is_480() -> None:
    stage = Servers()
    bob = stage.connected("1002", 1)
    register(bob)
    stage.alpha.send(stage.alpha.new("MESSAGE", f"sip:{stage.token_of('1002')}@127.0.0.10:5060"))
    bob.take("MESSAGE")
    stage.feed(StreamClosed(bob.flow, "gone"))
    stage.alpha.take(480)


def test_what_a_dead_backend_asked_is_answered_to_nobody() -> None:
    stage = Servers()
    bob = stage.phone("1002")
    stage.alpha.send(stage.alpha.new("MESSAGE", f"sip:{stage.token_of('1002')}@127.0.0.10:5060"))
    at_bob = bob.take_request("MESSAGE")
    stage.kill("alpha")
    bob.answer(at_bob, 200)
    assert not stage.alpha.inbox
    stage.assert_nothing_left()
