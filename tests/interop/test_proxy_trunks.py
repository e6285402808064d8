"""A carrier, which is another Asterisk: calls both ways, our registration there, and servers that die meanwhile.

The carrier knows the proxy as its user 1003, with a password. Whoever is outside is a user of the carrier, and of no
name that the servers know: chan_sip would take the caller for that user.
"""

import dataclasses
import time
from collections.abc import Iterator

import pytest

from tests.interop import servers
from tests.interop.conftest import StartHandset, StartProxy
from tests.interop.handset import Call, Handset
from tests.interop.office import CALM, Office, connect, ensure, fail, hears, in_place_of, undisturbed
from tests.interop.parties import THIRD
from tests.interop.processes import wait_until
from tests.interop.proxy import ADDRESS, ProxySetting
from tests.interop.servers import Asterisk, password
from tests.interop.speech import speaker

CARRIER = "127.0.0.17"
OUTSIDE = "127.0.0.24"
ACCOUNT = "1003"
REGISTER = f"{{user: '{ACCOUNT}', password: {password(ACCOUNT)}, expires: 2m}}"
TRUNK = f"trunks: {{carrier: {{address: 'udp:{CARRIER}:5060', register: {REGISTER}, max_calls: 4}}}}"
SETTING = ProxySetting(lines=(TRUNK, CALM))
BEHIND = servers.Setting(proxy=ADDRESS, trunk="carrier", our_number=ACCOUNT)


@pytest.fixture(scope="module")
def carrier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asterisk]:
    server = servers.asterisk("carrier", tmp_path_factory.mktemp("carrier"), servers.Setting(users=20), CARRIER)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["pjsip", "chan_sip"])
def two(
    request: pytest.FixtureRequest,
    cluster: dict[str, Asterisk],
    carrier: Asterisk,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[Asterisk]]:
    """Servers that have a trunk."""
    with in_place_of(cluster, dataclasses.replace(BEHIND, stack=request.param), tmp_path_factory) as found:
        yield found[:2]


@pytest.fixture
def office(
    two: list[Asterisk], carrier: Asterisk, start_proxy: StartProxy, start_handset: StartHandset
) -> Iterator[Office]:
    ensure(*two, carrier)
    office = Office(start_proxy(*two, setting=SETTING), start_handset)
    yield office
    office.close()


def registered(office: Office, state: str = "registered") -> None:
    office.proxy.wait(lambda status: bool(status["trunks"][0]["registration"] == state), 5.0)


def outside(office: Office, user: str, address: str = THIRD) -> Handset:
    """A phone at the carrier."""
    ear = speaker(address, int(user) + 1000)
    office.hears(ear)
    phone = office.start(user=user, server=CARRIER, address=address, ear=ear)
    assert phone.register() == 200
    return phone


def at_rest(office: Office, *others: Asterisk) -> None:
    """Nobody believes in a call any more."""
    office.proxy.wait(lambda status: status["calls"] == 0 and status["trunks"][0]["calls"] == 0, 5.0)
    for server in others:
        server.wait_channels(0)


def test_the_proxy_registers_at_the_carrier_and_unregisters_when_it_is_stopped(
    office: Office, carrier: Asterisk
) -> None:
    registered(office)
    assert carrier.contacts(ACCOUNT) == [f"sip:{ACCOUNT}@{ADDRESS}:5060"]
    assert office.proxy.status()["trunks"][0]["expires_in"] > 100
    assert f"trunk carrier: registered as {ACCOUNT} for " in office.proxy.text()
    office.proxy.stop()
    assert carrier.contacts(ACCOUNT) == []


def test_calls_in_both_directions_outlive_their_server(office: Office, two: list[Asterisk], carrier: Asterisk) -> None:
    """All hear each other all the time, and the next server carries both calls: they end by hanging up."""
    alpha, beta = two
    registered(office)
    called, calling = office.phone(ACCOUNT), office.phone("1001")
    strangers = outside(office, "1015"), outside(office, "1016", OUTSIDE)
    into = connect(strangers[0], called)
    out = connect(calling, strangers[1], "01016")
    pairs = ((strangers[0], called), (calling, strangers[1]))
    for one, other in pairs:
        hears(one, other)
        hears(other, one)
    assert office.proxy.status()["trunks"][0]["calls"] == 2
    fail(office, lambda server: server.kill(), alpha, "beta")
    wait_until(lambda: _carried(office, beta), 5.0, "both calls at beta")
    time.sleep(0.5)
    for one, other in pairs:
        office.unbroken(one, other)
    undisturbed(*into, *out)
    _hang_up(into[1], into[0])
    _hang_up(out[0], out[1])
    at_rest(office, beta, carrier)


def _carried(office: Office, server: Asterisk) -> bool:
    """Four legs, and none of them waits for anything."""
    return server.channels() == 4 and office.proxy.text().count("carried by") >= 4


def _hang_up(ours: Call, theirs: Call) -> None:
    ours.hang_up()
    theirs.wait_ended()
