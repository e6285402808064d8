"""What a stream does that no pair of sockets shows at will; the rest is in test_tcp.py."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.events import StreamClosed, StreamData, StreamOpened
from haproxy_voip.edge import stream as stream_module
from haproxy_voip.edge.stream import Stream, reason_of
from haproxy_voip.edge.tcp import Streams

FLOW = Flow(Transport.TCP, Address("127.0.0.1", 5060), Address("127.0.0.1", 40000), 2)


async def connected(told) -> tuple[Stream, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    stream = Stream(FLOW, told, lambda stream: None)
    await asyncio.get_running_loop().create_connection(lambda: stream, sock=ours)
    return stream, theirs


def test_opened_comes_before_data_and_closed_once_at_the_end(run, heard):
    async def scene():
        told = heard()
        stream, peer = await connected(told)
        peer.send(b"hello")
        await told.until(StreamData)
        peer.close()
        await told.until(StreamClosed)
        stream.fail("again")
        stream.close()
        stream.send(b"nobody")
        assert told == [StreamOpened(FLOW), StreamData(b"hello", FLOW), StreamClosed(FLOW, "closed by the peer")]

    run(scene)


def test_after_close_nothing_more_is_delivered_and_a_peer_that_holds_on_is_cut_off(run, heard, monkeypatch):
    async def scene():
        monkeypatch.setattr(stream_module, "LINGER", 0.02)
        told = heard()
        stream, peer = await connected(told)
        stream.send(b"x" * 1_000_000)  # more than the kernel takes: the peer must read, and does not
        stream.close()
        peer.send(b"too late")
        assert await told.until(StreamClosed) == StreamClosed(FLOW, "closed by us")
        assert told == [StreamOpened(FLOW), StreamClosed(FLOW, "closed by us")]
        peer.close()

    run(scene)


def test_one_given_up_while_connecting_never_opens(run, heard):
    async def scene():
        told, gone, server_heard = heard(), heard(), heard()
        server = Streams(server_heard, heard())
        endpoint = server.listen(Endpoint(Transport.TCP, Address("127.0.0.1", 0)))
        stream = Stream(FLOW, told, gone)
        stream.fail("timed out")
        await asyncio.get_running_loop().create_connection(lambda: stream, *endpoint.address)
        await server_heard.until(StreamClosed)
        assert told == [StreamClosed(FLOW, "timed out")] and gone == [stream]
        assert not stream.connected
        await server.stop()

    run(scene)


def test_an_accepted_one_that_never_opened_is_not_told_of(run, heard):
    async def scene():
        told, gone = heard(), heard()
        stream = Stream(FLOW._replace(connection=1), told, gone)
        stream.fail("handshake")
        stream.connection_lost(None)
        assert told == [] and gone == [stream]

    run(scene)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (ConnectionResetError(), "connection reset"),
        (TimeoutError(), "timed out"),
        (OSError(113, "No route to host"), "no route to host"),
        (OSError(), "OSError"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "TLS: [ssl: wrong version number]"),
    ],
)
def test_reasons_are_few_words(error, reason):
    assert reason_of(error).startswith(reason)
