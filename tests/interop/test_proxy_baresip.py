"""baresip, a phone nobody of us has written, through the proxy."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.interop.audio import seconds_of
from tests.interop.baresip import SERVER_SIDE, Baresip, PhoneNetwork
from tests.interop.conftest import StartProxy
from tests.interop.proxy import ADDRESS, TLS_PORT, Proxy, ProxySetting
from tests.interop.servers import Asterisk

# The servers are reached from the first address, the phones reach the second.
SETTING = ProxySetting(addresses=(ADDRESS, SERVER_SIDE), tls=True)
CONNECTED = "sndfile: dumping decode audio"
ENDED = "session closed"
TONES = {"1001": 500.0, "1002": 800.0}  # Hz

StartPhone = Callable[..., Baresip]


def heard(phone: Baresip, frequency: float) -> float:
    """For how many seconds of its last call it heard a tone."""
    phone.stop()
    samples, rate = phone.heard()
    return seconds_of(samples, frequency, rate)


@pytest.fixture
def start_phone(tmp_path_factory: pytest.TempPathFactory, phone_network: PhoneNetwork) -> Iterator[StartPhone]:
    """Starts a phone of a user, registered over a transport."""
    started: list[Baresip] = []

    def start(user: str, transport: str = "udp") -> Baresip:
        phone = Baresip(
            network=phone_network,
            folder=tmp_path_factory.mktemp("baresip"),
            user=user,
            frequency=TONES[user],
            server=f"{SERVER_SIDE}:{TLS_PORT}" if transport == "tls" else SERVER_SIDE,
            port=5070 + 4 * len(started),
            transport=transport,
        )
        started.append(phone)
        phone.start()
        return phone

    yield start
    for phone in started:
        phone.stop()


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_two_phones_register_call_and_hear_each_others_tone(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_phone: StartPhone, transport: str
) -> None:
    proxy: Proxy = start_proxy(alpha, beta, setting=SETTING)
    caller, callee = start_phone("1001", transport), start_phone("1002")
    proxy.wait_registered(2)
    caller.dial("1002")
    callee.wait_for(CONNECTED, 5.0)
    time.sleep(1.5)
    caller.hang_up()
    callee.wait_for(ENDED, 5.0)
    for phone, other in ((caller, callee), (callee, caller)):
        assert heard(phone, other.frequency) > 1.0


def test_a_phone_holds_resumes_and_transfers(alpha: Asterisk, start_proxy: StartProxy, start_phone: StartPhone) -> None:
    proxy: Proxy = start_proxy(alpha, setting=SETTING)
    caller, callee = start_phone("1001"), start_phone("1002")
    proxy.wait_registered(2)
    caller.dial("1002")
    callee.wait_for(CONNECTED, 5.0)
    time.sleep(0.7)
    caller.command("hold")
    time.sleep(0.7)
    caller.command("resume")
    time.sleep(0.7)
    caller.command("transfer", "601")
    caller.wait_for("terminated", 5.0)
    time.sleep(0.7)
    callee.hang_up()
    # The music on hold has the frequency of the caller's tone.
    assert heard(callee, 500.0) > 1.5
    assert heard(callee, 1000.0) > 0.4, "the number it was transferred to"


def test_phones_go_on_after_the_active_server_is_killed(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_phone: StartPhone
) -> None:
    proxy: Proxy = start_proxy(alpha, beta, setting=SETTING)
    caller, callee = start_phone("1001"), start_phone("1002", "tls")
    proxy.wait_registered(2)
    alpha.kill()
    caller.dial("1002")
    callee.wait_for(CONNECTED, 5.0)
    time.sleep(1.0)
    assert proxy.status()["active"] == "beta"
    callee.hang_up()
    caller.wait_for(ENDED, 5.0)
    assert heard(caller, callee.frequency) > 0.5
