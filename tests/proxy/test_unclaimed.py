"""A phone that rings for a backend that died, until another one claims the call."""

from __future__ import annotations

import pytest

from haproxy_voip.sip.message import Request, Response
from tests.proxy.conversation import claim, converse, dial, known, ring, theatre
from tests.proxy.stage import Peer, Stage
from tests.proxy.talk import Talk, answer_all, incoming, leave_nothing, sdp


def claimed(talk: Talk, backend: str = "beta", body: bytes | None = None, **headers: str) -> Talk:
    """The same call by the next backend, seen from there; the phone is not asked again."""
    stage = talk.stage
    caller = stage.backends[backend]
    uri = f"sip:{stage.token_of('1002')}@127.0.0.10:5060"
    offer = sdp(caller, 9500) if body is None else body
    headers.setdefault("from_", f"<sip:1001@{caller.host}>;tag=claim{caller.count}")
    invite = caller.new("INVITE", uri, body=offer, **headers)
    caller.send(invite)
    caller.take(100)
    talk.caller, talk.invite = caller, invite
    return talk


def requests(peer: Peer, method: str) -> list[Request]:
    return [one for one in peer.inbox if isinstance(one, Request) and one.method == method]


def statuses(peer: Peer) -> list[int]:
    return [one.status for one in peer.inbox if isinstance(one, Response)]


@pytest.mark.parametrize("end", ["kill", "freeze"])
def test_the_phone_rings_on_and_is_joined_to_the_next_backends_call(end: str) -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(180)
    getattr(stage, end)("alpha")
    assert talk.callee.inbox == []
    claimed(talk)
    assert requests(talk.callee, "INVITE") == []
    assert stage.beta.take_response(180).contacts[0].uri.host == "127.0.0.10"
    talk.answer()
    talk.acknowledge()
    (plan,) = [install.plan for install in stage.plans.values()]
    assert plan.backend.remote is not None and plan.backend.remote.host == "127.0.0.12"
    talk.hang_up()


@pytest.mark.parametrize("end", ["kill", "freeze"])
def test_a_phone_whose_answer_was_lost_with_the_backend_is_joined_to_the_next_backends_call(end: str) -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(180)
    talk.answer()  # which the backend never acknowledged
    getattr(stage, end)("alpha")
    assert requests(talk.callee, "ACK") != []
    claimed(talk)
    assert requests(talk.callee, "INVITE") == []
    talk.ok = stage.beta.take_response(200)
    talk.caller.ack(talk.invite, talk.ok)
    talk.callee.inbox.clear()
    talk.hang_up()


def test_a_phone_that_does_not_ring_yet_is_not_said_to() -> None:
    stage = Stage()
    talk = incoming(stage)
    stage.kill("alpha")
    claimed(talk)
    assert stage.beta.inbox == []
    talk.established().hang_up()


def test_early_media_of_the_phone_is_told_to_the_next_backend() -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(183, body=sdp(talk.callee, 7000))
    stage.kill("alpha")
    claimed(talk)
    assert b"c=IN IP4 127.0.0.10" in stage.beta.take_response(183).body
    talk.answer()
    talk.acknowledge()
    talk.hang_up()


def test_a_phone_that_answers_meanwhile_is_joined_at_once() -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(180)
    stage.kill("alpha")
    talk.ok_sent = talk.callee.answer(talk.invited, 200, body=sdp(talk.callee, 7000))
    talk.callee.send(talk.ok_sent)
    assert talk.callee.inbox == []
    claimed(talk)
    talk.ok = stage.beta.take_response(200)
    talk.acknowledge()
    talk.hang_up()


def test_a_phone_that_declines_meanwhile_declines_the_next_backends_call() -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(180)
    stage.kill("alpha")
    talk.callee.answer(talk.invited, 486)
    talk.callee.take("ACK")
    claimed(talk)
    refused = stage.beta.take_response(486)
    stage.beta.send(stage.beta.ack_failure(talk.invite, refused))
    leave_nothing(stage)


def test_when_nobody_claims_the_call_the_ringing_stops() -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(180)
    stage.kill("alpha")
    stage.pass_time(3.9)
    assert talk.callee.inbox == []
    stage.pass_time(0.2)
    talk.callee.answer(talk.callee.take_request("CANCEL"), 200)
    talk.callee.answer(talk.invited, 487)
    leave_nothing(stage)


def test_a_phone_that_answered_a_call_nobody_claims_is_hung_up() -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(180)
    stage.kill("alpha")
    talk.callee.answer(talk.invited, 200, body=sdp(talk.callee, 7000))
    stage.pass_time(4.1)
    talk.callee.take("ACK")
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    leave_nothing(stage)


def test_the_next_backend_may_cancel_what_it_claimed() -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(180)
    stage.kill("alpha")
    claimed(talk)
    stage.beta.cancel(talk.invite)
    stage.beta.take(487)
    talk.callee.answer(talk.callee.take_request("CANCEL"), 200)
    talk.callee.answer(talk.invited, 487)
    leave_nothing(stage)


def test_another_callers_call_is_another_call() -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(180)
    stage.kill("alpha")
    claimed(talk, from_="<sip:1003@127.0.0.12>;tag=x")
    assert len(requests(talk.callee, "INVITE")) == 1


def test_two_calls_that_could_be_meant_are_joined_to_none() -> None:
    stage = Stage()
    first = incoming(stage)
    first.provisional(180)
    second = incoming(stage)
    second.provisional(180)
    stage.kill("alpha")
    claimed(first)
    assert len(requests(first.callee, "INVITE")) == 1


def test_another_offer_rings_the_phone_anew_and_the_old_ringing_stops_at_once() -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(180)
    stage.kill("alpha")
    old = talk.invited
    claimed(talk, body=sdp(stage.beta, 9500, formats="9"))
    cancel = talk.callee.take_request("CANCEL")
    assert cancel.top_via.branch == old.top_via.branch
    talk.callee.answer(cancel, 200)
    talk.callee.answer(old, 487)
    talk.callee.take("ACK")
    talk.invited = talk.callee.take_request("INVITE")
    talk.established().hang_up()


def test_an_acknowledged_provisional_is_told_to_the_next_backend_as_a_plain_one() -> None:
    """And the answer that was in it comes in the 200, which need not have it."""
    stage = Stage()
    talk = incoming(stage, supported="100rel")
    early = talk.provisional(183, body=sdp(talk.callee, 7000), rseq="5", require="100rel")
    talk.across(talk.by_caller("PRACK", early=early, rack=f"1 {talk.invite.cseq.number} INVITE"))
    stage.kill("alpha")
    claimed(talk)
    told = stage.beta.take_response(183)
    assert not told.has("rseq") and not told.has("require") and told.body
    ok = talk.answer(b"")
    assert ok.body.split(b"m=")[1] == told.body.split(b"m=")[1]
    talk.acknowledge()
    talk.hang_up()


def test_a_provisional_that_waits_for_its_prack_gets_it_from_us() -> None:
    """A phone may not answer before (RFC 3262 section 3)."""
    stage = Stage()
    talk = incoming(stage, supported="100rel")
    stage.kill("alpha")
    for _ in range(2):
        talk.callee.answer(talk.invited, 183, rseq="5", require="100rel", body=sdp(talk.callee, 7000))
    prack = talk.callee.take_request("PRACK")
    assert prack.get("rack") == f"5 {talk.invited.cseq.number} INVITE"
    assert requests(talk.callee, "PRACK") == []
    talk.callee.answer(prack, 200)
    claimed(talk)
    stage.beta.take(183)
    talk.answer(b"")
    talk.acknowledge()
    talk.hang_up()


def test_a_backend_that_takes_reliable_provisionals_only_gets_one() -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(180)
    stage.kill("alpha")
    claimed(talk, require="100rel")
    early = stage.beta.take_response(180)
    assert early.get("require") == "100rel" and early.get("rseq") == "1"
    talk.by_caller("PRACK", early=early, rack=f"1 {talk.invite.cseq.number} INVITE")
    assert stage.beta.take_response(200).cseq.method == "PRACK"
    assert talk.callee.inbox == []
    talk.answer()
    talk.acknowledge()
    talk.hang_up()


def test_a_delayed_offer_is_claimed_by_a_delayed_offer() -> None:
    stage = Stage()
    talk = incoming(stage, body=b"")
    talk.provisional(180)
    stage.kill("alpha")
    claimed(talk, body=b"")
    stage.beta.take(180)
    talk.answer(sdp(talk.callee, 7000))
    assert talk.acknowledge(sdp(stage.beta, 9500)).body
    talk.hang_up()


def test_the_backend_that_claims_may_die_as_well() -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(180)
    stage.kill("alpha")
    claimed(talk)
    stage.beta.take(180)
    stage.kill("beta")
    assert talk.callee.inbox == []
    claimed(talk, "charlie")
    stage.charlie.take(180)
    talk.answer()
    talk.acknowledge()
    talk.hang_up()


def test_an_answered_call_is_hung_up_at_once_when_the_last_backend_dies() -> None:
    stage = Stage()
    talk = incoming(stage).established()
    stage.kill("beta")
    stage.kill("charlie")
    stage.kill("alpha")
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    leave_nothing(stage)


def test_an_answer_no_backend_acknowledged_is_acknowledged_and_hung_up() -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.answer()
    stage.kill("beta")
    stage.kill("charlie")
    stage.kill("alpha")
    talk.callee.take("ACK")
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    leave_nothing(stage)


def test_a_caller_that_only_slept_finds_its_call_refused() -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(180)
    stage.freeze("alpha")
    claimed(talk)
    stage.beta.take(180)
    stage.frozen.clear()
    stage.pass_time(4)
    assert 480 in statuses(stage.alpha)
    talk.answer()
    talk.acknowledge()
    talk.hang_up()


def test_what_a_backend_that_slept_still_wants_to_set_up_is_refused() -> None:
    """It is fenced until it is up again: its calls went on elsewhere, and the phone would ring twice."""
    stage = Stage()
    bob = stage.phone("1002")
    stage.freeze("alpha")
    stage.frozen.clear()
    uri = f"sip:{stage.token_of('1002')}@127.0.0.10:5060"
    invite = stage.alpha.new("INVITE", uri, body=sdp(stage.alpha), from_="<sip:1001@127.0.0.11>;tag=late")
    stage.alpha.send(invite)
    stage.alpha.send(stage.alpha.ack_failure(invite, stage.alpha.take_response(480)))
    assert bob.inbox == []
    stage.pass_time(2)
    incoming(stage).established().hang_up()


def test_with_no_backend_left_the_ringing_stops() -> None:
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(180)
    stage.kill("beta")
    stage.kill("charlie")
    stage.kill("alpha")
    talk.callee.answer(talk.callee.take_request("CANCEL"), 200)
    talk.callee.answer(talk.invited, 487)
    assert answer_all(stage, "BYE") == 0
    leave_nothing(stage)


def test_a_hidden_caller_is_not_joined_to_a_leg_that_somebody_else_rings() -> None:
    """Nothing tells two of them apart: it may be anybody's call (seed 123)."""
    stage = Stage()
    talk = incoming(stage, from_="<sip:anonymous@anonymous.invalid>;tag=first")
    talk.provisional(180)
    stage.kill("alpha")
    claimed(talk, from_="<sip:anonymous@anonymous.invalid>;tag=second")
    assert talk.callee.take_request("INVITE") is not talk.invited


def test_unless_nobody_else_can_be_meant() -> None:
    stage = theatre(("1001", "1002"))
    call = dial(stage, "1001", "600")
    leg = ring(stage, "alpha", "anonymous", "1002")
    stage.kill("alpha")
    stage.beta.answer(stage.beta.take_request("INVITE"), 100)
    claim(stage, "beta", "anonymous", "1002")
    assert requests(leg.callee, "INVITE") == [] and call.caller.inbox == []


def test_a_new_call_is_not_joined_to_what_rang_before_it() -> None:
    """Found by seed 13945 of the simulation: the one whose leg that was had been put through anew."""
    stage = theatre(("1001", "1002", "1003"))
    call = dial(stage, "1001", "600")
    leg = ring(stage, "alpha", "anonymous", "1002")
    stage.kill("alpha")
    stage.beta.answer(stage.beta.take_request("INVITE"), 486)
    call.caller.take_response(486)
    other = known(stage, "1003")
    other.request("INVITE", f"sip:601@{stage.domain}", body=sdp(other))
    stage.beta.answer(stage.beta.take_request("INVITE"), 100)
    claim(stage, "beta", "anonymous", "1002")
    assert requests(leg.callee, "INVITE") != []


def test_of_two_callers_of_one_name_the_one_who_is_heard_already_may_be_meant() -> None:
    stage = theatre(("1001", "1002"))
    talking = converse(stage, name="+431234")
    ring(stage, "alpha", "+431234", "1002", port=9100)
    stage.kill("alpha")
    claim(stage, "beta", "+431234", "1002")
    assert talking.callee.take_request("INVITE")
