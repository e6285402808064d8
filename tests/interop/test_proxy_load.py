"""The active server fails while 100 calls per second are being set up, and while a thousand phones are registered."""

import time
from collections.abc import Callable

import pytest

from tests.interop.conftest import StartAsterisk, StartProxy, StartSipp
from tests.interop.parties import CALLEE, CALLER
from tests.interop.proxy import Proxy, ProxySetting
from tests.interop.servers import REALM, Asterisk, Setting
from tests.interop.sipp import Run, credentials

RATE = 100  # calls per second
CALLS = 600
FAIL_AFTER = 3.0  # seconds of calls
# A quarter of the calls each: answered at once, ringing for 1 s, nothing said for 1.5 s, to a phone that rings for 0.3 s.
SERVICES = ("600", "623", "625")
PAIRS = 50  # of users: a caller calls the same phone again 2 s later, when the call before has ended
SILENT_PORT = "9"  # nobody listens to these calls; the discard port stands in their SDP


def load(proxy: Proxy) -> Run:
    """Calls of every kind."""
    rows = []
    for number in range(CALLS):
        caller, callee = str(1001 + number // 4 % PAIRS), str(1001 + PAIRS + number // 4 % PAIRS)
        rows.append((caller, credentials(caller), [*SERVICES, callee][number % 4]))
    keys = {"domain": REALM, "audio_address": CALLER, "audio_port": SILENT_PORT}
    return Run(
        scenario="call_load",
        local=CALLER,
        target=proxy.address,
        keys=keys,
        rows=rows,
        calls=CALLS,
        rate=RATE,
        seconds=40,
    )


def register_phones(start_sipp: StartSipp, proxy: Proxy, users: range, contact: str) -> None:
    """All of them, at one address."""
    rows = [(str(user), credentials(str(user)), f"sip:{user}@{contact}:5060") for user in users]
    keys = {"expires": "300", "domain": REALM}
    start_sipp(
        Run(
            scenario="register_many",
            local=contact,
            target=proxy.address,
            rows=rows,
            keys=keys,
            calls=len(rows),
            rate=250,
        )
    ).wait()


def kill(proxy: Proxy, server: Asterisk) -> None:
    server.kill()


def freeze(proxy: Proxy, server: Asterisk) -> None:
    server.freeze()


def drain(proxy: Proxy, server: Asterisk) -> None:
    proxy.command("drain", server.name)


@pytest.mark.parametrize("fail", [kill, freeze, drain], ids=lambda fail: str(fail.__name__))
def test_no_call_attempt_is_lost_while_100_calls_per_second_are_being_set_up(
    start_asterisk: StartAsterisk, start_proxy: StartProxy, start_sipp: StartSipp,
    fail: Callable[[Proxy, Asterisk], None],
) -> None:  # fmt: skip
    alpha, beta = (start_asterisk(name, Setting(users=2 * PAIRS)) for name in ("alpha", "beta"))
    proxy = start_proxy(alpha, beta, setting=ProxySetting(users=2 * PAIRS))
    register_phones(start_sipp, proxy, range(1001 + PAIRS, 1001 + 2 * PAIRS), CALLEE)
    proxy.wait_registered(PAIRS)
    keys = {"audio_address": CALLEE, "audio_port": SILENT_PORT}
    start_sipp(Run(scenario="answer_load", local=CALLEE, keys=keys, calls=10 * CALLS, seconds=60)).wait_listening()
    calls = start_sipp(load(proxy))
    time.sleep(FAIL_AFTER)
    fail(proxy, alpha)
    calls.wait()
    cut = calls.log().count("cut")
    failovers = proxy.status()["failovers"]
    print(f"{CALLS} calls, none failed; {cut} were answered and cut off; {failovers}")
    if fail is drain:
        assert cut == 0
    else:
        assert 0 < cut <= failovers[-1]["lost"]["answered calls"]
        assert failovers[-1]["moved"]["calls being set up"] > 0
