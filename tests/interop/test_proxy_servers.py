"""Calls through the proxy with every kind of server behind it."""

import pytest

from tests.interop.audio import CALLEE_TONE, CALLER_TONE, Ear
from tests.interop.conftest import StartAsterisk, StartHandset, StartKamailio, StartPair, StartProxy, StartSipp
from tests.interop.parties import CALLEE, CALLER, THIRD, answer, call, call_refused, refuse, register
from tests.interop.proxy import ADDRESS
from tests.interop.servers import Setting

BEHIND = [
    pytest.param(Setting(), id="pjsip-16"),
    pytest.param(Setting(stack="chan_sip"), id="chan_sip-16"),
    pytest.param(Setting(suite="sid", algorithms="SHA-256,MD5"), id="pjsip-22-sha-256"),
    pytest.param(Setting(profile="trusted", proxy=ADDRESS), id="pjsip-16-trusted"),
    pytest.param(Setting(direct_media=True), id="pjsip-16-direct-media"),
    pytest.param(Setting(direct_media=True, stack="chan_sip"), id="chan_sip-16-direct-media"),
]


@pytest.mark.parametrize("setting", BEHIND)
def test_a_call_between_two_users_carries_each_ones_tone_to_the_other(
    start_asterisk: StartAsterisk, start_proxy: StartProxy, start_sipp: StartSipp, caller_ear: Ear, callee_ear: Ear,
    setting: Setting,
) -> None:  # fmt: skip
    alpha = start_asterisk("alpha", setting)
    proxy = start_proxy(alpha)
    start_sipp(register("1002", CALLEE, proxy.address)).wait()
    proxy.wait_registered(1)
    callee = start_sipp(answer(callee_ear))
    callee.wait_listening()
    caller = start_sipp(call("1002", proxy.address, caller_ear, talk_ms=2000))
    callee_ear.remote = callee.wait_remote_audio()
    caller_ear.remote = caller.wait_remote_audio()
    caller.wait()
    callee.wait()
    assert caller_ear.seconds_of(CALLEE_TONE) > 1.5
    assert callee_ear.seconds_of(CALLER_TONE) > 1.5
    # Topology stays hidden, both ways.
    for sipp, other in ((caller, CALLEE), (callee, CALLER)):
        assert alpha.address not in sipp.messages()
        assert other not in sipp.messages()


@pytest.mark.parametrize("behind", ["asterisk", "kamailio"])
def test_every_phone_of_a_user_rings_and_the_first_to_answer_stops_the_others(
    start_asterisk: StartAsterisk, start_kamailio: StartKamailio, start_proxy: StartProxy, start_pair: StartPair,
    start_handset: StartHandset, caller_ear: Ear, callee_ear: Ear, behind: str,
) -> None:  # fmt: skip
    proxy = start_proxy(start_asterisk("alpha") if behind == "asterisk" else start_kamailio("alpha"))
    caller, callee = start_pair(proxy)
    second = start_handset(user="1002", server=proxy.address, address=THIRD)
    assert second.register() == 200
    proxy.wait_registered(3)
    ours = caller.call("1002")
    theirs, seconds = callee.wait_call(), second.wait_call()
    theirs.answer()
    ours.wait_answered()
    seconds.wait_ended()
    assert seconds.status == 487
    caller_ear.wait_for(CALLEE_TONE)
    callee_ear.wait_for(CALLER_TONE)
    ours.hang_up()
    theirs.wait_ended()


def test_a_busy_phone_is_busy_through_a_kamailio_too(
    start_kamailio: StartKamailio, start_proxy: StartProxy, start_sipp: StartSipp, caller_ear: Ear
) -> None:
    proxy = start_proxy(start_kamailio("alpha"))
    start_sipp(register("1002", CALLEE, proxy.address)).wait()
    proxy.wait_registered(1)
    phone = start_sipp(refuse(CALLEE))
    phone.wait_listening()
    start_sipp(call_refused("1002", proxy.address, caller_ear, 486)).wait()
    phone.wait()
