"""Addresses in place of names."""

from __future__ import annotations

from pathlib import Path

from haproxy_voip.configuration.model import BackendConfig, Config, ProxyConfig, SipConfig
from haproxy_voip.configuration.peers import BackendTlsConfig
from haproxy_voip.configuration.resolved import names, resolved
from haproxy_voip.core.address import Address, Endpoint, Transport

ALPHA = Endpoint(Transport.TLS, Address("alpha.example", 5061))
OTHER = Endpoint(Transport.TLS, Address("beta.example", 5061))
HERE = Address("192.0.2.11", 5061)
LISTEN = (Endpoint.parse("udp:192.0.2.10:5060"), Endpoint.parse("tls:192.0.2.10:5061"))


def config(*backends: BackendConfig) -> Config:
    proxy = ProxyConfig(domain="voip.example", sip=SipConfig(listen=LISTEN))
    return Config(proxy=proxy, users=Path("users.yaml"), backends=backends)


def test_the_certificate_is_that_of_the_name_unless_another_is_configured() -> None:
    """RFC 5922 section 7.1."""
    own = BackendTlsConfig(name="office.example")
    both = config(BackendConfig(name="alpha", sip=ALPHA), BackendConfig(name="beta", sip=OTHER, tls=own))
    assert names(both) == {"alpha": ALPHA, "beta": OTHER} and both.sip_endpoints == {}
    made, refused = resolved(both, {ALPHA: HERE, OTHER: Address("192.0.2.12", 5061)})
    assert not refused
    assert [str(one) for one in made.sip_endpoints.values()] == ["tls:192.0.2.11:5061", "tls:192.0.2.12:5061"]
    assert [one.tls.name for one in made.backends] == ["alpha.example", "office.example"]


def test_what_is_not_known_is_left_out_but_for_its_chat_and_the_order_stays() -> None:
    chat = Endpoint.parse("tcp:192.0.2.11:5222")
    beta = BackendConfig(name="beta", sip=Endpoint.parse("udp:192.0.2.12:5060"))
    made, refused = resolved(config(BackendConfig(name="alpha", sip=ALPHA, xmpp=chat), beta), {})
    assert [(one.name, one.xmpp) for one in made.backends] == [("alpha", chat), ("beta", None)]
    assert list(made.sip_endpoints) == ["beta"]
    made, refused = resolved(config(BackendConfig(name="alpha", sip=ALPHA), beta), {ALPHA: HERE})
    assert list(made.sip_endpoints) == ["alpha", "beta"] and not refused
    made, refused = resolved(config(BackendConfig(name="alpha", sip=ALPHA)), {})
    assert made.backends == () and not refused


def test_two_names_of_one_place_are_one_backend() -> None:
    both = config(BackendConfig(name="alpha", sip=ALPHA), BackendConfig(name="beta", sip=OTHER))
    made, refused = resolved(both, {ALPHA: HERE, OTHER: HERE})
    assert list(made.sip_endpoints) == ["alpha"]
    assert refused == {"beta": "tls:192.0.2.11:5061 is alpha already"}


def test_the_proxy_itself_is_no_backend() -> None:
    made, refused = resolved(config(BackendConfig(name="alpha", sip=ALPHA)), {ALPHA: Address("192.0.2.10", 5061)})
    assert made.backends == () and "is the proxy itself" in refused["alpha"]


def test_without_names_it_is_the_same() -> None:
    plain = config(BackendConfig(name="beta", sip=Endpoint.parse("udp:192.0.2.12:5060")))
    assert resolved(plain, {})[0] is plain
