"""Requests within a call, both ways (RFC 3261 sections 12.2 and 14, RFC 3262, RFC 3311, RFC 3515, RFC 6086)."""

from __future__ import annotations

import pytest

from haproxy_voip.sip.message import Request, Response
from tests.proxy.talk import BOTH, Challenger, Make, answer_all, ask, calm, leave_nothing, outgoing, sdp

both = pytest.mark.parametrize("make", BOTH)
either = pytest.mark.parametrize("side", ["by_caller", "by_callee"])
METHODS = ["INFO", "MESSAGE", "UPDATE", "OPTIONS", "REFER", "NOTIFY", "SUBSCRIBE", "FROBNICATE"]


# -- what merely crosses ------------------------------------------------------------------------------


@both
@either
@pytest.mark.parametrize(
    "method", ["INFO", "MESSAGE", "UPDATE", "OPTIONS", "REFER", "NOTIFY", "SUBSCRIBE", "FROBNICATE"]
)
def test_every_method_crosses_and_its_answer_comes_back(make: Make, side: str, method: str) -> None:
    talk = make(calm()).established()
    request = ask(talk, side, method, x_custom="kept, as it is", refer_sub="false")
    there, answer = talk.across(request, 202, x_answer="as well")
    assert there.get("x-custom") == "kept, as it is"
    assert answer.get("x-answer") == "as well"
    assert there.call_id != request.call_id
    assert answer.cseq == request.cseq
    talk.hang_up()


@both
def test_dtmf_by_info_keeps_its_body(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.by_caller("INFO", b"Signal=5\r\nDuration=160\r\n", content_type="application/dtmf-relay")
    there, _ = talk.across(request)
    assert there.body == b"Signal=5\r\nDuration=160\r\n"
    assert there.content_type == "application/dtmf-relay"


@both
def test_max_forwards_is_counted_down(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.caller.within(talk.invite, talk.ok or Response(200), "INFO", 50)
    request.set("max-forwards", "10")
    talk.caller.send(request)
    assert talk.callee.take_request("INFO").max_forwards == 9


@both
def test_a_refusal_comes_back_without_ending_the_call(make: Make) -> None:
    talk = make(calm()).established()
    talk.across(talk.by_caller("INFO"), 415, accept="application/dtmf-relay")
    talk.hang_up()


@both
@either
def test_481_to_a_request_ends_the_call_for_the_other_party(make: Make, side: str) -> None:
    talk = make(calm()).established()
    request = ask(talk, side, "INFO")
    talk.across(request, 481)
    sender, other = talk.ends(request)
    sender.answer(sender.take_request("BYE"), 200)
    assert [one for one in other.inbox if isinstance(one, Request)] == []
    leave_nothing(talk.stage)


@both
def test_481_to_a_notify_is_about_the_subscription_alone(make: Make) -> None:
    talk = make(calm()).established()
    talk.across(talk.by_callee("NOTIFY", event="refer", subscription_state="active"), 481)
    talk.hang_up()


@both
def test_a_request_nobody_answers_ends_the_call_and_gets_no_late_408(make: Make) -> None:
    talk = make(calm()).established()
    talk.by_caller("INFO")
    talk.stage.pass_time(33)
    assert [one for one in talk.caller.inbox if isinstance(one, Response) and one.status == 408] == []
    talk.caller.answer(talk.caller.take_request("BYE"), 200)
    leave_nothing(talk.stage)


@both
def test_requests_that_wait_when_the_call_ends_are_answered_487(make: Make) -> None:
    talk = make(calm()).established()
    talk.by_callee("INFO")
    talk.by_caller("BYE")
    assert talk.callee.take_response(487).cseq.method == "INFO"
    answer_all(talk.stage, "BYE")
    leave_nothing(talk.stage)


# -- sessions that change (RFC 3261 section 14) -------------------------------------------------------


@both
@either
def test_a_re_invite_crosses_with_its_ack(make: Make, side: str) -> None:
    talk = make(calm()).established()
    sender, other = (talk.caller, talk.callee) if side == "by_caller" else (talk.callee, talk.caller)
    request = ask(talk, side, "INVITE", sdp(sender, 7100))
    there, ok = talk.across(request, 200, sdp(other, 9100))
    assert b"127.0.0.10" in there.body and b"127.0.0.10" in ok.body
    assert ok.contacts[0].uri.host == "127.0.0.10"
    ack = talk.ack_of(request, ok)
    assert ack.cseq.number == there.cseq.number
    talk.stage.pass_time(5)
    talk.hang_up()


@both
def test_a_request_older_than_the_last_is_refused(make: Make) -> None:
    talk = make(calm()).established()
    talk.across(talk.by_caller("INFO"))
    old = talk.caller.within(talk.invite, talk.ok or Response(200), "INFO", 5)
    talk.caller.send(old)
    talk.caller.take(500)


@both
def test_a_re_invite_can_be_cancelled(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.by_caller("INVITE", sdp(talk.caller, 7100))
    there = talk.callee.take_request("INVITE")
    talk.callee.answer(there, 180)
    talk.caller.take(180)
    talk.caller.cancel(request)
    talk.caller.take(200)
    talk.callee.answer(talk.callee.take_request("CANCEL"), 200)
    talk.callee.answer(there, 487)
    talk.callee.take("ACK")
    answer = talk.caller.take_response(487)
    talk.caller.send(talk.caller.ack_failure(request, answer))
    talk.hang_up()


@both
def test_a_re_invite_nobody_answers_ends_the_call(make: Make) -> None:
    talk = make(calm()).established()
    talk.by_caller("INVITE", sdp(talk.caller, 7100))
    talk.stage.pass_time(33)
    talk.caller.take(408)
    answer_all(talk.stage, "BYE")
    leave_nothing(talk.stage)


@both
def test_a_bad_offer_is_refused_and_changes_nothing(make: Make) -> None:
    talk = make(calm()).established()
    talk.by_caller("INVITE", b"v=0\r\nm=audio nonsense\r\n")
    talk.caller.take(400)
    assert talk.callee.inbox == []
    again = talk.by_caller("INVITE", sdp(talk.caller))
    _, ok = talk.across(again, 200, sdp(talk.callee, 9000))
    talk.ack_of(again, ok)
    talk.hang_up()


@both
def test_a_bad_answer_ends_the_call(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.by_caller("INVITE", sdp(talk.caller))
    there = talk.callee.take_request("INVITE")
    talk.callee.answer(there, 200, body=b"v=1\r\n")
    talk.callee.take("ACK")
    answer = talk.caller.take_response(502)
    talk.caller.send(talk.caller.ack_failure(request, answer))
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    talk.caller.answer(talk.caller.take_request("BYE"), 200)
    leave_nothing(talk.stage)


@both
def test_a_re_invite_before_the_call_is_answered_is_refused(make: Make) -> None:
    talk = make(calm())
    ringing = talk.provisional(180)
    talk.by_caller("INVITE", sdp(talk.caller), early=ringing)
    talk.caller.take(491)


# -- backends that challenge --------------------------------------------------------------------------


def test_a_challenged_request_within_the_call_is_sent_again_as_well() -> None:
    talk = outgoing(calm()).established()
    challenger = Challenger(talk.stage)
    request = talk.by_caller("INVITE", sdp(talk.caller, 7100))
    first = talk.callee.take_request("INVITE")
    challenger.challenge(first)
    talk.callee.take("ACK")
    there, ok = talk.across(request, 200, sdp(talk.callee, 9000))
    assert challenger.accepts(there) and there.cseq.number == first.cseq.number + 1
    assert talk.ack_of(request, ok).get("authorization") == there.get("authorization")
    talk.hang_up()


@pytest.mark.parametrize("method", ["INVITE", "INFO"])
def test_a_challenge_that_is_not_satisfied_reaches_the_client_as_403(method: str) -> None:
    talk = outgoing(calm()).established()
    request = talk.by_caller(method)
    challenger = Challenger(talk.stage)
    for _ in range(3):
        challenger.challenge(talk.callee.take_request(method))
    answer = talk.caller.take_response(403)
    if method == "INVITE":
        talk.caller.send(talk.caller.ack_failure(request, answer))
    assert [one for one in talk.callee.inbox if isinstance(one, Request) and one.method == method] == []
    talk.hang_up()


def test_a_challenged_invite_is_sent_again_with_credentials_and_so_is_its_ack() -> None:
    """RFC 3261 section 22.1: the ACK repeats the INVITE's credentials."""
    talk = outgoing(calm())
    challenger = Challenger(talk.stage)
    challenger.challenge(talk.invited)
    talk.callee.take("ACK")
    first, talk.invited = talk.invited, talk.callee.take_request("INVITE")
    assert challenger.accepts(talk.invited)
    assert talk.invited.cseq.number == first.cseq.number + 1
    assert talk.caller.inbox == []
    talk.answer()
    assert talk.acknowledge().get("authorization") == talk.invited.get("authorization")
    talk.hang_up()


def test_an_invite_whose_credentials_are_refused_ends_with_403() -> None:
    talk = outgoing(calm())
    challenger = Challenger(talk.stage)
    challenger.challenge(talk.invited)
    for _ in range(2):
        challenger.challenge(talk.callee.take_request("INVITE"))
    talk.caller.take(403)
    leave_nothing(talk.stage)
