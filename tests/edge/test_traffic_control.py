"""Filters come, share, are replaced without a gap, and go; nobody else's is touched."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from haproxy_voip.edge.kernel_relay import DISCIPLINES, KernelRelay
from haproxy_voip.edge.libbpf import program_id
from haproxy_voip.edge.traffic_control import PRIORITY, Attachment
from tests.edge.kernel_scene import NAME, kernel_relay
from tests.edge.namespaces import inside, ip, namespaces

pytestmark = pytest.mark.interop

THERE = f"hv{os.getpid()}c"


def tc(*words: str) -> str:
    ended = subprocess.run(["tc", *words], check=True, capture_output=True, text=True, timeout=20)
    return ended.stdout


@pytest.fixture
def relay() -> Iterator[KernelRelay]:
    with kernel_relay() as opened:
        yield opened


@pytest.fixture
def port(relay: KernelRelay) -> Iterator[int]:
    """An interface nobody has touched, and we are where it is."""
    with namespaces(THERE), inside(THERE):
        ip("link", "add", "port", "type", "veth", "peer", "name", "other")
        yield socket.if_nametoindex("port")


def attachment(handle: int = 5) -> Attachment:
    return Attachment(handle, DISCIPLINES)


def filters() -> str:
    return tc("filter", "show", "dev", "port", "ingress")


def disciplines() -> str:
    return tc("qdisc", "show", "dev", "port")


def marks() -> set[Path]:
    return set(DISCIPLINES.iterdir()) if DISCIPLINES.exists() else set()


def test_nothing_is_left(relay: KernelRelay, port: int) -> None:
    before, ours = marks(), attachment()
    assert ours.program(port) is None
    ours.attach(port, relay.program)
    assert ours.program(port) == program_id(relay.program)
    assert f"pref {PRIORITY} bpf chain 0 handle 0x5" in filters() and "clsact" in disciplines()
    assert len(marks() - before) == 1
    ours.detach(port)
    assert ours.program(port) is None and "clsact" not in disciplines()
    assert marks() == before


def test_two_instances_share_an_interface_and_the_last_one_leaves_nothing(relay: KernelRelay, port: int) -> None:
    one, other = attachment(5), attachment(6)
    with kernel_relay(name=f"{NAME}_other") as second:
        one.attach(port, relay.program)
        other.attach(port, second.program)
        assert one.program(port) == program_id(relay.program) != other.program(port)
        one.detach(port)
        assert other.program(port) == program_id(second.program) and "clsact" in disciplines()
        other.detach(port)
    assert "clsact" not in disciplines()


def test_somebody_elses_discipline_and_filter_stay(relay: KernelRelay, port: int) -> None:
    tc("qdisc", "add", "dev", "port", "clsact")
    ours = attachment()
    ours.attach(port, relay.program)
    ours.detach(port)
    assert "clsact" in disciplines()
    tc("qdisc", "del", "dev", "port", "clsact")
    ours.attach(port, relay.program)  # ours now
    tc("filter", "add", "dev", "port", "egress", "protocol", "all", "prio", "7", "u32", "match", "u32", "0", "0")
    ours.detach(port)
    assert "clsact" in disciplines() and "pref 7 u32" in tc("filter", "show", "dev", "port", "egress")
    tc("filter", "del", "dev", "port", "egress")
    ours.detach(port)
    assert "clsact" not in disciplines()


def test_a_filter_is_replaced_in_its_place(relay: KernelRelay, port: int) -> None:
    ours = attachment()
    with kernel_relay(name=f"{NAME}_other") as second:
        ours.attach(port, second.program)
        ours.attach(port, relay.program)
        assert ours.program(port) == program_id(relay.program)
        assert filters().count("handle") == 1
    ours.detach(port)


def test_where_nothing_is_there_is_nothing_to_detach(relay: KernelRelay, port: int) -> None:
    ours = attachment()
    ours.detach(port)
    ours.attach(port, relay.program)
    ip("link", "del", "port")
    ours.detach(port)
    assert ours.program(port) is None
    with pytest.raises(OSError):
        ours.attach(port, relay.program)
