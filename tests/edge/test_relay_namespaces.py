"""The relay in the kernel between machines: a phone, the proxy's machine, and a server on another one or on the same.

The proxy's machine forwards nothing by itself.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from haproxy_voip.core.address import Address
from haproxy_voip.edge.kernel_relay import KernelRelay
from haproxy_voip.edge.media_sockets import bind
from tests.edge.kernel_scene import flow_of, kernel_relay, skip_if_refused
from tests.edge.namespaces import cable, inside, ip, namespaces, sum_in_software
from tests.edge.relay_cases import OUT_SSRC, Case, packet
from tests.edge.relay_places import WAIT, address_of, heard

pytestmark = pytest.mark.interop

PHONE, PROXY, SERVER = (f"hv{os.getpid()}{letter}" for letter in "psr")
CASE = Case("joined, with payload types", [], renumbered=True, types={0: 8})
FIRST = CASE.first

PHONES = {4: "10.91.1.2", 6: "fd91:1::2"}
TO_PHONES = {4: "10.91.1.1", 6: "fd91:1::1"}
TO_SERVERS = {4: "10.91.2.1", 6: "fd91:2::1"}
SERVERS = {4: "10.91.2.2", 6: "fd91:2::2"}
FAR_SERVERS = {4: "10.91.9.9", 6: "fd91:9::9"}  # behind a router, which here is the same machine
LOOPBACKS = {4: "127.0.0.1", 6: "::1"}
PREFIX = {4: 24, 6: 64}
IP_RECVTTL = 12  # ip(7); Python has no name for it
EXPEDITED = 0xB8  # RFC 3246, as RTP has it


def hosts(table: dict[int, str]) -> list[str]:
    return [f"{host}/{PREFIX[version]}" for version, host in table.items()]


@pytest.fixture(scope="module")
def machines() -> Iterator[None]:
    skip_if_refused()
    with namespaces(PHONE, PROXY, SERVER):
        cable(PHONE, hosts(PHONES), PROXY, hosts(TO_PHONES))
        cable(PROXY, hosts(TO_SERVERS), SERVER, hosts(SERVERS))
        for name, table in ((PHONE, TO_PHONES), (SERVER, TO_SERVERS)):
            for version, host in table.items():
                ip("-n", name, f"-{version}", "route", "add", "default", "via", host)
        for version, host in FAR_SERVERS.items():
            length = 32 if version == 4 else 128
            ip("-n", SERVER, "address", "add", f"{host}/{length}", "dev", "lo")
            ip("-n", PROXY, f"-{version}", "route", "add", f"{host}/{length}", "via", SERVERS[version])
        yield


@pytest.fixture(scope="module")
def relay(machines: None) -> Iterator[KernelRelay]:
    with inside(PROXY), kernel_relay("lo", PHONE, SERVER, name=f"{PROXY}_relay") as opened:
        yield opened


@dataclass
class Call:
    """Media from a phone to a server."""

    phone: socket.socket
    near: socket.socket  # the proxy's, towards the phone
    far: socket.socket  # and towards the server
    server: socket.socket


def opened(stack: ExitStack, machine: str, host: str) -> socket.socket:
    with inside(machine):
        return stack.enter_context(bind(Address(host, 0)))


def call(stack: ExitStack, version: int, out_host: str, server_machine: str, server_host: str) -> Call:
    return Call(
        opened(stack, PHONE, PHONES[version]),
        opened(stack, PROXY, TO_PHONES[version]),
        opened(stack, PROXY, out_host),
        opened(stack, server_machine, server_host),
    )


def check_both_ways(call: Call, relay: KernelRelay) -> None:
    """Ten packets each way, renumbered, with checksums that the receiver accepts, and nothing for userspace."""
    for sender, near, far, receiver in (
        (call.phone, call.near, call.far, call.server),
        (call.server, call.far, call.near, call.phone),
    ):
        local = address_of(near)
        with inside(PROXY):
            relay.install(flow_of(CASE, *map(address_of, (near, sender, far, receiver))))
        for turn in range(1, 11):
            sender.sendto(packet(FIRST.sequence + turn), local)
            out = packet(FIRST.out_sequence + turn, OUT_SSRC, timestamp=FIRST.out_timestamp + 160 * turn, second=8)
            assert heard(receiver, 1) == [(out, address_of(far))]
        assert heard(near, 0) == []
        state = relay.remove(local)
        assert state is not None and (state.packets, state.dropped) == (10, 0)


BOTH = pytest.mark.parametrize("version", [4, 6])


@BOTH
@pytest.mark.parametrize(
    "summing", [[], [PHONE, SERVER], [PROXY]], ids=["nobody sums", "the ends do", "the proxy does"]
)
def test_to_a_server_on_another_machine(relay: KernelRelay, version: int, summing: list[str]) -> None:
    """On a cable that loses nothing checksums need not be written; where they are, they are right."""
    for machine in summing:
        for interface in (PHONE, SERVER) if machine == PROXY else (PROXY,):
            with inside(machine):
                sum_in_software(interface)
    with ExitStack() as stack:
        check_both_ways(call(stack, version, TO_SERVERS[version], SERVER, SERVERS[version]), relay)


@BOTH
def test_through_a_router(relay: KernelRelay, version: int) -> None:
    with ExitStack() as stack:
        check_both_ways(call(stack, version, TO_SERVERS[version], SERVER, FAR_SERVERS[version]), relay)


@BOTH
@pytest.mark.parametrize("on", [TO_PHONES, TO_SERVERS, LOOPBACKS], ids=["same address", "other address", "loopback"])
def test_to_a_server_on_the_proxys_own_machine(relay: KernelRelay, version: int, on: dict[int, str]) -> None:
    with ExitStack() as stack:
        check_both_ways(call(stack, version, on[version], PROXY, on[version]), relay)


@BOTH
def test_two_flows_that_meet_on_the_machine(relay: KernelRelay, version: int) -> None:
    """A backend may send media to a port of ours: from the phone to one flow, through it to another, to the server."""
    plain = Case("as it comes", [])
    for machine, host in ((PHONE, PHONES[version]), (PROXY, LOOPBACKS[version])):
        with ExitStack() as stack:
            phone = opened(stack, machine, host)
            first, out, second, last = (
                opened(stack, PROXY, near)
                for near in (
                    TO_PHONES[version] if machine == PHONE else host,
                    *[LOOPBACKS[version]] * 2,
                    TO_SERVERS[version],
                )
            )
            server = opened(stack, SERVER, SERVERS[version])
            with inside(PROXY):
                relay.install(flow_of(plain, *map(address_of, (first, phone, out, second))))
                relay.install(flow_of(plain, *map(address_of, (second, out, last, server))))
            for turn in range(1, 4):
                phone.sendto(packet(FIRST.sequence + turn), address_of(first))
                assert heard(server, 1) == [(packet(FIRST.sequence + turn), address_of(last))]
            for near in (first, second):
                assert heard(near, 0) == []
                state = relay.remove(address_of(near))
                assert state is not None and state.packets == 3


@BOTH
def test_two_flows_that_feed_each_other_end(relay: KernelRelay, version: int) -> None:
    """A packet that goes in circles is passed up when it has gone round often enough."""
    with ExitStack() as stack:
        one, other = (opened(stack, PROXY, LOOPBACKS[version]) for _ in range(2))
        for here, there in ((one, other), (other, one)):
            relay.install(flow_of(Case("in circles", []), *map(address_of, (here, there, here, there))))
        one.sendto(packet(FIRST.sequence + 1), address_of(other))
        assert len(heard(one, 0) or heard(other, 1)) == 1
        for each in (one, other):
            assert relay.remove(address_of(each)) is not None


@BOTH
def test_a_packet_keeps_its_class_of_service_and_ages_by_one_hop(relay: KernelRelay, version: int) -> None:
    """RFC 2474; a relay that let packets live for ever could be made to send them in circles."""
    level, kinds = {
        4: (socket.IPPROTO_IP, (socket.IP_TOS, socket.IP_TTL, socket.IP_RECVTOS, IP_RECVTTL)),
        6: (
            socket.IPPROTO_IPV6,
            (socket.IPV6_TCLASS, socket.IPV6_UNICAST_HOPS, socket.IPV6_RECVTCLASS, socket.IPV6_RECVHOPLIMIT),
        ),
    }[version]
    tos, hops, receive_tos, receive_hops = kinds
    with ExitStack() as stack:
        around = call(stack, version, TO_SERVERS[version], SERVER, SERVERS[version])
        around.phone.setsockopt(level, tos, EXPEDITED)
        around.phone.setsockopt(level, hops, 9)
        around.server.setsockopt(level, receive_tos, 1)
        around.server.setsockopt(level, receive_hops, 1)
        with inside(PROXY):
            relay.install(flow_of(CASE, *map(address_of, (around.near, around.phone, around.far, around.server))))
        around.phone.sendto(packet(FIRST.sequence + 1), address_of(around.near))
        around.server.settimeout(WAIT)
        _, control, _, _ = around.server.recvmsg(2048, 256)
        assert sorted(data[0] for _, _, data in control) == [8, EXPEDITED]
        relay.remove(address_of(around.near))


@BOTH
def test_what_does_not_fit_through_the_next_interface_is_for_userspace(relay: KernelRelay, version: int) -> None:
    ip("-n", PROXY, "link", "set", SERVER, "mtu", "1300")
    try:
        with ExitStack() as stack:
            # By another address than in the tests before: routes are known for a second.
            around = call(stack, version, TO_PHONES[version], SERVER, SERVERS[version])
            ways = (around.near, around.phone, around.far, around.server)
            flow = flow_of(Case("as it comes", []), *map(address_of, ways))
            with inside(PROXY):
                relay.install(flow)
            largest = 1300 - {4: 28, 6: 48}[version]
            for turn, size in enumerate((largest, largest + 1), 1):
                data = packet(FIRST.sequence + turn)
                around.phone.sendto(data + bytes(size - len(data)), address_of(around.near))
            assert [len(data) for data, _ in heard(around.near, 1)] == [largest + 1]
            assert [len(data) for data, _ in heard(around.server, 1)] == [largest]
            relay.remove(flow.local)
    finally:
        ip("-n", PROXY, "link", "set", SERVER, "mtu", "1500")


@BOTH
def test_only_the_peer_is_heard(relay: KernelRelay, version: int) -> None:
    with ExitStack() as stack:
        around = call(stack, version, TO_SERVERS[version], SERVER, SERVERS[version])
        other_port = opened(stack, PHONE, PHONES[version])
        flow = flow_of(CASE, *map(address_of, (around.near, around.phone, around.far, around.server)))
        with inside(PROXY):
            relay.install(flow)
        for stranger in (other_port, around.server):
            stranger.sendto(packet(FIRST.sequence + 1), flow.local)
        around.phone.sendto(packet(FIRST.sequence + 1), flow.local)
        assert len(heard(around.server, 1)) == 1 and heard(around.near, 0) == []
        state = relay.remove(flow.local)
        assert state is not None and (state.packets, state.dropped) == (1, 2)


def test_where_no_route_leads_no_flow_is_installed(relay: KernelRelay) -> None:
    nowhere = Address("203.0.113.1", 4000)
    ours = Address(TO_PHONES[4], 4000), Address(PHONES[4], 4000), Address(TO_SERVERS[4], 4002)
    with inside(PROXY), pytest.raises(OSError, match="unreachable"):
        relay.install(flow_of(CASE, *ours, nowhere))
    assert relay.remove(ours[0]) is None
