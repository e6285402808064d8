"""baresip works with a real server over its veth pair, the proxy left out."""

import time
from collections.abc import Iterator

import pytest

from tests.interop.audio import seconds_of
from tests.interop.baresip import SERVER_SIDE, Baresip, PhoneNetwork
from tests.interop.conftest import StartAsterisk


@pytest.fixture
def phones(tmp_path_factory: pytest.TempPathFactory, phone_network: PhoneNetwork) -> Iterator[tuple[Baresip, Baresip]]:
    pair = (
        Baresip(
            network=phone_network, folder=tmp_path_factory.mktemp("baresip"), user="1001", frequency=500.0, port=5070
        ),
        Baresip(
            network=phone_network, folder=tmp_path_factory.mktemp("baresip"), user="1002", frequency=800.0, port=5072
        ),
    )
    yield pair
    for phone in pair:
        phone.stop()


def test_two_phones_register_call_and_hear_each_others_tone(
    start_asterisk: StartAsterisk, phones: tuple[Baresip, Baresip]
) -> None:
    start_asterisk("veth", address=SERVER_SIDE)
    caller, callee = phones
    caller.start()
    callee.start()
    caller.dial("1002")
    callee.wait_for("sndfile: dumping decode audio", 5.0)
    time.sleep(1.5)
    caller.hang_up()
    callee.wait_for("session closed", 5.0)
    for phone, frequency in ((caller, callee.frequency), (callee, caller.frequency)):
        phone.stop()
        samples, rate = phone.heard()
        assert seconds_of(samples, frequency, rate) > 1.0
