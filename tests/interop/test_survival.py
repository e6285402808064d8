"""Calls that are up when their server dies: what the people talking hear of it, and that the call is a call still."""

import time
from collections.abc import Callable

import pytest

from tests.interop.audio import CALLEE_TONE, CALLER_TONE
from tests.interop.conftest import StartHandset, StartPair, StartProxy, StartTalk
from tests.interop.handset import Call
from tests.interop.hearing import TimedEar
from tests.interop.office import connect
from tests.interop.parties import CALLER
from tests.interop.processes import wait_until
from tests.interop.proxy import Proxy, ProxySetting
from tests.interop.servers import Asterisk

BEFORE = 0.5  # seconds of undisturbed talk that must be known before a server fails
AFTER = 1.5  # and after, in which whatever is to be heard of it is heard
MOVED_SECONDS = 10.0  # 0.5 s are usual
# Longest times without sound, generous: machines that run tests are busy. benchmarks/survival.py measures.
KILL_GAP, FREEZE_GAP = 0.6, 1.0

Fail = Callable[[Asterisk], float]


def kill(server: Asterisk) -> float:
    return server.kill()


def freeze(server: Asterisk) -> float:
    return server.freeze()


SUDDEN = [pytest.param(kill, KILL_GAP, id="killed"), pytest.param(freeze, FREEZE_GAP, id="frozen")]


def unbroken(ear: TimedEar, tone: float, failed_at: float, longest: float) -> None:
    """This tone was heard all the time around a failure, to now, and nothing in the stream tells of it."""
    now = time.monotonic()
    before, around = ear.gap(tone, failed_at - BEFORE, failed_at), ear.gap(tone, failed_at - BEFORE, now)
    print(f"{tone:.0f} Hz: {before * 1000:.0f} ms between two packets before, at most {around * 1000:.0f} ms after")
    assert around < longest
    assert ear.faults(failed_at - BEFORE, now) == []


def no_calls(proxy: Proxy, *servers: Asterisk) -> None:
    """Nobody believes in a call any more."""
    proxy.wait(lambda status: not any(row["calls"] for row in status["backends"]), MOVED_SECONDS)
    for server in servers:
        server.wait_channels(0)


@pytest.mark.parametrize("relay", ["auto", "userspace"])
@pytest.mark.parametrize(("fail", "longest"), SUDDEN)
def test_two_who_talk_to_each_other_hardly_notice(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_talk: StartTalk,
    caller_ear: TimedEar, callee_ear: TimedEar, fail: Fail, longest: float, relay: str,
) -> None:  # fmt: skip
    """SIPp fails at any message it does not expect, so neither phone is asked anything but the BYE at the end."""
    proxy = start_proxy(alpha, beta, setting=ProxySetting(relay=relay))
    caller, callee = start_talk(proxy, 4000)
    failed_at = fail(alpha)
    proxy.wait_active("beta", MOVED_SECONDS)
    beta.wait_channels(2)
    time.sleep(max(0.0, failed_at + AFTER - time.monotonic()))
    unbroken(caller_ear, CALLEE_TONE, failed_at, longest)
    unbroken(callee_ear, CALLER_TONE, failed_at, longest)
    caller.wait()
    callee.wait()
    no_calls(proxy, beta)


@pytest.mark.parametrize(("fail", "longest"), SUDDEN)
def test_who_talks_to_the_server_itself_is_connected_to_the_same_number_at_the_next(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_handset: StartHandset, caller_ear: TimedEar,
    fail: Fail, longest: float,
) -> None:  # fmt: skip
    proxy = start_proxy(alpha, beta)
    phone = start_handset(user="1001", server=proxy.address, address=CALLER, ear=caller_ear)
    echo = phone.call("600")
    echo.wait_answered()
    caller_ear.wait_for(CALLER_TONE, 2 * BEFORE)
    failed_at = fail(alpha)
    proxy.wait_active("beta", MOVED_SECONDS)
    beta.wait_channels(1)
    time.sleep(max(0.0, failed_at + AFTER - time.monotonic()))
    unbroken(caller_ear, CALLER_TONE, failed_at, longest)
    assert (echo.offers, echo.ended_at) == ([], None)
    echo.hang_up()
    no_calls(proxy, beta)


def talking(caller: TimedEar, callee: TimedEar) -> None:
    """Both hear each other."""
    caller.wait_for(CALLEE_TONE)
    callee.wait_for(CALLER_TONE)


@pytest.mark.parametrize("fail", [kill, freeze])
def test_one_call_outlives_two_servers_and_is_a_whole_call_after_each(
    alpha: Asterisk, beta: Asterisk, charlie: Asterisk, start_proxy: StartProxy,
    start_pair: StartPair, caller_ear: TimedEar, callee_ear: TimedEar, fail: Fail,
) -> None:  # fmt: skip
    proxy = start_proxy(alpha, beta, charlie)
    ours, theirs = connect(*start_pair(proxy))
    talking(caller_ear, callee_ear)
    for failing, following in ((alpha, beta), (beta, charlie)):
        offers = len(theirs.offers)
        failed_at = fail(failing)
        proxy.wait_active(following.name, MOVED_SECONDS)
        following.wait_channels(2)
        time.sleep(max(0.0, failed_at + AFTER - time.monotonic()))
        unbroken(caller_ear, CALLEE_TONE, failed_at, FREEZE_GAP)
        unbroken(callee_ear, CALLER_TONE, failed_at, FREEZE_GAP)
        assert (len(ours.offers), len(theirs.offers)) == (0, offers), "a phone was asked to change its media"
        callee_ear.digits = ""
        caller_ear.press("12#")
        wait_until(lambda: callee_ear.digits == "12#", 3.0, "digits")
        hold_and_resume(ours, callee_ear)
        talking(caller_ear, callee_ear)
    theirs.hang_up()
    ours.wait_ended()
    no_calls(proxy, charlie)


def hold_and_resume(ours: Call, callee_ear: TimedEar) -> None:
    """The callee hears the caller no more, then again."""
    ours.hold()
    time.sleep(0.3)  # what was under way has arrived
    held_at = time.monotonic()
    time.sleep(0.3)
    assert callee_ear.times_of(CALLER_TONE, held_at, time.monotonic()) == []
    ours.resume()
    callee_ear.wait_for(CALLER_TONE, BEFORE)


def test_a_frozen_server_that_thaws_does_not_disturb_the_call_that_moved(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_pair: StartPair,
    caller_ear: TimedEar, callee_ear: TimedEar,
) -> None:  # fmt: skip
    proxy = start_proxy(alpha, beta)
    ours, theirs = connect(*start_pair(proxy))
    talking(caller_ear, callee_ear)
    failed_at = alpha.freeze()
    beta.wait_channels(2)
    alpha.thaw()
    proxy.wait(lambda status: all(row["health"] == "up" for row in status["backends"]), 5.0)
    alpha.wait_channels(0, 5.0)
    time.sleep(AFTER)
    unbroken(caller_ear, CALLEE_TONE, failed_at, FREEZE_GAP)
    unbroken(callee_ear, CALLER_TONE, failed_at, FREEZE_GAP)
    assert beta.channels() == 2 and ours.ended_at is None and theirs.ended_at is None
    ours.hang_up()
    theirs.wait_ended()
    no_calls(proxy, alpha, beta)


def test_both_die_at_once_and_the_two_are_left_to_each_other(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_pair: StartPair,
    caller_ear: TimedEar, callee_ear: TimedEar,
) -> None:  # fmt: skip
    proxy = start_proxy(alpha, beta)
    ours, theirs = connect(*start_pair(proxy))
    talking(caller_ear, callee_ear)
    failed_at = alpha.kill()
    beta.kill()
    proxy.wait(lambda status: status["active"] is None, MOVED_SECONDS)
    time.sleep(8.0)  # longer than anybody waits for a server to take the call
    unbroken(caller_ear, CALLEE_TONE, failed_at, KILL_GAP)
    unbroken(callee_ear, CALLER_TONE, failed_at, KILL_GAP)
    theirs.hang_up()
    ours.wait_ended()
    no_calls(proxy)
