"""A call through the whole relay between machines: a phone on one, a server on another, and both notice nothing."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import uvloop

from haproxy_voip.core.address import Address
from haproxy_voip.edge.interfaces import arriving
from haproxy_voip.rtp.flow import Party
from tests.edge.kernel_scene import kernel_relay, skip_if_refused
from tests.edge.media_bench import STREAM, Bench, Phone, free_pair, rtp
from tests.edge.namespaces import cable, inside, namespaces
from tests.edge.test_media_kernel import speak_without_us

pytestmark = pytest.mark.interop

PHONE, PROXY, SERVER = (f"hw{os.getpid()}{letter}" for letter in "psr")
ON_PHONE, TO_PHONE = {4: "10.92.1.2", 6: "fd92:1::2"}, {4: "10.92.1.1", 6: "fd92:1::1"}
TO_SERVER, ON_SERVER = {4: "10.92.2.1", 6: "fd92:2::1"}, {4: "10.92.2.2", 6: "fd92:2::2"}


def hosts(table: dict[int, str]) -> list[str]:
    return [f"{host}/{24 if version == 4 else 64}" for version, host in table.items()]


@pytest.fixture(scope="module")
def machines() -> Iterator[None]:
    skip_if_refused()
    with namespaces(PHONE, PROXY, SERVER):
        cable(PHONE, hosts(ON_PHONE), PROXY, hosts(TO_PHONE))
        cable(PROXY, hosts(TO_SERVER), SERVER, hosts(ON_SERVER))
        yield


@contextmanager
def bench_between(version: int) -> Iterator[Bench]:
    """A relay on the proxy's machine, of which the wildcard address is bound."""
    with ExitStack() as stack, inside(PROXY):
        wildcard = "0.0.0.0" if version == 4 else "::"
        kernel = stack.enter_context(kernel_relay(*arriving([wildcard]), name=f"{PROXY}_call"))
        bench = Bench(stack, kernel=kernel)
        for machine, host in ((PHONE, ON_PHONE[version]), (SERVER, ON_SERVER[version])):
            with inside(machine):
                phone = Phone(stack, host)
            setattr(bench, "client" if machine == PHONE else "backend", phone)
        near, far = free_pair(wildcard), free_pair(wildcard)
        bench.to_relay, bench.from_relay = Address(TO_PHONE[version], near.port), Address(TO_SERVER[version], far.port)
        bench.install(
            client=Party(near, bench.client.address, signalling_host=ON_PHONE[version]),
            backend=Party(far, bench.backend.address, signalling_host=ON_SERVER[version]),
        )
        yield bench


@pytest.mark.parametrize("version", [4, 6])
def test_a_call_goes_on_without_us_and_a_dead_server_is_told_by_its_machine(machines: None, version: int) -> None:
    async def scene() -> None:
        with bench_between(version) as bench:
            await bench.both_speak()
            await bench.in_kernel(2)
            speak_without_us(bench, range(3, 10))
            assert bench.relay.snapshot(STREAM).backend.packets == 10
            bench.backend.rtp.close()
            bench.client.send(rtp(10), bench.to_relay)
            began = time.monotonic()
            await bench.until(("refused", STREAM, "backend"))
            assert time.monotonic() - began < 0.1

    uvloop.run(scene())


def test_packets_for_an_address_arrive_on_its_interface(machines: None) -> None:
    with inside(PROXY):
        assert set(arriving(["0.0.0.0"])) == {"lo", PHONE, SERVER}
        assert arriving([TO_PHONE[4]]) == arriving([TO_PHONE[6]]) == ["lo", PHONE]
