"""How late the edge is, on a real loop and a real socket."""

from __future__ import annotations

import time

import pytest

from haproxy_voip.core.address import Address
from haproxy_voip.core.events import Datagram
from haproxy_voip.edge import lag as lag_module
from haproxy_voip.edge.lag import LagMeter
from haproxy_voip.edge.udp import UdpListener
from haproxy_voip.proxy.events import Lagging


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(lag_module, "EVERY", 0.02)


def test_an_idle_loop_is_in_time(run, heard):
    async def scene():
        told = heard()
        listener = await UdpListener.bind(Address("127.0.0.1", 0), heard())
        meter = LagMeter(lambda: [listener], told)
        meter.start()
        await told.until(Lagging, 5)
        assert min(one.seconds for one in told) < 0.01
        meter.stop()
        listener.close()

    run(scene)


def test_a_turn_of_the_loop_that_takes_long_is_told(run, heard):
    async def scene():
        told = heard()
        meter = LagMeter(list, told)
        meter.start()
        await told.until(Lagging)
        blocked(0.1)
        before = len(told)
        await told.until(Lagging, before + 1)
        assert told[before].seconds >= 0.07
        meter.stop()

    run(scene)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_what_waits_in_the_queue_of_a_listener_is_told(run, heard, host):
    async def scene():
        told, taken = heard(), []

        def slow(datagram: Datagram) -> None:
            if datagram.data == b"work":
                taken.append(datagram)
                blocked(0.002)

        listener = await UdpListener.bind(Address(host, 0), slow)
        sender = await UdpListener.bind(Address("::1" if ":" in host else "127.0.0.1", 0), heard())
        meter = LagMeter(lambda: [listener], told)
        meter.start()
        await told.until(Lagging, 3)
        target = Address(sender.local.host, listener.local.port)
        for _ in range(100):
            sender.send(target, b"work")
        for number in range(4, 100):
            await told.until(Lagging, number)
            if max(one.seconds for one in told) > 0.05:
                break
        assert len(taken) > 10 and max(one.seconds for one in told) > 0.05
        meter.stop()
        listener.close()
        sender.close()

    run(scene)


def blocked(seconds: float) -> None:
    """The loop does nothing else meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
