"""What is told of a call while it goes on: who it is with, ringing, hold, transfers, and who ended it."""

from __future__ import annotations

import typing

import pytest

from haproxy_voip.proxy.call_facts import (
    CallDialog,
    CallFact,
    CallHeld,
    CallReferred,
    CallResumed,
    CallRings,
    CallTransferred,
)
from haproxy_voip.proxy.events import MediaReport
from haproxy_voip.proxy.facts import CallEnded, CallStarted, MediaCarried
from haproxy_voip.rtp.flow import Counters
from tests.proxy.conversation import converse, theatre
from tests.proxy.stage import DOMAIN, Stage
from tests.proxy.talk import BOTH, Make, Talk, ask, calm, incoming, outgoing, sdp

both = pytest.mark.parametrize("make", BOTH)
either = pytest.mark.parametrize("side", ["by_caller", "by_callee"])


def told(stage: Stage, *kinds: type) -> list[object]:
    return [fact for fact in stage.facts if isinstance(fact, kinds)]


def within(stage: Stage) -> list[object]:
    """All but who it is with."""
    return [fact for fact in told(stage, *typing.get_args(CallFact)) if not isinstance(fact, CallDialog | CallRings)]


def re_invite(talk: Talk, side: str, offer: str, answer: str) -> None:
    asker, other = (talk.caller, talk.callee) if side == "by_caller" else (talk.callee, talk.caller)
    request = ask(talk, side, "INVITE", sdp(asker, direction=offer))
    _, response = talk.across(request, 200, sdp(other, direction=answer))
    talk.ack_of(request, response)


@both
def test_a_call_says_who_it_is_with_in_which_dialogs_and_when_it_rang(make: Make) -> None:
    stage = calm()
    talk = make(stage)
    stage.pass_time(1.5)
    talk.established()
    [started] = told(stage, CallStarted)
    assert isinstance(started, CallStarted)
    assert (started.caller, started.callee, started.from_phone) == ("1001", "1002", make is outgoing)
    caller, callee = told(stage, CallDialog)
    assert isinstance(caller, CallDialog) and isinstance(callee, CallDialog)
    assert (caller.party, caller.call_id) == ("caller", talk.invite.call_id)
    assert (callee.party, callee.call_id) == ("callee", talk.invited.call_id)
    assert (caller.backend, callee.backend) == ((None, "alpha") if make is outgoing else ("alpha", None))
    assert caller.address == f"udp:{talk.caller.flow.remote}"
    [rings] = told(stage, CallRings)
    assert isinstance(rings, CallRings) and rings.status == 180 and rings.after == pytest.approx(1.5)


def test_only_the_first_provisional_response_is_told() -> None:
    talk = outgoing(calm())
    for status in (183, 180, 180):
        talk.provisional(status)
    assert [fact.status for fact in told(talk.stage, CallRings)] == [183]  # type: ignore[attr-defined]


def test_a_challenged_invite_is_one_dialog() -> None:
    stage = calm()
    talk = outgoing(stage)
    stage.alpha.answer(talk.invited, 401, www_authenticate=f'Digest realm="{DOMAIN}", nonce="n", qop="auth"')
    stage.alpha.take("ACK")
    assert stage.alpha.take_request("INVITE").has("authorization")
    assert len(told(stage, CallDialog)) == 2


@both
@either
@pytest.mark.parametrize(("offer", "answer"), [("sendonly", "recvonly"), ("inactive", "inactive")])
def test_hold_and_resume_name_who_holds(make: Make, side: str, offer: str, answer: str) -> None:
    stage = calm()
    talk = make(stage).established()
    who = "caller" if side == "by_caller" else "callee"
    re_invite(talk, side, offer, answer)
    re_invite(talk, side, offer, answer)
    re_invite(talk, side, "sendrecv", "sendrecv")
    [held, resumed] = within(stage)
    assert isinstance(held, CallHeld) and isinstance(resumed, CallResumed)
    assert (held.by, resumed.by) == (who, who)


def test_a_hold_that_is_refused_is_none() -> None:
    stage = calm()
    talk = outgoing(stage).established()
    talk.across(talk.by_caller("INVITE", sdp(talk.caller, direction="sendonly")), 488)
    assert within(stage) == []


@both
@either
def test_a_blind_transfer_is_told_with_its_outcome_also_after_the_end(make: Make, side: str) -> None:
    stage = calm()
    talk = make(stage).established()
    other = "by_callee" if side == "by_caller" else "by_caller"
    talk.across(ask(talk, side, "REFER", refer_to=f"<sip:1003@{DOMAIN}>"), 202)
    ask(talk, side, "BYE")
    headers = {"content_type": "message/sipfrag", "event": "refer", "subscription_state": "terminated"}
    talk.across(ask(talk, other, "NOTIFY", b"SIP/2.0 486 Busy Here\r\n", **headers))
    referred, transferred = within(stage)
    assert isinstance(referred, CallReferred) and isinstance(transferred, CallTransferred)
    assert referred.by == ("caller" if side == "by_caller" else "callee")
    assert (referred.to, referred.replaces, transferred.status) == ("1003", None, 486)


def test_an_attended_transfer_names_the_call_it_takes_over() -> None:
    stage = calm()
    first = outgoing(stage).established()
    alice = first.caller
    invite = alice.request("INVITE", f"sip:1003@{DOMAIN}", body=sdp(alice, 7200))
    alice.inbox.clear()
    second = Talk(stage, alice, stage.alpha, invite, stage.alpha.take_request("INVITE")).established()
    assert second.ok is not None
    replaces = f"{invite.call_id.replace('@', '%40')}%3Bto-tag%3D{second.ok.to.tag}%3Bfrom-tag%3D{second.ok.from_.tag}"
    first.across(first.by_caller("REFER", refer_to=f"<sip:1003@{DOMAIN}?Replaces={replaces}>"), 202)
    [referred] = within(stage)
    began = [fact.call for fact in told(stage, CallStarted)]  # type: ignore[attr-defined]
    assert isinstance(referred, CallReferred)
    assert (referred.call, referred.replaces) == (began[0], began[1])


@pytest.mark.parametrize("target", ["", "not an address", f"<sip:1003@{DOMAIN}?Replaces=nonsense>"])
def test_a_refer_that_makes_no_sense_to_us_is_told_nevertheless(target: str) -> None:
    talk = outgoing(calm()).established()
    headers = {"refer_to": target} if target else {}
    talk.across(talk.by_caller("REFER", **headers), 202)
    [referred] = within(talk.stage)
    assert isinstance(referred, CallReferred) and referred.to in ("", "1003") and referred.replaces in (None, "")


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 0), (b"SIP/2.0", 0), (b"SIP/2.0 20x OK", 0), (b"SIP/2.0 200 OK", 200)]
)
def test_a_last_notify_without_a_status_says_nothing(body: bytes, status: int) -> None:
    talk = outgoing(calm()).established()
    headers = {"content_type": "message/sipfrag", "event": "refer", "subscription_state": "terminated"}
    talk.across(talk.by_callee("NOTIFY", body, **headers))
    [transferred] = within(talk.stage)
    assert isinstance(transferred, CallTransferred) and transferred.status == status


def ended(stage: Stage) -> tuple[str, int]:
    [fact] = told(stage, CallEnded)
    assert isinstance(fact, CallEnded)
    return fact.by, fact.status


@both
def test_the_end_names_who_hung_up(make: Make) -> None:
    for side, who in (("by_caller", "caller"), ("by_callee", "callee")):
        stage = calm()
        ask(make(stage).established(), side, "BYE")
        assert ended(stage) == (who, 0)


def test_the_end_of_a_call_that_was_not_answered_has_its_status() -> None:
    busy = outgoing(calm())
    busy.callee.answer(busy.invited, 486)
    assert ended(busy.stage) == ("callee", 486)
    cancelled = outgoing(calm())
    cancelled.caller.cancel(cancelled.invite)
    assert ended(cancelled.stage) == ("caller", 487)
    unanswered = outgoing(calm())
    unanswered.callee.answer(unanswered.invited, 100)
    unanswered.stage.pass_time(200)
    assert ended(unanswered.stage) == ("proxy", 408)
    impossible = incoming(calm())
    impossible.callee.answer(impossible.invited, 200, body=b"no description")
    assert ended(impossible.stage)[0] == "proxy"


def test_the_dialogs_at_the_next_backend_are_told() -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    call.rebuilt("beta")
    at_beta = [fact for fact in told(stage, CallDialog) if fact.backend == "beta"]  # type: ignore[attr-defined]
    assert {fact.call_id for fact in at_beta} == {call.ours.invited.call_id, call.theirs.invite.call_id}  # type: ignore[attr-defined]


def test_counts_of_media_name_their_call_and_codec() -> None:
    stage = calm()
    talk = outgoing(stage).established()
    talk.hang_up()
    [stream] = stage.removed
    stage.feed(MediaReport(stream, Counters(packets=50), Counters(packets=49, lost=1)))
    [carried] = told(stage, MediaCarried)
    [started] = told(stage, CallStarted)
    assert isinstance(carried, MediaCarried) and isinstance(started, CallStarted)
    assert (carried.call, carried.codec, carried.backend_lost) == (started.call, "pcmu/8000", 1)
    stage.feed(MediaReport(stream, Counters(), Counters()))
    assert told(stage, MediaCarried)[-1].call == ""  # type: ignore[attr-defined]
