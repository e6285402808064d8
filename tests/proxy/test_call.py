"""Calls from their INVITE to their end, without failures of backends (RFC 3261 sections 9, 13, 15 and 16.7)."""

from __future__ import annotations

import pytest

from haproxy_voip.configuration.model import LimitsConfig, MediaConfig, PortRange, TimersConfig
from haproxy_voip.sip.message import Request, Response
from tests.proxy.stage import DOMAIN
from tests.proxy.talk import BOTH, Make, answer_all, calm, incoming, leave_nothing, outgoing, sdp

both = pytest.mark.parametrize("make", BOTH)


def test_a_call_from_a_client_is_a_dialog_of_its_own_at_the_backend() -> None:
    talk = outgoing(calm())
    invite, invited = talk.invite, talk.invited
    assert invited.call_id != invite.call_id
    assert invited.from_.tag != invite.from_.tag
    assert invited.uri == "sip:1002@127.0.0.11:5060"
    assert invited.from_.uri.user == "1001"
    assert b"c=IN IP4 127.0.0.10" in invited.body
    assert not invited.has("proxy-authorization")


def test_a_call_to_a_client_goes_to_its_contact() -> None:
    talk = incoming(calm())
    assert talk.invited.uri == "sip:1002@127.0.1.2:5060"
    assert talk.invited.to.uri.user == "1002"


@both
def test_a_call_is_answered_acknowledged_and_hung_up_by_the_caller(make: Make) -> None:
    talk = make(calm()).established()
    assert len(talk.stage.plans) == 1
    talk.hang_up()


@both
def test_a_call_is_hung_up_by_the_callee(make: Make) -> None:
    talk = make(calm()).established()
    talk.by_callee("BYE")
    talk.callee.take(200)
    talk.caller.answer(talk.caller.take_request("BYE"), 200)
    leave_nothing(talk.stage)


# -- responses on their way (RFC 3261 section 16.7) ---------------------------------------------------


@both
@pytest.mark.parametrize("status", [180, 181, 182, 183, 199])
def test_provisional_responses_reach_the_caller_in_one_early_dialog(make: Make, status: int) -> None:
    talk = make(calm())
    first = talk.provisional(status)
    second = talk.provisional(180)
    assert first.to.tag and first.to.tag == second.to.tag
    assert first.contacts[0].uri.host == "127.0.0.10"
    assert talk.answer().to.tag == first.to.tag
    talk.acknowledge()
    talk.hang_up()


@both
def test_100_belongs_to_one_hop(make: Make) -> None:
    talk = make(calm())
    talk.callee.answer(talk.invited, 100)
    assert talk.caller.inbox == []


@both
def test_a_repeated_180_is_passed_on_as_it_keeps_the_caller_waiting(make: Make) -> None:
    talk = make(calm())
    talk.provisional(180)
    talk.stage.pass_time(60)
    talk.provisional(180)


@both
def test_a_tagless_180_makes_no_dialog_and_does_no_harm(make: Make) -> None:
    talk = make(calm())
    response = Response(180, None, [item for item in talk.invited.headers if item[0] in ("via", "call-id", "cseq")])
    response.add("From", talk.invited.get("from") or "")
    response.add("To", talk.invited.get("to") or "")
    talk.callee.send(response)
    talk.established().hang_up()


@both
@pytest.mark.parametrize("status", [404, 480, 486, 488, 500, 600, 603])
def test_a_refusal_reaches_the_caller_and_ends_the_call(make: Make, status: int) -> None:
    talk = make(calm())
    talk.provisional(180)
    talk.callee.answer(talk.invited, status, retry_after="7")
    talk.callee.take("ACK")
    refused = talk.caller.take_response(status)
    assert refused.get("retry-after") == "7"
    talk.caller.send(talk.caller.ack_failure(talk.invite, refused))
    leave_nothing(talk.stage)


@both
def test_reason_and_warning_lose_the_hosts_of_the_other_side(make: Make) -> None:
    talk = make(calm())
    host = talk.callee.host
    warning = f'399 {host}:5060 "no route to {host}"'
    talk.callee.answer(talk.invited, 486, reason="Q.850;cause=17", warning=warning, server=f"PBX at {DOMAIN}")
    refused = talk.caller.take_response(486)
    assert refused.get("reason") == "Q.850;cause=17"
    assert refused.get("warning") == f'399 {DOMAIN} "no route to {DOMAIN}"'


def test_a_redirection_keeps_its_order_and_hides_addresses() -> None:
    talk = outgoing(calm())
    contact = "<sip:1003@127.0.0.11:5060>;q=0.9, <sip:+4930123@carrier.example;user=phone>;q=0.5"
    talk.callee.answer(talk.invited, 302, contact=contact, tag="x")
    moved = talk.caller.take_response(302)
    assert [str(one) for one in moved.contacts] == [] or len(moved.contacts) == 2
    first, second = moved.contacts
    assert (first.uri.user, first.uri.host, first.param("q")) == ("1003", DOMAIN, "0.9")
    assert (second.uri.user, second.uri.host, second.param("q")) == ("+4930123", "carrier.example", "0.5")


def test_a_phone_that_deflects_is_heard_by_the_backend() -> None:
    talk = incoming(calm())
    talk.callee.answer(talk.invited, 302, contact="<sip:1003@127.0.1.2>")
    moved = talk.caller.take_response(302)
    assert moved.contacts[0].uri.user == "1003"


def test_a_phone_that_wants_credentials_is_a_phone_that_refuses() -> None:
    talk = incoming(calm())
    talk.callee.answer(talk.invited, 401, www_authenticate='Digest realm="phone", nonce="1"')
    talk.caller.take(403)
    leave_nothing(talk.stage)


# -- cancelling (RFC 3261 section 9) ------------------------------------------------------------------


@both
def test_a_cancel_before_any_provisional_waits_for_one(make: Make) -> None:
    talk = make(calm())
    talk.caller.cancel(talk.invite)
    assert talk.caller.take_response(200).cseq.method == "CANCEL"
    talk.caller.take(487)
    assert talk.callee.inbox == []
    talk.callee.answer(talk.invited, 180)
    cancel = talk.callee.take_request("CANCEL")
    assert cancel.top_via.branch == talk.invited.top_via.branch
    assert talk.caller.inbox == []
    talk.callee.answer(cancel, 200)
    talk.callee.answer(talk.invited, 487)
    talk.callee.take("ACK")
    leave_nothing(talk.stage)


@both
def test_a_cancel_after_180_carries_its_reason(make: Make) -> None:
    talk = make(calm())
    talk.provisional(180)
    lines = [line for line in talk.invite.headers if line[0] in ("via", "from", "to", "call-id", "max-forwards")]
    cancel = Request("CANCEL", talk.invite.uri, lines)
    cancel.add("CSeq", f"{talk.invite.cseq.number} CANCEL")
    cancel.add("Reason", 'SIP;cause=200;text="Call completed elsewhere"')
    talk.caller.send(cancel)
    talk.caller.take(200)
    talk.caller.take(487)
    there = talk.callee.take_request("CANCEL")
    assert there.get("reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    talk.callee.answer(there, 200)
    talk.callee.answer(talk.invited, 487)
    leave_nothing(talk.stage)


@both
def test_a_200_that_crossed_the_cancel_is_acknowledged_and_hung_up(make: Make) -> None:
    talk = make(calm())
    talk.provisional(180)
    talk.caller.cancel(talk.invite)
    talk.caller.take(487)
    for _ in range(3):  # until the ACK reaches it, the callee repeats itself
        talk.callee.answer(talk.invited, 200, body=sdp(talk.callee))
        assert talk.callee.take_request("ACK").cseq.number == talk.invited.cseq.number
    byes = [message for message in talk.callee.inbox if isinstance(message, Request) and message.method == "BYE"]
    assert len(byes) == 1
    answer_all(talk.stage, "BYE")
    leave_nothing(talk.stage)


@both
def test_a_cancel_after_the_200_changes_nothing(make: Make) -> None:
    talk = make(calm())
    talk.provisional(180)
    talk.answer()
    talk.caller.cancel(talk.invite)
    assert talk.caller.take_response(200).cseq.method == "CANCEL"
    talk.acknowledge()
    talk.hang_up()


@both
def test_a_callee_that_never_answers_a_cancel_is_given_up(make: Make) -> None:
    talk = make(calm())
    talk.provisional(180)
    talk.caller.cancel(talk.invite)
    leave_nothing(talk.stage, 80)


# -- limits and time ----------------------------------------------------------------------------------


def test_timer_c_ends_what_rings_for_ever() -> None:
    talk = outgoing(calm(timers=TimersConfig(ring=60.0)))
    talk.provisional(180)
    talk.stage.pass_time(59)
    talk.provisional(180)
    talk.stage.pass_time(61)
    talk.caller.take(408)
    talk.callee.take("CANCEL")
    talk.callee.answer(talk.invited, 487)
    leave_nothing(talk.stage)


def test_too_many_calls_are_refused_for_a_while() -> None:
    stage = calm(limits=LimitsConfig(max_calls=1))
    talk = outgoing(stage).established()
    talk.caller.request("INVITE", f"sip:1003@{DOMAIN}", body=sdp(talk.caller))
    assert talk.caller.take_response(503).has("retry-after")
    talk.hang_up()


def test_when_ports_are_short_a_call_is_refused_for_a_while_and_keeps_none() -> None:
    stage = calm(media=MediaConfig(ports=PortRange(20000, 20005)))
    alice = stage.phone("1001")
    video = "m=video 7002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=sdp(alice, more=video))
    refused = alice.take_response(503)
    assert refused.has("retry-after")
    assert stage.alpha.inbox == []
    leave_nothing(stage)


def test_a_phone_that_is_not_there_is_reported_as_unavailable() -> None:
    talk = incoming(calm())
    talk.stage.pass_time(33)
    talk.caller.take(480)
    leave_nothing(talk.stage)
