from __future__ import annotations

import socket

import pytest

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.edge.listening import CannotListen, bound_socket, family_of, tune


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("transport", list(Transport))
def test_sockets_are_bound_and_never_block(host, transport):
    with bound_socket(Endpoint(transport, Address(host, 0))) as bound:
        assert not bound.getblocking()
        assert bound.getsockname()[1] != 0
        assert bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == (transport is not Transport.UDP)


@pytest.mark.parametrize("transport", list(Transport))
def test_a_port_is_never_shared(transport):
    with bound_socket(Endpoint(transport, Address("127.0.0.1", 0))) as bound:
        taken = Endpoint(transport, Address(*bound.getsockname()))
        with pytest.raises(CannotListen, match=f"cannot listen on {taken}: Address already in use; another program"):
            bound_socket(taken)


def test_an_address_that_is_not_ours_is_told():
    with pytest.raises(CannotListen, match="no interface of this machine has that address"):
        bound_socket(Endpoint(Transport.TCP, Address("192.0.2.1", 5060)))


def test_an_unforeseen_error_is_told_as_the_system_says_it():
    assert str(CannotListen("udp:x", OSError(12, "Out of memory"))) == "cannot listen on udp:x: Out of memory"


def test_streams_notice_a_vanished_host():
    with socket.socket() as stream:
        tune(stream)
        assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 32_000


def test_families():
    assert family_of(Address("::1", 1)) == socket.AF_INET6
    assert family_of(Address("127.0.0.1", 1)) == socket.AF_INET
