"""Host names of backends at a proxy that runs: found late, moved, and told of."""

from __future__ import annotations

import asyncio
import time

import pytest

from haproxy_voip.configuration.load import load
from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.edge import names as module
from haproxy_voip.edge.around import Around, Loaded
from haproxy_voip.edge.assemble import Edge
from haproxy_voip.edge.control_client import request
from haproxy_voip.edge.facts import NameFound
from haproxy_voip.edge.names import Names
from haproxy_voip.proxy.facts import BackendGone, BackendUp
from haproxy_voip.proxy.node import Node
from tests.edge.name_server import NameServer, service
from tests.edge.name_server import host as address
from tests.edge.test_reload import USERS, Server, free_ports


def place(at: Endpoint) -> list[tuple[int, int, bytes]]:
    return [service(0, 0, at.address.port, "host.example", ttl=0)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(module, "SHORTEST_SECONDS", 0.02)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)


def test_a_name_is_found_late_and_moves_when_the_backend_has_gone(run, heard, tmp_path, socket_path):
    """It starts without it; the only backend's name then means another server, and the former one ends."""

    async def scene():
        facts = heard()
        one, two = await Server().start(), await Server().start()
        file = tmp_path / "x.yaml"
        (port,) = free_ports(1)

        def written() -> Loaded:
            file.write_text(
                f"proxy: {{domain: voip.example, sip: {{listen: ['udp:127.0.0.1:{port}']}}}}\nusers: users.yaml\n"
                f"control: {socket_path}\nhealth: {{inter: 20ms, timeout: 20ms}}\n"
                "backends: {alpha: {sip: 'udp:pbx.example'}}\n"
            )
            (tmp_path / "users.yaml").write_text("realm: voip.example\nusers: {'1001': {password: secret}}\n")
            return Loaded(load(file), USERS)

        async with NameServer() as server:
            names = Names(server.resolver, facts)
            loaded = await asyncio.to_thread(written)
            config = await names.resolve(loaded.config)
            node = Node(config, USERS, Chance.seeded(1), time.monotonic())
            around = Around(readers=[facts], users=USERS, load=written, names=names, wanted=loaded.config)
            edge = Edge(config, node, around)
            await edge.start()
            status = await asyncio.to_thread(request, socket_path, "status", {})
            assert status["backends"] == []
            assert status["not_found"] == [
                {"name": "alpha", "address": "udp:pbx.example", "reason": "pbx.example has no address"}
            ]
            done = await asyncio.to_thread(request, socket_path, "reload", {})
            assert done == {"changed": [], "later": []}

            server.zone |= {"_sip._udp.pbx.example": place(one.at), "host.example": address("127.0.0.1", ttl=0)}
            assert (await facts.until(BackendUp)).backend == "alpha"
            status = await asyncio.to_thread(request, socket_path, "status", {})
            assert status["not_found"] == [] and status["backends"][0]["sip"] == str(one.at)

            facts.clear()
            server.zone["_sip._udp.pbx.example"] = place(two.at)
            assert (await facts.until(NameFound)).address == two.at.address
            one.listener.close()
            await facts.until(BackendGone)
            await facts.until(BackendUp)
            status = await asyncio.to_thread(request, socket_path, "status", {})
            assert [row["sip"] for row in status["backends"]] == [str(two.at)]
            await edge.stop()
            two.listener.close()

    run(scene)


async def _greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A chat server, as far as health checks go."""
    while await reader.read(4096):
        writer.write(
            b"<stream:stream from='voip.example' id='1' version='1.0' xmlns='jabber:client' "
            b"xmlns:stream='http://etherx.jabber.org/streams'><stream:features/>"
        )
    writer.close()


def test_a_chat_server_has_a_name_that_is_found_late(run, heard, tmp_path, socket_path, certificates):
    """RFC 6120 section 3.2.1: SRV; the proxy starts with no chat server at all."""

    file, (port,) = tmp_path / "x.yaml", free_ports(1)
    file.write_text(
        f"proxy: {{domain: voip.example, xmpp: {{listen: ['tcp:127.0.0.1:{port}']}},\n"
        f"  tls: {{certificate: {certificates.certificate}, key: {certificates.key}}}}}\n"
        f"control: {socket_path}\nusers: users.yaml\nhealth: {{inter: 20ms, timeout: 20ms}}\n"
        "backends: {alpha: {xmpp: 'tcp:chat.example'}}\n"
    )
    (tmp_path / "users.yaml").write_text("realm: voip.example\nusers: {'1001': {password: secret}}\n")
    loaded = Loaded(load(file), USERS)

    async def scene():
        facts = heard()
        chat = await asyncio.start_server(_greets, "127.0.0.1", 0)
        at = Endpoint(Transport.TCP, Address(*chat.sockets[0].getsockname()[:2]))
        async with NameServer() as server:
            names = Names(server.resolver, facts)
            config = await names.resolve(loaded.config)
            assert names.missing == (("alpha", "tcp:chat.example", "chat.example has no address"),)
            node = Node(config, USERS, Chance.seeded(1), time.monotonic(), time.time())
            around = Around(readers=[facts], users=USERS, load=lambda: loaded, names=names, wanted=loaded.config)
            edge = Edge(config, node, around)
            await edge.start()
            server.zone |= {"_xmpp-client._tcp.chat.example": place(at), "host.example": address("127.0.0.1", ttl=0)}
            assert (await facts.until(BackendUp)).backend == "alpha"
            status = await asyncio.to_thread(request, socket_path, "status", {})
            assert status["not_found"] == [] and status["chat_active"] == "alpha"
            await edge.stop()
        chat.close()

    run(scene)
