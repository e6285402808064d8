"""Calls through the proxy: phones hear each other, and everything a PBX can do reaches them."""

from dataclasses import replace

import pytest

from tests.interop.audio import CALLEE_TONE, CALLER_TONE, Ear
from tests.interop.conftest import StartHandset, StartPair, StartSipp
from tests.interop.parties import CALLEE, CALLER, THIRD, call, call_refused
from tests.interop.proxy import ADDRESS, TLS_PORT, Proxy
from tests.interop.servers import REALM
from tests.interop.sipp import Run

SILENCE = 0.3  # seconds of a tone that an ear may still have heard while it was turned off


# -- calls to the server ---------------------------------------------------------------------------------


def test_the_echo_test_sends_the_callers_own_tone_back(proxy: Proxy, start_sipp: StartSipp, caller_ear: Ear) -> None:
    sipp = start_sipp(call("600", proxy.address, caller_ear))
    caller_ear.remote = sipp.wait_remote_audio()
    assert caller_ear.remote[0] == ADDRESS
    sipp.wait()
    assert caller_ear.seconds_of(CALLER_TONE) > 1.0
    assert list(caller_ear.sources) == [caller_ear.remote]


def test_a_tone_of_the_server_is_heard(proxy: Proxy, start_sipp: StartSipp, caller_ear: Ear) -> None:
    sipp = start_sipp(call("601", proxy.address, caller_ear))
    caller_ear.remote = sipp.wait_remote_audio()
    sipp.wait()
    assert caller_ear.seconds_of(1000.0) > 1.0


def test_early_media_is_heard_before_the_answer_and_the_echo_after_it(
    proxy: Proxy, start_sipp: StartSipp, caller_ear: Ear
) -> None:
    sipp = start_sipp(call("610", proxy.address, caller_ear))
    caller_ear.remote = sipp.wait_remote_audio(2.0)
    sipp.wait()
    assert caller_ear.seconds_of(440.0) > 3.0
    assert caller_ear.seconds_of(CALLER_TONE) > 1.0


@pytest.mark.parametrize(("number", "status"), [("620", 486), ("1003", 480), ("4711", 404)], ids=str)
def test_numbers_that_refuse_say_why(
    proxy: Proxy, start_sipp: StartSipp, caller_ear: Ear, number: str, status: int
) -> None:
    start_sipp(call_refused(number, proxy.address, caller_ear, status)).wait()


def test_no_circuit_at_every_server_is_a_failure_but_never_503(
    proxy: Proxy, start_sipp: StartSipp, caller_ear: Ear
) -> None:
    """RFC 3261 section 16.7 step 6."""
    start_sipp(call_refused("621", proxy.address, caller_ear, 500)).wait()


def test_a_caller_gives_up_while_it_rings(proxy: Proxy, start_handset: StartHandset) -> None:
    phone = start_handset(user="1001", server=proxy.address, address=CALLER)
    ringing = phone.call("622")
    ringing.wait_ringing()
    ringing.hang_up()
    assert ringing.wait_refused() == 487
    proxy.wait(lambda status: not any(row["calls"] for row in status["backends"]), 1.0)


# -- what is done in a call ------------------------------------------------------------------------------


def test_digits_pressed_reach_the_server_and_its_digits_the_phone(
    proxy: Proxy, start_sipp: StartSipp, caller_ear: Ear
) -> None:
    sipp = start_sipp(call("800", proxy.address, caller_ear, talk_ms=3500))
    caller_ear.remote = sipp.wait_remote_audio()
    caller_ear.press("4711")
    sipp.wait()
    assert caller_ear.digits == "4711"


def test_three_in_a_conference_hear_the_two_others(
    proxy: Proxy, start_sipp: StartSipp, caller_ear: Ear, callee_ear: Ear, third_ear: Ear
) -> None:
    ears = (caller_ear, callee_ear, third_ear)
    calls = [
        start_sipp(call("700", proxy.address, ear, user=user, talk_ms=2500))
        for ear, user in zip(ears, ("1001", "1002", "1003"), strict=True)
    ]
    for sipp, ear in zip(calls, ears, strict=True):
        ear.remote = sipp.wait_remote_audio()
    for sipp in calls:
        sipp.wait()
    # Two tones mixed: each has half of the energy.
    for ear in ears:
        for other in ears:
            assert (ear.loudest(other.frequency) > 0.3) == (ear is not other)


def test_a_text_reaches_the_other_users_phone(proxy: Proxy, start_handset: StartHandset) -> None:
    callee = start_handset(user="1002", server=proxy.address, address=CALLEE)
    assert callee.register() == 200
    proxy.wait_registered(1)
    caller = start_handset(user="1001", server=proxy.address, address=CALLER)
    assert caller.message("1002", "hello from 1001") in (200, 202)
    callee.wait(lambda: callee.texts == ["hello from 1001"], 2.0, "text")


@pytest.mark.parametrize(
    ("event", "accept", "state"),
    [
        ("dialog", "application/dialog-info+xml", "terminated"),
        ("message-summary", "application/simple-message-summary", "Messages-Waiting: no"),
    ],
    ids=["dialog", "message-summary"],
)
def test_a_subscription_gets_the_full_state_and_no_address_of_the_server(
    proxy: Proxy, start_sipp: StartSipp, event: str, accept: str, state: str
) -> None:
    keys = {"resource": "1001", "domain": REALM, "event": event, "accept": accept}
    sipp = start_sipp(Run(scenario="subscribe", local=CALLER, target=proxy.address, keys=keys))
    sipp.wait()
    assert state in sipp.messages()
    assert "127.0.0.11" not in sipp.messages()


# -- calls between phones --------------------------------------------------------------------------------


def test_either_side_hangs_up_the_other(proxy: Proxy, start_pair: StartPair) -> None:
    caller, callee = start_pair(proxy)
    for hangs_up in (caller, callee):
        ours = caller.call("1002")
        theirs = callee.wait_call()
        theirs.answer()
        ours.wait_answered()
        (ours if hangs_up is caller else theirs).hang_up()
        (theirs if hangs_up is caller else ours).wait_ended()


def test_a_call_held_is_silent_and_goes_on_when_it_is_resumed(
    proxy: Proxy, start_pair: StartPair, caller_ear: Ear, callee_ear: Ear
) -> None:
    caller, callee = start_pair(proxy)
    ours = caller.call("1002")
    theirs = callee.wait_call()
    theirs.answer()
    ours.wait_answered()
    caller_ear.wait_for(CALLEE_TONE)
    ours.hold()
    callee_ear.wait_for(500.0)  # music on hold
    heard = caller_ear.seconds_of(CALLEE_TONE)
    callee_ear.wait_for(500.0)
    assert caller_ear.seconds_of(CALLEE_TONE) < heard + SILENCE
    ours.resume()
    caller_ear.wait_for(CALLEE_TONE)
    callee_ear.wait_for(CALLER_TONE)
    ours.hang_up()
    theirs.wait_ended()


def test_a_blind_transfer_sends_the_other_side_to_the_new_number(
    proxy: Proxy, start_pair: StartPair, callee_ear: Ear
) -> None:
    caller, callee = start_pair(proxy)
    ours = caller.call("1002")
    theirs = callee.wait_call()
    theirs.answer()
    ours.wait_answered()
    callee_ear.wait_for(CALLER_TONE)
    ours.transfer("601")
    callee_ear.wait_for(1000.0)
    caller.wait(
        lambda: any("200" in note for note in ours.notes) or ours.ended_at is not None, 5.0, "transfer's success"
    )
    theirs.hang_up()


def test_an_attended_transfer_connects_the_two_others(
    proxy: Proxy, start_pair: StartPair, start_handset: StartHandset, callee_ear: Ear, third_ear: Ear
) -> None:
    caller, callee = start_pair(proxy)
    third = start_handset(user="1003", server=proxy.address, address=THIRD, ear=third_ear)
    assert third.register() == 200
    proxy.wait_registered(3)
    first = caller.call("1002")
    theirs = callee.wait_call()
    theirs.answer()
    first.wait_answered()
    first.hold()
    second = caller.call("1003")
    thirds = third.wait_call()
    thirds.answer()
    second.wait_answered()
    third_ear.wait_for(CALLER_TONE)  # an Asterisk that still joins the two may lose one's voice at the transfer
    first.transfer("1003", replacing=second)
    callee_ear.wait_for(third_ear.frequency)
    third_ear.wait_for(CALLEE_TONE)
    second.wait_ended()
    theirs.hang_up()
    thirds.wait_ended()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_phone_on_a_stream_calls_and_is_called(
    proxy: Proxy, start_handset: StartHandset, caller_ear: Ear, callee_ear: Ear, transport: str
) -> None:
    port = TLS_PORT if transport == "tls" else 5060
    secured = start_handset(
        user="1001", server=proxy.address, server_port=port, transport=transport, trust=proxy.certificate,
        address=CALLER, ear=caller_ear,
    )  # fmt: skip
    plain = start_handset(user="1002", server=proxy.address, address=CALLEE, ear=callee_ear)
    assert (secured.register(), plain.register()) == (200, 200)
    proxy.wait_registered(2)
    for caller, callee in ((secured, plain), (plain, secured)):
        ours = caller.call(callee.user)
        theirs = callee.wait_call()
        theirs.answer()
        ours.wait_answered()
        caller_ear.wait_for(CALLEE_TONE)
        callee_ear.wait_for(CALLER_TONE)
        ours.hang_up()
        theirs.wait_ended()


def test_a_call_over_tcp_by_sipp_works(proxy: Proxy, start_sipp: StartSipp, caller_ear: Ear) -> None:
    sipp = start_sipp(replace(call("600", proxy.address, caller_ear), transport="t1"))
    caller_ear.remote = sipp.wait_remote_audio()
    sipp.wait()
    assert caller_ear.seconds_of(CALLER_TONE) > 1.0
