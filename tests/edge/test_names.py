"""How long a name's meaning is believed, and what is done when it changes or is gone. The clock is ours."""

from __future__ import annotations

from pathlib import Path

from haproxy_voip.configuration.model import BackendConfig, Config, ProxyConfig, SipConfig
from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.edge.facts import NameFound, NameNotFound
from haproxy_voip.edge.names import LONGEST_SECONDS, RETRY_SECONDS, SHORTEST_SECONDS, Names
from tests.edge.name_server import NameServer, host

NAME = Endpoint(Transport.UDP, Address("pbx.example", 5060))
OTHER = Endpoint.parse("udp:127.0.0.5:5060")
LISTEN = (Endpoint.parse("udp:127.0.0.1:5060"), Endpoint.parse("tcp:[::1]:5060"))


def config(*endpoints: Endpoint) -> Config:
    backends = tuple(BackendConfig(name=f"b{number}", sip=one) for number, one in enumerate(endpoints))
    proxy = ProxyConfig(domain="voip.example", sip=SipConfig(listen=LISTEN))
    return Config(proxy=proxy, users=Path("users.yaml"), backends=backends)


class Scene:
    """Names whose clock is `now`."""

    def __init__(self, server: NameServer) -> None:
        self.server = server
        self.now = 1000.0
        self.facts: list[object] = []
        self.names = Names(server.resolver, self.facts.append, lambda: self.now)

    async def where(self, *endpoints: Endpoint) -> dict[str, str]:
        made = await self.names.resolve(config(*(endpoints or (NAME,))))
        return {name: str(endpoint.address) for name, endpoint in made.sip_endpoints.items()}

    def asked(self) -> int:
        count = self.server.asked["pbx.example"]
        self.server.asked.clear()
        return count


def test_it_is_believed_until_it_expires_and_stays_while_it_is_among_the_answers(run):
    async def scene():
        async with NameServer() as server:
            its = Scene(server)
            server.zone["pbx.example"] = host("127.0.0.8", "127.0.0.9", ttl=20)
            assert await its.where() == {"b0": "127.0.0.8:5060"} and its.asked()
            assert its.names.next_at == its.now + 20
            its.now += 19.9
            assert await its.where() == {"b0": "127.0.0.8:5060"} and not its.asked()
            its.now += 0.2
            server.zone["pbx.example"] = host("127.0.0.7", "127.0.0.8", ttl=20)
            assert await its.where() == {"b0": "127.0.0.8:5060"} and its.asked()
            its.now += 20
            server.zone["pbx.example"] = host("127.0.0.7", ttl=20)
            assert await its.where() == {"b0": "127.0.0.7:5060"}
            old, new = Address("127.0.0.8", 5060), Address("127.0.0.7", 5060)
            assert its.facts == [NameFound(NAME, old, None), NameFound(NAME, new, old)]

    run(scene)


def test_what_is_known_stays_when_the_name_is_gone_which_is_said_once(run):
    async def scene():
        async with NameServer() as server:
            its = Scene(server)
            server.zone["pbx.example"] = host("127.0.0.8", ttl=0)
            await its.where()
            assert its.names.next_at == its.now + SHORTEST_SECONDS
            del server.zone["pbx.example"]
            its.facts.clear()
            for _ in range(3):
                its.now += max(SHORTEST_SECONDS, RETRY_SECONDS)
                assert await its.where() == {"b0": "127.0.0.8:5060"} and its.asked()
            assert its.facts == [NameNotFound(NAME, "pbx.example has no address", Address("127.0.0.8", 5060))]
            assert its.names.missing == ()

    run(scene)


def test_a_backend_that_is_not_found_is_left_out_and_looked_for_again(run):
    async def scene():
        async with NameServer() as server:
            its = Scene(server)
            assert await its.where(NAME, OTHER) == {"b1": "127.0.0.5:5060"}
            assert its.names.missing == (("b0", "udp:pbx.example:5060", "pbx.example has no address"),)
            assert its.names.next_at == its.now + RETRY_SECONDS
            server.zone["pbx.example"] = host("127.0.0.8", ttl=1_000_000)
            its.now += RETRY_SECONDS
            assert await its.where(NAME, OTHER) == {"b0": "127.0.0.8:5060", "b1": "127.0.0.5:5060"}
            assert its.names.missing == () and its.names.next_at == its.now + LONGEST_SECONDS

    run(scene)


def test_an_address_that_no_listener_reaches_or_that_is_taken_is_none(run):
    async def scene():
        async with NameServer() as server:
            its = Scene(server)
            server.zone["pbx.example"] = host("::5")
            assert await its.where() == {}
            assert its.names.missing[0][2] == "no listener speaks udp to ::5"
            its.now += 60
            server.zone["pbx.example"] = host("::5", "127.0.0.5")
            assert await its.where() == {"b0": "127.0.0.5:5060"}
            assert await its.where(NAME, OTHER) == {"b1": "127.0.0.5:5060"}
            assert its.names.missing[0][2] == "udp:127.0.0.5:5060 is b1 already"

    run(scene)


def test_without_names_nobody_is_asked_and_names_that_are_gone_are_forgotten(run):
    async def scene():
        async with NameServer() as server:
            its = Scene(server)
            server.zone["pbx.example"] = host("127.0.0.8")
            await its.where()
            plain = config(OTHER)
            assert await its.names.resolve(plain) is plain
            assert its.names.next_at is None and its.names.missing == ()

    run(scene)
