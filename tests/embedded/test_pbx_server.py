"""The PBX as a process, and phones on real sockets."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.embedded import pbx_server
from haproxy_voip.embedded.children import Child
from haproxy_voip.embedded.phone import Phone
from haproxy_voip.embedded.process import LISTENING
from haproxy_voip.embedded.settings import PhoneSettings
from haproxy_voip.embedded.sockets import Sockets
from tests.embedded.conftest import Run

LOOK_EVERY = 0.005


def phone_at(server: Endpoint, user: str, password: str, address: Address) -> Phone:
    settings = PhoneSettings(
        user=user, password=password, domain="test.example", server=server, address=address, answer_after=0.0
    )
    return Phone(settings, Chance.system())


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_two_phones_call_each_other_over_real_sockets(
    run: Run, passwords_file: Path, free_address: Callable[[], Address], transport: Transport
) -> None:
    address = free_address()
    command = [sys.executable, "-m", "haproxy_voip.embedded.pbx_server", "--realm", "test.example"]
    command += ["--passwords", str(passwords_file)]
    server = Child("pbx", [*command, "--listen", f"udp:{address}", "--listen", f"tcp:{address}"])

    async def until(done: Callable[[], bool]) -> None:
        while not done():
            assert server.alive, server.last_words()
            await asyncio.sleep(LOOK_EVERY)

    async def scene() -> None:
        await until(lambda: LISTENING in server.last_words())
        endpoint = Endpoint(transport, address)
        phones = [phone_at(endpoint, "1001", "one", free_address()), phone_at(endpoint, "1002", "two", free_address())]
        sockets = [Sockets(phone) for phone in phones]
        for phone, each in zip(phones, sockets, strict=True):
            await each.start([phone.settings.listen])
            each.act(phone.register)
        await until(lambda: all(phone.registered for phone in phones))
        sockets[0].act(lambda now: phones[0].call("1002", now))
        await until(lambda: any(call.up for call in phones[1].calls.values()))
        await until(lambda: phones[0].calls[1].up)
        for each in sockets:
            await each.stop()

    try:
        run(scene)
    finally:
        server.end()
    assert not server.alive


def test_the_command_line_becomes_settings(passwords_file: Path) -> None:
    arguments = ["--listen", "udp:127.0.0.1:5060", "--realm", "test.example", "--passwords", str(passwords_file)]
    settings = pbx_server.settings(pbx_server._parser().parse_args([*arguments, "--trust"]))
    assert settings.trust and settings.realm == "test.example" and settings.users == {"1001": "one", "1002": "two"}
