"""A relay with one stream and two phones on real sockets, for the tests of the media modules.

That something does *not* arrive is shown by what is sent after it and does: loopback keeps the order.
"""

import asyncio
import errno
import functools
import itertools
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest
import uvloop

from haproxy_voip.core.address import Address
from haproxy_voip.edge import media_end, media_kernel, media_leg, media_userspace, media_watch
from haproxy_voip.edge.kernel_relay import KernelRelay
from haproxy_voip.edge.media_sockets import bind, bind_pair, connect
from haproxy_voip.edge.media_userspace import Listener, MediaRelay
from haproxy_voip.rtp.flow import Party, StreamPlan
from haproxy_voip.rtp.header import Header
from haproxy_voip.rtp.rtcp import ReceiverReport, encode
from tests.edge.kernel_scene import kernel_relay

WAIT = 2.0  # seconds until a packet that must come is missed
STREAM = 7
REPORT = encode([ReceiverReport(1)])
# Below the kernel's ephemeral ports, and each test process elsewhere.
PORTS = itertools.count(14_000 + os.getpid() % 400 * 40, 2)


def rtp(sequence: int, text: bytes = b"voice", ssrc: int = 1) -> bytes:
    return Header(0, sequence, 160 * sequence, ssrc).encode() + text


def free_pair(host: str = "127.0.0.1") -> Address:
    for port in PORTS:
        try:
            bind_pair(Address(host, port)).close()
        except OSError:
            continue
        return Address(host, port)
    raise AssertionError


def nobody_at(local: Address) -> bool:
    """Whether the kernel says so to who sends there; over loopback it does at once."""
    with bind(free_pair(local.host)) as sock:
        assert connect(sock, local)
        sock.send(b"anybody?")
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


class Phone:
    """A socket at one end, RTP and RTCP."""

    def __init__(self, stack: ExitStack, host: str = "127.0.0.1") -> None:
        self.address = free_pair(host)
        self.rtp, self.rtcp = bind_pair(self.address)
        stack.enter_context(self.rtp)
        stack.enter_context(self.rtcp)

    def send(self, packet: bytes, to: Address) -> None:
        self.rtp.sendto(packet, to)

    async def hears(self) -> bytes:
        return (await self.hears_from())[0]

    async def hears_from(self) -> tuple[bytes, Address]:
        return await self._receive(self.rtp)

    async def hears_rtcp(self) -> bytes:
        return (await self._receive(self.rtcp))[0]

    async def _receive(self, sock: socket.socket) -> tuple[bytes, Address]:
        async with asyncio.timeout(WAIT):
            loop, readable = asyncio.get_running_loop(), asyncio.Event()
            loop.add_reader(sock.fileno(), readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(sock.fileno())
        data, source = sock.recvfrom(65536)
        return data, Address(source[0], source[1])


class Bench:
    """A relay with one stream between a client and a backend, and what it told."""

    def __init__(self, stack: ExitStack, host: str = "127.0.0.1", kernel: KernelRelay | None = None) -> None:
        self.stack = stack
        self.told: list[tuple[object, ...]] = []
        self.changed = asyncio.Event()
        self.relay = MediaRelay(
            asyncio.get_running_loop(),
            Listener(
                lambda *what: self._tell("latched", *what),
                lambda *what: self._tell("failed", *what),
                lambda *what: self._tell("refused", *what),
                lambda *what: self._tell("prints", *what),
                lambda *what: self._tell("silent", *what),
            ),
            kernel,
        )
        stack.callback(self.relay.close)
        self.client, self.backend = Phone(stack, host), Phone(stack, host)
        self.to_relay, self.from_relay = free_pair(host), free_pair(host)  # what client and backend send to
        # The signalling hosts are nobody's: on one machine all sources are of one host, and would all be vouched for.
        self.plan = StreamPlan(
            STREAM,
            "rtp",
            Party(self.to_relay, self.client.address, signalling_host="203.0.113.1"),
            Party(self.from_relay, self.backend.address, signalling_host="203.0.113.2"),
            generation=1,
        )

    def _tell(self, *what: object) -> None:
        self.told.append(what)
        self.changed.set()

    async def until(self, what: tuple[object, ...]) -> None:
        async with asyncio.timeout(WAIT):
            while what not in self.told:
                self.changed.clear()
                await self.changed.wait()

    def install(self, **changes: object) -> None:
        self.plan = replace(self.plan, **changes)
        self.relay.install(self.plan)

    def revise(self, **changes: object) -> None:
        self.install(generation=self.plan.generation + 1, **changes)

    async def in_kernel(self, flows: int) -> None:
        """So many directions of streams are carried without us."""
        for _ in range(round(WAIT / 0.005)):
            if self.relay.kernel_flows == flows:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"{self.relay.kernel_flows} flows are in the kernel")

    async def both_speak(self) -> None:
        """Both are latched where their SDP says, and connected."""
        for sequence in range(3):
            self.client.send(rtp(sequence), self.to_relay)
            assert await self.backend.hears() == rtp(sequence)
            self.backend.send(rtp(sequence), self.from_relay)
            assert await self.client.hears() == rtp(sequence)


def on_uvloop(
    host: str = "127.0.0.1", kernel: bool = False
) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    def decorate(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        async def within(**fixtures: object) -> None:
            with ExitStack() as stack:
                await test(Bench(stack, host, opened(stack) if kernel else None), **fixtures)

        @functools.wraps(test)
        def run(**fixtures: object) -> None:
            uvloop.run(within(**fixtures))

        del run.__wrapped__  # type: ignore[attr-defined]  # pytest would take `bench` for a fixture
        # A machine with nothing but Python has no libbpf.
        return pytest.mark.interop(run) if kernel else run

    return decorate


def on_either_relay(test: Callable[[Bench], Awaitable[None]]) -> Callable[[bool], None]:
    """Once with every packet relayed here, and once with most of them in the kernel."""

    in_kernel = pytest.param(True, id="kernel", marks=pytest.mark.interop)

    @pytest.mark.parametrize("kernel", [pytest.param(False, id="userspace"), in_kernel])
    def run(kernel: bool) -> None:
        on_uvloop(kernel=kernel)(test)()

    return run


def opened(stack: ExitStack) -> KernelRelay:
    """The kernel's part, on the loopback; nothing of it is left when the test ends."""
    return stack.enter_context(kernel_relay("lo"))


@contextmanager
def later(seconds: float) -> Iterator[None]:
    """The relay's clock is that much ahead."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (media_end, media_kernel, media_leg, media_userspace, media_watch):
            real = module.monotonic
            patch.setattr(module, "monotonic", lambda real=real: real() + seconds)
        yield
