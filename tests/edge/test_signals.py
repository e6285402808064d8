from __future__ import annotations

import asyncio
import os
import signal

import pytest

from haproxy_voip.edge.signals import STOPPING, Signals


@pytest.fixture(autouse=True)
def handlers_as_they_were():
    before = {number: signal.getsignal(number) for number in (*STOPPING, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_asks_for_an_orderly_end_and_the_next_one_ends(run, heard, number):
    async def scene():
        told = heard()
        signals = Signals(told, lambda: None)
        os.kill(os.getpid(), number)
        assert await told.until(str) == number.name
        assert all(signal.getsignal(each) is signal.SIG_DFL for each in STOPPING)
        signals.close()

    run(scene)


def test_sighup_asks_to_reload_each_time(run):
    async def scene():
        hung_up = asyncio.Event()
        signals = Signals(lambda name: None, hung_up.set)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
            await hung_up.wait()
            hung_up.clear()
        signals.close()

    run(scene)
