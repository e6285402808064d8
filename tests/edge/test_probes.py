from __future__ import annotations

import asyncio

from haproxy_voip.configuration.model import BackendConfig, TlsConfig
from haproxy_voip.configuration.peers import BackendTlsConfig
from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.events import Datagram, StreamClosed, StreamData, StreamOpened
from haproxy_voip.edge.connecting import Target
from haproxy_voip.edge.probes import MAX_WAITING, Probes
from haproxy_voip.edge.tcp import Streams
from haproxy_voip.edge.tls import client_tls, server_context
from haproxy_voip.edge.udp import UdpListener
from haproxy_voip.proxy.effects import Probe
from haproxy_voip.proxy.events import ProbeRefused, ProbeReply

ANY = Address("127.0.0.1", 0)
REPLY = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bK1\r\nFrom: <sip:p@x>;tag=1\r\n"
    b"To: <sip:x>;tag=2\r\nCall-ID: 1@x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def udp(address: Address) -> Target:
    return Target(Endpoint(Transport.UDP, address), "127.0.0.1")


def test_a_udp_probe_is_answered(run, heard):
    async def scene():
        told, replies = heard(), heard()
        backend = await UdpListener.bind(ANY, told)
        probes = Probes({"alpha": udp(backend.local)}, replies)
        probes.send(Probe("alpha", b"OPTIONS"))
        asked = await told.until(Datagram)
        assert asked.data == b"OPTIONS"
        backend.send(asked.flow.remote, b"200 OK")
        assert await replies.until(ProbeReply) == ProbeReply("alpha", b"200 OK")
        backend.close()
        await probes.stop()

    run(scene)


def test_every_port_unreachable_is_told_and_the_backend_may_come_back(run, heard, free_udp_port):
    """On a connected UDP socket ICMP port unreachable is ECONNREFUSED (udp(7)), while a `recv` is waiting already."""

    async def scene():
        told, replies = heard(), heard()
        probes = Probes({"alpha": udp(free_udp_port)}, replies)
        for count in (1, 2, 3):
            probes.send(Probe("alpha", b"OPTIONS"))
            await replies.until(ProbeRefused, count)
        assert replies == [ProbeRefused("alpha", "connection refused (ICMP)")] * 3
        backend = await UdpListener.bind(free_udp_port, told)
        probes.send(Probe("alpha", b"OPTIONS"))
        backend.send((await told.until(Datagram)).flow.remote, b"200 OK")
        await replies.until(ProbeReply)
        backend.close()
        await asyncio.sleep(0)
        probes.send(Probe("alpha", b"OPTIONS"))
        await replies.until(ProbeRefused, 4)
        await probes.stop()

    run(scene)


def test_an_address_without_a_route_is_no_refusal_and_no_crash(run, heard):
    async def scene():
        replies = heard()
        probes = Probes({"alpha": Target(Endpoint(Transport.UDP, Address("2001:db8::1", 5060)), "::")}, replies)
        for _ in range(2 * MAX_WAITING):
            probes.send(Probe("alpha", b"OPTIONS"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert all(isinstance(event, ProbeRefused) for event in replies)
        await probes.stop()

    run(scene)


def test_a_probe_over_tcp_keeps_its_connection(run, heard):
    async def scene():
        asked, replies = heard(), heard()
        backend = Streams(asked, heard())
        endpoint = backend.listen(Endpoint(Transport.TCP, ANY))
        probes = Probes({"alpha": Target(endpoint, "127.0.0.1")}, replies)
        for count in (1, 2):
            probes.send(Probe("alpha", b"OPTIONS"))
            data = await asked.until(StreamData, count)
            backend.send(data.flow, REPLY[:40])
            backend.send(data.flow, REPLY[40:])
            assert await replies.until(ProbeReply, count) == ProbeReply("alpha", REPLY)
        assert len([event for event in asked if isinstance(event, StreamOpened)]) == 1
        await probes.stop()
        await backend.stop()

    run(scene)


def test_a_kept_connection_that_ends_is_made_again_and_a_refusal_is_told_at_once(run, heard):
    async def scene():
        asked, replies = heard(), heard()
        backend = Streams(asked, heard())
        endpoint = backend.listen(Endpoint(Transport.TCP, ANY))
        probes = Probes({"alpha": Target(endpoint, "127.0.0.1")}, replies)
        probes.send(Probe("alpha", b"OPTIONS"))
        backend.send((await asked.until(StreamData)).flow, REPLY)
        await replies.until(ProbeReply)
        await backend.stop()  # and nobody listens any more
        assert await replies.until(ProbeRefused) == ProbeRefused("alpha", "connection refused")
        again = Streams(asked, heard())
        again.listen(endpoint)
        probes.send(Probe("alpha", b"OPTIONS"))
        backend_flow = (await asked.until(StreamData, 2)).flow
        again.send(backend_flow, REPLY)
        await replies.until(ProbeReply, 2)
        await probes.stop()
        await again.stop()

    run(scene)


def test_only_the_newest_probe_waits_for_a_connection(run, heard):
    async def scene():
        asked = heard()
        backend = Streams(asked, heard())
        endpoint = backend.listen(Endpoint(Transport.TCP, ANY))
        probes = Probes({"alpha": Target(endpoint, "127.0.0.1")}, heard())
        probes.send(Probe("alpha", b"OPTIONS 1"))
        probes.send(Probe("alpha", b"OPTIONS 2"))
        assert (await asked.until(StreamData)).data == b"OPTIONS 2"
        await probes.stop()
        await backend.stop()

    run(scene)


def test_a_backend_that_does_not_speak_sip_is_left_until_the_next_probe(run, heard):
    async def scene():
        asked, replies = heard(), heard()
        backend = Streams(asked, heard())
        endpoint = backend.listen(Endpoint(Transport.TCP, ANY))
        probes = Probes({"alpha": Target(endpoint, "127.0.0.1")}, replies)
        probes.send(Probe("alpha", b"OPTIONS"))
        backend.send((await asked.until(StreamData)).flow, b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
        await asked.until(StreamClosed)
        assert replies == [] and len(backend) == 0
        probes.send(Probe("alpha", b"OPTIONS"))
        await asked.until(StreamOpened, 2)
        await probes.stop()
        await backend.stop()

    run(scene)


def test_a_probe_over_tls_and_one_whose_certificate_is_wrong(run, heard, certificates):
    async def scene():
        asked, replies = heard(), heard()
        backend = Streams(asked, heard())
        context = server_context(TlsConfig(certificate=certificates.certificate, key=certificates.key))
        endpoint = backend.listen(Endpoint(Transport.TLS, ANY), context)
        good, bad = (
            client_tls(BackendConfig(name="alpha", sip=endpoint, tls=BackendTlsConfig(ca=ca)))
            for ca in (certificates.authority, None)
        )
        probes = Probes(
            {"alpha": Target(endpoint, "127.0.0.1", good), "beta": Target(endpoint, "127.0.0.1", bad)}, replies
        )
        probes.send(Probe("alpha", b"OPTIONS"))
        backend.send((await asked.until(StreamData)).flow, REPLY)
        await replies.until(ProbeReply)
        probes.send(Probe("beta", b"OPTIONS"))
        refused = await replies.until(ProbeRefused)
        assert refused.backend == "beta" and refused.reason.startswith("certificate not accepted")
        await probes.stop()
        await backend.stop()

    run(scene)
