"""The active server fails while 100 calls per second are being set up, and while a thousand phones are registered."""

import time
from collections.abc import Callable

import pytest

from tests.interop.conftest import StartAsterisk, StartProxy, StartSipp
from tests.interop.loading import FIRST_USER, calls, move_registrations, phones, register_phones
from tests.interop.proxy import Proxy, ProxySetting
from tests.interop.servers import Asterisk, Setting

RATE = 100.0  # calls per second
CALLS = 400
FAIL_AFTER = 1.5  # seconds of calls
# A quarter of the calls each: answered at once, ringing for 1 s, nothing said for 1.5 s, a phone that rings for 0.3 s.
SERVICES = ("600", "623", "625")
PAIRS = 50  # of users: a caller calls the same phone again 2 s later, when the call before has ended
# What is tried is that no call is lost, not how soon a failure is noticed: with every core at work, a server that lives
# may well leave two probes in a row unanswered.
PATIENT = ("health: {fall: 5}",)
USERS = 1000  # registered in `active` mode
MOVED_SECONDS = 10.0  # 2 s are usual


def kill(proxy: Proxy, server: Asterisk) -> None:
    server.kill()


def freeze(proxy: Proxy, server: Asterisk) -> None:
    server.freeze()


def restart(proxy: Proxy, server: Asterisk) -> None:
    """As an operator does it. Left to itself, an Asterisk that is stopped declines the calls it has not answered."""
    proxy.command("drain", server.name)
    proxy.wait(lambda status: all(row["calls"] == 0 for row in status["backends"] if row["name"] == server.name))
    server.restart()
    proxy.command("ready", server.name)
    proxy.wait_registered(PAIRS)
    proxy.command("switch", server.name)


@pytest.mark.parametrize("fail", [kill, freeze, restart], ids=lambda fail: str(fail.__name__))
def test_no_call_attempt_is_lost_while_100_calls_per_second_are_being_set_up(
    start_asterisk: StartAsterisk, start_proxy: StartProxy, start_sipp: StartSipp,
    fail: Callable[[Proxy, Asterisk], None],
) -> None:  # fmt: skip
    alpha, beta = (start_asterisk(name, Setting(users=2 * PAIRS)) for name in ("alpha", "beta"))
    proxy = start_proxy(alpha, beta, setting=ProxySetting(users=2 * PAIRS, lines=PATIENT))
    callers, callees = range(FIRST_USER, FIRST_USER + PAIRS), range(FIRST_USER + PAIRS, FIRST_USER + 2 * PAIRS)
    register_phones(start_sipp, proxy, callees)
    proxy.wait_registered(PAIRS)
    start_sipp(phones(10 * CALLS)).wait_listening()
    pairs = [(str(callers[number // 4 % PAIRS]), str(callees[number // 4 % PAIRS])) for number in range(CALLS)]
    rows = [(caller, [*SERVICES, callee][number % 4]) for number, (caller, callee) in enumerate(pairs)]
    calling = start_sipp(calls(proxy, rows, RATE))
    time.sleep(FAIL_AFTER)
    fail(proxy, alpha)
    calling.wait()
    cut = calling.log().count("cut")
    failovers = proxy.status()["failovers"]
    print(f"{CALLS} calls, none failed; {cut} were answered and cut off; {failovers}")
    if fail is restart:
        assert cut == 0
    else:
        # How many is a matter of luck: calls are answered for 0.2 s only.
        assert cut <= failovers[-1]["lost"].get("answered calls", 0)
        assert failovers[-1]["moved"]["calls being set up"] > 0


def test_in_active_mode_a_thousand_registrations_move_and_no_call_fails_meanwhile(
    start_asterisk: StartAsterisk, start_proxy: StartProxy, start_sipp: StartSipp
) -> None:
    alpha, beta = (start_asterisk(name, Setting(users=USERS)) for name in ("alpha", "beta"))
    proxy = start_proxy(alpha, beta, setting=ProxySetting(users=USERS, registration="active", lines=PATIENT))
    taken = move_registrations(start_sipp, proxy, alpha, beta, USERS)
    print(f"{USERS} registrations moved in {taken:.2f} s")
    assert taken < MOVED_SECONDS
    assert beta.contact_count() == USERS
