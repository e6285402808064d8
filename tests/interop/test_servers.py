"""The real servers and clients work with each other, the proxy left out: what fails here is not the proxy's fault."""

import time

import pytest

from tests.interop.audio import CALLEE_TONE, CALLER_TONE, Ear
from tests.interop.conftest import StartAsterisk, StartKamailio, StartSipp
from tests.interop.parties import CALLEE, CALLER, answer, call, call_refused, refuse, register, register_refused
from tests.interop.servers import REALM, Asterisk, Setting, ask_options
from tests.interop.sipp import Run, Sipp, credentials

ASTERISKS = [
    pytest.param(Setting(), id="pjsip-16"),
    pytest.param(Setting(stack="chan_sip"), id="chan_sip-16"),
    pytest.param(Setting(suite="sid"), id="pjsip-22"),
]
TRUSTED_ASTERISKS = [
    pytest.param(Setting(profile="trusted", proxy=CALLER), id="pjsip-16"),
    pytest.param(Setting(profile="trusted", proxy=CALLER, stack="chan_sip"), id="chan_sip-16"),
    pytest.param(Setting(profile="trusted", proxy=CALLER, suite="sid"), id="pjsip-22"),
]


def run(start_sipp: StartSipp, what: Run) -> Sipp:
    sipp = start_sipp(what)
    sipp.wait()
    return sipp


@pytest.mark.parametrize("setting", ASTERISKS)
def test_a_right_password_registers_and_a_wrong_one_does_not(
    start_asterisk: StartAsterisk, start_sipp: StartSipp, setting: Setting
) -> None:
    alpha = start_asterisk("alpha", setting)
    run(start_sipp, register("1001", CALLER, alpha.address))
    assert alpha.contacts("1001") == [f"sip:1001@{CALLER}:5060"]
    run(start_sipp, register_refused("1002", CALLER, alpha.address, "wrong"))
    assert alpha.contacts("1002") == []


def test_contacts_of_several_phones_add_up_and_a_call_rings_each_by_its_token(
    alpha: Asterisk, start_sipp: StartSipp, caller_ear: Ear, callee_ear: Ear
) -> None:
    """As the proxy will register: many contacts of one address, told apart by an opaque user part."""
    alpha.forget_contacts()
    for token in ("t-one", "t-two"):
        run(start_sipp, register("1002", CALLEE, alpha.address, contact=f"sip:{token}@{CALLEE}:5060"))
    assert sorted(alpha.contacts("1002")) == [f"sip:t-one@{CALLEE}:5060", f"sip:t-two@{CALLEE}:5060"]
    phones = start_sipp(refuse(CALLEE, calls=2))
    phones.wait_listening()
    caller = start_sipp(call_refused("1002", alpha.address, caller_ear, 486))
    phones.wait()
    caller.wait()
    for token in ("t-one", "t-two"):
        assert f"INVITE sip:{token}@{CALLEE}:5060 SIP/2.0" in phones.messages()


@pytest.mark.parametrize("setting", ASTERISKS)
def test_the_echo_test_sends_the_callers_own_tone_back(
    start_asterisk: StartAsterisk, start_sipp: StartSipp, caller_ear: Ear, setting: Setting
) -> None:
    alpha = start_asterisk("alpha", setting)
    sipp = start_sipp(call("600", alpha.address, caller_ear))
    caller_ear.remote = sipp.wait_remote_audio()
    sipp.wait()
    assert caller_ear.seconds_of(CALLER_TONE) > 1.0
    assert caller_ear.seconds_of(CALLEE_TONE) == 0.0


@pytest.mark.parametrize("setting", ASTERISKS)
def test_a_call_between_two_users_carries_each_ones_tone_to_the_other(
    start_asterisk: StartAsterisk, start_sipp: StartSipp, caller_ear: Ear, callee_ear: Ear, setting: Setting
) -> None:
    alpha = start_asterisk("alpha", setting)
    run(start_sipp, register("1002", CALLEE, alpha.address))
    callee = start_sipp(answer(callee_ear))
    callee.wait_listening()
    caller = start_sipp(call("1002", alpha.address, caller_ear))
    callee_ear.remote = callee.wait_remote_audio()
    caller_ear.remote = caller.wait_remote_audio()
    caller.wait()
    callee.wait()
    assert caller_ear.seconds_of(CALLEE_TONE) > 1.0
    assert callee_ear.seconds_of(CALLER_TONE) > 1.0


@pytest.mark.parametrize(
    ("number", "status"), [("620", 486), ("621", 503), ("1003", 480), ("4711", 404)], ids=lambda value: str(value)
)
def test_numbers_that_refuse_say_why(
    alpha: Asterisk, start_sipp: StartSipp, caller_ear: Ear, number: str, status: int
) -> None:
    run(start_sipp, call_refused(number, alpha.address, caller_ear, status))


@pytest.mark.parametrize(("number", "frequency"), [("601", 1000.0), ("602", 440.0)])
def test_the_tone_numbers_play_their_tone(
    alpha: Asterisk, start_sipp: StartSipp, caller_ear: Ear, number: str, frequency: float
) -> None:
    sipp = start_sipp(call(number, alpha.address, caller_ear))
    caller_ear.remote = sipp.wait_remote_audio()
    sipp.wait()
    assert caller_ear.seconds_of(frequency) > 1.0


@pytest.mark.parametrize("setting", TRUSTED_ASTERISKS)
def test_the_trusted_profile_lets_the_proxys_address_in_without_password_and_nobody_else(
    start_asterisk: StartAsterisk, start_sipp: StartSipp, caller_ear: Ear, setting: Setting
) -> None:
    alpha = start_asterisk("alpha", setting)
    registering = run(start_sipp, register("1001", CALLER, alpha.address))
    assert "401" not in registering.messages()
    assert alpha.contacts("1001") == [f"sip:1001@{CALLER}:5060"]
    run(start_sipp, call("600", alpha.address, caller_ear))
    run(start_sipp, register_refused("1002", CALLEE, alpha.address, "secret1002"))
    assert alpha.contacts("1002") == []


def test_a_killed_asterisk_is_gone_at_once_and_back_within_two_seconds_with_its_contacts(
    alpha: Asterisk, start_sipp: StartSipp
) -> None:
    run(start_sipp, register("1004", CALLER, alpha.address))
    # The database is written once a second.
    time.sleep(1.2)
    alpha.kill()
    assert ask_options(alpha.address, 0.2) is None
    before = time.monotonic()
    alpha.start()
    assert time.monotonic() - before < 2.0
    assert alpha.contacts("1004") == [f"sip:1004@{CALLER}:5060"]


def test_a_frozen_asterisk_is_silent_and_answers_after_it_thaws(alpha: Asterisk) -> None:
    alpha.freeze()
    assert ask_options(alpha.address, 0.2) is None
    alpha.thaw()
    assert ask_options(alpha.address, 2.0) == "SIP/2.0 401 Unauthorized"


def test_kamailio_registers_users_with_their_passwords_and_connects_them(
    start_kamailio: StartKamailio, start_sipp: StartSipp, caller_ear: Ear, callee_ear: Ear
) -> None:
    alpha = start_kamailio("alpha")
    run(start_sipp, register("1002", CALLEE, alpha.address))
    assert alpha.contacts("1002") == [f"sip:1002@{CALLEE}:5060"]
    run(start_sipp, register_refused("1003", CALLEE, alpha.address, "wrong"))
    assert alpha.contacts("1003") == []
    callee = start_sipp(answer(callee_ear))
    callee.wait_listening()
    caller = start_sipp(call("1002", alpha.address, caller_ear))
    callee_ear.remote = callee.wait_remote_audio()
    caller_ear.remote = caller.wait_remote_audio()
    caller.wait()
    callee.wait()
    assert caller_ear.seconds_of(CALLEE_TONE) > 1.0
    assert callee_ear.seconds_of(CALLER_TONE) > 1.0


def test_a_killed_kamailio_leaves_none_of_its_processes_and_starts_again(start_kamailio: StartKamailio) -> None:
    alpha = start_kamailio("alpha")
    alpha.kill()
    assert ask_options(alpha.address, 0.2) is None
    alpha.start()
    alpha.freeze()
    assert ask_options(alpha.address, 0.2) is None
    alpha.thaw()
    assert ask_options(alpha.address, 1.0) == "SIP/2.0 200 OK"


def test_five_hundred_users_register_within_seconds(start_asterisk: StartAsterisk, start_sipp: StartSipp) -> None:
    alpha = start_asterisk("alpha", Setting(users=500))
    rows = [(str(user), credentials(str(user)), f"sip:t{user}@{CALLER}:5060") for user in range(1001, 1501)]
    keys = {"expires": "300", "domain": REALM}
    run(
        start_sipp,
        Run(scenario="register_many", local=CALLER, target=alpha.address, rows=rows, keys=keys, calls=500, rate=250),
    )
    assert len([user for user in ("1001", "1250", "1500") if alpha.contacts(user)]) == 3
