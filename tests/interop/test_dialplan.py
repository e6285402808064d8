"""Every number and service that tests use at the servers does what extensions.conf says, the proxy left out."""

from dataclasses import replace

import pytest

from tests.interop.audio import CALLER_TONE, Ear
from tests.interop.conftest import StartAsterisk, StartSipp
from tests.interop.parties import CALLEE, CALLER, call, register
from tests.interop.servers import REALM, Asterisk, Setting
from tests.interop.sipp import Run

ASTERISKS = [
    pytest.param(Setting(), id="pjsip-16"),
    pytest.param(Setting(stack="chan_sip"), id="chan_sip-16"),
    pytest.param(Setting(suite="sid"), id="pjsip-22"),
]


def test_early_media_is_heard_before_the_answer_and_the_echo_after_it(
    alpha: Asterisk, start_sipp: StartSipp, caller_ear: Ear
) -> None:
    sipp = start_sipp(call("610", alpha.address, caller_ear))
    caller_ear.remote = sipp.wait_remote_audio(2.0)
    sipp.wait()
    assert caller_ear.seconds_of(440.0) > 3.0
    assert caller_ear.seconds_of(CALLER_TONE) > 1.0


def test_three_in_a_conference_hear_the_two_others(
    alpha: Asterisk, start_sipp: StartSipp, caller_ear: Ear, callee_ear: Ear, third_ear: Ear
) -> None:
    ears = (caller_ear, callee_ear, third_ear)
    calls = [
        start_sipp(call("700", alpha.address, ear, user=user, talk_ms=3000))
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


@pytest.mark.parametrize("setting", ASTERISKS)
def test_digits_pressed_at_800_come_back_as_digits(
    start_asterisk: StartAsterisk, start_sipp: StartSipp, caller_ear: Ear, setting: Setting
) -> None:
    alpha = start_asterisk("alpha", setting)
    sipp = start_sipp(call("800", alpha.address, caller_ear, talk_ms=4000))
    caller_ear.remote = sipp.wait_remote_audio()
    caller_ear.press("4711")
    sipp.wait()
    alpha.wait_for_log("DIGITS 4711 FROM 1001", 1.0)
    assert caller_ear.digits == "4711"


@pytest.mark.parametrize("setting", ASTERISKS)
def test_a_text_reaches_the_other_users_phone(
    start_asterisk: StartAsterisk, start_sipp: StartSipp, setting: Setting
) -> None:
    alpha = start_asterisk("alpha", setting)
    registering = start_sipp(register("1002", CALLEE, alpha.address))
    registering.wait()
    taker = start_sipp(Run(scenario="take_message", local=CALLEE))
    taker.wait_listening()
    keys = {"callee": "1002", "domain": REALM, "text": "hello from 1001"}
    start_sipp(Run(scenario="message", local=CALLER, target=alpha.address, keys=keys)).wait()
    taker.wait()
    assert "hello from 1001" in taker.messages()


@pytest.mark.parametrize("setting", ASTERISKS)
@pytest.mark.parametrize(
    ("event", "accept", "state"),
    [
        ("dialog", "application/dialog-info+xml", "terminated"),
        ("message-summary", "application/simple-message-summary", "Messages-Waiting: no"),
    ],
    ids=["dialog", "message-summary"],
)
def test_a_subscription_gets_the_full_state(
    start_asterisk: StartAsterisk, start_sipp: StartSipp, setting: Setting, event: str, accept: str, state: str
) -> None:
    alpha = start_asterisk("alpha", setting)
    registering = start_sipp(register("1001", CALLER, alpha.address))
    registering.wait()
    keys = {"resource": "1001", "domain": REALM, "event": event, "accept": accept}
    sipp = start_sipp(Run(scenario="subscribe", local=CALLER, target=alpha.address, keys=keys))
    sipp.wait()
    assert state in sipp.messages()


def test_a_message_left_for_a_user_is_counted(alpha: Asterisk, start_sipp: StartSipp, caller_ear: Ear) -> None:
    sipp = start_sipp(call("*1005", alpha.address, caller_ear, talk_ms=4000))
    caller_ear.remote = sipp.wait_remote_audio()
    sipp.wait()
    alpha.wait_for_log("Recording the message", 1.0)
    assert " 1" in next(line for line in alpha.console("voicemail show users").splitlines() if "1005" in line)


def test_a_call_over_tcp_works(alpha: Asterisk, start_sipp: StartSipp, caller_ear: Ear) -> None:
    sipp = start_sipp(replace(call("600", alpha.address, caller_ear), transport="t1"))
    caller_ear.remote = sipp.wait_remote_audio()
    sipp.wait()
    assert caller_ear.seconds_of(CALLER_TONE) > 1.0
