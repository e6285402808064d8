"""Answered calls whose backend dies while something else is under way, and what the dead one says afterwards."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.facts import BackendRemembered
from haproxy_voip.proxy.survival import REBUILD_SECONDS
from haproxy_voip.sip.digest import Authenticator
from haproxy_voip.sip.message import Request, Response
from tests.proxy.conversation import (
    Conversation,
    calls_of,
    claim,
    converse,
    dial,
    hung_up,
    joined,
    plan_of,
    requests,
    ring,
    silent,
    theatre,
)
from tests.proxy.stage import Stage
from tests.proxy.talk import Challenger, Talk, answer_all, incoming, leave_nothing, outgoing, sdp


def taken(talk: Talk, backend: str = "beta", tag: str = "new") -> Talk:
    """The next backend takes a call from a client."""
    pbx = talk.stage.backends[backend]
    talk.callee, talk.invited = pbx, pbx.take_request("INVITE")
    talk.ok_sent = pbx.answer(talk.invited, 200, tag=f"{tag}{backend}", body=sdp(pbx, 9500))
    pbx.take("ACK")
    return talk


# -- hanging up meanwhile -------------------------------------------------------------------------------

STEPS = ["joined", "invited", "ringing", "claimed", "acknowledged", "carried alone"]


def advance(call: Conversation, step: str) -> None:
    """Kill alpha and let beta come so far."""
    stage = call.stage
    stage.kill("alpha")
    if step == "joined":
        return
    invited = call.invited()
    if step == "ringing":
        stage.beta.answer(invited, 180)
    if step in ("claimed", "acknowledged"):
        call.theirs.caller = stage.beta
        call.theirs.invite = claim(stage, "beta", "1001", "1002")
        call.theirs.ok = stage.beta.take_response(200)
    if step == "acknowledged":
        stage.beta.ack(call.theirs.invite, call.theirs.ok)  # type: ignore[arg-type]
    if step == "carried alone":
        call.carried()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("who", ["caller", "callee"])
def test_whoever_hangs_up_meanwhile_ends_the_call_for_the_other_and_at_the_backend(step: str, who: str) -> None:
    stage = theatre()
    call = converse(stage)
    advance(call, step)
    if who == "caller":
        call.ours.by_caller("BYE")
        call.caller.take(200)
        hung_up(call.callee)
    else:
        call.theirs.by_callee("BYE")
        call.callee.take(200)
        hung_up(call.caller)
    if step == "claimed":  # RFC 3261 section 15: not before the ACK
        assert "BYE" not in requests(stage.beta)
        stage.beta.ack(call.theirs.invite, call.theirs.ok)  # type: ignore[arg-type]
    for invite in [one for one in stage.beta.inbox if isinstance(one, Request) and one.method == "CANCEL"]:
        stage.beta.inbox.remove(invite)
        stage.beta.answer(invite, 200)
        stage.beta.answer(call.ours.invited, 487)
    answer_all(stage, "BYE")
    assert not calls_of(stage)
    leave_nothing(stage)


def test_an_answer_that_crosses_our_cancel_is_acknowledged_and_hung_up() -> None:
    stage = theatre()
    call = converse(stage)
    advance(call, "ringing")
    call.ours.by_caller("BYE")
    call.caller.take(200)
    hung_up(call.callee)
    stage.beta.take("CANCEL")
    stage.beta.answer(call.ours.invited, 200, tag="late", body=sdp(stage.beta, 9500))
    stage.beta.take("ACK")
    hung_up(stage.beta)
    leave_nothing(stage)


# -- what was under way ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_change_by_the_phone_that_was_pending_may_be_tried_again_and_succeeds_then(method: str) -> None:
    stage = theatre()
    talk = outgoing(stage).established()
    before = plan_of(stage, talk.caller).client.remote
    request = talk.by_caller(method, sdp(talk.caller, 7100))
    stage.kill("alpha")
    refused = talk.caller.take_response(491)
    if method == "INVITE":
        talk.caller.send(talk.caller.ack_failure(request, refused))
    assert plan_of(stage, talk.caller).client.remote == before  # RFC 3261 section 14.1: it never was
    taken(talk)
    assert b"m=audio" in talk.invited.body
    again = talk.by_caller(method, sdp(talk.caller, 7100))
    _, ok = talk.across(again, body=sdp(stage.beta, 9500))
    if method == "INVITE":
        talk.ack_of(again, ok)
    assert plan_of(stage, talk.caller).client.remote.port == 7100  # type: ignore[union-attr]
    talk.hang_up()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_change_by_the_dead_backend_that_was_pending_is_acknowledged_and_no_other_is_blocked_by_it(
    method: str,
) -> None:
    stage = theatre()
    talk = outgoing(stage).established()
    talk.by_callee(method, sdp(stage.alpha, 9900))
    asked = talk.caller.take_request(method)
    stage.kill("alpha")
    talk.caller.answer(asked, 200, body=sdp(talk.caller, 7300))
    if method == "INVITE":
        talk.caller.take("ACK")
    taken(talk)
    again = talk.by_caller("INVITE", sdp(talk.caller, 7300))
    _, ok = talk.across(again, body=sdp(stage.beta, 9500))
    talk.ack_of(again, ok)
    assert plan_of(stage, talk.caller).client.remote.port == 7300  # type: ignore[union-attr]
    talk.hang_up()


def test_where_the_phone_went_in_answer_to_the_dead_backends_offer_is_known() -> None:
    stage = theatre()
    talk = outgoing(stage).established()
    talk.by_callee("INVITE", sdp(stage.alpha, 9900))
    asked = talk.caller.take_request("INVITE")
    stage.kill("alpha")
    talk.caller.answer(asked, 200, body=sdp(talk.caller, 7300))
    talk.caller.take("ACK")
    assert plan_of(stage, talk.caller).client.remote.port == 7300  # type: ignore[union-attr]


@pytest.mark.parametrize("hangs_up", [True, False])
def test_an_answer_to_it_that_cannot_be_read_or_comes_too_late_is_acknowledged_all_the_same(hangs_up: bool) -> None:
    stage = theatre()
    talk = outgoing(stage).established()
    talk.by_callee("INVITE", sdp(stage.alpha, 9900))
    asked = talk.caller.take_request("INVITE")
    stage.kill("alpha")
    if hangs_up:
        talk.by_caller("BYE")
        talk.caller.take(200)
    talk.caller.answer(asked, 200, body=b"nonsense" if not hangs_up else sdp(talk.caller, 7300))
    talk.caller.take("ACK")
    assert silent(talk.caller)


@pytest.mark.parametrize("method", ["INFO", "REFER", "MESSAGE"])
def test_other_requests_that_were_pending_are_answered(method: str) -> None:
    stage = theatre()
    talk = outgoing(stage).established()
    talk.by_caller(method, refer_to="<sip:1003@voip.test>")
    stage.kill("alpha")
    talk.caller.take(487)
    taken(talk).hang_up()


def test_a_caller_that_has_not_acknowledged_yet_does_so_to_us() -> None:
    stage = theatre()
    talk = outgoing(stage)
    talk.provisional(180)
    ok = talk.answer()
    stage.kill("alpha")
    taken(talk)
    stage.pass_time(1.0)
    assert talk.caller.take_response(200).to.tag == ok.to.tag  # our 2xx again
    talk.caller.inbox.clear()
    talk.caller.ack(talk.invite, ok)
    stage.pass_time(10)
    assert silent(talk.caller, stage.beta)
    talk.hang_up()


def test_a_caller_that_never_acknowledges_is_hung_up_as_ever() -> None:
    stage = theatre()
    talk = outgoing(stage)
    talk.answer()
    stage.kill("alpha")
    taken(talk)
    stage.pass_time(33)
    talk.caller.inbox = [one for one in talk.caller.inbox if isinstance(one, Request)]
    hung_up(talk.caller, stage.beta)
    leave_nothing(stage)


def test_a_callee_whose_answer_nobody_acknowledged_gets_its_ack_and_is_claimed() -> None:
    stage = theatre()
    ours = dial(stage, "1001", "1002")
    theirs = ring(stage, "alpha", "1001", "1002")
    theirs.answer(sdp(theirs.callee, 7000))
    stage.kill("alpha")
    theirs.callee.take("ACK")
    call = Conversation(stage, ours, theirs)
    call.claimed()
    pbx = stage.beta
    ours.callee, ours.ok_sent = pbx, pbx.answer(ours.invited, 200, tag="new", body=sdp(pbx, 9500))
    ours.ok = ours.caller.take_response(200)
    ours.acknowledge()
    assert silent(theirs.callee)
    call.hang_up()
    leave_nothing(stage)


# -- one death after the other --------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["invited", "ringing", "claimed", "carried alone"])
def test_the_next_backend_may_die_in_the_middle_of_it(step: str) -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    invited = call.invited()
    if step == "ringing":
        stage.beta.answer(invited, 180)
    if step == "claimed":
        claim(stage, "beta", "1001", "1002")
        stage.beta.take(200)
    if step == "carried alone":
        call.carried()
    stage.kill("beta")
    assert joined(stage, call.caller, call.callee)
    call.rebuilt("charlie")
    assert silent(call.caller, call.callee)
    call.hang_up()
    stage.revive("beta")
    for message in list(stage.beta.inbox):
        if isinstance(message, Request) and message.method in ("BYE", "CANCEL"):
            stage.beta.answer(message, 200)
    leave_nothing(stage)


def test_the_next_backend_may_die_later() -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    call.rebuilt("beta")
    stage.kill("beta")
    assert joined(stage, call.caller, call.callee)
    call.rebuilt("charlie")
    stage.revive("alpha")
    stage.kill("charlie")
    call.rebuilt("alpha")
    assert silent(call.caller, call.callee)
    call.hang_up()


def test_all_die_at_once() -> None:
    stage = theatre()
    call = converse(stage)
    service = dial(stage, "1003", "600")
    service.answer()
    service.acknowledge()
    for name in ("charlie", "beta", "alpha"):
        stage.kill(name)
    hung_up(service.caller)
    assert joined(stage, call.caller, call.callee) and silent(call.caller, call.callee)
    call.ours.by_caller("BYE")
    call.caller.take(200)
    hung_up(call.callee)
    leave_nothing(stage)


# -- the dead one returns -------------------------------------------------------------------------------


def test_what_the_old_backend_still_says_of_a_moved_call_gets_481_and_its_dialogs_get_bye() -> None:
    stage = Stage()
    call = converse(stage)
    ours, theirs = call.ours.invited, call.theirs.invite
    ok_to_us, ok_to_it = call.ours.ok_sent, call.theirs.ok
    assert ok_to_us is not None and ok_to_it is not None
    stage.freeze("alpha")
    call.rebuilt()
    stage.frozen.clear()
    for cseq, method in enumerate(("INFO", "INVITE", "BYE"), 200):
        for made, asked in ((ok_to_us, ours), (theirs, ok_to_it)):
            request = stage.alpha.within(made, asked, method, cseq)
            stage.alpha.send(request)
            refused = stage.alpha.take_response(481)
            if method == "INVITE":
                stage.alpha.send(stage.alpha.ack_failure(request, refused))
    assert silent(call.caller, call.callee)
    assert plan_of(stage, call.caller).backend.remote.host == "127.0.0.12"  # type: ignore[union-attr]
    stage.pass_time(2)
    assert [fact.dialogs for fact in stage.facts if isinstance(fact, BackendRemembered)] == [2]
    byes = [one for one in stage.alpha.inbox if isinstance(one, Request) and one.method == "BYE"]
    assert {bye.call_id for bye in byes} == {ours.call_id, theirs.call_id}
    for bye in byes:
        stage.alpha.answer(bye, 481)
    assert silent(call.caller, call.callee)
    stage.alpha.inbox.clear()
    call.hang_up()


def test_in_maintenance_a_call_moves_and_the_living_backend_is_told() -> None:
    stage = theatre()
    call = converse(stage)
    stage.command("maint", name="alpha")
    hung_up(stage.alpha, stage.alpha)
    assert joined(stage, call.caller, call.callee)
    call.rebuilt()
    assert silent(call.caller, call.callee, stage.alpha)
    call.hang_up()
    leave_nothing(stage)


def test_a_living_backend_that_has_not_acknowledged_is_told_when_it_has() -> None:
    """RFC 3261 section 15: the callee's user agent may not send BYE before the ACK."""
    stage = theatre()
    talk = incoming(stage)
    ok = talk.answer()
    stage.command("maint", name="alpha")
    talk.callee.take("ACK")
    assert "BYE" not in requests(stage.alpha)
    stage.alpha.ack(talk.invite, ok)
    hung_up(stage.alpha)
    late = talk.by_caller("INFO")
    assert stage.alpha.take_response(481).call_id == late.call_id
    stage.pass_time(REBUILD_SECONDS)
    hung_up(talk.callee)
    leave_nothing(stage)


def test_what_it_says_before_that_ends_nothing() -> None:
    stage = theatre()
    call = converse(stage)
    extra = ring(stage, "alpha", "1001", "1003", port=9040)
    ok = extra.answer(sdp(extra.callee, 7040))
    stage.command("maint", name="alpha")
    extra.by_caller("BYE")
    assert stage.alpha.take_response(481).call_id == ok.call_id
    assert "BYE" not in requests(extra.callee)
    assert "BYE" not in requests(call.callee)


# -- how the next one takes it --------------------------------------------------------------------------


def challenged(stage: Stage, authenticator: Authenticator) -> Response:
    invited = stage.beta.take_request("INVITE")
    refused = stage.beta.answer(invited, 401, www_authenticate=authenticator.challenge(stage.now)[-1])
    stage.beta.take("ACK")
    return refused


def test_a_next_backend_that_wants_to_know_who_calls_is_told() -> None:
    stage = theatre()
    challenger = Challenger(stage)
    talk = outgoing(stage).established()
    stage.kill("alpha")
    challenged(stage, challenger.authenticator)
    taken(talk)
    assert challenger.accepts(talk.invited) and silent(talk.caller)
    talk.hang_up()


@pytest.mark.parametrize("joined_to_another", [True, False])
def test_one_that_does_not_believe_it_refuses_the_call(joined_to_another: bool) -> None:
    stage = theatre()
    stranger = Authenticator("elsewhere", lambda user: None, b"key")
    call = converse(stage) if joined_to_another else None
    caller = call.caller if call is not None else outgoing(stage).established().caller
    stage.kill("alpha")
    for _ in range(3):
        if "INVITE" in requests(stage.beta):
            challenged(stage, stranger)
    if call is None:
        hung_up(caller)
        leave_nothing(stage)
    else:
        assert joined(stage, caller, call.callee) and silent(caller, call.callee)
