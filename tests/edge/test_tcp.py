from __future__ import annotations

import asyncio
import socket

import pytest

from haproxy_voip.configuration.model import BackendConfig, TlsConfig
from haproxy_voip.configuration.peers import BackendTlsConfig
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.events import StreamClosed, StreamData, StreamOpened
from haproxy_voip.edge import stream as stream_module
from haproxy_voip.edge.facts import HandshakeFailed, StreamsFull
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.edge.tcp import StreamLimits, Streams
from haproxy_voip.edge.tls import client_tls, server_context

ANY = Address("127.0.0.1", 0)
TCP = Endpoint(Transport.TCP, ANY)
TLS = Endpoint(Transport.TLS, ANY)


class Pair:
    """One side that listens and one that opens."""

    def __init__(self, heard, limits=None, peers=None):
        self.server_heard, self.client_heard, self.facts = heard(), heard(), heard()
        self.server = Streams(self.server_heard, self.facts, limits)
        self.client = Streams(self.client_heard, self.facts, limits, peers)

    async def stop(self):
        await self.client.stop()
        await self.server.stop()
        assert len(self.server) == len(self.client) == 0


def to(endpoint: Endpoint, connection: int = 2) -> Flow:
    return Flow(endpoint.transport, ANY, endpoint.address, connection)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_bytes_go_there_and_back(run, heard, host):
    async def scene():
        pair = Pair(heard)
        endpoint = pair.server.listen(Endpoint(Transport.TCP, Address(host, 0)))
        flow = Flow(Transport.TCP, Address(host, 0), endpoint.address, 2)
        pair.client.open(flow)
        pair.client.send(flow, b"early ")  # kept until connected
        pair.client.send(flow, b"bird")
        opened = await pair.server_heard.until(StreamOpened)
        assert opened.flow.connection == 1 and opened.flow.local == endpoint.address
        assert opened.flow.transport is Transport.TCP and opened.flow.remote.host == host
        assert (await pair.server_heard.until(StreamData)).data == b"early bird"
        pair.server.send(opened.flow, b"answer")
        answer = await pair.client_heard.until(StreamData)
        assert answer.data == b"answer" and answer.flow == flow
        assert isinstance(pair.client_heard[0], StreamOpened)
        await pair.stop()

    run(scene)


def test_accepted_connections_get_odd_numbers(run, heard):
    async def scene():
        pair = Pair(heard)
        endpoint = pair.server.listen(TCP)
        for number in (2, 4, 6):
            pair.client.open(to(endpoint, number))
            await pair.server_heard.until(StreamOpened, number // 2)
        assert [event.flow.connection for event in pair.server_heard] == [1, 3, 5]
        await pair.stop()

    run(scene)


def test_close_sends_what_was_written_and_tells_both_sides_once(run, heard):
    async def scene():
        pair = Pair(heard)
        flow = to(pair.server.listen(TCP))
        pair.client.open(flow)
        pair.client.send(flow, b"x" * 500_000)
        pair.client.close(flow)
        pair.client.send(flow, b"too late")
        closed = await pair.server_heard.until(StreamClosed)
        assert closed.reason == "closed by the peer"
        assert sum(len(event.data) for event in pair.server_heard if isinstance(event, StreamData)) == 500_000
        assert (await pair.client_heard.until(StreamClosed)).reason == "closed by us"
        pair.client.close(flow)
        assert [type(event) for event in pair.client_heard] == [StreamClosed]
        await pair.stop()

    run(scene)


def test_a_refused_connection_is_a_closed_stream(run, heard, free_tcp_port):
    async def scene():
        pair = Pair(heard)
        flow = to(Endpoint(Transport.TCP, free_tcp_port))
        pair.client.open(flow)
        pair.client.send(flow, b"lost")
        assert await pair.client_heard.until(StreamClosed) == StreamClosed(flow, "connection refused")
        assert pair.client_heard == [StreamClosed(flow, "connection refused")]
        await pair.stop()

    run(scene)


def test_a_peer_that_does_not_answer_is_given_up(run, heard):
    async def scene():
        # A full backlog leaves further connections unanswered.
        full = socket.socket()
        full.bind(ANY)
        full.listen(0)
        full.setblocking(False)
        limits = StreamLimits(connect=0.05)
        pair = Pair(heard, limits)
        for number in (2, 4, 6, 8):
            pair.client.open(Flow(Transport.TCP, ANY, Address(*full.getsockname()), number))
        assert (await pair.client_heard.until(StreamClosed)).reason == "timed out"
        await pair.stop()
        full.close()

    run(scene)


def test_closing_before_it_is_connected_is_the_end(run, heard):
    async def scene():
        pair = Pair(heard)
        flow = to(pair.server.listen(TCP))
        pair.client.open(flow)
        pair.client.close(flow)
        assert pair.client_heard == [StreamClosed(flow, "closed by us")]
        await pair.stop()

    run(scene)


def test_what_waits_for_the_connection_is_bounded(run, heard, monkeypatch):
    async def scene():
        monkeypatch.setattr(stream_module, "MAX_WAITING_BYTES", 10)
        pair = Pair(heard)
        flow = to(pair.server.listen(TCP))
        pair.client.open(flow)
        pair.client.send(flow, b"123456")
        pair.client.send(flow, b"789012")
        assert "wait for the connection" in (await pair.client_heard.until(StreamClosed)).reason
        await pair.stop()

    run(scene)


@pytest.mark.parametrize("secure", [False, True])
def test_a_peer_that_does_not_read_is_cut_off(run, heard, certificates, secure):
    async def scene():
        pair = Pair(heard)
        endpoint = listen(pair, secure, certificates)
        client = socket.socket()
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        if secure:
            _, writer = await asyncio.open_connection(*endpoint.address, ssl=unverified())
        else:
            await loop.sock_connect(client, endpoint.address)
        flow = (await pair.server_heard.until(StreamOpened)).flow
        while len(pair.server):
            pair.server.send(flow, b"x" * 65536)
            await asyncio.sleep(0)
        closed = await pair.server_heard.until(StreamClosed)
        assert closed.reason.startswith("reads too slowly")
        client.close()
        if secure:
            writer.transport.abort()
        await pair.stop()

    run(scene)


def test_connections_are_limited_and_that_is_told_once(run, heard):
    async def scene():
        pair = Pair(heard, StreamLimits(connections=4))
        endpoint = pair.server.listen(TCP)
        for number in (2, 4, 6, 8):
            pair.client.open(to(endpoint, number))
        await pair.client_heard.until(StreamClosed, 2)
        assert len(pair.server) == 2  # one host gets half
        assert pair.facts == [StreamsFull(2, "127.0.0.1")]
        pair.client.close(to(endpoint, 2))
        pair.client.close(to(endpoint, 4))
        pair.client.close(to(endpoint, 6))
        pair.client.close(to(endpoint, 8))
        await pair.server_heard.until(StreamClosed, 2)
        pair.client.open(to(endpoint, 10))
        await pair.server_heard.until(StreamOpened, 3)
        await pair.stop()

    run(scene)


def test_a_connection_that_says_nothing_is_closed(run, heard):
    async def scene():
        pair = Pair(heard, StreamLimits(first_bytes=0.02, idle=30.0, sweep=0.01))
        endpoint = pair.server.listen(TCP)
        pair.client.open(to(endpoint, 2))
        pair.client.open(to(endpoint, 4))
        pair.client.send(to(endpoint, 4), b"I speak")
        closed = await pair.server_heard.until(StreamClosed)
        assert closed.reason.startswith("silent for")
        spoke = [event.flow for event in pair.server_heard if isinstance(event, StreamData)]
        assert closed.flow not in spoke and len(pair.server) == 1
        await pair.stop()

    run(scene)


def test_tls_goes_there_and_back(run, heard, certificates):
    async def scene():
        pair = Pair(heard, peers={})
        endpoint = listen(pair, True, certificates)
        pair.client._peers = {endpoint.address: tls_to(endpoint, certificates)}
        flow = to(endpoint)
        pair.client.open(flow)
        pair.client.send(flow, b"secret")
        data = await pair.server_heard.until(StreamData)
        assert data.data == b"secret" and data.flow.transport is Transport.TLS
        pair.server.send(data.flow, b"answer")
        assert (await pair.client_heard.until(StreamData)).data == b"answer"
        pair.client.close(flow)
        assert (await pair.server_heard.until(StreamClosed)).reason == "closed by the peer"
        await pair.stop()

    run(scene)


def test_a_certificate_of_an_unknown_authority_is_not_accepted(run, heard, certificates):
    async def scene():
        pair = Pair(heard)
        endpoint = listen(pair, True, certificates)
        pair.client._peers = {endpoint.address: tls_to(endpoint, certificates, authority=False)}
        pair.client.open(to(endpoint))
        closed = await pair.client_heard.until(StreamClosed)
        assert closed.reason.startswith("certificate not accepted")
        assert pair.client_heard == [closed]
        await pair.facts.until(HandshakeFailed)
        assert pair.server_heard == []  # never was a stream
        await pair.stop()

    run(scene)


def test_a_certificate_of_another_name_is_not_accepted(run, heard, certificates):
    async def scene():
        pair = Pair(heard)
        endpoint = listen(pair, True, certificates)
        for number, name in ((2, "elsewhere.example"), (4, "pbx.example")):
            pair.client._peers = {endpoint.address: tls_to(endpoint, certificates, name=name)}
            pair.client.open(to(endpoint, number))
        assert (await pair.client_heard.until(StreamOpened)).flow.connection == 4
        closed = await pair.client_heard.until(StreamClosed)
        assert closed.flow.connection == 2 and "certificate not accepted" in closed.reason
        await pair.stop()

    run(scene)


def test_tls_to_somebody_nothing_is_known_of_is_not_opened(run, heard, free_tcp_port):
    async def scene():
        pair = Pair(heard)
        pair.client.open(to(Endpoint(Transport.TLS, free_tcp_port)))
        assert "nothing is configured" in (await pair.client_heard.until(StreamClosed)).reason
        await pair.stop()

    run(scene)


def test_a_handshake_that_never_ends_is_ended_and_gives_its_place_back(run, heard, certificates):
    async def scene():
        pair = Pair(heard, StreamLimits(handshake=0.05))
        endpoint = listen(pair, True, certificates)
        reader, writer = await asyncio.open_connection(*endpoint.address)
        failed = await pair.facts.until(HandshakeFailed)
        assert failed.peer == str(Address(*writer.get_extra_info("sockname")))
        assert await reader.read() == b""
        assert len(pair.server) == 0 and pair.server._places.taken == 0 and pair.server_heard == []
        writer.close()
        await pair.stop()

    run(scene)


def test_a_handshake_that_is_nonsense_is_told(run, heard, certificates):
    async def scene():
        pair = Pair(heard)
        endpoint = listen(pair, True, certificates)
        reader, writer = await asyncio.open_connection(*endpoint.address)
        writer.write(b"OPTIONS sip:x SIP/2.0\r\n\r\n")
        assert "TLS" in (await pair.facts.until(HandshakeFailed)).reason
        await reader.read()
        writer.close()
        await pair.stop()

    run(scene)


def test_stopping_ends_everything_even_what_lingers(run, heard, certificates):
    async def scene():
        pair = Pair(heard)
        tcp, tls = pair.server.listen(TCP), listen(pair, True, certificates)
        pair.client.open(to(tcp))
        _, handshaking = await asyncio.open_connection(*tls.address)
        await pair.server_heard.until(StreamOpened)
        await pair.server.stop()
        assert len(pair.server) == 0
        again = Streams(pair.server_heard, pair.facts)
        again.listen(tcp)  # the port is free again
        await again.stop()
        handshaking.close()
        await pair.stop()

    run(scene)


def test_a_taken_port_is_refused(run, heard):
    async def scene():
        pair = Pair(heard)
        endpoint = pair.server.listen(TCP)
        with pytest.raises(CannotListen, match="another program listens there"):
            pair.server.listen(endpoint)
        await pair.stop()

    run(scene)


def listen(pair: Pair, secure: bool, certificates) -> Endpoint:
    if not secure:
        return pair.server.listen(TCP)
    return pair.server.listen(
        TLS, server_context(TlsConfig(certificate=certificates.certificate, key=certificates.key))
    )


def tls_to(endpoint: Endpoint, certificates, authority: bool = True, name: str | None = None):
    tls = BackendTlsConfig(ca=certificates.authority if authority else None, name=name)
    return client_tls(BackendConfig(name="alpha", sip=endpoint, tls=tls))


def unverified():
    tls = BackendTlsConfig(verify=False)
    return client_tls(BackendConfig(name="alpha", sip=TLS, tls=tls)).context
