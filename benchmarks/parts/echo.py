"""The bare datagram: a process that receives one and sends it back, and does nothing else.

python benchmarks/parts/echo.py uvloop|asyncio-dgram|asyncio HOST PORT
"""

from __future__ import annotations

import asyncio
import sys

import asyncio_dgram
import uvloop


class Echo(asyncio.DatagramProtocol):
    """The least that can be done with a protocol."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)


async def with_protocol(host: str, port: int) -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=(host, port))
    await asyncio.Event().wait()


async def with_stream(host: str, port: int) -> None:
    stream = await asyncio_dgram.bind((host, port))
    while True:
        data, remote = await stream.recv()
        await stream.send(data, remote)


def main(way: str, host: str, port: str) -> None:
    match way:
        case "uvloop":
            uvloop.run(with_protocol(host, int(port)))
        case "asyncio-dgram":
            uvloop.run(with_stream(host, int(port)))
        case "asyncio":
            asyncio.run(with_protocol(host, int(port)))


if __name__ == "__main__":
    main(*sys.argv[1:])
