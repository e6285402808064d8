"""Ports that rest between two streams: the same socket, heard by nobody, for a while."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from haproxy_voip.core.address import Address
from haproxy_voip.edge import media_ports
from haproxy_voip.edge.media_ports import MAX_REST_SECONDS, MediaPorts, PortPair
from haproxy_voip.edge.media_sockets import bind, bind_pair
from tests.edge.media_bench import free_pair, nobody_at


class Loop(asyncio.SelectorEventLoop):
    """Its timers ring when they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.alarms: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay: float, callback, *args, **kwargs):  # type: ignore[no-untyped-def, override]
        self.alarms.append((delay, callback))
        return super().call_later(delay, callback, *args, **kwargs)

    def turn(self) -> None:
        """Call whoever has something to read."""
        self.call_soon(self.stop)
        self.run_forever()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def ports(loop: Loop) -> Iterator[MediaPorts]:
    ports = MediaPorts(loop)
    yield ports
    ports.close()


def file_numbers(pair: PortPair) -> list[int]:
    return [port.sock.fileno() for port in pair]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0"])
def test_who_takes_ports_that_rest_gets_the_same_sockets(ports: MediaPorts, host: str) -> None:
    local = free_pair(host)
    pair = ports.take(local)
    before = file_numbers(pair)
    ports.give_back(local, pair)
    assert len(ports) == 1
    again = ports.take(local)
    assert file_numbers(again) == before and len(ports) == 0
    assert [port.sock.getsockname()[:2] for port in again] == [(host, local.port), (host, local.port + 1)]
    again.close()


def test_nobody_is_heard_while_it_rests_and_anybody_afterwards(loop: Loop, ports: MediaPorts) -> None:
    local, heard = free_pair(), []
    with bind(free_pair()) as phone:
        pair = ports.take(local)
        phone.sendto(b"not read yet", local)
        ports.give_back(local, pair)
        assert nobody_at(local)
        phone.sendto(b"late", local)
        pair = ports.take(local)
        pair.rtp.reader = lambda: heard.append(pair.rtp.sock.recv(100))
        phone.sendto(b"new", local)
        loop.turn()
    assert heard == [b"new"]
    pair.close()


def test_also_of_a_port_that_was_connected(loop: Loop, ports: MediaPorts) -> None:
    local = free_pair()
    with bind(free_pair()) as former, bind(free_pair()) as phone:
        pair = ports.take(local)
        pair.rtp.sock.connect(former.getsockname())
        ports.give_back(local, pair)
        assert nobody_at(local)
        pair = ports.take(local)
        phone.sendto(b"new", local)
        assert pair.rtp.sock.recv(100) == b"new"
    pair.close()


def test_ports_with_an_error_are_closed_and_bound_anew(ports: MediaPorts) -> None:
    local = free_pair()
    pair = ports.take(local)
    pair.rtp.sock.connect(free_pair())
    pair.rtp.sock.send(b"nobody is there")
    ports.give_back(local, pair)
    assert len(ports) == 0
    ports.take(local).close()


def test_an_error_that_comes_late_ends_the_rest(ports: MediaPorts) -> None:
    local = free_pair()
    pair = ports.take(local)
    ports.give_back(local, pair)
    pair.rtcp.reader()
    assert len(ports) == 0
    bind_pair(local).close()


def test_no_more_rest_than_may(ports: MediaPorts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_ports, "MAX_RESTING", 1)
    places = [free_pair(), free_pair()]
    for local, pair in [(local, ports.take(local)) for local in places]:
        ports.give_back(local, pair)
    assert len(ports) == 1
    bind_pair(places[1]).close()


def test_none_rests_for_ever(loop: Loop, ports: MediaPorts, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(media_ports, "monotonic", lambda: now)
    first, second = free_pair(), free_pair()
    ports.give_back(first, ports.take(first))
    now += 10.0
    ports.give_back(second, ports.take(second))
    now += MAX_REST_SECONDS - 10.0
    [(delay, look)] = loop.alarms
    assert delay == MAX_REST_SECONDS
    look()
    assert len(ports) == 1
    bind_pair(first).close()
    delay, look = loop.alarms[1]
    assert delay == 10.0
    now += delay
    look()
    assert len(ports) == 0 and len(loop.alarms) == 2
    bind_pair(second).close()


def test_ports_that_rest_are_in_nobodys_way(ports: MediaPorts) -> None:
    """Another configuration may have the same ports on another address."""
    everywhere = free_pair("0.0.0.0")
    ports.give_back(everywhere, ports.take(everywhere))
    ports.take(Address("127.0.0.1", everywhere.port)).close()


def test_ports_that_somebody_else_has_are_an_error_and_nothing_is_held(ports: MediaPorts) -> None:
    local, other = free_pair(), free_pair()
    ports.give_back(other, ports.take(other))
    with bind(Address(local.host, local.port + 1)), pytest.raises(OSError, match="in use"):
        ports.take(local)
    bind_pair(local).close()


def test_closed_they_are_free(loop: Loop, ports: MediaPorts) -> None:
    local = free_pair()
    pair = ports.take(local)
    numbers = file_numbers(pair)
    ports.give_back(local, pair)
    ports.close()
    bind_pair(local).close()
    assert not any(loop.remove_reader(number) for number in numbers)
