from __future__ import annotations

import asyncio
import socket

import pytest

from haproxy_voip.core.address import Address, Transport
from haproxy_voip.core.events import Datagram
from haproxy_voip.edge import udp as udp_module
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.edge.udp import UdpListener

HOSTS = ["127.0.0.1", "::1"]


@pytest.mark.parametrize("host", HOSTS)
def test_datagrams_go_there_and_back_on_one_flow(run, heard, host):
    async def scene():
        told, answers = heard(), heard()
        server = await UdpListener.bind(Address(host, 0), told)
        client = await UdpListener.bind(Address(host, 0), answers)
        for word in (b"one", b"two"):
            client.send(server.local, word)
        second = await told.until(Datagram, 2)
        first = told[0]
        assert (first.data, second.data) == (b"one", b"two")
        assert first.flow is second.flow  # one object for each peer: no work per datagram
        assert first.flow.transport is Transport.UDP and first.flow.connection == 0
        assert first.flow.local == server.local and first.flow.remote == client.local
        server.send(first.flow.remote, b"answer")
        answer = await answers.until(Datagram)
        assert answer.data == b"answer" and answer.flow.remote == server.local
        assert server.endpoint.address.port != 0
        server.close()
        client.close()

    run(scene)


def test_flows_are_bounded_and_those_in_use_stay(run, heard, monkeypatch):
    async def scene():
        monkeypatch.setattr(udp_module, "MAX_FLOWS", 4)
        told = heard()
        server = await UdpListener.bind(Address("127.0.0.1", 0), told)
        server.datagram_received(b"x", ("10.0.0.1", 5060))
        kept = told[-1].flow
        for port in range(2000, 2100):
            server.datagram_received(b"x", ("10.0.0.2", port))
            server.datagram_received(b"x", ("10.0.0.1", 5060))
            assert told[-1].flow is kept
        assert len(server._young) + len(server._old) <= 8
        server.close()

    run(scene)


def test_an_error_of_the_network_is_counted_and_hurts_nobody(run, heard):
    async def scene():
        told = heard()
        server = await UdpListener.bind(Address("127.0.0.1", 0), told)
        server.send(Address("127.0.0.1", 9), b"x" * 70_000)
        server.send(Address("::1", 9), b"x")
        server.error_received(ConnectionRefusedError(111, "Connection refused"))
        assert server.errors["EAFNOSUPPORT"] == 1
        assert server.errors["ECONNREFUSED"] == 1
        server.send(server.local, b"still here")
        assert (await told.until(Datagram)).data == b"still here"
        assert server.errors["EMSGSIZE"] == 1
        server.close()

    run(scene)


def test_nothing_is_queued_without_end(run, heard):
    async def scene():
        server = await UdpListener.bind(Address("127.0.0.1", 0), heard())
        server.pause_writing()
        server.send(server.local, b"lost")
        assert server.errors["dropped"] == 1
        server.resume_writing()
        server.send(server.local, b"sent")
        assert server.errors["dropped"] == 1
        server.close()
        await asyncio.sleep(0)
        server.send(server.local, b"after the end")

    run(scene)


def test_a_taken_port_is_refused_with_a_remedy(run, heard):
    async def scene():
        first = await UdpListener.bind(Address("127.0.0.1", 0), heard())
        with pytest.raises(CannotListen, match=r"cannot listen on udp:127\.0\.0\.1:\d+: .*another program listens"):
            await UdpListener.bind(first.local, heard())
        with pytest.raises(CannotListen, match="no interface of this machine"):
            await UdpListener.bind(Address("192.0.2.1", 0), heard())
        first.close()

    run(scene)


def test_an_ipv6_listener_leaves_ipv4_to_its_own(run, heard):
    async def scene():
        told6, told4 = heard(), heard()
        six = await UdpListener.bind(Address("::", 0), told6)
        four = await UdpListener.bind(Address("0.0.0.0", six.local.port), told4)
        phone = await UdpListener.bind(Address("127.0.0.1", 0), heard())
        phone.send(Address("127.0.0.1", six.local.port), b"4")
        assert (await told4.until(Datagram)).data == b"4"
        assert told6 == []
        for listener in (six, four, phone):
            listener.close()

    run(scene)


def test_receive_buffers_are_large(run, heard):
    async def scene():
        server = await UdpListener.bind(Address("127.0.0.1", 0), heard())
        got = server._transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert got >= 2 * 212_992 or got >= udp_module.RECEIVE_BUFFER_BYTES
        server.close()

    run(scene)
