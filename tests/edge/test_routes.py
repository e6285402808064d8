"""Which way a packet leaves this machine."""

import os
import socket
from collections.abc import Iterator

import pytest

from haproxy_voip.edge import routes
from haproxy_voip.edge.routes import FRESH_SECONDS, LOOPBACK_INDEX, LOOPBACK_MTU, Route, Routes, namespace
from tests.edge.namespaces import cable, inside, ip, namespaces

HERE, THERE = f"hv{os.getpid()}h", f"hv{os.getpid()}t"


@pytest.fixture
def found() -> Iterator[Routes]:
    opened = Routes()
    yield opened
    opened.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "::1"])
def test_our_own_addresses_are_on_the_loopback(found: Routes, host: str) -> None:
    source = "::1" if ":" in host else "127.0.0.1"
    assert found.find(source, host, 0.0) == Route(LOOPBACK_INDEX, host, LOOPBACK_MTU)


def test_no_packet_leaves_by_an_address_that_is_not_ours(found: Routes) -> None:
    with pytest.raises(OSError):
        found.find("203.0.113.7", "127.0.0.1", 0.0)


def test_a_broadcast_is_no_plain_route(found: Routes) -> None:
    with pytest.raises(OSError, match="no plain route"):
        found.find("127.0.0.1", "127.255.255.255", 0.0)


def test_what_is_known_stays_so_for_a_second(found: Routes, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Routes, "_ask", lambda self, source, to: asked.append(to) or Route(2, to, 1500))
    monkeypatch.setattr(routes, "MAX_KNOWN", 3)
    for now in (0.0, FRESH_SECONDS / 2, FRESH_SECONDS):
        found.find("10.0.0.1", "10.0.0.2", now)
    assert asked == ["10.0.0.2"] * 2
    for host in range(9):
        found.find("10.0.0.1", f"10.0.1.{host}", 5.0)
    assert len(found._known) <= 3


@pytest.mark.interop
def test_no_namespace_is_ever_taken_for_another_not_even_for_one_that_has_gone() -> None:
    known = [namespace()]
    assert namespace() == known[0]
    for _ in range(3):
        with namespaces(HERE), inside(HERE):
            known.append(namespace())
    assert len(set(known)) == 4


@pytest.mark.interop
def test_neighbours_and_what_is_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with namespaces(HERE, THERE):
        cable(HERE, ["10.92.0.1/24", "fd92::1/64"], THERE, ["10.92.0.2/24", "fd92::2/64"])
        ip("-n", HERE, "route", "add", "default", "via", "10.92.0.2")
        ip("-n", HERE, "-6", "route", "add", "default", "via", "fd92::2")
        ip("-n", HERE, "link", "set", THERE, "mtu", "1400")
        with inside(HERE):
            asked = Routes()
            ifindex = socket.if_nametoindex(THERE)
        try:
            assert asked.find("10.92.0.1", "10.92.0.2", 0.0) == Route(ifindex, "10.92.0.2", 1400)
            assert asked.find("10.92.0.1", "198.51.100.1", 0.0) == Route(ifindex, "10.92.0.2", 1400)
            assert asked.find("fd92::1", "2001:db8::1", 0.0) == Route(ifindex, "fd92::2", 1400)
            assert asked.find("10.92.0.1", "10.92.0.1", 0.0).ifindex == LOOPBACK_INDEX
            monkeypatch.setattr(routes, "ETHERNET", 65_534)  # as a tunnel's
            with pytest.raises(OSError, match=f"{THERE} is no Ethernet interface"):
                asked.find("10.92.0.1", "10.92.0.3", 0.0)
        finally:
            asked.close()
