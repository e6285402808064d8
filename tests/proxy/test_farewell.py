"""Hanging up, also at odd times (RFC 3261 section 15)."""

from __future__ import annotations

import pytest

from haproxy_voip.sip.message import Request
from tests.proxy.talk import BOTH, Challenger, Make, answer_all, calm, leave_nothing, outgoing

both = pytest.mark.parametrize("make", BOTH)


@both
def test_byes_that_cross_are_both_answered(make: Make) -> None:
    talk = make(calm()).established()
    talk.by_caller("BYE")
    talk.by_callee("BYE")
    talk.caller.take(200)
    talk.callee.take(200)
    assert answer_all(talk.stage, "BYE") == 1
    leave_nothing(talk.stage)


@both
def test_a_caller_that_hangs_up_before_its_ack_arrives(make: Make) -> None:
    talk = make(calm())
    ok = talk.answer()
    talk.by_caller("BYE")
    talk.caller.take(200)
    assert talk.callee.take_request("ACK").cseq.number == talk.invited.cseq.number
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    talk.caller.ack(talk.invite, ok)
    talk.caller.inbox.clear()
    talk.stage.pass_time(5)
    assert talk.caller.inbox == []
    leave_nothing(talk.stage)


@both
def test_a_callee_that_hangs_up_before_the_ack(make: Make) -> None:
    talk = make(calm())
    talk.answer()
    talk.by_callee("BYE")
    talk.callee.take(200)
    talk.callee.take("ACK")
    assert not [one for one in talk.caller.inbox if isinstance(one, Request)]
    assert talk.ok is not None
    talk.caller.ack(talk.invite, talk.ok)
    talk.caller.answer(talk.caller.take_request("BYE"), 200)
    leave_nothing(talk.stage)


@both
def test_a_bye_in_the_only_early_dialog_cancels_the_call(make: Make) -> None:
    talk = make(calm())
    ringing = talk.provisional(180)
    talk.by_caller("BYE", early=ringing)
    talk.caller.take(200)
    talk.caller.take(487)
    talk.callee.answer(talk.callee.take_request("CANCEL"), 200)
    talk.callee.answer(talk.invited, 487)
    leave_nothing(talk.stage)


@both
def test_a_callee_that_says_bye_before_it_answered_is_taken_to_refuse(make: Make) -> None:
    talk = make(calm())
    ringing = talk.callee.answer(talk.invited, 180)
    talk.by_callee("BYE", early=ringing)
    talk.callee.take(200)
    talk.caller.take(480)
    talk.callee.answer(talk.callee.take_request("CANCEL"), 200)
    talk.callee.answer(talk.invited, 487)
    leave_nothing(talk.stage)


@both
def test_requests_after_the_end_get_481(make: Make) -> None:
    talk = make(calm()).established()
    talk.by_caller("BYE")
    answer_all(talk.stage, "BYE")
    talk.caller.inbox.clear()
    talk.by_caller("INFO")
    talk.caller.take(481)
    talk.stage.pass_time(40)
    talk.by_caller("INFO")
    talk.caller.take(481)


def test_a_challenged_bye_is_sent_again() -> None:
    talk = outgoing(calm()).established()
    talk.by_caller("BYE")
    Challenger(talk.stage).challenge(talk.callee.take_request("BYE"))
    again = talk.callee.take_request("BYE")
    assert again.has("authorization")
    talk.callee.answer(again, 200)
    leave_nothing(talk.stage)


@both
def test_why_we_hang_up_is_not_told_to_the_parties(make: Make) -> None:
    """They would learn of the servers behind us."""
    stage = calm()
    talk = make(stage).established()
    for name in ("beta", "charlie", "alpha"):
        stage.command("maint", name=name)
    client = talk.caller if talk.caller.user else talk.callee
    reasons = [peer.take_request("BYE").get("reason") for peer in (client, stage.alpha)]
    assert reasons == ['SIP;cause=500;text="Server Internal Error"'] * 2
