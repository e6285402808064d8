"""The active server is killed, frozen, stopped or drained: what phones notice of it."""

import time
from collections.abc import Callable

import pytest

from tests.interop.audio import CALLEE_TONE, CALLER_TONE, Ear
from tests.interop.conftest import StartAsterisk, StartHandset, StartPair, StartProxy
from tests.interop.handset import Call
from tests.interop.parties import CALLER
from tests.interop.processes import wait_until
from tests.interop.proxy import ADDRESS, Proxy
from tests.interop.servers import Asterisk, Setting

Fail = Callable[[Proxy, Asterisk], object]


def kill(proxy: Proxy, server: Asterisk) -> None:
    server.kill()


def freeze(proxy: Proxy, server: Asterisk) -> None:
    server.freeze()


def stop(proxy: Proxy, server: Asterisk) -> None:
    """SIGTERM: the server ends by itself and tells whom it can."""
    server.stop()


def drain(proxy: Proxy, server: Asterisk) -> None:
    proxy.command("drain", server.name)


SUDDEN = [pytest.param(kill, id="killed"), pytest.param(freeze, id="frozen")]
EVERY = [*SUDDEN, pytest.param(stop, id="stopped"), pytest.param(drain, id="drained")]

# A killed server is known to be gone in some milliseconds, a frozen one after two probes; both with room for a machine
# that is busy with other things. benchmarks/failover.py measures.
NOTICED_SECONDS = 1.0


def speak(ours: Call, theirs: Call, caller_ear: Ear, callee_ear: Ear) -> None:
    """Both hear each other."""
    caller_ear.wait_for(CALLEE_TONE)
    callee_ear.wait_for(CALLER_TONE)


# -- idle phones -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fail", EVERY)
def test_a_call_after_it_succeeds_at_the_next_server_with_audio(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_pair: StartPair, caller_ear: Ear, callee_ear: Ear,
    fail: Fail,
) -> None:  # fmt: skip
    proxy = start_proxy(alpha, beta)
    caller, callee = start_pair(proxy)
    fail(proxy, alpha)
    ours = caller.call("1002")
    theirs = callee.wait_call()
    theirs.answer()
    ours.wait_answered()
    assert proxy.status()["active"] == "beta"
    speak(ours, theirs, caller_ear, callee_ear)
    ours.hang_up()
    theirs.wait_ended()


def test_two_servers_in_a_row_may_die(
    alpha: Asterisk, beta: Asterisk, charlie: Asterisk, start_proxy: StartProxy, start_pair: StartPair,
    caller_ear: Ear, callee_ear: Ear,
) -> None:  # fmt: skip
    proxy = start_proxy(alpha, beta, charlie)
    caller, callee = start_pair(proxy)
    for server in (alpha, beta):
        server.kill()
        ours = caller.call("1002")
        theirs = callee.wait_call()
        theirs.answer()
        ours.wait_answered()
        speak(ours, theirs, caller_ear, callee_ear)
        ours.hang_up()
        theirs.wait_ended()
    assert proxy.status()["active"] == "charlie"


def test_with_every_server_dead_a_call_is_refused_with_503_and_a_time_to_try_again(
    alpha: Asterisk, start_proxy: StartProxy, start_handset: StartHandset
) -> None:
    proxy = start_proxy(alpha)
    phone = start_handset(user="1001", server=proxy.address, address=CALLER)
    alpha.kill()
    proxy.wait(lambda status: status["active"] is None, NOTICED_SECONDS)
    assert phone.call("600").wait_refused() == 503
    assert "Retry-After" in phone.story()
    assert phone.register() == 200  # the registrar is the proxy itself
    alpha.start()
    proxy.wait_registered(1)
    again = phone.call("600")
    again.wait_answered()
    again.hang_up()


# -- calls that are being set up -------------------------------------------------------------------------


@pytest.mark.parametrize("fail", SUDDEN)
def test_a_phone_that_rings_rings_on_and_its_answer_connects_the_caller_through_the_next_server(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_pair: StartPair, caller_ear: Ear, callee_ear: Ear,
    fail: Fail,
) -> None:  # fmt: skip
    proxy = start_proxy(alpha, beta)
    caller, callee = start_pair(proxy)
    ours = caller.call("1002")
    theirs = callee.wait_call()
    ours.wait_ringing()
    fail(proxy, alpha)
    proxy.wait_active("beta", NOTICED_SECONDS)
    time.sleep(1.0)  # it rings on, as it would for a minute
    theirs.answer()
    ours.wait_answered()
    assert list(callee.calls.values()) == [theirs], "the phone got another INVITE"
    assert [status for status, _ in ours.provisionals] == [180], "the caller heard of it"
    speak(ours, theirs, caller_ear, callee_ear)
    ours.hang_up()
    theirs.wait_ended()


@pytest.mark.parametrize("fail", SUDDEN)
def test_a_phone_answered_before_the_failure_is_noticed_is_connected_to_its_caller(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_pair: StartPair, caller_ear: Ear, callee_ear: Ear,
    fail: Fail,
) -> None:  # fmt: skip
    """The answer is lost with the server, the call is not."""
    proxy = start_proxy(alpha, beta)
    caller, callee = start_pair(proxy)
    ours = caller.call("1002")
    theirs = callee.wait_call()
    ours.wait_ringing()
    fail(proxy, alpha)
    theirs.answer()
    ours.wait_answered()
    assert list(callee.calls.values()) == [theirs], "the phone got another INVITE"
    speak(ours, theirs, caller_ear, callee_ear)
    theirs.hang_up()
    ours.wait_ended()


def test_a_server_that_is_stopped_while_a_phone_rings_takes_the_call_down_at_the_most_once(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_pair: StartPair, caller_ear: Ear, callee_ear: Ear
) -> None:
    """It hangs up both legs by itself before it ends; nobody may be left ringing for nobody."""
    proxy = start_proxy(alpha, beta)
    caller, callee = start_pair(proxy)
    ours = caller.call("1002")
    first = callee.wait_call()
    ours.wait_ringing()
    alpha.stop()
    wait_until(lambda: ours.status != 0 or len(callee.calls) > 1, NOTICED_SECONDS, "refusal, or ringing again")
    if ours.status == 0:
        callee.wait_call().answer()
        ours.wait_answered()
    else:
        first.wait_ended()


def test_a_server_that_is_drained_while_a_phone_rings_keeps_the_call(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_pair: StartPair, caller_ear: Ear, callee_ear: Ear
) -> None:
    proxy = start_proxy(alpha, beta)
    caller, callee = start_pair(proxy)
    ours = caller.call("1002")
    theirs = callee.wait_call()
    ours.wait_ringing()
    drain(proxy, alpha)
    theirs.answer()
    ours.wait_answered()
    assert proxy.row("alpha")["calls"] == 2
    speak(ours, theirs, caller_ear, callee_ear)
    ours.hang_up()
    theirs.wait_ended()


@pytest.mark.parametrize("fail", SUDDEN)
def test_a_call_that_nothing_was_heard_of_yet_goes_to_the_next_server(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_handset: StartHandset, caller_ear: Ear, fail: Fail
) -> None:
    proxy = start_proxy(alpha, beta)
    phone = start_handset(user="1001", server=proxy.address, address=CALLER, ear=caller_ear)
    waiting = phone.call("625")
    wait_until(lambda: alpha.calls() == 1, 2.0, "call at alpha")
    fail(proxy, alpha)
    waiting.wait_answered()
    assert waiting.provisionals == []
    assert proxy.status()["failovers"][-1]["moved"] == {"calls being set up": 1}
    caller_ear.wait_for(CALLER_TONE)
    waiting.hang_up()


def test_an_invite_sent_to_a_server_that_is_frozen_already_goes_to_the_next_server(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_handset: StartHandset
) -> None:
    proxy = start_proxy(alpha, beta)
    phone = start_handset(user="1001", server=proxy.address, address=CALLER)
    alpha.freeze()
    call = phone.call("600")
    call.wait_answered(NOTICED_SECONDS)
    call.hang_up()


# -- calls that are answered -----------------------------------------------------------------------------


@pytest.mark.parametrize("fail", SUDDEN)
def test_two_phones_in_a_call_go_on_talking_and_can_hang_up(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_pair: StartPair, caller_ear: Ear, callee_ear: Ear,
    fail: Fail,
) -> None:  # fmt: skip
    proxy = start_proxy(alpha, beta)
    caller, callee = start_pair(proxy)
    ours = caller.call("1002")
    theirs = callee.wait_call()
    theirs.answer()
    ours.wait_answered()
    speak(ours, theirs, caller_ear, callee_ear)
    fail(proxy, alpha)
    proxy.wait_active("beta", NOTICED_SECONDS)
    speak(ours, theirs, caller_ear, callee_ear)
    wait_until(lambda: beta.calls() == 1, 3.0, "the call at beta")
    speak(ours, theirs, caller_ear, callee_ear)
    assert (ours.offers, theirs.offers) == ([], []), "a phone got a re-INVITE"
    assert list(callee.calls.values()) == [theirs], "the phone got another INVITE"
    theirs.hang_up()
    ours.wait_ended()
    wait_until(lambda: beta.calls() == 0, 3.0, "the end of the call at beta")


@pytest.mark.parametrize("fail", SUDDEN)
def test_a_call_to_a_service_of_the_server_goes_on_at_the_next_one(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_handset: StartHandset, caller_ear: Ear, fail: Fail
) -> None:
    proxy = start_proxy(alpha, beta)
    phone = start_handset(user="1001", server=proxy.address, address=CALLER, ear=caller_ear)
    call = phone.call("600")
    call.wait_answered()
    caller_ear.wait_for(CALLER_TONE)
    fail(proxy, alpha)
    proxy.wait_active("beta", NOTICED_SECONDS)
    caller_ear.wait_for(CALLER_TONE, 1.0)
    assert call.ended_at is None
    call.hang_up()
    proxy.wait(lambda status: not any(row["calls"] for row in status["backends"]), NOTICED_SECONDS)


def test_answered_calls_on_a_drained_server_go_on(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_pair: StartPair, caller_ear: Ear, callee_ear: Ear
) -> None:
    proxy = start_proxy(alpha, beta)
    caller, callee = start_pair(proxy)
    ours = caller.call("1002")
    theirs = callee.wait_call()
    theirs.answer()
    ours.wait_answered()
    drain(proxy, alpha)
    speak(ours, theirs, caller_ear, callee_ear)
    new = caller.call("620")
    assert new.wait_refused() == 486
    assert proxy.row("alpha")["calls"] == 2
    theirs.hang_up()
    ours.wait_ended()
    proxy.wait(lambda status: not any(row["calls"] for row in status["backends"]), NOTICED_SECONDS)


# -- the old server returns ------------------------------------------------------------------------------


def test_a_frozen_server_that_thaws_is_told_that_its_calls_are_over(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_pair: StartPair, caller_ear: Ear, callee_ear: Ear
) -> None:
    proxy = start_proxy(alpha, beta)
    caller, callee = start_pair(proxy)
    ours = caller.call("1002")
    theirs = callee.wait_call()
    theirs.answer()
    ours.wait_answered()
    alpha.freeze()
    proxy.wait_active("beta", NOTICED_SECONDS)
    alpha.thaw()
    proxy.wait(lambda status: all(row["health"] == "up" for row in status["backends"]), 5.0)
    wait_until(lambda: alpha.calls() == 0, 3.0, "end of the calls at alpha")
    assert proxy.status()["active"] == "beta"
    speak(ours, theirs, caller_ear, callee_ear)
    ours.hang_up()
    theirs.wait_ended()


def test_a_frozen_server_that_thaws_is_told_that_calls_it_was_asked_for_are_elsewhere(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_handset: StartHandset
) -> None:
    proxy = start_proxy(alpha, beta)
    phone = start_handset(user="1001", server=proxy.address, address=CALLER)
    call = phone.call("625")
    wait_until(lambda: alpha.calls() == 1, 2.0, "call at alpha")
    alpha.freeze()
    call.wait_answered()
    alpha.thaw()
    wait_until(lambda: alpha.calls() == 0, 4.0, "end of the call at alpha")
    assert call.ended_at is None
    call.hang_up()


def test_phones_that_rang_for_a_frozen_server_do_not_ring_again_when_it_thaws(
    start_asterisk: StartAsterisk, beta: Asterisk, start_proxy: StartProxy, start_pair: StartPair
) -> None:
    """It trusts the proxy, so it takes the INVITE that waits for it without asking back."""
    alpha = start_asterisk("alpha", Setting(profile="trusted", proxy=ADDRESS))
    proxy = start_proxy(alpha, beta)
    caller, callee = start_pair(proxy)
    alpha.freeze()
    ours = caller.call("1002")
    theirs = callee.wait_call()
    theirs.answer()
    ours.wait_answered()
    alpha.thaw()
    proxy.wait(lambda status: all(row["health"] == "up" for row in status["backends"]), 5.0)
    wait_until(lambda: alpha.calls() == 0, 4.0, "end of the call at alpha")
    assert list(callee.calls.values()) == [theirs], "the phone rang for nobody"
    assert theirs.ended_at is None
    ours.hang_up()
    theirs.wait_ended()


def test_a_killed_server_that_returns_with_an_empty_database_holds_every_registration_again(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_pair: StartPair
) -> None:
    proxy = start_proxy(alpha, beta)
    start_pair(proxy)
    alpha.kill()
    proxy.wait_active("beta", NOTICED_SECONDS)
    alpha.forget_contacts()
    proxy.wait_registered(2)
    for user in ("1001", "1002"):
        assert len(alpha.contacts(user)) == 1
        assert set(alpha.contacts(user)) <= set(beta.contacts(user))


def test_a_server_that_returned_gets_its_work_back_when_an_operator_says_so(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_pair: StartPair, caller_ear: Ear, callee_ear: Ear
) -> None:
    proxy = start_proxy(alpha, beta)
    caller, callee = start_pair(proxy)
    alpha.kill()
    proxy.wait_active("beta", NOTICED_SECONDS)
    alpha.start()
    proxy.wait_registered(2)
    ours = caller.call("1002")
    theirs = callee.wait_call()
    theirs.answer()
    ours.wait_answered()
    assert proxy.command("switch", "alpha")["active"] == "alpha"
    speak(ours, theirs, caller_ear, callee_ear)
    second = caller.call("620")
    assert second.wait_refused() == 486
    assert proxy.row("beta")["calls"] == 2, "answered calls stay where they are"
    ours.hang_up()
    theirs.wait_ended()
