"""A call is hung up while the next backend is asked for it: what that backend does for it is taken for no other's."""

from __future__ import annotations

from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.survival import REBUILD_SECONDS
from haproxy_voip.proxy.topology import TOKEN_HEADER
from haproxy_voip.proxy.withdrawn import ANSWERED_SECONDS, MAX_WITHDRAWN
from haproxy_voip.sip.message import Request
from tests.proxy.conversation import (
    Conversation,
    calls_of,
    claim,
    converse,
    hung_up,
    joined,
    known,
    requests,
    silent,
    theatre,
)
from tests.proxy.stage import Peer, Stage
from tests.proxy.talk import leave_nothing, sdp

# Until it is looked again whether a backend has answered.
LOOKED = 0.05


def twice() -> tuple[Stage, Conversation, Conversation]:
    """Two calls between the same two; beta is asked for the first."""
    stage = theatre()
    first = converse(stage)
    stage.pass_time(1)
    second = converse(stage, backend_port=9100)
    stage.kill("alpha")
    stage.beta.answer(first.invited(), 100)
    return stage, first, second


def withdrawn(call: Conversation) -> None:
    """Its caller hangs up, and beta is told."""
    call.ours.by_caller("BYE")
    call.caller.take(200)
    hung_up(call.callee)
    call.stage.beta.answer(call.stage.beta.take_request("CANCEL"), 200)


def terminated(pbx: Peer, invite: Request) -> None:
    """The backend does as it was told."""
    pbx.answer(invite, 487)
    pbx.take("ACK")


def cancelled(stage: Stage) -> Request:
    """1001 makes one more call to 1002, and gives it up at once; as beta got it."""
    phone = known(stage, "1001")
    invite = phone.request("INVITE", f"sip:1002@{stage.domain}", body=sdp(phone))
    taken = stage.beta.take_request("INVITE")
    stage.beta.answer(taken, 100)
    phone.cancel(invite)
    phone.inbox.clear()
    stage.beta.answer(stage.beta.take_request("CANCEL"), 200)
    return taken


def refused(stage: Stage) -> None:
    """What beta does for a call that is over disturbs nobody."""
    invite = claim(stage, "beta", "1001", "1002")
    stage.beta.send(stage.beta.ack_failure(invite, stage.beta.take_response(480)))


def test_of_two_calls_between_the_same_two_one_that_is_hung_up_does_not_take_the_other_with_it() -> None:
    """Found by seed 8016 of the simulation: beta's INVITE for the first crossed our CANCEL."""
    stage, first, second = twice()
    withdrawn(first)
    assert requests(stage.beta) == []
    refused(stage)
    terminated(stage.beta, first.ours.invited)
    stage.pass_time(LOOKED)
    second.rebuilt()
    assert silent(first.caller, first.callee)
    second.hang_up()
    leave_nothing(stage)


def test_a_backend_that_does_not_answer_is_not_waited_for() -> None:
    stage, first, second = twice()
    withdrawn(first)
    stage.pass_time(ANSWERED_SECONDS - LOOKED)
    assert requests(stage.beta) == []
    stage.pass_time(2 * LOOKED)
    second.rebuilt()
    assert silent(first.caller, first.callee)


def test_whoever_waits_for_that_may_hang_up() -> None:
    stage, first, second = twice()
    withdrawn(first)
    second.ours.by_caller("BYE")
    second.caller.take(200)
    hung_up(second.callee)
    stage.pass_time(2 * ANSWERED_SECONDS)
    assert requests(stage.beta) == []
    terminated(stage.beta, first.ours.invited)
    leave_nothing(stage)


def test_the_backend_may_die_meanwhile() -> None:
    stage, first, second = twice()
    withdrawn(first)
    stage.kill("beta")
    second.rebuilt("charlie")
    stage.pass_time(2 * ANSWERED_SECONDS)
    assert silent(first.caller, first.callee, stage.charlie)


def test_and_the_one_after_it_is_given_its_time() -> None:
    stage, first, second = twice()
    withdrawn(first)
    stage.kill("beta")
    stage.charlie.answer(second.invited("charlie"), 100)
    stage.pass_time(REBUILD_SECONDS + LOOKED)
    assert requests(stage.charlie) == ["CANCEL"]
    assert joined(stage, second.caller, second.callee)


def test_a_new_call_that_is_cancelled_is_a_doubt_until_the_backend_has_answered_that() -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    invited = call.invited()
    other = cancelled(stage)
    refused(stage)
    assert joined(stage, call.caller, call.callee)
    terminated(stage.beta, other)
    stage.beta.inbox.append(invited)
    call.rebuilt()
    assert silent(call.callee)


def test_a_token_leaves_no_doubt() -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    token = call.invited().get(TOKEN_HEADER) or ""
    cancelled(stage)
    claim(stage, "beta", "1001", "1002", x_haproxy_voip_call=token)
    stage.beta.take(200)
    assert silent(call.callee)


def test_a_phone_that_was_just_hung_up_does_not_ring_for_the_call_it_had() -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    stage.beta.answer(call.invited(), 100)
    withdrawn(call)
    refused(stage)
    assert silent(call.callee)
    terminated(stage.beta, call.ours.invited)
    claim(stage, "beta", "1001", "1002")
    assert requests(call.callee) == ["INVITE"]


def test_one_that_was_never_answered_rings_until_the_backend_has_heard_that_it_is_over() -> None:
    stage = theatre()
    phone = known(stage, "1002")
    stage.kill("alpha")
    known(stage, "1001")
    cancelled(stage)
    claim(stage, "beta", "1001", "1002")
    assert requests(phone) == ["INVITE"]


def test_the_oldest_are_forgotten_when_calls_by_the_thousand_are_cancelled() -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    call.invited()
    [ours] = [one for one in calls_of(stage) if one.attempt is not None and one.attempt.side is Side.BACKEND]
    assert ours.attempt is not None
    withdrawn_invites = stage.node._calls.claims.withdrawn
    for _ in range(MAX_WITHDRAWN + 1):
        withdrawn_invites.add(ours, ours.attempt, stage.now)
    assert len(withdrawn_invites._invites) == MAX_WITHDRAWN
    assert withdrawn_invites.any("1001", "beta", stage.now)
    assert not withdrawn_invites.any("1001", "beta", stage.now + ANSWERED_SECONDS)
    assert len(withdrawn_invites._invites) == 0
