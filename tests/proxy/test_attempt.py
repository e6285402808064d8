"""An INVITE of ours whose backend dies before the callee answered: the caller notices nothing."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.facts import CallEnded, CallMoved
from haproxy_voip.sip.message import Request, Response
from tests.proxy.stage import DOMAIN, Peer, Stage
from tests.proxy.talk import Talk, answer_all, leave_nothing, outgoing, sdp


def moved(talk: Talk, to: Peer) -> Request:
    """The INVITE at the next backend, which is the callee from now on."""
    talk.callee, talk.invited = to, to.take_request("INVITE")
    return talk.invited


def responses(peer: Peer) -> list[int]:
    return [one.status for one in peer.inbox if isinstance(one, Response)]


@pytest.mark.parametrize("end", ["kill", "freeze"])
def test_a_pending_call_goes_on_at_the_next_backend(end: str) -> None:
    stage = Stage()
    talk = outgoing(stage)
    first = talk.invited
    getattr(stage, end)("alpha")
    invited = moved(talk, stage.beta)
    assert invited.uri == "sip:1002@127.0.0.12:5060"
    assert (invited.call_id, invited.from_.tag) != (first.call_id, first.from_.tag)
    assert talk.caller.inbox == []
    talk.established().hang_up()
    assert [fact.new for fact in stage.facts if isinstance(fact, CallMoved)] == ["beta"]


@pytest.mark.parametrize("status", [503, 408])
def test_a_backend_without_room_is_not_the_last_word(status: int) -> None:
    stage = Stage()
    talk = outgoing(stage)
    stage.alpha.answer(talk.invited, status)
    moved(talk, stage.beta)
    talk.established().hang_up()


@pytest.mark.parametrize(("status", "told"), [(503, 500), (408, 408)])
def test_503_is_never_passed_on(status: int, told: int) -> None:
    """RFC 3261 section 16.7 step 6."""
    stage = Stage()
    talk = outgoing(stage)
    stage.alpha.answer(talk.invited, status)
    for backend in (stage.beta, stage.charlie):
        backend.answer(moved(talk, backend), status)
    refused = talk.caller.take_response(told)
    talk.caller.send(talk.caller.ack_failure(talk.invite, refused))
    leave_nothing(stage)


def test_two_backends_that_die_one_after_the_other() -> None:
    stage = Stage()
    talk = outgoing(stage)
    stage.kill("alpha")
    moved(talk, stage.beta)
    talk.provisional(180)
    stage.kill("beta")
    moved(talk, stage.charlie)
    stage.charlie.answer(talk.invited, 180)
    assert talk.caller.inbox == []
    talk.answer()
    talk.acknowledge()
    talk.hang_up()


def test_when_the_last_backend_dies_the_caller_may_try_again_later() -> None:
    stage = Stage()
    talk = outgoing(stage)
    stage.kill("beta")
    stage.kill("charlie")
    stage.kill("alpha")
    refused = talk.caller.take_response(503)
    assert refused.has("retry-after")
    talk.caller.send(talk.caller.ack_failure(talk.invite, refused))
    leave_nothing(stage)


def test_a_ringing_caller_hears_no_second_180() -> None:
    stage = Stage()
    talk = outgoing(stage)
    ringing = talk.provisional(180)
    stage.kill("alpha")
    moved(talk, stage.beta)
    stage.beta.answer(talk.invited, 180)
    assert talk.caller.inbox == []
    ok = talk.answer()
    assert ok.to.tag == ringing.to.tag
    talk.acknowledge()
    talk.hang_up()


def test_a_180_that_comes_after_a_183_of_the_former_backend_is_no_news_either() -> None:
    stage = Stage()
    talk = outgoing(stage)
    talk.provisional(180)
    talk.provisional(183, body=sdp(stage.alpha, 9000))
    stage.kill("alpha")
    stage.beta.answer(moved(talk, stage.beta), 180)
    assert talk.caller.inbox == []
    talk.answer()
    talk.acknowledge()
    talk.hang_up()


def test_early_media_goes_on_from_the_next_backend_on_the_same_port() -> None:
    stage = Stage()
    talk = outgoing(stage)
    early = talk.provisional(183, body=sdp(stage.alpha, 9000))
    (before,) = [install.plan for install in stage.plans.values()]
    stage.kill("alpha")
    moved(talk, stage.beta)
    (between,) = [install.plan for install in stage.plans.values()]
    assert between.backend.remote is None and between.backend.signalling_host == "127.0.0.12"
    again = talk.provisional(183, body=sdp(stage.beta, 9000))
    (after,) = [install.plan for install in stage.plans.values()]
    assert after.stream == before.stream and after.client == before.client
    assert after.backend.remote is not None and after.backend.remote.host == "127.0.0.12"
    assert again.to.tag == early.to.tag
    assert early.body.split(b"m=")[1] == again.body.split(b"m=")[1]
    talk.answer()
    talk.acknowledge()
    talk.hang_up()


def test_every_fork_of_the_former_backend_is_the_same_callee_afterwards() -> None:
    stage = Stage()
    talk = outgoing(stage)
    tags = {talk.provisional(180, tag=tag).to.tag for tag in ("one", "two")}
    stage.kill("alpha")
    moved(talk, stage.beta)
    assert talk.answer().to.tag in tags
    talk.acknowledge()
    talk.hang_up()


def test_prack_goes_on_counting_at_the_next_backend() -> None:
    stage = Stage()
    talk = outgoing(stage, supported="100rel")
    cseq = talk.invite.cseq.number
    first = talk.provisional(183, body=sdp(stage.alpha), rseq="41", require="100rel")
    talk.across(talk.by_caller("PRACK", early=first, rack=f"{first.get('rseq')} {cseq} INVITE"))
    stage.kill("alpha")
    moved(talk, stage.beta)
    second = talk.provisional(183, body=sdp(stage.beta), rseq="900", require="100rel")
    assert (first.get("rseq"), second.get("rseq")) == ("1", "2")
    there, _ = talk.across(talk.by_caller("PRACK", early=second, rack=f"2 {cseq} INVITE"))
    assert there.get("rack") == f"900 {talk.invited.cseq.number} INVITE"
    talk.answer()
    talk.acknowledge()
    talk.hang_up()


def test_a_prack_for_a_response_of_the_dead_backend_is_answered_here() -> None:
    stage = Stage()
    talk = outgoing(stage, supported="100rel")
    early = talk.provisional(183, rseq="41", require="100rel")
    stage.kill("alpha")
    moved(talk, stage.beta)
    talk.by_caller("PRACK", early=early, rack=f"1 {talk.invite.cseq.number} INVITE")
    assert talk.caller.take_response(200).cseq.method == "PRACK"
    second = talk.provisional(183, rseq="900", require="100rel")
    assert second.get("rseq") == "2"
    talk.established().hang_up()


def test_a_response_the_caller_never_saw_leaves_no_gap() -> None:
    stage = Stage()
    talk = outgoing(stage, supported="100rel")
    early = talk.provisional(183, rseq="41", require="100rel")
    talk.across(talk.by_caller("PRACK", early=early, rack=f"1 {talk.invite.cseq.number} INVITE"))
    talk.provisional(180, rseq="42", require="100rel")  # lost on its way, as it is not acknowledged
    stage.kill("alpha")
    moved(talk, stage.beta)
    assert talk.provisional(180, rseq="7", require="100rel").get("rseq") == "2"
    talk.answer()
    talk.acknowledge()
    talk.hang_up()


def test_requests_in_the_early_dialog_wait_while_the_call_moves() -> None:
    stage = Stage()
    talk = outgoing(stage)
    early = talk.provisional(183, body=sdp(stage.alpha))
    stage.kill("alpha")
    talk.by_caller("UPDATE", sdp(talk.caller), early=early)
    talk.caller.take(491)


def test_a_caller_that_gives_up_while_the_call_moves() -> None:
    stage = Stage()
    talk = outgoing(stage)
    talk.provisional(180)
    stage.kill("alpha")
    moved(talk, stage.beta)
    talk.caller.cancel(talk.invite)
    talk.caller.take(200)
    refused = talk.caller.take_response(487)
    talk.caller.send(talk.caller.ack_failure(talk.invite, refused))
    stage.beta.answer(talk.invited, 180)
    stage.beta.answer(stage.beta.take_request("CANCEL"), 200)
    stage.beta.answer(talk.invited, 487)
    leave_nothing(stage)


def test_a_backend_that_only_slept_is_sent_a_cancel_and_no_more_invites() -> None:
    stage = Stage()
    talk = outgoing(stage)
    first = talk.invited
    stage.freeze("alpha")
    moved(talk, stage.beta)
    sent = len(stage.alpha.seen)
    stage.pass_time(10)
    assert [one for one in stage.alpha.seen[sent:] if isinstance(one, Request) and one.method == "INVITE"] == []
    stage.frozen.clear()
    stage.alpha.answer(first, 180)
    cancel = stage.alpha.take_request("CANCEL")
    stage.alpha.answer(cancel, 200)
    stage.alpha.answer(first, 487)
    assert talk.caller.inbox == []
    talk.established().hang_up()


def test_a_backend_that_slept_and_then_answers_is_hung_up() -> None:
    stage = Stage()
    talk = outgoing(stage)
    first = talk.invited
    stage.freeze("alpha")
    moved(talk, stage.beta)
    stage.frozen.clear()
    stage.alpha.answer(first, 200, body=sdp(stage.alpha))
    stage.alpha.take("ACK")
    stage.alpha.answer(stage.alpha.take_request("BYE"), 200)
    talk.established().hang_up()


def alone(stage: Stage) -> Stage:
    """Alpha is the only backend."""
    stage.kill("beta")
    stage.kill("charlie")
    return stage


def test_answered_calls_are_hung_up_at_once_when_the_last_backend_dies() -> None:
    stage = alone(Stage())
    talk = outgoing(stage).established()
    stage.kill("alpha")
    bye = talk.caller.take_request("BYE")
    assert "alpha" not in (bye.get("reason") or "")
    talk.caller.answer(bye, 200)
    leave_nothing(stage)
    assert [fact for fact in stage.facts if isinstance(fact, CallEnded)]


def test_a_caller_that_has_not_acknowledged_yet_is_hung_up_when_it_has() -> None:
    stage = alone(Stage())
    talk = outgoing(stage)
    ok = talk.answer()
    stage.kill("alpha")
    assert [one for one in talk.caller.inbox if isinstance(one, Request)] == []
    talk.caller.ack(talk.invite, ok)
    talk.caller.answer(talk.caller.take_request("BYE"), 200)
    leave_nothing(stage)


def test_a_change_that_waits_for_a_dead_backend_may_be_tried_again() -> None:
    stage = Stage()
    talk = outgoing(stage).established()
    request = talk.by_caller("INVITE", sdp(talk.caller, 7100))
    stage.kill("alpha")
    refused = talk.caller.take_response(491)
    talk.caller.send(talk.caller.ack_failure(request, refused))
    answer_all(stage, "BYE")
    leave_nothing(stage)


def test_the_dead_backend_is_told_when_it_returns() -> None:
    stage = Stage()
    talk = outgoing(stage).established()
    stage.freeze("alpha")
    answer_all(stage, "BYE")
    stage.revive("alpha")
    bye = stage.alpha.take_request("BYE")
    assert bye.call_id == talk.invited.call_id
    stage.alpha.answer(bye, 200)
    leave_nothing(stage)


def test_a_backend_in_maintenance_is_cancelled_politely() -> None:
    stage = Stage()
    talk = outgoing(stage)
    first = talk.invited
    talk.provisional(180)
    stage.command("maint", name="alpha")
    moved(talk, stage.beta)
    stage.alpha.answer(stage.alpha.take_request("CANCEL"), 200)
    stage.alpha.answer(first, 487)
    talk.answer()
    talk.acknowledge()
    talk.hang_up()


def test_the_destination_stays_what_was_dialled() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    alice.request("INVITE", f"sip:*72%23@{DOMAIN}", body=alice.offer())
    stage.kill("alpha")
    assert stage.beta.take_request("INVITE").uri == "sip:*72%23@127.0.0.12:5060"
