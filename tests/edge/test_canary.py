from __future__ import annotations

import asyncio
import socket
import struct

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.events import StreamData, StreamOpened
from haproxy_voip.edge.canary import Canaries
from haproxy_voip.edge.connecting import Target
from haproxy_voip.edge.tcp import Streams
from haproxy_voip.proxy.effects import CloseCanary, OpenCanary, StirCanary
from haproxy_voip.proxy.events import CanaryClosed, CanaryOpened

ANY = Address("127.0.0.1", 0)


def canaries_to(address: Address, told) -> Canaries:
    """To a UDP backend, whose canary is TCP on the same port."""
    return Canaries({"alpha": Target(Endpoint(Transport.UDP, address), "127.0.0.1")}, told)


def test_a_canary_opens_and_tells_of_the_end(run, heard):
    async def scene():
        told, seen = heard(), heard()
        backend = Streams(seen, heard())
        canaries = canaries_to(backend.listen(Endpoint(Transport.TCP, ANY)).address, told)
        canaries.open(OpenCanary("alpha"))
        canaries.open(OpenCanary("alpha"))  # one is enough
        await told.until(CanaryOpened)
        backend.send((await seen.until(StreamOpened)).flow, b"welcome")  # a server that greets
        await backend.stop()
        assert await told.until(CanaryClosed) == CanaryClosed("alpha", "closed by the peer")
        assert told == [CanaryOpened("alpha"), CanaryClosed("alpha", "closed by the peer")]
        await canaries.stop()

    run(scene)


def test_a_refused_canary_is_a_closed_one_and_may_be_tried_again(run, heard, free_tcp_port):
    async def scene():
        told = heard()
        canaries = canaries_to(free_tcp_port, told)
        for count in (1, 2):
            canaries.open(OpenCanary("alpha"))
            assert await told.until(CanaryClosed, count) == CanaryClosed("alpha", "connection refused")
        await canaries.stop()
        assert len(told) == 2

    run(scene)


def test_a_reset_is_told(run, heard):
    async def scene():
        told = heard()
        listener = socket.socket()
        listener.bind(ANY)
        listener.listen()
        listener.setblocking(False)
        canaries = canaries_to(Address(*listener.getsockname()), told)
        canaries.open(OpenCanary("alpha"))
        accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
        await told.until(CanaryOpened)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()
        assert await told.until(CanaryClosed) == CanaryClosed("alpha", "connection reset")
        listener.close()
        await canaries.stop()

    run(scene)


def test_after_close_no_event_follows(run, heard):
    async def scene():
        told, seen = heard(), heard()
        backend = Streams(seen, heard())
        canaries = canaries_to(backend.listen(Endpoint(Transport.TCP, ANY)).address, told)
        canaries.close(CloseCanary("alpha"))
        canaries.open(OpenCanary("alpha"))
        canaries.close(CloseCanary("alpha"))  # while connecting
        canaries.open(OpenCanary("alpha"))
        await told.until(CanaryOpened)
        canaries.close(CloseCanary("alpha"))
        await canaries.stop()
        await backend.stop()
        assert told == [CanaryOpened("alpha")]

    run(scene)


def test_what_is_said_on_it_arrives_and_the_answer_is_not_told(run, heard):
    async def scene():
        told, seen = heard(), heard()
        backend = Streams(seen, heard())
        canaries = canaries_to(backend.listen(Endpoint(Transport.TCP, ANY)).address, told)
        canaries.stir(StirCanary("alpha", b"nobody is there"))
        canaries.open(OpenCanary("alpha"))
        canaries.stir(StirCanary("alpha", b"not connected yet"))
        await told.until(CanaryOpened)
        canaries.stir(StirCanary("alpha", b"hello"))
        heard_there = await seen.until(StreamData)
        assert heard_there.data == b"hello"
        backend.send(heard_there.flow, b"welcome")
        await backend.stop()
        await told.until(CanaryClosed)
        assert told == [CanaryOpened("alpha"), CanaryClosed("alpha", "closed by the peer")]
        await canaries.stop()

    run(scene)
