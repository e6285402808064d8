"""Machines on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.embedded.facts import PhoneRegistered
from haproxy_voip.embedded.pbx import Pbx
from haproxy_voip.embedded.phone import Phone
from haproxy_voip.embedded.settings import PbxSettings, PhoneSettings
from haproxy_voip.embedded.sockets import Sockets
from tests.embedded.conftest import Run


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_phone_registers_at_a_pbx_in_one_process(
    run: Run, free_address: Callable[[], Address], transport: Transport
) -> None:
    async def scene() -> None:
        server = Endpoint(transport, free_address())
        pbx = Sockets(Pbx(PbxSettings(listen=(server,), users={"1001": "one"}), Chance.system()))
        await pbx.start([server])
        told: list[object] = []
        registered = asyncio.Event()

        def read(fact: object) -> None:
            told.append(fact)
            registered.set()

        settings = PhoneSettings(user="1001", password="one", domain="d.example", server=server, address=free_address())
        phone = Phone(settings, Chance.system())
        sockets = Sockets(phone, [read])
        await sockets.start([settings.listen])
        sockets.act(phone.register)
        await registered.wait()
        assert told == [PhoneRegistered("1001", 300.0)]
        await sockets.stop()
        await pbx.stop()

    run(scene)


def test_an_address_in_use_is_told(run: Run, free_address: Callable[[], Address]) -> None:
    async def scene() -> None:
        endpoint = Endpoint(Transport.UDP, free_address())
        settings = PbxSettings(listen=(endpoint,), users={})
        one, other = (Sockets(Pbx(settings, Chance.system())) for _ in range(2))
        await one.start([endpoint])
        with pytest.raises(CannotListen):
            await other.start([endpoint])
        await other.stop()
        await one.stop()

    run(scene)
