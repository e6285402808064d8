"""A 2xx is repeated until its ACK comes, and the ACK goes end to end (RFC 3261 sections 13.2.2.4, 13.3.1.4)."""

from __future__ import annotations

import pytest

from haproxy_voip.sip.message import Request, Response
from tests.proxy.talk import BOTH, Make, calm, incoming, leave_nothing, outgoing, sdp

both = pytest.mark.parametrize("make", BOTH)


@both
def test_a_200_is_sent_again_from_t1_to_t2_until_it_is_acknowledged(make: Make) -> None:
    talk = make(calm())
    talk.provisional(180)
    talk.answer()
    start, times = talk.stage.now, []
    while talk.stage.now < start + 20:
        talk.stage.pass_time(0.5)
        times += [talk.stage.now - start for one in talk.caller.inbox if isinstance(one, Response)]
        talk.caller.inbox.clear()
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5]
    talk.acknowledge()
    talk.stage.pass_time(10)
    assert talk.caller.inbox == []
    talk.hang_up()


@both
def test_without_any_ack_both_parties_are_hung_up_after_64_t1(make: Make) -> None:
    talk = make(calm())
    talk.provisional(180)
    talk.answer()
    talk.stage.pass_time(31.9)
    assert not [one for one in talk.callee.inbox if isinstance(one, Request)]
    talk.stage.pass_time(0.2)
    talk.callee.take("ACK")
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    talk.caller.answer(talk.caller.take_request("BYE"), 200)
    leave_nothing(talk.stage)


@both
def test_an_ack_with_another_cseq_acknowledges_nothing(make: Make) -> None:
    talk = make(calm())
    ok = talk.answer()
    stray = talk.caller.within(talk.invite, ok, "ACK", talk.invite.cseq.number + 7)
    talk.caller.send(stray)
    assert talk.callee.inbox == []
    talk.stage.pass_time(0.6)
    talk.caller.take(200)
    talk.acknowledge()
    talk.hang_up()


@both
def test_a_200_repeated_by_the_callee_is_acknowledged_again_but_only_after_the_caller_did(make: Make) -> None:
    talk = make(calm())
    talk.answer()
    talk.callee.send(talk.ok_sent or b"")
    assert talk.callee.inbox == [] and talk.caller.inbox == []
    first = talk.acknowledge()
    talk.callee.send(talk.ok_sent or b"")
    again = talk.callee.take_request("ACK")
    assert again.encode() == first.encode()
    assert talk.caller.inbox == []
    talk.hang_up()


@both
def test_an_ack_repeated_by_the_caller_is_absorbed(make: Make) -> None:
    talk = make(calm()).established()
    assert talk.ok is not None
    talk.caller.ack(talk.invite, talk.ok)
    assert talk.callee.inbox == []
    talk.hang_up()


@both
def test_a_200_to_a_re_invite_is_repeated_until_its_ack_and_acknowledged_again(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.by_callee("INVITE", sdp(talk.callee, 9100))
    there = talk.caller.take_request("INVITE")
    answer = talk.caller.answer(there, 200, body=sdp(talk.caller))
    ok = talk.callee.take_response(200)
    talk.stage.pass_time(2)
    assert [one.status for one in talk.callee.inbox if isinstance(one, Response)] == [100, 200, 200]
    talk.callee.inbox.clear()
    talk.caller.send(answer)
    assert talk.caller.inbox == []
    first = talk.ack_of(request, ok)
    talk.caller.send(answer)
    assert talk.caller.take_request("ACK").encode() == first.encode()
    talk.hang_up()


@both
def test_a_re_invite_whose_ack_never_comes_ends_the_call_for_both(make: Make) -> None:
    talk = make(calm()).established()
    talk.across(talk.by_caller("INVITE", sdp(talk.caller)), 200, sdp(talk.callee))
    talk.stage.pass_time(33)
    talk.callee.take("ACK")
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    talk.caller.answer(talk.caller.take_request("BYE"), 200)
    leave_nothing(talk.stage)


@both
def test_an_offer_may_come_in_the_200_and_its_answer_in_the_ack(make: Make) -> None:
    stage = calm()
    talk = outgoing(stage, body=b"") if make is outgoing else incoming(stage, body=b"")
    assert talk.invited.body == b""
    ok = talk.answer()
    assert b"c=IN IP4 127.0.0.10" in ok.body
    ack = talk.acknowledge(sdp(talk.caller))
    assert b"c=IN IP4 127.0.0.10" in ack.body
    plan = next(iter(stage.plans.values())).plan
    assert plan.client.remote is not None and plan.backend.remote is not None
    talk.hang_up()


@both
def test_a_bad_answer_in_the_ack_ends_the_call(make: Make) -> None:
    stage = calm()
    talk = outgoing(stage, body=b"") if make is outgoing else incoming(stage, body=b"")
    ok = talk.answer()
    talk.caller.ack(talk.invite, ok, b"v=0\r\nm=?\r\n")
    talk.callee.take("ACK")
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    talk.caller.answer(talk.caller.take_request("BYE"), 200)
    leave_nothing(stage)


@both
def test_a_re_invite_may_delay_its_offer_as_well(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.by_caller("INVITE")
    _, ok = talk.across(request, 200, sdp(talk.callee, 9100))
    ack = talk.ack_of(request, ok, sdp(talk.caller, 7100))
    assert b"127.0.0.10" in ack.body
    talk.hang_up()
