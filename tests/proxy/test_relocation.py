"""Conversations that leave a backend which lives: built anew first, then moved, then ended where they were."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.facts import CallCarried, CallEnded, CallJoined, CallNotMoved, CallStaysJoined
from haproxy_voip.proxy.relocation import MOVE_SECONDS, ON_ITS_WAY_SECONDS
from tests.proxy.conversation import Conversation, converse, hung_up, joined, nobody_is_joined, plan_of, silent, theatre
from tests.proxy.stage import Stage
from tests.proxy.talk import leave_nothing, sdp


def drained(stage: Stage, call: Conversation) -> None:
    """Alpha is told to let go; beta was asked to take the call."""
    stage.command("drain", name="alpha", move="yes")
    assert joined_by_alpha(stage, call)


def joined_by_alpha(stage: Stage, call: Conversation) -> bool:
    """Whether nothing has changed for the two."""
    plans = [plan_of(stage, peer) for peer in (call.caller, call.callee)]
    return all(plan.bridge is None and plan.backend.remote.host == stage.alpha.host for plan in plans)  # type: ignore[union-attr]


def left_alone(stage: Stage, call: Conversation) -> None:
    """All is as it was, and stays so; alpha is still asked what the phones ask."""
    assert joined_by_alpha(stage, call) and silent(call.caller, call.callee)
    stage.pass_time(2 * MOVE_SECONDS)
    call.ours.callee, call.theirs.caller = stage.alpha, stage.alpha
    assert joined_by_alpha(stage, call) and silent(call.caller, call.callee)
    call.hang_up()
    stage.pass_time(1.0)


def test_it_is_built_anew_before_anything_changes_for_the_two() -> None:
    stage = theatre()
    call = converse(stage)
    drained(stage, call)
    call.claimed()
    assert joined_by_alpha(stage, call)
    call.carried()
    assert joined(stage, call.caller, call.callee)
    for peer in (call.caller, call.callee):  # what alpha has on its way to them arrives yet
        plan = plan_of(stage, peer)
        assert plan.handover and plan.backend.remote is not None and plan.backend.remote.host == stage.alpha.host
    assert stage.alpha.inbox == []
    stage.pass_time(ON_ITS_WAY_SECONDS)
    assert nobody_is_joined(stage)
    for peer in (call.caller, call.callee):
        plan = plan_of(stage, peer)
        assert plan.handover and plan.backend.remote is not None and plan.backend.remote.host == stage.beta.host
    hung_up(stage.alpha, stage.alpha)
    assert silent(call.caller, call.callee, stage.alpha)
    assert stage.node._calls.snapshot() == {"alpha": 0, "beta": 2, "charlie": 0}
    carried = [fact for fact in stage.facts if isinstance(fact, CallCarried)]
    assert len(carried) == 2 and {fact.backend for fact in carried} == {"beta"}
    assert not any(isinstance(fact, CallJoined) for fact in stage.facts)
    call.hang_up()
    leave_nothing(stage)


@pytest.mark.parametrize("asker", ["caller", "callee"])
def test_a_moved_call_is_a_full_call(asker: str) -> None:
    stage = theatre()
    call = converse(stage)
    moved(stage, call)
    talk = call.ours if asker == "caller" else call.theirs
    peer = call.caller if asker == "caller" else call.callee
    ask = talk.by_caller if asker == "caller" else talk.by_callee
    for direction, back in (("sendonly", "recvonly"), ("sendrecv", "sendrecv")):
        request = ask("INVITE", sdp(peer, 7000, direction=direction))
        there, ok = talk.across(request, body=sdp(stage.beta, 9500, direction=back))
        assert f"a={direction}".encode() in there.body
        talk.ack_of(request, ok)
    talk.across(ask("REFER", refer_to="<sip:1003@voip.test>"), 202)
    call.hang_up()


def moved(stage: Stage, call: Conversation, backend: str = "beta") -> None:
    drained(stage, call)
    call.rebuilt(backend)
    stage.pass_time(ON_ITS_WAY_SECONDS)
    hung_up(stage.alpha, stage.alpha)
    assert nobody_is_joined(stage)


def test_the_next_one_may_make_no_offer() -> None:
    stage = theatre()
    call = converse(stage)
    drained(stage, call)
    call.invited()
    call.theirs.caller = stage.beta
    invite = stage.beta.new(
        "INVITE",
        f"sip:{stage.token_of('1002')}@127.0.0.10:5060",
        from_=f"<sip:1001@{stage.beta.host}>;tag=without",
    )
    stage.beta.send(invite)
    stage.beta.take(100)
    ok = stage.beta.take_response(200)
    assert b"m=audio" in ok.body
    call.carried()
    assert joined_by_alpha(stage, call)
    stage.beta.ack(invite, ok, sdp(stage.beta, 9502))
    assert joined(stage, call.caller, call.callee)


# -- called off -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 486, 500, 503])
def test_one_that_refuses_changes_nothing(status: int) -> None:
    stage = theatre()
    call = converse(stage)
    drained(stage, call)
    stage.beta.answer(call.invited(), status)
    stage.pass_time(1.0)
    again = call.invited()  # once more, as something may have changed in the call
    stage.beta.answer(again, status)
    left_alone(stage, call)
    reasons = [fact.reason for fact in stage.facts if isinstance(fact, CallNotMoved)]
    assert len(reasons) == 2 and all(str(status) in reason for reason in reasons)


def test_one_that_never_calls_the_other_phone_gets_a_bye() -> None:
    stage = theatre()
    call = converse(stage)
    for _ in range(2):
        if _ == 0:
            drained(stage, call)
        call.invited()
        call.carried()
        stage.pass_time(MOVE_SECONDS + 1.1)
        hung_up(stage.beta)
    left_alone(stage, call)


def test_one_that_hangs_up_at_once_changes_nothing() -> None:
    stage = theatre()
    call = converse(stage)
    drained(stage, call)
    call.invited()
    call.carried()
    call.ours.by_callee("BYE")
    stage.beta.take(200)
    assert joined_by_alpha(stage, call) and silent(call.caller, call.callee)


def test_other_requests_in_the_new_dialog_may_be_tried_again() -> None:
    """As Asterisk's, when it lets its two ends send to each other."""
    stage = theatre()
    call = converse(stage)
    drained(stage, call)
    call.invited()
    call.carried()
    request = call.ours.by_callee("INVITE", sdp(stage.beta, 9700))
    stage.beta.send(stage.beta.ack_failure(request, stage.beta.take_response(491)))
    assert joined_by_alpha(stage, call) and silent(call.caller, call.callee)


@pytest.mark.parametrize("claimed", [False, True])
def test_a_change_in_the_call_calls_it_off(claimed: bool) -> None:
    stage = theatre()
    call = converse(stage)
    drained(stage, call)
    if claimed:
        call.claimed()
        ours, theirs = call.ours.callee, call.theirs
    call.ours.callee = stage.alpha
    request = call.ours.by_caller("INVITE", sdp(call.caller, direction="sendonly"))
    _, ok = call.ours.across(request, body=sdp(stage.alpha, 9000, direction="recvonly"))
    call.ours.ack_of(request, ok)
    call.caller.take(100)
    if claimed:
        assert ours is stage.beta and theirs.caller is stage.beta
        hung_up(stage.beta)
    assert joined_by_alpha(stage, call) and silent(call.caller, call.callee)


@pytest.mark.parametrize("step", ["asked", "claimed", "joined"])
@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_phone_that_hangs_up_meanwhile_ends_the_call(who: str, step: str) -> None:
    stage = theatre()
    call = converse(stage)
    ours, theirs = call.ours, call.theirs
    made = (ours.ok_sent, ours.callee, theirs.caller, theirs.invite, theirs.ok, ours.invited)
    drained(stage, call)
    if step != "asked":
        call.claimed()
    if step == "joined":
        call.carried()
    ours.ok_sent, ours.callee, theirs.caller, theirs.invite, theirs.ok, ours.invited = made  # type: ignore[assignment]
    (ours.by_caller if who == "caller" else theirs.by_callee)("BYE")
    (call.caller if who == "caller" else call.callee).take(200)
    stage.alpha.answer(stage.alpha.take_request("BYE"), 200)
    (theirs.by_caller if who == "caller" else ours.by_callee)("BYE")
    stage.alpha.take(200)
    hung_up(call.callee if who == "caller" else call.caller)
    stage.pass_time(60.0)
    assert stage.node._calls.count == 0 and stage.plans == {}
    assert len([fact for fact in stage.facts if isinstance(fact, CallEnded)]) == 2


# -- and somebody dies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["asked", "claimed", "joined"])
def test_when_the_old_backend_dies_meanwhile_they_are_joined_all_the_same(step: str) -> None:
    stage = theatre()
    call = converse(stage)
    drained(stage, call)
    if step == "asked":
        call.invited()
    else:
        call.claimed()
    if step == "joined":
        call.carried()
    stage.kill("alpha")
    if step == "joined":
        assert nobody_is_joined(stage)
        assert stage.node._calls.snapshot() == {"alpha": 0, "beta": 2, "charlie": 0}
        return
    assert joined(stage, call.caller, call.callee)
    stage.beta.answer(call.ours.invited, 487)  # it was cancelled with the move
    stage.pass_time(0.05)
    stage.beta.inbox = [one for one in stage.beta.inbox if getattr(one, "method", "") == "INVITE"][-1:]
    call.rebuilt()
    assert nobody_is_joined(stage) and silent(call.caller, call.callee)
    assert not any(isinstance(fact, CallStaysJoined | CallEnded) for fact in stage.facts)


@pytest.mark.parametrize("step", ["asked", "claimed"])
def test_when_the_next_backend_dies_the_one_after_it_is_asked(step: str) -> None:
    stage = theatre()
    call = converse(stage)
    drained(stage, call)
    if step == "claimed":
        call.claimed()
    stage.kill("beta")
    assert joined_by_alpha(stage, call)
    stage.pass_time(0.1)
    call.rebuilt("charlie")
    stage.pass_time(ON_ITS_WAY_SECONDS)
    assert stage.node._calls.snapshot() == {"alpha": 0, "beta": 0, "charlie": 2}


@pytest.mark.parametrize("why", ["the next backend dies", "it is not drained any more", "it is taken out"])
def test_once_they_are_joined_the_old_backend_hears_that_they_left_whatever_happens(why: str) -> None:
    """Seeds 30 and 84 of the storms: it believed in the call for ever."""
    stage = theatre()
    call = converse(stage)
    drained(stage, call)
    call.claimed()
    call.carried()
    match why:
        case "the next backend dies":
            stage.kill("beta")
        case "it is not drained any more":
            stage.command("ready", name="alpha")
        case _:
            stage.command("maint", name="alpha")
    hung_up(stage.alpha, stage.alpha)


def test_an_old_backend_that_dies_when_they_are_joined_hears_it_when_it_returns() -> None:
    stage = theatre()
    call = converse(stage)
    drained(stage, call)
    call.claimed()
    call.carried()
    stage.kill("alpha")
    stage.alpha.inbox.clear()
    stage.revive("alpha")
    hung_up(stage.alpha, stage.alpha)
