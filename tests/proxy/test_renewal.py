"""The SUBSCRIBE that moves a subscription."""

from __future__ import annotations

from haproxy_voip.sip.message import Request, header, response_to
from tests.proxy.servers import Servers
from tests.proxy.test_subscriptions import Watch


def moved() -> tuple[Servers, Watch, Request]:
    stage = Servers()
    watch = Watch(stage).accepted()
    stage.kill("alpha")
    return stage, watch, stage.beta.take_request("SUBSCRIBE")


def test_it_answers_the_next_backends_challenge() -> None:
    stage, watch, again = moved()
    challenge = header("WWW-Authenticate", 'Digest realm="pbx", nonce="abc", qop="auth"')
    stage.beta.send(response_to(again, 401, None, "t", (challenge,)))
    proven = stage.beta.take_request("SUBSCRIBE")
    assert 'username="1001"' in (proven.get("authorization") or "")
    ok = stage.beta.answer(proven, 200, expires="500")
    watch.cseq = 0
    watch.notified(stage.beta, proven, ok, "terminated;reason=timeout")
    stage.assert_nothing_left()


def test_it_asks_for_longer_where_what_is_left_is_too_brief() -> None:
    stage, watch, again = moved()
    stage.beta.answer(again, 423, min_expires="1200")
    longer = stage.beta.take_request("SUBSCRIBE")
    assert longer.expires == 1200
    stage.beta.answer(longer, 423, min_expires="2400")
    last = watch.alice.take_request("NOTIFY")
    watch.alice.answer(last, 200)
    stage.assert_nothing_left()


def test_no_answer_is_probation() -> None:
    stage, watch, _ = moved()
    stage.pass_time(33)
    last = watch.alice.take_request("NOTIFY")
    assert last.get("subscription-state") == "terminated;reason=probation;retry-after=2"
    watch.alice.answer(last, 200)
    stage.assert_nothing_left()


def test_an_answer_that_makes_no_dialog_is_a_refusal() -> None:
    stage, watch, again = moved()
    ok = response_to(again, 200, None, "t")  # without Contact it cannot be refreshed, but it notifies
    stage.beta.send(ok)
    assert len(stage.node._subscriptions) == 1 or watch.alice.take_request("NOTIFY")
