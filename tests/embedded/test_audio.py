"""Two ends of audio on real sockets."""

from __future__ import annotations

import socket
from collections.abc import Callable
from time import monotonic

import pytest

from haproxy_voip.core.address import Address
from haproxy_voip.embedded.audio import AudioEnd
from tests.embedded.conftest import Run


def test_each_end_hears_the_others_tone(run: Run, free_address: Callable[[], Address]) -> None:
    async def scene() -> None:
        one, other = AudioEnd(free_address(), 450, 800, 1), AudioEnd(free_address(), 800, 450, 2)
        one.remote, other.remote = other.local, one.local
        began = monotonic()
        await one.start()
        await other.start()
        for end in (one, other):
            first = await end.heard_after(began, 5)
            assert first is not None
            assert (await end.heard_after(first + 0.1, 5) or 0) > first + 0.1
            assert end.strange == 0
        one.stop()
        other.stop()

    run(scene)


def test_another_tone_and_noise_are_not_heard(run: Run, free_address: Callable[[], Address]) -> None:
    async def scene() -> None:
        one, other = AudioEnd(free_address(), 450, 800, 1), AudioEnd(free_address(), 600, 450, 2)
        other.remote = one.local
        await one.start()
        await other.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noisy:
            noisy.sendto(b"no RTP", one.local)
        assert await one.heard_after(0.0, 0.1) is None and one.strange >= 3
        one.stop()
        other.stop()

    run(scene)


def test_gaps_are_measured_between_arrivals_and_the_ends() -> None:
    end = AudioEnd(Address("127.0.0.1", 0), 450, 800, 1)
    end.arrivals.extend([1.0, 1.02, 1.2, 1.22])
    assert end.longest_gap(0.99, 1.23) == pytest.approx(0.18)
    assert end.longest_gap(0.5, 1.23) == pytest.approx(0.5)
    assert end.longest_gap(2.0, 3.0) == pytest.approx(1.0)
