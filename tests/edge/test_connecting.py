from __future__ import annotations

import asyncio
import errno
import ssl

import pytest

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.events import StreamOpened
from haproxy_voip.edge.connecting import Target, connect, is_refusal
from haproxy_voip.edge.tcp import Streams

ANY = Address("127.0.0.1", 0)


def test_a_connection_comes_from_the_asked_host(run, heard):
    async def scene():
        told = heard()
        server = Streams(told, heard())
        endpoint = server.listen(Endpoint(Transport.TCP, ANY))
        transport = await connect(asyncio.Protocol, Target(endpoint, "127.0.0.9"))
        assert (await told.until(StreamOpened)).flow.remote.host == "127.0.0.9"
        transport.abort()
        transport = await connect(asyncio.Protocol, Target(endpoint, "0.0.0.0"))
        assert (await told.until(StreamOpened, 2)).flow.remote.host == "127.0.0.1"
        transport.abort()
        await server.stop()

    run(scene)


def test_a_refused_connection_leaves_nothing_open(run, free_tcp_port):
    async def scene():
        with pytest.raises(ConnectionRefusedError):
            await connect(asyncio.Protocol, Target(Endpoint(Transport.TCP, free_tcp_port), "0.0.0.0"))
        with pytest.raises(OSError):
            await connect(asyncio.Protocol, Target(Endpoint(Transport.TCP, free_tcp_port), "192.0.2.1"))

    run(scene)


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (ConnectionRefusedError(), True),
        (OSError(errno.EHOSTUNREACH, "no route to host"), True),
        (ssl.SSLCertVerificationError(1, "no"), True),
        (TimeoutError(), False),
        (OSError(errno.ENETUNREACH, "our own network is down"), False),
        (OSError(errno.EMSGSIZE, "too long"), False),
    ],
)
def test_silence_and_our_own_troubles_are_no_refusal(error, refusal):
    assert is_refusal(error) is refusal
