"""`drain NAME --move` with real servers: those who talk leave a server that lives, and no packet is lost."""

import time

from tests.interop.audio import CALLEE_TONE, CALLER_TONE
from tests.interop.conftest import StartHandset, StartProxy, StartTalk
from tests.interop.hearing import TimedEar, missing
from tests.interop.parties import CALLER
from tests.interop.servers import Asterisk
from tests.interop.test_survival import BEFORE, no_calls, unbroken

# Longest time between two packets, generous: machines that run tests are busy. Undisturbed it is 0.02 s.
MOVE_GAP = 0.5


def test_two_who_talk_are_moved_without_a_packet_lost_and_the_phones_are_sent_no_message(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_talk: StartTalk,
    caller_ear: TimedEar, callee_ear: TimedEar,
) -> None:  # fmt: skip
    proxy = start_proxy(alpha, beta)
    caller, callee = start_talk(proxy, 6000)
    ways = ((caller_ear, callee_ear), (callee_ear, caller_ear))
    before = missing(*ways)
    began = time.monotonic()
    rows = proxy.command("drain", "alpha", "--move")["backends"]
    assert {row["name"]: (row["moved"], row["calls"]) for row in rows} == {"alpha": (2, 0), "beta": (None, 2)}
    alpha.wait_channels(0)
    beta.wait_channels(2)
    time.sleep(max(0.0, began + 2.0 - time.monotonic()))  # the handover is over
    after = missing(*ways)
    print(f"lost: {[later - earlier for later, earlier in zip(after, before, strict=True)]}")
    assert after == before
    unbroken(caller_ear, CALLEE_TONE, began, MOVE_GAP)
    unbroken(callee_ear, CALLER_TONE, began, MOVE_GAP)
    caller.wait()
    callee.wait()
    no_calls(proxy, beta)


def test_who_talks_to_the_server_itself_stays_and_leaves_with_the_last_word(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_handset: StartHandset,
    caller_ear: TimedEar,
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
