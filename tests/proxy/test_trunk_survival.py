"""Calls over a trunk whose backend dies: the carrier notices as little as a phone does."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.facts import CallStaysJoined
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
)
from tests.proxy.stage import Peer, Stage
from tests.proxy.talk import Talk, leave_nothing, sdp
from tests.proxy.trunking import (
    DIALLED,
    OURS,
    OUTSIDE,
    STRANGER,
    exchange,
    from_outside,
    gateway,
    phone_calls_outside,
    phone_is_called,
    sent_out,
    to_outside,
)


def doubtful(stage: Stage, invite: Request, backend: str = "beta") -> None:
    """This backend's INVITE is refused."""
    pbx = stage.backends[backend]
    pbx.send(pbx.ack_failure(invite, pbx.take_response(480)))


def of_the_carrier(stage: Stage) -> Peer:
    return stage.carriers["carrier"]


# -- calls from outside ---------------------------------------------------------------------------------


def test_a_carriers_call_that_rings_goes_on_at_the_next_backend() -> None:
    stage = exchange()
    call = from_outside(stage)
    call.provisional(180)
    stage.kill("alpha")
    call.callee = stage.beta
    call.invited = stage.beta.take_request("INVITE")
    assert call.invited.get("x-haproxy-voip-trunk") == "carrier"
    assert silent(call.caller)
    call.answer(sdp(stage.beta))
    call.acknowledge()
    call.hang_up()


def test_a_carriers_answered_call_is_carried_by_the_next_backend_and_neither_end_is_said_a_word() -> None:
    stage = exchange()
    call = phone_is_called(stage)
    prove(call)
    stage.kill("alpha")
    assert joined(stage, call.caller, call.callee)
    call.rebuilt()
    again = call.ours.invited
    assert again.get("x-haproxy-voip-trunk") == "carrier" and again.from_.uri.user == STRANGER
    assert nobody_is_joined(stage) and silent(call.caller, call.callee)
    assert of_the_carrier(stage) is call.caller
    call.hang_up()
    leave_nothing(stage)


def test_names_tell_who_talks_to_whom_while_no_phone_bears_them() -> None:
    stage = exchange()
    call = phone_is_called(stage)
    stage.kill("alpha")
    assert joined(stage, call.caller, call.callee)
    call.rebuilt()


@pytest.mark.parametrize("caller", ["1001", "anonymous"])
def test_a_name_that_anybody_may_show_does_not_tell_who_talks_to_whom(caller: str) -> None:
    """1001 waits for 1003, and a stranger who shows that number talks to 1002; or one who shows none."""
    stage = exchange()
    dial(stage, "1001", "1003")
    call = phone_is_called(stage, "1002", caller)
    stage.kill("alpha")
    assert nobody_is_joined(stage)
    assert plan_of(stage, call.caller).comfort_noise


# -- calls to outside -----------------------------------------------------------------------------------


def test_whom_a_phone_called_outside_stays_in_the_call_whatever_number_was_shown() -> None:
    """The backend shows the carrier one number for everybody: only the partner tells whose call it is."""
    stage = exchange()
    call = phone_calls_outside(stage)
    prove(call)
    stage.kill("alpha")
    assert joined(stage, call.caller, call.callee)
    call.rebuilt()
    assert nobody_is_joined(stage) and silent(call.caller, call.callee)
    call.hang_up()
    leave_nothing(stage)


def test_a_backend_that_shows_the_phones_own_name_is_understood_by_it() -> None:
    stage = exchange()
    call = phone_calls_outside(stage, shown="1001")
    stage.kill("alpha")
    assert nobody_is_joined(stage)
    call.rebuilt()
    assert silent(call.caller, call.callee)
    call.hang_up()


def test_somebody_else_who_calls_the_same_number_meanwhile_is_not_put_through_to_it() -> None:
    stage = exchange()
    call = phone_calls_outside(stage)
    prove(call)
    stage.kill("alpha")
    other = known(stage, "1003")
    other.request("INVITE", f"sip:{DIALLED}@voip.test", body=sdp(other))
    doubtful(stage, sent_out(stage, "beta", OURS))
    assert joined(stage, call.caller, call.callee) and silent(call.callee)


def test_two_who_talk_to_one_number_outside_are_not_mistaken_for_each_other() -> None:
    stage = exchange()
    call = phone_calls_outside(stage, "1001")
    theirs = to_outside(stage, port=9102)
    theirs.answer(sdp(gateway(stage), 7400))
    theirs.acknowledge()
    prove(call)
    stage.kill("alpha")
    call.rebuilt()  # only 1001's call is known to be one of the two
    assert nobody_is_joined(stage)


def test_no_other_call_outside_is_refused_while_calls_move() -> None:
    stage = exchange()
    call = phone_calls_outside(stage)
    prove(call)
    stage.kill("alpha")
    call.claimed()
    dial_at(stage, "beta", "1003", "0004088")
    sent_out(stage, "beta", OURS, number="+494088")
    call.callee.take("INVITE")
    call.carried()
    sent_out(stage, "beta", OURS, number="+494099")  # right after, too
    call.callee.take("INVITE")


def dial_at(stage: Stage, backend: str, caller: str, number: str) -> None:
    phone = known(stage, caller)
    phone.request("INVITE", f"sip:{number}@voip.test", body=sdp(phone))
    stage.backends[backend].take("INVITE")


def test_who_is_rung_outside_rings_on_and_is_found_by_the_number() -> None:
    stage = exchange()
    ours, theirs = dial(stage, "1001", DIALLED), to_outside(stage)
    theirs.provisional(180)
    ours.provisional(180)
    stage.kill("alpha")
    stage.beta.take_request("INVITE")
    dial_at(stage, "beta", "1003", "1002")  # somebody else's call is set up there as well
    theirs.invite = sent_out(stage, "beta", OURS)
    theirs.caller = stage.beta
    stage.beta.take(180)
    assert silent(theirs.callee)
    theirs.answer(sdp(theirs.callee))
    theirs.acknowledge()


def test_a_call_that_was_never_elsewhere_does_not_get_what_rings_outside() -> None:
    stage = exchange()
    theirs = to_outside(stage)
    theirs.provisional(180)
    stage.kill("alpha")
    dial_at(stage, "beta", "1003", DIALLED)
    sent_out(stage, "beta", OURS)
    assert theirs.callee.take_request("INVITE").call_id != theirs.invited.call_id


def test_when_no_backend_takes_it_the_two_talk_on_until_one_hangs_up() -> None:
    stage = exchange()
    call = phone_calls_outside(stage)
    prove(call)
    stage.kill("alpha")
    stage.pass_time(2 * REBUILD_SECONDS)
    for name in ("beta", "charlie"):
        pbx = stage.backends[name]
        for invite in [one for one in pbx.inbox if isinstance(one, Request) and one.method == "INVITE"]:
            pbx.answer(invite, 486)
    stage.pass_time(2 * REBUILD_SECONDS)
    assert joined(stage, call.caller, call.callee)
    assert any(isinstance(fact, CallStaysJoined) for fact in stage.facts)
    sent_out(stage, "beta", OURS)  # a colleague calls the same number: that is another call
    assert requests(call.callee) == ["INVITE"]
    call.callee.inbox.clear()
    call.theirs.by_callee("BYE")
    call.callee.take(200)
    hung_up(call.caller)


# -- numbers that strangers show ------------------------------------------------------------------------


def shown_by_a_stranger(stage: Stage, number: str, answered: bool) -> None:
    """A carrier's caller is at beta and shows this number; beta may have answered, as a queue does."""
    carrier = gateway(stage)
    invite = carrier.new("INVITE", "sip:600@voip.test", body=sdp(carrier, 7950), from_=f"<sip:{number}@x.org>;tag=s")
    carrier.send(invite)
    there = next(
        one
        for one in stage.beta.inbox
        if isinstance(one, Request) and one.method == "INVITE" and one.request_uri.user == "600"
    )
    stage.beta.inbox.remove(there)
    if answered:
        stage.beta.answer(there, 200, body=sdp(stage.beta, 9700))
        carrier.ack(invite, carrier.take_response(200))
        stage.beta.take("ACK")


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("proved", [False, True])
def test_a_stranger_who_shows_the_callers_number_does_not_get_the_callers_partner(answered: bool, proved: bool) -> None:
    """1001 talks to 1002 and alpha dies. Before beta has put them through it calls 1002 for "1001": who is meant?"""
    stage = exchange()
    call = converse(stage)
    if proved:
        prove(call)
    stage.kill("alpha")
    call.invited()
    shown_by_a_stranger(stage, "1001", answered)
    doubtful(stage, claim(stage, "beta", "1001", "1002"))
    assert joined(stage, call.caller, call.callee) and silent(call.caller, call.callee)


@pytest.mark.parametrize("answered", [False, True])
def test_nor_one_who_shows_the_number_of_a_carriers_caller(answered: bool) -> None:
    stage = exchange()
    call = phone_is_called(stage)
    prove(call)
    stage.kill("alpha")
    call.invited()
    shown_by_a_stranger(stage, STRANGER, answered)
    doubtful(stage, claim(stage, "beta", STRANGER, "1002"))
    assert joined(stage, call.caller, call.callee)


def test_nor_does_one_who_shows_none_while_somebody_else_is_put_through() -> None:
    stage = exchange()
    call = phone_is_called(stage, caller="anonymous")
    prove(call)
    stage.kill("alpha")
    call.invited()
    dial_at(stage, "beta", "1003", "1002")  # and shows no number either
    doubtful(stage, claim(stage, "beta", "anonymous", "1002"))
    assert joined(stage, call.caller, call.callee)


def test_with_the_token_it_is_certain_whatever_numbers_are_shown() -> None:
    stage = exchange()
    call = converse(stage)
    prove(call)
    stage.kill("alpha")
    invited = call.invited()
    shown_by_a_stranger(stage, "1001", answered=True)
    token = invited.get("x-haproxy-voip-call") or ""
    invite = claim(stage, "beta", "1001", "1002", x_haproxy_voip_call=token)
    stage.beta.ack(invite, stage.beta.take_response(200))
    assert silent(call.callee)


def test_several_calls_of_one_number_outside_are_carried_one_after_the_other() -> None:
    """Everybody in that company shows the same number."""
    stage = exchange()
    calls = [phone_is_called(stage, "1002"), _second(stage)]
    for call in calls:
        prove(call)
    stage.kill("alpha")
    for call in calls:
        call.rebuilt()
    assert nobody_is_joined(stage)


def _second(stage: Stage) -> Conversation:
    """Another caller of the same number talks to 1003."""
    carrier = gateway(stage)
    known(stage, "1003")
    invite = carrier.new("INVITE", "sip:1003@voip.test", body=sdp(carrier, 7960), from_=f"<sip:{STRANGER}@x.org>;tag=2")
    carrier.send(invite)
    carrier.take(100)
    there = stage.alpha.take_request("INVITE")
    theirs = ring(stage, "alpha", STRANGER, "1003", port=9042)
    theirs.answer(sdp(theirs.callee, 7000))
    theirs.acknowledge()
    stage.alpha.answer(there, 200, body=sdp(stage.alpha, 9040), tag="second")
    ok = carrier.take_response(200)
    carrier.ack(invite, ok)
    stage.alpha.take("ACK")
    return Conversation(stage, Talk(stage, carrier, stage.alpha, invite, there, ok), theirs)


def test_a_number_outside_may_be_called_by_any_backend() -> None:
    stage = exchange()
    assert to_outside(stage, "beta").invited.request_uri.user == OUTSIDE
