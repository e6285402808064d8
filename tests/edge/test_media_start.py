"""Whether the kernel is used, and what becomes of the flows of a process that was killed."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import uvloop

from haproxy_voip.configuration.model import Config, MediaConfig, ProxyConfig, SipConfig
from haproxy_voip.core.address import Address, Endpoint
from haproxy_voip.edge import media_start
from haproxy_voip.edge.facts import MediaInKernel, MediaInUserspace, StreamsInherited
from haproxy_voip.edge.kernel_relay import NAME, KernelRelay, KernelRelayUnavailable
from haproxy_voip.edge.media_start import CannotRelay, KernelMedia, instance, open_kernel
from haproxy_voip.proxy.events import PortsFree, PortsTaken
from tests.edge.kernel_scene import skip_if_refused
from tests.edge.killed import in_kernel
from tests.edge.media_bench import Bench, Phone, free_pair, rtp
from tests.edge.test_media_kernel import hears

REASON = "bpf(2): operation not permitted"


def config(relay: str, control: Path = Path("/run/test.sock")) -> Config:
    listen = (Endpoint.parse("udp:127.0.0.1:5060"),)
    return Config(
        proxy=ProxyConfig(domain="voip.example", sip=SipConfig(listen=listen)),
        backends=(),
        media=MediaConfig(relay=relay),  # type: ignore[arg-type]
        control=control,
    )


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user without capabilities."""

    def refuse(name: str, interfaces: object) -> KernelRelay:
        raise KernelRelayUnavailable(REASON)

    monkeypatch.setattr(KernelRelay, "open", refuse)


def test_auto_says_once_why_it_stays_in_userspace(no_kernel: None) -> None:
    media = open_kernel(config("auto"))
    assert media.kernel is None and media.facts == [MediaInUserspace(REASON)]


def test_kernel_that_cannot_be_had_is_an_error(no_kernel: None) -> None:
    with pytest.raises(CannotRelay, match=r"media.relay is kernel, and that cannot be had: bpf\(2\)"):
        open_kernel(config("kernel"))


def test_userspace_never_tries(no_kernel: None) -> None:
    media = open_kernel(config("userspace"))
    assert media.kernel is None and media.facts == []
    media.take_over(lambda event: None)
    asyncio.run(media.close())


@pytest.mark.parametrize("relay", ["auto", "kernel"])
def test_where_the_kernel_can_be_had_it_is_used_on_the_interfaces_where_media_arrive(
    relay: str, tmp_path: Path
) -> None:
    media = open_kernel(config(relay, tmp_path / "control.sock"))
    try:
        assert media.kernel is not None and media.facts == [MediaInKernel(("lo",))]
    finally:
        asyncio.run(media.close())


def test_each_control_socket_has_a_program_of_its_own_with_a_name_that_bpffs_takes() -> None:
    paths = (
        "/run/haproxy_voip.sock",
        "/run/any/haproxy_voip.sock",
        "/run/a.sock",
        "/x/of-tests/proxy-245/0/control.sock",
    )
    names = [instance(Path(path)) for path in paths]
    assert len(set(names)) == len(paths) and names[0] == instance(Path("/run/haproxy_voip.sock"))
    assert all(NAME.fullmatch(name) for name in names)
    assert names[0].startswith("run_haproxy_voip_sock_")


@contextmanager
def killed(name: str, phones: tuple[Phone, Phone]) -> Iterator[tuple[Address, Address]]:
    """Where two phones are relayed by a process that is no more."""
    to_relay, from_relay = free_pair(), free_pair()
    ports = [str(address.port) for address in (to_relay, phones[0].address, from_relay, phones[1].address)]
    argv = [sys.executable, "-m", "tests.edge.killed", name, *ports]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "listening\n"
            for sequence in range(3):
                speak(phones, (to_relay, from_relay), sequence)
            assert process.stdout.readline() == "ready\n"
        finally:
            process.kill()
    yield to_relay, from_relay


def speak(phones: tuple[Phone, Phone], to: tuple[Address, Address], sequence: int) -> None:
    for phone, address, other in zip(phones, to, reversed(phones), strict=True):
        phone.send(rtp(sequence), address)
        assert hears(other) == rtp(sequence)


def test_flows_of_a_killed_process_go_on_until_they_are_silent_both_ways_and_then_free_their_ports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(media_start, "OVER_SECONDS", 0.4)
    monkeypatch.setattr(media_start, "CHECK_SECONDS", 0.02)
    name, events = f"test_{os.getpid()}_killed", list[PortsTaken | PortsFree]()

    async def fail() -> None:
        media = KernelMedia(KernelRelay.open(name, ["lo"]), [])
        media.take_over(lambda event: None)
        await media.close()  # another program has the SIP port

    async def succeed(phones: tuple[Phone, Phone], to: tuple[Address, Address]) -> None:
        kernel = KernelRelay.open(name, ["lo"])
        media = KernelMedia(kernel, [])
        try:
            media.take_over(events.append)
            media.serving = True
            assert media.inherited == 2 and media.facts == [StreamsInherited(2)]
            assert events == [PortsTaken(tuple(sorted(address.port for address in to)))]
            for sequence in range(6, 12):
                phones[0].send(rtp(sequence), to[0])  # this way only; the other is silent
                assert hears(phones[1]) == rtp(sequence)
                await asyncio.sleep(0.1)
            assert media.inherited == 2 and kernel.prints() == ([], True)
            await asyncio.sleep(0.6)
            assert media.inherited == 0 and events[1:] == [PortsFree(events[0].ports)]
        finally:
            await media.close()

    with ExitStack() as stack:
        phones = (Phone(stack), Phone(stack))
        with killed(name, phones) as to:
            for sequence in range(3, 6):
                speak(phones, to, sequence)
            uvloop.run(fail())
            assert len(in_kernel(name)) == 2
            uvloop.run(succeed(phones, to))
    assert in_kernel(name) == []


def test_calls_may_go_on_in_the_kernel_after_an_orderly_end_and_the_next_process_finds_them() -> None:
    name = f"test_{os.getpid()}_ended"

    async def first(stack: ExitStack) -> Bench:
        kernel = KernelRelay.open(name, ["lo"])
        media = KernelMedia(kernel, [])
        bench = Bench(stack, kernel=kernel)
        bench.install()
        await bench.both_speak()
        await bench.in_kernel(2)
        bench.relay.close(stay=True)
        await media.close(stay=True)
        return bench

    async def second() -> None:
        media = KernelMedia(KernelRelay.open(name, ["lo"]), [])
        media.take_over(lambda event: None)
        assert media.inherited == 2
        media.serving = True
        await media.close()

    skip_if_refused()
    with ExitStack() as stack:
        bench = uvloop.run(first(stack))
        for sequence in range(3, 6):
            speak((bench.client, bench.backend), (bench.to_relay, bench.from_relay), sequence)
        uvloop.run(second())
    assert in_kernel(name) == []
