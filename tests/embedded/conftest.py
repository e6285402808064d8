"""Real sockets on loopback addresses, on uvloop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from haproxy_voip.core.address import Address

PATIENCE = 60.0  # seconds; a test that waits so long has failed, on however busy a machine

Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs an async function to its end; any exception nobody caught fails the test."""
    unhandled: list[dict[str, Any]] = []

    async def watched(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        async with asyncio.timeout(PATIENCE):
            await scene()

    yield lambda scene: uvloop.run(watched(scene))
    assert unhandled == []


@pytest.fixture
def passwords_file(tmp_path: Path) -> Path:
    path = tmp_path / "passwords.json"
    path.write_text('{"1001": "one", "1002": "two"}')
    return path


@pytest.fixture
def free_address() -> Callable[[], Address]:
    """Addresses of 127.0.0.1 where nobody listens, by UDP or TCP."""

    def free() -> Address:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            return Address(*udp.getsockname())

    return free
