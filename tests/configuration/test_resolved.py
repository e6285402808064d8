"""Addresses in place of names."""

from __future__ import annotations

from pathlib import Path

from haproxy_voip.configuration.model import BackendConfig, Config, ProxyConfig, SipConfig
from haproxy_voip.configuration.peers import BackendTlsConfig
from haproxy_voip.configuration.resolved import Lookup, Named, names, resolved
from haproxy_voip.core.address import Address, Endpoint, Transport

ALPHA = Endpoint(Transport.TLS, Address("alpha.example", 5061))
OTHER = Endpoint(Transport.TLS, Address("beta.example", 5061))
A, B = Lookup("sip", ALPHA), Lookup("sip", OTHER)
HERE = Address("192.0.2.11", 5061)
LISTEN = (Endpoint.parse("udp:192.0.2.10:5060"), Endpoint.parse("tls:192.0.2.10:5061"))


def config(*backends: BackendConfig) -> Config:
    proxy = ProxyConfig(domain="voip.example", sip=SipConfig(listen=LISTEN))
    return Config(proxy=proxy, users=Path("users.yaml"), backends=backends)


def test_the_certificate_is_that_of_the_name_unless_another_is_configured() -> None:
    """RFC 5922 section 7.1."""
    own = BackendTlsConfig(name="office.example")
    both = config(BackendConfig(name="alpha", sip=ALPHA), BackendConfig(name="beta", sip=OTHER, tls=own))
    assert names(both) == [Named("alpha", A), Named("beta", B)] and both.sip_endpoints == {}
    made, refused = resolved(both, {A: HERE, B: Address("192.0.2.12", 5061)})
    assert not refused
    assert [str(one) for one in made.sip_endpoints.values()] == ["tls:192.0.2.11:5061", "tls:192.0.2.12:5061"]
    assert [one.tls.name for one in made.backends] == ["alpha.example", "office.example"]


def test_what_is_not_known_is_left_out_but_for_its_chat_and_the_order_stays() -> None:
    chat = Endpoint.parse("tcp:192.0.2.11:5222")
    beta = BackendConfig(name="beta", sip=Endpoint.parse("udp:192.0.2.12:5060"))
    made, refused = resolved(config(BackendConfig(name="alpha", sip=ALPHA, xmpp=chat), beta), {})
    assert [(one.name, one.xmpp) for one in made.backends] == [("alpha", chat), ("beta", None)]
    assert list(made.sip_endpoints) == ["beta"]
    made, refused = resolved(config(BackendConfig(name="alpha", sip=ALPHA), beta), {A: HERE})
    assert list(made.sip_endpoints) == ["alpha", "beta"] and not refused
    made, refused = resolved(config(BackendConfig(name="alpha", sip=ALPHA)), {})
    assert made.backends == () and not refused


def test_chat_has_a_name_of_its_own_which_no_certificate_need_carry() -> None:
    """RFC 6120 section 13.7.2: that is for the users' domain."""
    chat = Lookup("xmpp", Endpoint(Transport.TCP, Address("chat.example", 0)))
    named = config(BackendConfig(name="alpha", sip=ALPHA, xmpp=chat.endpoint))
    assert names(named) == [Named("alpha", A), Named("alpha", chat)] and named.xmpp_endpoints == {}
    made, refused = resolved(named, {chat: Address("192.0.2.21", 5222)})
    assert not refused and made.sip_endpoints == {} and made.backends[0].tls.name is None
    assert [str(one) for one in made.xmpp_endpoints.values()] == ["tcp:192.0.2.21:5222"]
    made, refused = resolved(named, {A: HERE, chat: Address("192.0.2.21", 5222)})
    assert not refused and list(made.sip_endpoints) == list(made.xmpp_endpoints) == ["alpha"]


def test_two_names_of_one_place_are_one_backend() -> None:
    both = config(BackendConfig(name="alpha", sip=ALPHA), BackendConfig(name="beta", sip=OTHER))
    made, refused = resolved(both, {A: HERE, B: HERE})
    assert list(made.sip_endpoints) == ["alpha"]
    assert refused == {Named("beta", B): "tls:192.0.2.11:5061 is alpha already"}


def test_the_proxy_itself_is_no_backend() -> None:
    made, refused = resolved(config(BackendConfig(name="alpha", sip=ALPHA)), {A: Address("192.0.2.10", 5061)})
    assert made.backends == () and "is the proxy itself" in refused[Named("alpha", A)]


def test_without_names_it_is_the_same() -> None:
    plain = config(BackendConfig(name="beta", sip=Endpoint.parse("udp:192.0.2.12:5060")))
    assert resolved(plain, {})[0] is plain
