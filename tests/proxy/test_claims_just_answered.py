"""A backend that dies after it took the callee's answer, and before it passed that on: the caller waits, one talks."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.survival import PASSED_ON_SECONDS, REBUILD_SECONDS
from haproxy_voip.sip.message import Request
from tests.proxy.conversation import (
    Conversation,
    calls_of,
    claim,
    converse,
    dial,
    hung_up,
    known,
    requests,
    ring,
    theatre,
)
from tests.proxy.stage import Stage
from tests.proxy.talk import leave_nothing, sdp

USERS = ("1001", "1002", "1003", "1004")


def half_answered(stage: Stage, dialled: str = "1002", since: float = 0.001) -> Conversation:
    """1002 talks to alpha, which has told the caller nothing."""
    ours = dial(stage, "1001", dialled)
    theirs = ring(stage, "alpha", "1001", "1002")
    theirs.answer(sdp(theirs.callee, 7000))
    theirs.acknowledge()
    stage.pass_time(since)
    return Conversation(stage, ours, theirs)


def answered_by(stage: Stage, call: Conversation, backend: str = "beta") -> None:
    """The caller, who waited, hears the callee."""
    pbx = stage.backends[backend]
    call.ours.callee, call.ours.ok_sent = pbx, pbx.answer(call.ours.invited, 200, tag="new", body=sdp(pbx, 9500))
    call.ours.ok = call.ours.caller.take_response(200)
    call.ours.acknowledge()


def test_the_caller_is_put_through_to_the_phone_that_talks_and_that_rings_no_second_time() -> None:
    stage = theatre(USERS)
    call = half_answered(stage)
    stage.kill("alpha")
    call.claimed()
    answered_by(stage, call)
    assert requests(call.callee) == []
    call.hang_up()
    leave_nothing(stage)


def test_one_of_several_calls_of_the_caller_rings_anew_rather_than_being_refused() -> None:
    """Which leg is meant is in doubt; that this caller waits for this phone is not."""
    stage = theatre(USERS)
    converse(stage, "1001", "1003", backend_port=9100)
    call = half_answered(stage)
    stage.kill("alpha")
    claim(stage, "beta", "1001", "1002")
    again = call.callee.take_request("INVITE")
    call.callee.answer(again, 200, tag="again", body=sdp(call.callee, 7002))
    stage.beta.take(200)
    stage.pass_time(REBUILD_SECONDS)
    hung_up(call.callee)  # of the first time


@pytest.mark.parametrize(
    ("dialled", "since"),
    [
        pytest.param("600", 0.001, id="a caller who asked for a group may be put through to another phone"),
        pytest.param("1002", PASSED_ON_SECONDS, id="a caller who still waits after so long waits for somebody else"),
    ],
)
def test_otherwise_the_phone_rings_as_for_anybody_and_no_leg_is_taken_for_another(dialled: str, since: float) -> None:
    stage = theatre(USERS)
    call = half_answered(stage, dialled, since)
    stage.kill("alpha")
    call.invited()
    claim(stage, "beta", "1001", "1002")
    assert requests(call.callee) == ["INVITE"]
    assert len(calls_of(stage)) == 3


def test_a_caller_who_may_talk_to_the_phone_already_is_not_crossed_with_one_who_waits() -> None:
    """Two calls of one user, one of which was answered: by this phone, for all that is known."""
    stage = theatre(USERS)
    up = converse(stage, dialled="600")
    dial(stage, "1001", "1002")
    stage.kill("alpha")
    claim(stage, "beta", "1001", "1002")
    assert requests(up.callee) == ["INVITE"]
    assert all(isinstance(message, Request) for message in stage.beta.inbox)


def test_a_change_of_the_session_that_was_not_acknowledged_is_no_answer_that_nobody_heard() -> None:
    """Found by seed 6354 of the simulation: somebody else whose number is hidden was put through to who talks."""
    stage = theatre(USERS)
    call = converse(stage, dialled="600", name="anonymous", after=1.0)
    call.theirs.by_caller("INVITE", sdp(stage.alpha, 9900))
    call.callee.answer(call.callee.take_request("INVITE"), 200, body=sdp(call.callee, 7000))
    stage.alpha.take_response(200)
    stage.kill("alpha")
    call.invited()
    stage.beta.answer(call.ours.invited, 486)
    known(stage, "1003").request("INVITE", f"sip:700@{stage.domain}", body=sdp(known(stage, "1003"), 7300))
    stage.beta.take("INVITE")
    claim(stage, "beta", "anonymous", "1002")
    assert "INVITE" in requests(call.callee)
