"""What tests with real servers and clients share: the servers, and the promise that one run at a time has them."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.interop import servers
from tests.interop.audio import CALLEE_TONE, CALLER_TONE, THIRD_TONE
from tests.interop.baresip import PhoneNetwork
from tests.interop.chat_house import House, chat_house
from tests.interop.handset import Handset
from tests.interop.hearing import TimedEar
from tests.interop.machine import exclusive, what_is_missing
from tests.interop.parties import CALLEE, CALLER, THIRD, answer, call, register
from tests.interop.processes import stop_all
from tests.interop.proxy import Proxy, ProxySetting
from tests.interop.sipp import Run, Sipp

HERE = Path(__file__).parent

DEFAULT = servers.Setting()

StartAsterisk = Callable[..., servers.Asterisk]
StartKamailio = Callable[..., servers.Kamailio]
StartSipp = Callable[[Run], Sipp]
StartProxy = Callable[..., Proxy]
StartHandset = Callable[..., Handset]
StartPair = Callable[[Proxy], tuple[Handset, Handset]]
StartTalk = Callable[[Proxy, int], tuple[Sipp, Sipp]]

# Proxies that run now: their logs are shown with a failure.
_proxies: list[Proxy] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # With -n, --dist loadgroup keeps all of them in one worker: the servers' addresses exist once.
    marks = [pytest.mark.interop]
    if config.pluginmanager.hasplugin("xdist"):
        marks.append(pytest.mark.xdist_group("interop"))
    for item in items:
        if HERE in item.path.parents:
            for mark in marks:
                item.add_marker(mark)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections.extend(("log of the proxy", proxy.story()) for proxy in _proxies)
    return report


@pytest.fixture(scope="session", autouse=True)
def interop() -> Iterator[None]:
    """Everything is installed, and nobody else on this machine uses the servers' addresses."""
    missing = what_is_missing()
    if missing and os.environ.get("CI"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    with exclusive():
        yield


@pytest.fixture(scope="session")
def cluster(interop: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, servers.Asterisk]]:
    """Asterisk 16 with chan_pjsip and passwords as alpha, beta and charlie. Use the fixtures named so in tests."""
    running: dict[str, servers.Asterisk] = {}
    for name in servers.ASTERISK_ADDRESSES:
        running[name] = servers.asterisk(name, tmp_path_factory.mktemp(name), servers.Setting())
    yield running
    for server in running.values():
        server.stop()


@pytest.fixture
def alpha(cluster: dict[str, servers.Asterisk]) -> servers.Asterisk:
    cluster["alpha"].ensure()
    return cluster["alpha"]


@pytest.fixture
def beta(cluster: dict[str, servers.Asterisk]) -> servers.Asterisk:
    cluster["beta"].ensure()
    return cluster["beta"]


@pytest.fixture
def charlie(cluster: dict[str, servers.Asterisk]) -> servers.Asterisk:
    cluster["charlie"].ensure()
    return cluster["charlie"]


@pytest.fixture
def start_asterisk(
    cluster: dict[str, servers.Asterisk], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartAsterisk]:
    """Starts an Asterisk of any Setting for one test, in place of the cluster's server of that name."""
    started: list[servers.Asterisk] = []

    def start(
        name: str,
        setting: servers.Setting = DEFAULT,
        address: str | None = None,
    ) -> servers.Asterisk:
        if not servers.suite_is_there(setting.suite):
            pytest.skip(f"no Asterisk of {setting.suite}: tests/interop/setup.sh could not build it")
        if name in cluster and address is None:
            cluster[name].stop()
        server = servers.asterisk(name, tmp_path_factory.mktemp(name), setting, address)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def start_kamailio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartKamailio]:
    """Starts a Kamailio of any Setting for one test."""
    started: list[servers.Kamailio] = []

    def start(name: str, setting: servers.Setting = DEFAULT) -> servers.Kamailio:
        server = servers.kamailio(name, tmp_path_factory.mktemp(name), setting)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def proxy(cluster: dict[str, servers.Asterisk], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """One for a module's tests that leave it and the servers as they are: before alpha and beta, alpha active."""
    for name in ("alpha", "beta"):
        cluster[name].ensure()
    proxy = Proxy(tmp_path_factory.mktemp("proxy"), [cluster["alpha"], cluster["beta"]], ProxySetting(tls=True))
    yield from _running(proxy)


@pytest.fixture
def start_proxy(interop: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartProxy]:
    """Starts the proxy in front of servers, the active one first. One at a time: its addresses exist once."""
    with ExitStack() as stack:

        def start(*behind: servers.Server, setting: ProxySetting | None = None) -> Proxy:
            assert not _proxies, "another proxy runs"
            proxy = Proxy(tmp_path_factory.mktemp("proxy"), behind, setting or ProxySetting())
            return stack.enter_context(contextmanager(_running)(proxy))

        yield start


@pytest.fixture(scope="module")
def house(request: pytest.FixtureRequest, interop: None) -> Iterator[House]:
    """Chat servers, the proxy and clients; a test module says by its parameter, a Plan, which."""
    with chat_house(request.param) as house:
        _proxies.append(house.proxy)
        yield house
        _proxies.remove(house.proxy)


def _running(proxy: Proxy) -> Iterator[Proxy]:
    _proxies.append(proxy)
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.stop()
        _proxies.remove(proxy)


@pytest.fixture
def start_handset() -> Iterator[StartHandset]:
    """Starts a phone; arguments are Handset's."""
    started: list[Handset] = []

    def start(**what: object) -> Handset:
        phone = Handset(**what)  # type: ignore[arg-type]
        started.append(phone)
        phone.start()
        return phone

    yield start
    for phone in started:
        phone.leave()


@pytest.fixture(scope="session")
def phone_network(interop: None) -> Iterator[PhoneNetwork]:
    """The link that baresip phones use."""
    network = PhoneNetwork()
    network.start()
    yield network
    stop_all()  # what still runs in the namespace would keep it
    network.stop()


@pytest.fixture
def start_sipp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartSipp]:
    """Starts a SIPp; whoever does waits for it."""
    started: list[Sipp] = []

    def start(run: Run) -> Sipp:
        sipp = Sipp(run, tmp_path_factory.mktemp("sipp"))
        started.append(sipp)
        sipp.start()
        return sipp

    yield start
    for sipp in started:
        sipp.stop()


@pytest.fixture
def caller_ear() -> Iterator[TimedEar]:
    ear = TimedEar((CALLER, 0), CALLER_TONE)
    ear.start()
    yield ear
    ear.stop()


@pytest.fixture
def callee_ear() -> Iterator[TimedEar]:
    ear = TimedEar((CALLEE, 0), CALLEE_TONE)
    ear.start()
    yield ear
    ear.stop()


@pytest.fixture
def third_ear() -> Iterator[TimedEar]:
    ear = TimedEar((THIRD, 0), THIRD_TONE)
    ear.start()
    yield ear
    ear.stop()


@pytest.fixture
def start_pair(start_handset: StartHandset, caller_ear: TimedEar, callee_ear: TimedEar) -> StartPair:
    """Phones of 1001 and 1002, registered at every server behind a proxy; all other contacts there are gone."""

    def start(proxy: Proxy) -> tuple[Handset, Handset]:
        caller = start_handset(user="1001", server=proxy.address, address=CALLER, ear=caller_ear)
        callee = start_handset(user="1002", server=proxy.address, address=CALLEE, ear=callee_ear)
        assert (caller.register(), callee.register()) == (200, 200)
        proxy.wait_registered(2)
        return caller, callee

    return start


@pytest.fixture
def start_talk(start_sipp: StartSipp, caller_ear: TimedEar, callee_ear: TimedEar) -> StartTalk:
    """1001 and 1002 talk for so many milliseconds, then 1001 hangs up; SIPp fails at any message it does not expect."""

    def start(proxy: Proxy, talk_ms: int) -> tuple[Sipp, Sipp]:
        for user, address in (("1001", CALLER), ("1002", CALLEE)):
            start_sipp(register(user, address, proxy.address)).wait()
        proxy.wait_registered(2)
        callee = start_sipp(answer(callee_ear))
        callee.wait_listening()
        caller = start_sipp(call("1002", proxy.address, caller_ear, talk_ms=talk_ms))
        callee_ear.remote, caller_ear.remote = callee.wait_remote_audio(), caller.wait_remote_audio()
        callee_ear.wait_for(CALLER_TONE, 1.0)
        return caller, callee

    return start
