"""Pairs of media ports, bound to a peer and freed again, on 127.0.0.1 and ::1."""

import itertools
import os
import socket

import pytest

from haproxy_voip.core.address import Address
from haproxy_voip.edge.media_sockets import bind, bind_pair, connect, disconnect

PORTS = itertools.count(31_000 + os.getpid() % 100 * 10, 2)  # below the kernel's ephemeral ports


def free(host: str) -> Address:
    for port in PORTS:
        try:
            bind_pair(Address(host, port)).close()
        except OSError:
            continue
        return Address(host, port)
    raise AssertionError


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_pair_is_an_even_port_and_the_next(host: str):
    local = free(host)
    pair = bind_pair(local)
    assert [sock.getsockname()[1] for sock in pair] == [local.port, local.port + 1]
    assert not any(sock.getblocking() for sock in pair)
    pair.close()


def test_a_port_in_use_is_an_error_and_the_other_one_is_freed():
    local = free("127.0.0.1")
    with bind(Address(local.host, local.port + 1)):
        with pytest.raises(OSError, match="in use"):
            bind_pair(local)
        bind(local).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_connected_socket_hears_its_peer_only_and_a_disconnected_one_everybody_on_the_same_port(host: str):
    local = free(host)
    with bind(local) as ours, bind(free(host)) as peer, bind(free(host)) as stranger:
        assert connect(ours, Address(*peer.getsockname()[:2]))
        stranger.sendto(b"stranger", local)
        peer.sendto(b"peer", local)
        assert ours.recv(100) == b"peer"
        disconnect(ours)
        assert Address(*ours.getsockname()[:2]) == local
        stranger.sendto(b"stranger", local)
        assert ours.recv(100) == b"stranger"


def test_an_icmp_error_of_the_former_peer_is_forgotten_with_it():
    gone = free("127.0.0.1")
    with bind(free("127.0.0.1")) as ours:
        assert connect(ours, gone)
        ours.send(b"anybody?")
        disconnect(ours)
        with pytest.raises(BlockingIOError):
            ours.recv(100)


def test_no_route_is_no_connection():
    with bind(free("127.0.0.1")) as ours:
        assert not connect(ours, Address("255.255.255.255", 4000))


def test_disconnecting_what_is_closed_is_our_mistake():
    ours = bind(free("127.0.0.1"))
    ours.close()
    with pytest.raises(OSError):
        disconnect(ours)


def test_ipv6_sockets_leave_ipv4_alone():
    local = free("::1")
    with bind(local) as ours:
        assert ours.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
