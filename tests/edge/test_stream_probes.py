from __future__ import annotations

import asyncio

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.events import StreamClosed, StreamData
from haproxy_voip.edge.connecting import Target
from haproxy_voip.edge.stream_probes import MAX_OPEN, StreamProbes
from haproxy_voip.edge.tcp import Streams
from haproxy_voip.proxy.effects import ProbeStream
from haproxy_voip.proxy.events import ProbeRefused, StreamProbeReply

ANY = Address("127.0.0.1", 0)


def probes_to(address: Address, told) -> StreamProbes:
    return StreamProbes({"alpha": Target(Endpoint(Transport.TCP, address), "127.0.0.1")}, told)


def test_the_first_bytes_back_answer_a_probe_and_end_its_connection(run, heard):
    async def scene():
        told, seen = heard(), heard()
        backend = Streams(seen, heard())
        probes = probes_to(backend.listen(Endpoint(Transport.TCP, ANY)).address, told)
        probes.send(ProbeStream("alpha", 7, b"<stream>"))
        asked = await seen.until(StreamData)
        assert asked.data == b"<stream>" and told == []
        backend.send(asked.flow, b"<stream>")
        backend.send(asked.flow, b"<features/>")
        assert await told.until(StreamProbeReply) == StreamProbeReply("alpha", 7)
        await seen.until(StreamClosed)
        assert len(told) == 1
        await probes.stop()
        await backend.stop()

    run(scene)


def test_a_refused_connection_is_told_at_once(run, heard, free_tcp_port):
    async def scene():
        told = heard()
        probes = probes_to(free_tcp_port, told)
        probes.send(ProbeStream("alpha", 1, b"x"))
        assert await told.until(ProbeRefused) == ProbeRefused("alpha", "connection refused", "xmpp")
        await asyncio.sleep(0)
        assert len(told) == 1
        await probes.stop()

    run(scene)


def test_a_backend_that_only_takes_connections_or_drops_them_answers_nothing(run, heard):
    async def scene():
        told, seen = heard(), heard()
        backend = Streams(seen, heard())
        probes = probes_to(backend.listen(Endpoint(Transport.TCP, ANY)).address, told)
        probes.send(ProbeStream("alpha", 1, b"x"))
        backend.close((await seen.until(StreamData)).flow)
        await seen.until(StreamClosed)
        assert told == []
        await probes.stop()
        await backend.stop()

    run(scene)


def test_more_than_a_few_open_probes_drop_the_oldest(run, heard):
    async def scene():
        told, seen = heard(), heard()
        backend = Streams(seen, heard())
        probes = probes_to(backend.listen(Endpoint(Transport.TCP, ANY)).address, told)
        for number in range(MAX_OPEN + 1):
            probes.send(ProbeStream("alpha", number, str(number).encode()))
            if number < MAX_OPEN:
                await seen.until(StreamData, number + 1)
        closed = await seen.until(StreamClosed)
        assert closed.flow == next(event.flow for event in seen if isinstance(event, StreamData) and event.data == b"0")
        await probes.stop()
        await seen.until(StreamClosed, MAX_OPEN)
        await backend.stop()

    run(scene)
