"""What name servers say of a backend, asked over real sockets."""

from __future__ import annotations

from typing import Literal

import pytest

from haproxy_voip.configuration.resolved import Lookup
from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.edge import resolver as module
from haproxy_voip.edge.resolver import Found, NotFound
from tests.edge.name_server import NameServer, host, service


def at(name: str, port: int = 0, transport: Transport = Transport.UDP, kind: Literal["sip", "xmpp"] = "sip") -> Lookup:
    return Lookup(kind, Endpoint(transport, Address(name, port)))


def test_a_name_with_a_port_is_looked_up_as_a_host_in_an_order_that_does_not_change(run):
    async def scene():
        async with NameServer() as server:
            server.zone["pbx.example"] = host("192.0.2.10", "2001:db8::1", ttl=300) + host("192.0.2.9", ttl=30)
            found = await server.resolver.find(at("pbx.example", 5070))
            assert [str(one) for one in found.addresses] == ["192.0.2.9:5070", "192.0.2.10:5070", "[2001:db8::1]:5070"]
            assert found.seconds == 30
            assert set(server.asked) == {"pbx.example"}

    run(scene)


@pytest.mark.parametrize(
    ("kind", "transport", "name"),
    [
        ("sip", Transport.UDP, "_sip._udp"),
        ("sip", Transport.TCP, "_sip._tcp"),
        ("sip", Transport.TLS, "_sips._tcp"),
        ("xmpp", Transport.TCP, "_xmpp-client._tcp"),
        ("xmpp", Transport.TLS, "_xmpps-client._tcp"),
    ],
)
def test_without_a_port_srv_says_where_the_best_first(run, kind, transport, name):
    """RFC 3263 section 4.2, RFC 6120 section 3.2.1, XEP-0368; RFC 2782: the lowest priority, then the heaviest."""

    async def scene():
        async with NameServer() as server:
            server.zone[f"{name}.office.example"] = [
                service(20, 100, 5064, "c.example"),
                service(10, 1, 5062, "b.example", ttl=7),
                service(10, 9, 5063, "a.example"),
            ]
            for number, letter in enumerate("abc", 1):
                server.zone[f"{letter}.example"] = host(f"192.0.2.{number}")
            found = await server.resolver.find(at("office.example", transport=transport, kind=kind))
            assert [str(one) for one in found.addresses] == ["192.0.2.1:5063", "192.0.2.2:5062", "192.0.2.3:5064"]
            assert found.seconds == 7

    run(scene)


def test_without_srv_the_host_itself_is_meant_at_the_usual_port(run):
    async def scene():
        async with NameServer() as server:
            server.zone["pbx"] = host("192.0.2.1")
            assert await server.resolver.find(at("pbx")) == Found((Address("192.0.2.1", 5060),), 60)
            ports = {("sip", Transport.TLS): 5061, ("xmpp", Transport.TCP): 5222, ("xmpp", Transport.TLS): 5223}
            for (kind, transport), port in ports.items():
                found = await server.resolver.find(at("pbx", transport=transport, kind=kind))
                assert found.addresses[0].port == port

    run(scene)


def test_what_cannot_be_told_is_said_with_the_reason(run, monkeypatch):
    monkeypatch.setattr(module, "TRY_SECONDS", 0.05)

    async def scene():
        async with NameServer() as server:
            server.zone["_sip._udp.none.example"] = [service(0, 0, 0, ".")]
            server.zone["text.example"] = []
            for name, reason in {
                "none.example": "no such service",
                "nobody.example": "nobody.example has no address",
                "text.example": "text.example has no address",
            }.items():
                with pytest.raises(NotFound, match=reason):
                    await server.resolver.find(at(name))
            server.fails = True
            with pytest.raises(NotFound, match=r"failed.example: .+"):
                await server.resolver.find(at("failed.example"))
            server.silent = True
            with pytest.raises(NotFound, match=r"silent.example: .+"):
                await server.resolver.find(at("silent.example", 5060))

    run(scene)


def test_of_many_targets_the_best_few_are_looked_at(run):
    async def scene():
        async with NameServer() as server:
            targets = [f"t{number}.example" for number in range(9)]
            server.zone["_sip._udp.many.example"] = [service(n, 0, 5060, name) for n, name in enumerate(targets)]
            server.zone |= {name: host(f"192.0.2.{n}") for n, name in enumerate(targets)}
            found = await server.resolver.find(at("many.example"))
            assert [one.host for one in found.addresses] == [f"192.0.2.{n}" for n in range(module.MAX_TARGETS)]

    run(scene)
