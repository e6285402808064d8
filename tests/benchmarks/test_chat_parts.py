"""The parts of benchmarks/chat.py, on the bare server: nobody is measured here."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.parts.chat_clients import LoginFailed, Pairs, clients, user
from benchmarks.parts.chat_logins import CONTESTANTS as LOGIN_CONTESTANTS
from benchmarks.parts.chat_logins import Logins, login_report
from benchmarks.parts.chat_places import PROXY_HOST, SINK_HOSTS, Place, Setting, proxy, sink
from benchmarks.parts.chat_sink import ITEM
from benchmarks.parts.chat_stanzas import CONTESTANTS, MODES, Stanzas, ratio, stanza_report
from benchmarks.parts.processes import cpu_seconds


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with sink(tmp_path_factory.mktemp("sink"), free_port(SINK_HOSTS[0])) as running:
        yield running


def free_port(host: str) -> int:
    with socket.create_server((host, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def talked(place: Place, *, tls: bool, mechanism: str, managed: bool) -> int:
    """How many messages arrived, one by one, and ten in one write."""
    with clients() as chatters:
        way = place.way(tls=tls, mechanism=mechanism, managed=managed)
        pairs = Pairs(await chatters.log_in_many([user(number) for number in range(4)], way))
        return await pairs.talk(20, 1) + await pairs.talk(40, 2, burst=10)


@pytest.mark.parametrize("managed", [False, True])
def test_the_bare_server_passes_every_message_on(server: Place, managed: bool) -> None:
    assert asyncio.run(talked(server, tls=False, mechanism="PLAIN", managed=managed)) == 60


def test_through_the_proxy_every_message_arrives_and_clients_leave(server: Place, tmp_path: Path) -> None:
    async def come_and_go(place: Place) -> bool:
        with clients() as chatters:
            client = await chatters.log_in(user(0), place.way(tls=True, mechanism="PLAIN", managed=True))
            await client.leave()
            with pytest.raises(LoginFailed, match="encryption-required"):
                await chatters.log_in(user(0), place.way(mechanism="PLAIN"))
            return client.lost

    ports = (free_port(PROXY_HOST), free_port(PROXY_HOST))
    setting = Setting(users=4, ports=ports, servers=(f"{server.host}:{server.ports[0]}",))
    with proxy(tmp_path, setting) as place:
        used = cpu_seconds(place.process)
        assert asyncio.run(talked(place, tls=True, mechanism="SCRAM-SHA-256", managed=True)) == 60
        assert asyncio.run(come_and_go(place))
        assert cpu_seconds(place.process) > used
        assert place.resident_kib > 10_000


def test_the_bare_server_waits_for_the_rest_of_a_stanza() -> None:
    data = b"<?xml version='1.0'?><stream:stream to='x'><r xmlns='u'/><presence/><iq id='1'><bind/></iq><message>hi"
    items = list(ITEM.finditer(data))
    assert [item[item.lastindex or 0] for item in items] == [b"stream:stream", b"r", b"presence", b"iq"]
    assert data[items[-1].end() :] == b"<message>hi"


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    """A slow moment is slow for both: the ratio of the medians would be 2.5."""
    assert ratio([4.0, 20.0, 5.0], [1.0, 10.0, 2.0]) == 2.5
    assert ratio([4.0, 40.0, 40.0], [2.0, 10.0, 20.0]) == 2.0


def test_the_tables_have_a_row_for_every_contestant(server: Place) -> None:
    def row(cost: float) -> Stanzas:
        return Stanzas(server, Pairs([]), {mode: [cost] for mode in MODES}, {mode: [1e6 / cost] for mode in MODES})

    found = {managed: {name: row(20.0 * (1 + number)) for number, name in enumerate(CONTESTANTS)} for managed in (0, 1)}
    lines = list(stanza_report({bool(managed): rows for managed, rows in found.items()}))
    assert len(lines) == 2 + 2 * (2 + len(CONTESTANTS))
    assert next(line.split() for line in lines if line.startswith("  proxy  "))[:3] == ["proxy", "60.0", "1.5x"]
    logins = list(login_report({name: Logins([2.0], [100.0]) for name in LOGIN_CONTESTANTS}))
    assert len(logins) == 1 + len(LOGIN_CONTESTANTS)
