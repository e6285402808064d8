"""The real process with the relay in the kernel: what its death costs those who talk, and what it leaves behind."""

import time

import pytest

from haproxy_voip.edge.media_start import instance
from tests.edge.kernel_scene import skip_if_refused
from tests.edge.killed import in_kernel
from tests.interop.audio import CALLEE_TONE, CALLER_TONE
from tests.interop.conftest import StartPair, StartProxy
from tests.interop.handset import Handset
from tests.interop.hearing import TimedEar, missing
from tests.interop.office import connect
from tests.interop.proxy import Proxy, ProxySetting
from tests.interop.servers import Asterisk

IN_KERNEL = ProxySetting(relay="kernel")
WATCHED = 1.5  # seconds of talk without a proxy
GAP = 1.0  # seconds without sound that tell a dead flow from a busy machine
OVER_SECONDS = 30.0  # media_start.OVER_SECONDS, the next look, and a busy machine


@pytest.fixture(autouse=True)
def bpf() -> None:
    skip_if_refused()


def unregister(phones: tuple[Handset, Handset]) -> None:
    """While there is somebody to tell."""
    assert [phone.register(expires=0) for phone in phones] == [200, 200]


def all_in_kernel(proxy: Proxy) -> None:
    proxy.wait(lambda status: status["kernel_flows"] == 4, 15.0)


def test_a_proxy_that_is_killed_costs_the_call_no_packet_and_its_successor_ends_the_flows_when_the_call_is_over(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_pair: StartPair,
    caller_ear: TimedEar, callee_ear: TimedEar,
) -> None:  # fmt: skip
    proxy = start_proxy(alpha, beta, setting=IN_KERNEL)
    name = instance(proxy.control)
    phones = start_pair(proxy)
    connect(*phones)
    callee_ear.wait_for(CALLER_TONE, 1.0)
    all_in_kernel(proxy)
    ways = ((caller_ear, callee_ear), (callee_ear, caller_ear))
    before_kill = missing(*ways)
    killed_at = proxy.kill()
    time.sleep(WATCHED)
    proxy.start()
    status = proxy.status()
    assert (status["media_relay"], status["kernel_flows"], status["media_port_pairs"]) == ("kernel", 4, 4)
    assert missing(*ways) == before_kill
    for ear, tone in ((caller_ear, CALLEE_TONE), (callee_ear, CALLER_TONE)):
        now = time.monotonic()
        print(f"{tone:.0f} Hz: {ear.gap(tone, killed_at - 0.5, now) * 1000:.0f} ms between two packets at most")
        assert ear.faults(killed_at - 0.5, now) == []  # nothing is missing, doubled or out of place
        assert ear.gap(tone, killed_at - 0.5, now) < GAP
    caller_ear.stop()
    callee_ear.stop()
    alpha.console("channel request hangup all")  # the dead process's dialogs; nobody else would end them
    proxy.wait(lambda status: (status["kernel_flows"], status["media_port_pairs"]) == (0, 0), OVER_SECONDS)
    unregister(phones)
    proxy.stop()
    assert in_kernel(name) == []


def test_a_proxy_that_is_stopped_leaves_nothing_though_a_call_is_up(
    alpha: Asterisk, start_proxy: StartProxy, start_pair: StartPair, caller_ear: TimedEar, callee_ear: TimedEar
) -> None:
    proxy = start_proxy(alpha, setting=IN_KERNEL)
    name = instance(proxy.control)
    phones = start_pair(proxy)
    connect(*phones)
    all_in_kernel(proxy)
    assert len(in_kernel(name)) == 2
    unregister(phones)
    proxy.stop()
    assert in_kernel(name) == []
    alpha.console("channel request hangup all")
