"""`drain NAME --move` with real servers: those who talk leave a server that lives, and no packet is lost."""

import time
from collections import Counter

from tests.interop.audio import CALLEE_TONE, CALLER_TONE, PACKET_SECONDS
from tests.interop.conftest import StartHandset, StartProxy, StartSipp
from tests.interop.hearing import TimedEar
from tests.interop.parties import CALLEE, CALLER, answer, call, register
from tests.interop.servers import Asterisk
from tests.interop.test_survival import (  # noqa: F401 - fixtures
    BEFORE,
    callee_ear,
    caller_ear,
    no_calls,
    unbroken,
    wait_channels,
)

# Longest time between two packets; undisturbed it is 0.02 s, on a machine that runs tests more.
MOVE_GAP = 0.1
SAMPLES = 40


def on_the_way(talker: TimedEar, listener: TimedEar) -> int:
    """How many packets less were heard than were said, at most moments: hardly any is under way then."""
    found: Counter[int] = Counter()
    for _ in range(SAMPLES):
        found[talker.sent - len(listener.packets)] += 1
        time.sleep(PACKET_SECONDS / 7)
    return found.most_common(1)[0][0]


def test_two_who_talk_are_moved_without_a_packet_lost_and_the_phones_are_sent_no_message(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_sipp: StartSipp,
    caller_ear: TimedEar, callee_ear: TimedEar,  # noqa: F811
) -> None:  # fmt: skip
    """SIPp fails at any message it does not expect."""
    proxy = start_proxy(alpha, beta)
    for user, address in (("1001", CALLER), ("1002", CALLEE)):
        start_sipp(register(user, address, proxy.address)).wait()
    proxy.wait_registered(2)
    callee = start_sipp(answer(callee_ear))
    callee.wait_listening()
    caller = start_sipp(call("1002", proxy.address, caller_ear, talk_ms=6000))
    callee_ear.remote, caller_ear.remote = callee.wait_remote_audio(), caller.wait_remote_audio()
    callee_ear.wait_for(CALLER_TONE, 2 * BEFORE)
    ways = ((caller_ear, callee_ear), (callee_ear, caller_ear))
    before = [on_the_way(*way) for way in ways]
    began = time.monotonic()
    rows = proxy.command("drain", "alpha", "--move")["backends"]
    assert {row["name"]: (row["moved"], row["calls"]) for row in rows} == {"alpha": (2, 0), "beta": (None, 2)}
    wait_channels(alpha, 0)
    wait_channels(beta, 2)
    time.sleep(max(0.0, began + 2.0 - time.monotonic()))  # the handover is over
    after = [on_the_way(*way) for way in ways]
    print(f"lost: {[later - earlier for later, earlier in zip(after, before, strict=True)]}")
    assert after == before
    unbroken(caller_ear, CALLEE_TONE, began, MOVE_GAP)
    unbroken(callee_ear, CALLER_TONE, began, MOVE_GAP)
    caller.wait()
    callee.wait()
    no_calls(proxy, beta)


def test_who_talks_to_the_server_itself_stays_and_leaves_with_the_last_word(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_handset: StartHandset,
    caller_ear: TimedEar,  # noqa: F811
) -> None:  # fmt: skip
    proxy = start_proxy(alpha, beta)
    phone = start_handset(user="1001", server=proxy.address, address=CALLER, ear=caller_ear)
    echo = phone.call("600")
    echo.wait_answered()
    caller_ear.wait_for(CALLER_TONE, BEFORE)
    rows = proxy.command("drain", "alpha", "--move")["backends"]
    [row] = [row for row in rows if row["name"] == "alpha"]
    assert (row["moved"], row["calls"], list(row["staying"].values())) == (0, 1, [1])
    caller_ear.wait_for(CALLER_TONE, BEFORE)
    echo.hang_up()
    no_calls(proxy, alpha, beta)
