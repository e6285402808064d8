"""What a backend means that calls a phone while calls are being built anew: that one, a new one, or nobody knows."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.claims import GROUP_SECONDS
from haproxy_voip.proxy.survival import REBUILD_SECONDS
from haproxy_voip.sip.message import Request
from tests.proxy.conversation import (
    Conversation,
    claim,
    converse,
    dial,
    hung_up,
    joined,
    known,
    nobody_is_joined,
    plan_of,
    prove,
    requests,
    ring,
    silent,
    theatre,
)
from tests.proxy.stage import Peer, Stage
from tests.proxy.talk import Talk, sdp

USERS = ("1001", "1002", "1003", "1004", "1005")


def up(talk: Talk, port: int) -> Talk:
    talk.answer(sdp(talk.callee, port))
    talk.acknowledge()
    return talk


def doubtful(stage: Stage, backend: str, caller: str, callee: str, **headers: str | bytes) -> None:
    """This backend's INVITE is refused, and nobody hears of it."""
    pbx = stage.backends[backend]
    invite = claim(stage, backend, caller, callee, **headers)
    pbx.send(pbx.ack_failure(invite, pbx.take_response(480)))
    assert "INVITE" not in requests(known(stage, callee))


def rung(stage: Stage, backend: str, caller: str, callee: str) -> Request:
    """The phone rings for this call: it is a new one."""
    claim(stage, backend, caller, callee)
    return known(stage, callee).take_request("INVITE")


def of_the_callee(stage: Stage, backend: str, phone: Peer) -> bool:
    """Whether this backend carries the call at this phone."""
    remote = plan_of(stage, phone).backend.remote
    return remote is not None and remote.host == stage.backends[backend].host


# -- the call that is meant -----------------------------------------------------------------------------


def test_who_is_known_to_be_the_other_end_is_claimed_under_any_name() -> None:
    """After a transfer by the backend the callee's phone shows somebody who is gone; the next one says who it is."""
    stage = theatre(USERS)
    call = converse(stage, dialled="600", name="1004")
    prove(call)
    stage.kill("alpha")
    call.rebuilt()
    assert silent(call.caller, call.callee)
    call.hang_up()


def test_with_one_call_and_one_leg_of_that_caller_nobody_else_can_be_meant() -> None:
    """The call went through a queue, and nothing was heard of it yet."""
    stage = theatre(USERS)
    call = converse(stage, dialled="600", after=1.0)
    stage.kill("alpha")
    assert nobody_is_joined(stage)
    call.rebuilt()
    assert silent(call.caller, call.callee)
    call.hang_up()


def test_the_token_says_which_call_is_meant_under_any_name_and_among_any_number() -> None:
    """A backend that is a proxy repeats it."""
    stage = theatre(USERS)
    call = converse(stage, dialled="600")
    prove(call)
    other = converse(stage, "1003", "1004", backend_port=9100)
    stage.kill("alpha")
    token = call.invited().get("x-haproxy-voip-call") or ""
    claim(stage, "beta", "+431234", "1002", x_haproxy_voip_call=token)
    stage.beta.take(200)
    assert silent(call.callee) and joined(stage, other.caller, other.callee)


def test_a_token_for_another_phone_claims_nothing() -> None:
    stage = theatre(USERS)
    call = converse(stage)
    other = converse(stage, "1003", "1004", backend_port=9100)
    stage.kill("alpha")
    token = call.invited().get("x-haproxy-voip-call") or ""
    doubtful(stage, "beta", "1003", "1004", x_haproxy_voip_call=token)
    assert joined(stage, other.caller, other.callee)


def test_each_of_two_callers_gets_their_own() -> None:
    stage = theatre(USERS)
    first = converse(stage, "1001", "1002")
    second = converse(stage, "1003", "1004", backend_port=9100)
    stage.kill("alpha")
    second.ours.callee, second.ours.invited = stage.beta, _invite_for(stage, "1004")
    first.ours.callee, first.ours.invited = stage.beta, _invite_for(stage, "1002")
    for call, caller, callee in ((second, "1003", "1004"), (first, "1001", "1002")):
        call.theirs.caller, call.theirs.invite = stage.beta, claim(stage, "beta", caller, callee)
        call.theirs.ok = stage.beta.take_response(200)
        stage.beta.ack(call.theirs.invite, call.theirs.ok)
        call.carried()
    assert silent(first.caller, first.callee, second.caller, second.callee)
    first.hang_up()
    second.hang_up()


def _invite_for(stage: Stage, user: str) -> Request:
    found = next(one for one in stage.beta.inbox if isinstance(one, Request) and one.uri.startswith(f"sip:{user}@"))
    stage.beta.inbox.remove(found)
    return found


def test_of_two_calls_of_one_caller_the_second_is_called_when_the_first_is_there() -> None:
    """Call waiting: one is held, one is talked on."""
    stage = theatre(USERS)
    first = converse(stage, "1001", "1002")
    stage.pass_time(1)
    second = converse(stage, "1001", "1003", backend_port=9100)
    stage.kill("alpha")
    assert len([one for one in stage.beta.inbox if isinstance(one, Request) and one.method == "INVITE"]) == 1
    first.rebuilt()
    second.rebuilt()
    assert silent(first.caller, first.callee, second.callee)
    first.hang_up()
    second.hang_up()


def test_two_calls_between_the_same_two_are_not_crossed() -> None:
    stage = theatre(USERS)
    first = converse(stage)
    stage.pass_time(1)
    second = converse(stage, backend_port=9100)
    ends = {
        install.plan.backend.remote.port: install.plan  # type: ignore[union-attr]
        for install in stage.plans.values()
    }
    stage.kill("alpha")
    bridges = {install.plan.stream: install.plan.bridge for install in stage.plans.values()}
    assert bridges[ends[9000].stream] == ends[9002].stream and bridges[ends[9100].stream] == ends[9102].stream
    first.rebuilt()
    second.rebuilt()
    now = {plan.plan.stream: plan.plan.backend.remote for plan in stage.plans.values()}
    assert all(remote is not None and remote.host == stage.beta.host for remote in now.values())
    assert silent(first.caller, first.callee)


def test_a_turn_that_is_not_taken_does_not_cost_the_others_theirs() -> None:
    stage = theatre(USERS)
    first = converse(stage, "1001", "1002")
    stage.pass_time(1)
    second = converse(stage, "1001", "1003", backend_port=9100)
    stage.kill("alpha")
    stage.beta.answer(first.invited(), 180)
    stage.pass_time(REBUILD_SECONDS + 0.1)
    stage.beta.answer(stage.beta.take_request("CANCEL"), 200)
    stage.beta.answer(first.ours.invited, 487)
    stage.beta.take("ACK")
    stage.pass_time(0.05)
    second.rebuilt()
    assert silent(first.caller, first.callee, second.callee)
    second.ours.by_caller("BYE")


# -- doubt ----------------------------------------------------------------------------------------------


def test_two_calls_and_one_leg_of_that_caller_claim_nothing_ever() -> None:
    """Neither in the first turn nor in the last, when the other one has found another end."""
    stage = theatre(USERS)
    first = up(dial(stage, "1001", "600"), 9000)
    second = up(dial(stage, "1001", "601"), 9100)
    leg = ring(stage, "alpha", "1001", "1002", port=9200)
    up(leg, 7000)
    stage.kill("alpha")
    for talk, port in ((first, 9500), (second, 9510)):
        talk.callee, talk.invited = stage.beta, stage.beta.take_request("INVITE")
        doubtful(stage, "beta", "1001", "1002")
        talk.ok_sent = stage.beta.answer(talk.invited, 200, tag=str(port), body=sdp(stage.beta, port))
        stage.beta.take("ACK")
    stage.pass_time(REBUILD_SECONDS + 0.1)
    hung_up(leg.callee)
    assert silent(first.caller)


def test_one_call_and_two_legs_of_that_name_claim_nothing() -> None:
    """The same number is on another call: spoofed, or of the backend's own making."""
    stage = theatre(USERS)
    call = converse(stage)
    stranger = ring(stage, "alpha", "1001", "1003", port=9200)
    up(stranger, 7000)
    stage.kill("alpha")
    assert nobody_is_joined(stage)
    invited = call.invited()
    doubtful(stage, "beta", "1001", "1002")
    doubtful(stage, "beta", "1001", "1003")
    stage.beta.answer(invited, 486)
    hung_up(call.caller)
    stage.pass_time(REBUILD_SECONDS)
    hung_up(call.callee, stranger.callee)


def test_a_new_call_of_the_caller_to_the_phone_that_waits_is_a_doubt_and_to_any_other_is_none() -> None:
    stage = theatre(USERS)
    call = converse(stage)
    stage.kill("alpha")
    stage.beta.answer(call.invited(), 100)
    call.caller.request("INVITE", f"sip:1002@{stage.domain}", body=sdp(call.caller, 7100))
    stage.beta.take("INVITE")
    doubtful(stage, "beta", "1001", "1002")
    assert plan_of(stage, call.callee).bridge is not None
    assert rung(stage, "beta", "1001", "1003")


def test_another_offer_than_the_phone_has_answered_is_a_doubt() -> None:
    stage = theatre(USERS)
    call = converse(stage)
    stage.kill("alpha")
    stage.beta.answer(call.invited(), 100)
    doubtful(stage, "beta", "1001", "1002", body=sdp(stage.beta, 9502, formats="9"))
    assert joined(stage, call.caller, call.callee) and silent(call.callee)


def test_an_offer_of_more_than_the_two_agreed_on_is_none() -> None:
    """Asterisk's `direct_media`: its re-INVITEs offer only the codecs in use, the next server's INVITE all it has."""
    stage = theatre(USERS)
    call = converse(stage)
    for talk in (call.ours, call.theirs):
        party = talk.caller if talk is call.theirs else talk.callee
        phone = talk.callee if talk is call.theirs else talk.caller
        ask = talk.by_caller if talk is call.theirs else talk.by_callee
        request = ask("INVITE", sdp(party, 9100, formats="0"))
        _, answer = talk.across(request, 200, sdp(phone, formats="0"))
        talk.ack_of(request, answer)
    stage.kill("alpha")
    call.claimed("beta", sdp(stage.beta, 9502, formats="8 0 3"))
    assert call.theirs.ok is not None and b"RTP/AVP 0\r\n" in call.theirs.ok.body
    call.carried("beta")
    assert silent(call.caller, call.callee)
    call.hang_up()


@pytest.mark.parametrize("body", [b"v=nonsense\r\n", b"\0"])
def test_so_is_one_that_cannot_be_read(body: bytes) -> None:
    stage = theatre(USERS)
    call = converse(stage)
    stage.kill("alpha")
    stage.beta.answer(call.invited(), 100)
    doubtful(stage, "beta", "1001", "1002", body=body)


# -- phones that are not meant --------------------------------------------------------------------------


def test_a_group_that_is_called_again_for_a_call_that_was_answered_does_not_ring() -> None:
    stage = theatre(USERS)
    call = converse(stage, dialled="600")
    prove(call)
    stage.kill("alpha")
    stage.beta.answer(call.invited(), 100)
    doubtful(stage, "beta", "1001", "1003")
    doubtful(stage, "beta", "1001", "1004")
    claim(stage, "beta", "1001", "1002")
    stage.beta.take(200)


def test_a_callee_who_did_not_answer_and_whose_voicemail_did_does_not_ring_again() -> None:
    stage = theatre(USERS)
    talk = up(dial(stage, "1001", "1002"), 9000)
    bob = stage.phone("1002")
    stage.kill("alpha")
    talk.callee, talk.invited = stage.beta, stage.beta.take_request("INVITE")
    doubtful(stage, "beta", "1001", "1002")
    talk.ok_sent = stage.beta.answer(talk.invited, 200, body=sdp(stage.beta, 9500))  # the voicemail again
    stage.beta.take("ACK")
    assert silent(talk.caller, bob)
    talk.hang_up()


def test_a_queue_that_took_the_caller_again_may_ring_its_agents() -> None:
    """Who waited in it when the backend died waits in it again."""
    stage = theatre(USERS)
    talk = up(dial(stage, "1001", "600"), 9000)
    stage.kill("alpha")
    talk.callee, talk.invited = stage.beta, stage.beta.take_request("INVITE")
    talk.ok_sent = stage.beta.answer(talk.invited, 200, body=sdp(stage.beta, 9500))
    stage.beta.take("ACK")
    assert rung(stage, "beta", "1001", "1003")


def test_one_that_had_put_the_caller_through_may_not_until_it_finds_the_same_agent() -> None:
    stage = theatre(USERS)
    call = converse(stage, dialled="600")
    prove(call)
    stage.kill("alpha")
    call.invited()
    call.carried()
    doubtful(stage, "beta", "1001", "1003")
    claim(stage, "beta", "1001", "1002")
    stage.beta.take(200)
    assert nobody_is_joined(stage) and silent(call.caller, call.callee)
    stage.pass_time(GROUP_SECONDS)
    assert rung(stage, "beta", "1001", "1003")


def test_the_rest_of_a_group_is_not_rung_for_a_moment_when_the_agent_is_found_first() -> None:
    """Asterisk 16 calls the next phone of a ring group before it has seen that the first one answered."""
    stage = theatre(USERS)
    call = converse(stage, dialled="600")
    prove(call)
    stage.kill("alpha")
    call.rebuilt()
    doubtful(stage, "beta", "1001", "1003")
    assert rung(stage, "beta", "1004", "1003")
    call.caller.request("INVITE", "sip:1002@voip.test", body=sdp(call.caller, 7100))
    assert stage.beta.take_request("INVITE")
    assert rung(stage, "beta", "1001", "1002")  # a new call of the same caller


def test_a_phone_whose_caller_comes_under_a_name_of_the_backends_making_does_not_ring() -> None:
    stage = theatre(USERS)
    call = converse(stage, name="+431234")
    prove(call)
    stage.kill("alpha")
    invited = call.invited()
    doubtful(stage, "beta", "+431234", "1002")
    stage.beta.answer(invited, 480)
    assert joined(stage, call.caller, call.callee) and silent(call.caller, call.callee)


@pytest.mark.parametrize("caller", ["1003", "anonymous", "0"])
def test_somebody_else_who_calls_meanwhile_rings_as_ever(caller: str) -> None:
    stage = theatre(USERS)
    call = converse(stage)
    stage.kill("alpha")
    stage.beta.answer(call.invited(), 100)
    waiting = rung(stage, "beta", caller, "1002")
    assert joined(stage, call.caller, call.callee)
    call.callee.answer(waiting, 486)
    claim(stage, "beta", "1001", "1002")
    assert stage.beta.take_response(200) and stage.beta.take(486)


def test_a_stranger_with_the_callers_number_who_calls_afterwards_is_a_new_call() -> None:
    stage = theatre(USERS)
    call = converse(stage)
    stage.kill("alpha")
    call.rebuilt()
    assert rung(stage, "beta", "1001", "1002")


def test_and_one_who_calls_during_a_talk_without_a_backend_as_well() -> None:
    stage = theatre(USERS)
    call = converse(stage)
    stage.kill("alpha")
    stage.beta.answer(call.invited(), 486)
    assert rung(stage, "beta", "1001", "1002")
    assert joined(stage, call.caller, call.callee)


def test_another_backend_than_the_one_asked_claims_nothing() -> None:
    stage = theatre(USERS)
    call = converse(stage)
    stage.kill("alpha")
    stage.beta.answer(call.invited(), 100)
    doubtful(stage, "charlie", "1001", "1002")
    assert joined(stage, call.caller, call.callee) and not of_the_callee(stage, "charlie", call.callee)


def test_two_transferred_to_each_other_by_the_backend_talk_on_without_one() -> None:
    """Both were called; nobody is there to call for them at the next one."""
    stage = theatre(USERS)
    first, second = ring(stage, "alpha", "1004", "1001"), ring(stage, "alpha", "1004", "1002", port=9100)
    up(first, 7000)
    up(second, 7000)
    first.caller = second.caller = stage.alpha
    prove(Conversation(stage, Talk(stage, first.callee, stage.alpha, first.invite, first.invited), second))
    stage.kill("alpha")
    stage.pass_time(60)
    assert joined(stage, first.callee, second.callee) and silent(first.callee, second.callee, stage.beta)
    first.by_callee("BYE")
    first.callee.take(200)
    hung_up(second.callee)
