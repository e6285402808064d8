"""What tests with real servers and clients share: the servers, and the promise that one run at a time has them."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop import servers
from tests.interop.audio import CALLEE_TONE, CALLER_TONE, Ear
from tests.interop.baresip import PhoneNetwork
from tests.interop.parties import CALLEE, CALLER
from tests.interop.processes import stop_all
from tests.interop.sipp import Run, Sipp

HERE = Path(__file__).parent
LOCK = Path("/run/lock/haproxy_voip_interop")
LOCK_SECONDS = 600.0  # another run on this machine may take that long
TOOLS = ("sipp", "sipsak", "baresip", "kamailio", "kamcmd", "unshare", "setpriv", "ip")

StartAsterisk = Callable[..., servers.Asterisk]
StartKamailio = Callable[..., servers.Kamailio]
StartSipp = Callable[[Run], Sipp]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.interop)


def _what_is_missing() -> str | None:
    if os.geteuid() != 0:
        return "real servers need root (chroot, network namespaces)"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if not servers.suite_is_there("bullseye"):
        missing.append("Asterisk")
    return f"not installed: {', '.join(missing)}; run tests/interop/setup.sh" if missing else None


@pytest.fixture(scope="session", autouse=True)
def interop() -> Iterator[None]:
    """Everything is installed, and nobody else on this machine uses the servers' addresses."""
    missing = _what_is_missing()
    if missing and os.environ.get("CI"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    with LOCK.open("w") as lock:
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    pytest.fail(f"another run has held {LOCK} for {LOCK_SECONDS} s")
                time.sleep(0.2)
        yield
        stop_all()


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
        name: str, setting: servers.Setting = servers.Setting(), address: str | None = None  # noqa: B008
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

    def start(name: str, setting: servers.Setting = servers.Setting()) -> servers.Kamailio:  # noqa: B008
        server = servers.kamailio(name, tmp_path_factory.mktemp(name), setting)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


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
def caller_ear() -> Iterator[Ear]:
    ear = Ear((CALLER, 0), CALLER_TONE)
    ear.start()
    yield ear
    ear.stop()


@pytest.fixture
def callee_ear() -> Iterator[Ear]:
    ear = Ear((CALLEE, 0), CALLEE_TONE)
    ear.start()
    yield ear
    ear.stop()
