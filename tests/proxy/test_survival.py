"""Answered calls whose backend dies: the people talk on, and the next backend takes the call."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.facts import CallEnded, CallMoved, CallStaysJoined
from haproxy_voip.proxy.survival import REBUILD_SECONDS
from haproxy_voip.sip.message import Request
from tests.proxy.conversation import (
    Conversation,
    claim,
    converse,
    dial,
    hung_up,
    joined,
    nobody_is_joined,
    plan_of,
    prove,
    ring,
    silent,
    theatre,
)
from tests.proxy.servers import TCP_BACKENDS, Servers
from tests.proxy.stage import DOMAIN, Stage
from tests.proxy.talk import Talk, incoming, leave_nothing, outgoing, sdp


def reasons(stage: Stage) -> list[str]:
    return [fact.reason for fact in stage.facts if isinstance(fact, CallEnded | CallStaysJoined)]


# -- phone to phone -------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["kill", "freeze"])
def test_two_phones_are_joined_at_once_and_neither_is_said_a_word(end: str) -> None:
    stage = theatre() if end == "kill" else Stage()
    call = converse(stage)
    getattr(stage, end)("alpha")
    assert joined(stage, call.caller, call.callee)
    assert not plan_of(stage, call.caller).comfort_noise
    assert silent(call.caller, call.callee)
    call.claimed()
    assert joined(stage, call.caller, call.callee)  # until both ends are there
    call.carried()
    assert nobody_is_joined(stage)
    assert plan_of(stage, call.caller).handover and plan_of(stage, call.callee).handover
    assert silent(call.caller, call.callee)
    assert stage.node._calls.snapshot() == {"alpha": 0, "beta": 2, "charlie": 0}
    assert [fact.new for fact in stage.facts if isinstance(fact, CallMoved)] == ["beta", "beta"]
    call.hang_up()
    leave_nothing(stage)


def test_the_next_backend_gets_the_clients_invite_again_as_a_new_call() -> None:
    stage = theatre()
    call = converse(stage)
    first = call.ours.invited
    stage.kill("alpha")
    invited = call.invited()
    assert invited.uri == "sip:1002@127.0.0.12:5060"
    assert (invited.call_id, invited.from_.tag) != (first.call_id, first.from_.tag)
    assert invited.to.tag is None and invited.get("x-haproxy-voip-call") == first.get("x-haproxy-voip-call")
    assert b"m=audio" in invited.body and b"127.0.0.10" in invited.body


def test_a_backend_that_answers_before_it_calls_the_callee_is_waited_for() -> None:
    """As a queue does."""
    stage = theatre()
    call = converse(stage, dialled="600", after=0.02)
    prove(call)
    stage.kill("alpha")
    call.invited()
    call.carried()
    assert joined(stage, call.caller, call.callee)
    call.theirs.caller = stage.beta
    call.theirs.invite = claim(stage, "beta", "1001", "1002")
    call.theirs.ok = stage.beta.take_response(200)
    stage.beta.ack(call.theirs.invite, call.theirs.ok)
    assert nobody_is_joined(stage) and silent(call.caller, call.callee)
    call.hang_up()
    leave_nothing(stage)


@pytest.mark.parametrize("asker", ["caller", "callee"])
def test_the_rebuilt_call_is_a_full_call(asker: str) -> None:
    """Hold, resume, DTMF, transfer, both ways: each request reaches the other side and its answer comes back."""
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    call.rebuilt()
    talk = call.ours if asker == "caller" else call.theirs
    peer = call.caller if asker == "caller" else call.callee
    ask = talk.by_caller if asker == "caller" else talk.by_callee
    for direction, back in (("sendonly", "recvonly"), ("sendrecv", "sendrecv")):
        request = ask("INVITE", sdp(peer, 7000, direction=direction))
        there, ok = talk.across(request, body=sdp(stage.beta, 9500, direction=back))
        assert f"a={direction}".encode() in there.body and f"a={back}".encode() in ok.body
        talk.ack_of(request, ok)
    talk.across(ask("INFO", b"Signal=1", content_type="application/dtmf-relay"))
    talk.across(ask("REFER", refer_to="<sip:1003@voip.test>"), 202)
    notify = (talk.by_callee if asker == "caller" else talk.by_caller)(
        "NOTIFY", b"SIP/2.0 200 OK", event="refer", subscription_state="terminated", content_type="message/sipfrag"
    )
    talk.across(notify)
    call.hang_up()
    leave_nothing(stage)


@pytest.mark.parametrize("asker", ["caller", "callee"])
def test_what_the_next_backend_asks_reaches_the_phones(asker: str) -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    call.rebuilt()
    talk = call.ours if asker == "caller" else call.theirs
    ask = talk.by_callee if asker == "caller" else talk.by_caller
    peer = call.caller if asker == "caller" else call.callee
    request = ask("INVITE", sdp(stage.beta, 9700))
    there, ok = talk.across(request, body=sdp(peer, 7000))
    assert there.cseq.number > 0 and there.to.tag
    talk.ack_of(request, ok)
    remote = plan_of(stage, peer).backend.remote
    assert remote is not None and remote.port == 9700
    ask("BYE")
    stage.beta.take(200)
    hung_up(peer)
    (call.theirs.by_caller if asker == "caller" else call.ours.by_callee)("BYE")
    stage.beta.take(200)
    hung_up(call.callee if asker == "caller" else call.caller)
    leave_nothing(stage)


def test_requests_of_a_phone_while_nobody_is_there_may_be_tried_again() -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    request = call.ours.by_caller("INVITE", sdp(call.caller, direction="sendonly"))
    call.caller.send(call.caller.ack_failure(request, call.caller.take_response(491)))
    call.theirs.by_callee("INFO")
    call.callee.take(491)
    call.rebuilt()
    request = call.ours.by_caller("INVITE", sdp(call.caller, direction="sendonly"))
    _, ok = call.ours.across(request, body=sdp(stage.beta, 9500, direction="recvonly"))
    call.ours.ack_of(request, ok)
    call.hang_up()
    leave_nothing(stage)


# -- the backend does not take it -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 486, 500, 603])
def test_when_the_next_backend_refuses_two_who_are_joined_talk_on_until_one_hangs_up(status: int) -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    stage.beta.answer(call.invited(), status)
    stage.beta.take("ACK")
    stage.pass_time(60)
    assert joined(stage, call.caller, call.callee) and silent(call.caller, call.callee, stage.charlie)
    assert reasons(stage) == [f"beta answered {status}"]
    call.theirs.by_callee("BYE")
    call.callee.take(200)
    hung_up(call.caller)
    leave_nothing(stage)


@pytest.mark.parametrize("status", [404, 408, 480, 503])
def test_one_without_room_or_that_does_not_know_them_is_not_the_last_word(status: int) -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    stage.beta.answer(call.invited(), status)
    stage.beta.take("ACK")
    call.rebuilt("charlie")
    call.hang_up()
    leave_nothing(stage)


def test_when_nobody_answers_in_time_the_two_talk_on_and_the_attempt_is_cancelled() -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    invited = call.invited()
    stage.beta.answer(invited, 180)
    stage.pass_time(REBUILD_SECONDS + 0.1)
    stage.beta.answer(stage.beta.take_request("CANCEL"), 200)
    stage.beta.answer(invited, 487)
    assert joined(stage, call.caller, call.callee) and silent(call.caller, call.callee)
    call.ours.by_caller("BYE")
    call.caller.take(200)
    hung_up(call.callee)
    leave_nothing(stage)


def test_one_end_that_is_carried_alone_is_taken_back_when_the_other_is_not() -> None:
    """Its voicemail answers, because the backend could not reach the callee."""
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    call.invited()
    call.carried()
    assert joined(stage, call.caller, call.callee)
    stage.pass_time(REBUILD_SECONDS + 0.1)
    hung_up(stage.beta)
    assert joined(stage, call.caller, call.callee) and silent(call.caller, call.callee)
    call.ours.by_caller("BYE")
    call.caller.take(200)
    hung_up(call.callee)
    leave_nothing(stage)


def test_with_no_other_backend_the_two_talk_on() -> None:
    stage = theatre()
    stage.kill("beta")
    stage.kill("charlie")
    call = converse(stage)
    stage.kill("alpha")
    stage.pass_time(60)
    assert joined(stage, call.caller, call.callee) and silent(call.caller, call.callee)
    assert set(reasons(stage)) == {"no other backend", "no backend took the call in time"}
    call.ours.by_caller("BYE")
    call.caller.take(200)
    hung_up(call.callee)
    leave_nothing(stage)


def test_those_who_talk_without_a_backend_do_not_notice_when_the_one_that_refused_them_dies() -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    stage.beta.answer(call.invited(), 486)
    stage.revive("alpha")
    stage.kill("beta")
    for pbx in (stage.alpha, stage.charlie):
        for message in [one for one in pbx.inbox if isinstance(one, Request) and one.method == "INVITE"]:
            pbx.answer(message, 486)
    assert joined(stage, call.caller, call.callee) and silent(call.caller, call.callee)
    call.ours.by_caller("BYE")
    call.caller.take(200)
    hung_up(call.callee)


# -- a service of the backend ---------------------------------------------------------------------------


def rebuilt(talk: Talk, backend: str = "beta", body: bytes | None = None) -> None:
    pbx = talk.stage.backends[backend]
    talk.callee, talk.invited = pbx, pbx.take_request("INVITE")
    talk.ok_sent = pbx.answer(talk.invited, 200, tag=f"new{backend}", body=sdp(pbx, 9500) if body is None else body)
    pbx.take("ACK")


def test_who_is_alone_hears_comfort_noise_until_the_next_backend_answers() -> None:
    stage = theatre()
    talk = outgoing(stage).established()
    stage.kill("alpha")
    assert plan_of(stage, talk.caller).comfort_noise and silent(talk.caller)
    rebuilt(talk)
    plan = plan_of(stage, talk.caller)
    assert not plan.comfort_noise and plan.backend.remote is not None and plan.backend.remote.host == "127.0.0.12"
    assert silent(talk.caller)
    talk.hang_up()


def test_only_the_codecs_in_use_are_offered_again() -> None:
    stage = theatre()
    talk = outgoing(stage)
    talk.provisional(180)
    talk.answer(sdp(stage.alpha, 9000, formats="8"))
    talk.acknowledge()
    stage.kill("alpha")
    rebuilt(talk, body=sdp(stage.beta, 9500, formats="8"))
    assert b"RTP/AVP 8\r\n" in talk.invited.body
    talk.hang_up()


@pytest.mark.parametrize("status", [404, 480])
def test_when_all_others_do_not_know_the_number_two_who_are_joined_talk_on(status: int) -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    for backend in ("beta", "charlie"):
        stage.backends[backend].answer(call.invited(backend), status)
    stage.pass_time(60)
    assert joined(stage, call.caller, call.callee) and silent(call.caller, call.callee)
    assert reasons(stage) == [f"charlie answered {status}"]


@pytest.mark.parametrize("status", [403, 486, 500, 600])
def test_who_is_alone_is_hung_up_when_the_next_backend_refuses(status: int) -> None:
    stage = theatre()
    talk = outgoing(stage).established()
    stage.kill("alpha")
    stage.beta.answer(stage.beta.take_request("INVITE"), status)
    hung_up(talk.caller)
    leave_nothing(stage)


def test_and_when_it_does_not_answer_in_time() -> None:
    stage = theatre()
    talk = outgoing(stage).established()
    stage.kill("alpha")
    invited = stage.beta.take_request("INVITE")
    stage.beta.answer(invited, 183)
    stage.pass_time(REBUILD_SECONDS - 0.2)
    assert silent(talk.caller)
    stage.pass_time(0.4)
    hung_up(talk.caller)
    stage.beta.answer(stage.beta.take_request("CANCEL"), 200)
    stage.beta.answer(invited, 487)
    leave_nothing(stage)


def test_a_backend_whose_connection_fails_is_followed_by_the_next() -> None:
    stage = Servers(backends=TCP_BACKENDS)
    stage.pass_time(0.1)
    talk = outgoing(stage)
    talk.provisional(180)
    talk.answer()
    talk.acknowledge()
    stage.no_tcp.add("beta")
    stage.cut("beta")
    stage.kill("alpha")
    stage.pass_time(0.1)
    talk.callee, talk.invited = stage.charlie, stage.charlie.take_request("INVITE")
    talk.ok_sent = stage.charlie.answer(talk.invited, 200, body=sdp(stage.charlie, 9500))
    stage.charlie.take("ACK")
    assert silent(talk.caller)


def test_nobody_claims_a_phone_that_is_called_by_nobody_any_more() -> None:
    """A call from outside: what is on the other side of the dead backend cannot be called from here."""
    stage = theatre()
    talk = incoming(stage).established()
    stage.kill("alpha")
    assert plan_of(stage, talk.callee).comfort_noise and silent(talk.callee)
    stage.pass_time(REBUILD_SECONDS + 0.1)
    hung_up(talk.callee)
    leave_nothing(stage)


def test_a_call_that_was_never_answered_is_none_of_this() -> None:
    stage = theatre()
    talk = dial(stage, "1001", "1002")
    stage.kill("alpha")
    assert stage.beta.take_request("INVITE") and silent(talk.caller)


def test_between_a_phone_on_tcp_and_one_on_udp() -> None:
    stage = theatre()
    carol = stage.connected("1003", 1)
    carol.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1003@{DOMAIN}>", expires="600")
    carol.take(200)
    invite = carol.request("INVITE", f"sip:1002@{DOMAIN}", body=sdp(carol))
    carol.inbox.clear()
    ours = Talk(stage, carol, stage.alpha, invite, stage.alpha.take_request("INVITE"))
    theirs = ring(stage, "alpha", "1003", "1002")
    theirs.answer(sdp(theirs.callee, 7000))
    theirs.acknowledge()
    ours.answer()
    ours.acknowledge()
    call = Conversation(stage, ours, theirs)
    stage.kill("alpha")
    assert joined(stage, carol, call.callee)
    call.rebuilt()
    assert silent(carol, call.callee)
    call.hang_up()
    leave_nothing(stage)


def test_a_backend_that_calls_the_callee_too_late_does_not_let_it_ring() -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    stage.beta.answer(call.invited(), 100)
    stage.pass_time(REBUILD_SECONDS + 0.1)
    stage.beta.take("CANCEL")
    claim(stage, "beta", "1001", "1002")
    stage.beta.take(480)
    assert silent(call.callee) and joined(stage, call.caller, call.callee)
    call.caller.request("INVITE", f"sip:1002@{DOMAIN}", body=sdp(call.caller, 7100))  # a new one is a new one
    stage.beta.take("INVITE")
    claim(stage, "beta", "1001", "1002", tag="another")
    call.callee.take("INVITE")
