"""Reliable provisional responses (RFC 3262)."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.reliable import MAX_RELIABLE, Reliable
from haproxy_voip.sip.headers import RAck
from tests.proxy.talk import BOTH, Make, calm, incoming, outgoing, sdp

both = pytest.mark.parametrize("make", BOTH)
either = pytest.mark.parametrize("side", ["by_caller", "by_callee"])


@both
def test_prack_is_translated(make: Make) -> None:
    stage = calm()
    talk = outgoing(stage, supported="100rel") if make is outgoing else incoming(stage, supported="100rel")
    early = talk.provisional(183, body=sdp(talk.callee, 9000), rseq="4711", require="100rel")
    assert early.get("require") == "100rel" and early.get("rseq") == "1"
    prack = talk.by_caller("PRACK", early=early, rack=f"1 {talk.invite.cseq.number} INVITE")
    there, _ = talk.across(prack)
    assert there.get("rack") == f"4711 {talk.invited.cseq.number} INVITE"
    talk.answer()
    talk.acknowledge()
    talk.hang_up()


@both
def test_a_retransmitted_provisional_keeps_its_number_and_the_next_has_the_next(make: Make) -> None:
    talk = make(calm())
    first = talk.provisional(183, rseq="7", require="100rel")
    again = talk.provisional(183, rseq="7", require="100rel")
    second = talk.provisional(180, rseq="8", require="100rel")
    assert [one.get("rseq") for one in (first, again, second)] == ["1", "1", "2"]


def test_each_fork_counts_by_itself() -> None:
    talk = outgoing(calm())
    numbers = [
        talk.provisional(183, tag=tag, rseq=rseq, require="100rel").get("rseq")
        for tag, rseq in [("one", "5"), ("two", "5"), ("one", "6"), ("two", "6")]
    ]
    assert numbers == ["1", "1", "2", "2"]


@both
def test_a_prack_for_nothing_gets_481_and_the_call_goes_on(make: Make) -> None:
    talk = make(calm())
    early = talk.provisional(183, rseq="7", require="100rel")
    talk.by_caller("PRACK", early=early, rack=f"9 {talk.invite.cseq.number} INVITE")
    talk.caller.take(481)
    assert talk.callee.inbox == []
    talk.established().hang_up()


@both
def test_a_re_invite_may_have_reliable_provisionals_as_well(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.by_callee("INVITE", sdp(talk.callee, 9100), supported="100rel")
    there = talk.caller.take_request("INVITE")
    talk.caller.answer(there, 183, rseq="99", require="100rel", body=sdp(talk.caller))
    early = talk.callee.take_response(183)
    prack = talk.by_callee("PRACK", rack=f"{early.get('rseq')} {request.cseq.number} INVITE")
    got, _ = talk.across(prack)
    assert got.get("rack") == f"99 {there.cseq.number} INVITE"
    talk.caller.answer(there, 200)
    ok = talk.callee.take_response(200)
    talk.ack_of(request, ok)
    talk.hang_up()


@both
@either
def test_an_early_dialog_can_be_updated(make: Make, side: str) -> None:
    """RFC 3311: once offer and answer are through, even before the call is answered."""
    talk = make(calm())
    body = sdp(talk.callee, 9000)
    sent = talk.callee.answer(talk.invited, 183, rseq="1", require="100rel", body=body)
    early = talk.caller.take_response(183)
    talk.across(talk.by_caller("PRACK", early=early, rack=f"1 {talk.invite.cseq.number} INVITE"))
    if side == "by_caller":
        update = talk.by_caller("UPDATE", sdp(talk.caller, 7200), early=early)
        there, ok = talk.across(update, 200, sdp(talk.callee, 9200))
    else:
        update = talk.by_callee("UPDATE", sdp(talk.callee, 9200), early=sent)
        there, ok = talk.across(update, 200, sdp(talk.caller, 7200))
    assert b"127.0.0.10" in there.body and b"127.0.0.10" in ok.body
    talk.answer(b"")
    talk.acknowledge()
    talk.hang_up()


# -- the numbers --------------------------------------------------------------------------------------


def test_responses_of_our_own_are_numbered_among_the_others() -> None:
    subject = Reliable()
    assert [subject.number(RAck(70, 1, "INVITE"), 5), subject.number(None, 5)] == [1, 2]
    assert subject.acknowledge(RAck(1, 5, "INVITE")) == "70 1 INVITE"
    assert not subject.nobody_waits(RAck(1, 5, "INVITE"))
    assert subject.nobody_waits(RAck(2, 5, "INVITE"))
    assert not subject.nobody_waits(RAck(3, 5, "INVITE"))


@pytest.mark.parametrize(
    ("method", "fields", "answer"),
    [("PRACK", {}, 200), ("UPDATE", {"body": True}, 491), ("PRACK", {"body": True}, 491), ("INFO", {}, 487)],
)
def test_what_was_on_its_way_to_a_backend_that_dies_is_answered(
    method: str, fields: dict[str, bool], answer: int
) -> None:
    stage = calm()
    talk = outgoing(stage, supported="100rel")
    early = talk.provisional(183, body=sdp(talk.callee, 9000), rseq="4711", require="100rel")
    body = sdp(talk.caller, 7100) if fields else b""
    rack = {"rack": f"1 {talk.invite.cseq.number} INVITE"} if method == "PRACK" else {}
    talk.by_caller(method, body, early=early, **rack)
    talk.callee.take_request(method)
    stage.kill("alpha")
    stage.beta.take_request("INVITE")
    talk.caller.take_response(answer)
    assert all(one.status == 100 for one in talk.caller.inbox)  # type: ignore[union-attr]


def test_it_remembers_no_more_than_is_ever_needed() -> None:
    subject = Reliable()
    for number in range(1, 3 * MAX_RELIABLE):
        subject.number(RAck(number, 1, "INVITE"), 5)
    assert subject.acknowledge(RAck(1, 5, "INVITE")) is None
    assert subject.acknowledge(RAck(3 * MAX_RELIABLE - 1, 5, "INVITE")) is not None


def test_a_prack_that_comes_after_the_restart_still_counts() -> None:
    subject = Reliable()
    subject.number(RAck(70, 1, "INVITE"), 5)
    assert not subject.acknowledged
    subject.restart()
    assert subject.nobody_waits(RAck(1, 5, "INVITE"))
    assert subject.acknowledged
    assert subject.number(RAck(9, 1, "INVITE"), 5) == 2
