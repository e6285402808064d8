from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from haproxy_voip.edge.signals import STOPPING, Signals, _end


@pytest.fixture(autouse=True)
def handlers_as_they_were():
    before = {number: signal.getsignal(number) for number in (*STOPPING, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_asks_for_an_orderly_end(run, heard, number):
    async def scene():
        told = heard()
        signals = Signals(told, lambda: None)
        os.kill(os.getpid(), number)
        assert await told.until(str) == number.name
        signals.close()

    run(scene)


@pytest.mark.parametrize("second", STOPPING)
def test_the_second_signal_ends_the_process_at_once(second):
    """Also the first process of a container, which ignores what it has no handler for."""
    code = """
import asyncio, uvloop
from haproxy_voip.edge.signals import Signals

async def main():
    Signals(lambda name: print(name, flush=True), lambda: None)
    print("up", flush=True)
    await asyncio.Event().wait()

uvloop.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "SIGTERM\n"
        process.send_signal(second)
        assert process.wait(30) == -second


def test_the_first_process_of_a_container_ends_too(monkeypatch):
    sent, ended = [], []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number))
    monkeypatch.setattr(os, "_exit", ended.append)
    _end(signal.SIGTERM, None)
    assert sent == [signal.SIGTERM] and ended == [128 + signal.SIGTERM]


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
