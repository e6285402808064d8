from __future__ import annotations

from haproxy_voip.configuration.model import (
    BackendConfig,
    Config,
    ProxyConfig,
    SipConfig,
    TlsConfig,
    XmppConfig,
)
from haproxy_voip.configuration.peers import BackendTlsConfig
from haproxy_voip.core.address import Endpoint
from haproxy_voip.edge.contexts import contexts_of, targets_of
from haproxy_voip.edge.listeners import Wanted


def at(text: str) -> Endpoint:
    return Endpoint.parse(text)


def test_without_tls_nobody_is_shown_anything():
    proxy = ProxyConfig(domain="voip.example", sip=SipConfig(listen=(at("udp:192.0.2.10:5060"),)))
    contexts = contexts_of(Config(proxy=proxy, backends=()))
    assert contexts.peers == contexts.files == {}
    assert contexts.shown.of(Wanted(at("tls:192.0.2.10:5061"), chat=False)) is None


def test_each_service_shows_its_own_context_and_every_file_is_remembered(certificates):
    tls = TlsConfig(certificate=certificates.certificate, key=certificates.key)
    listen = SipConfig(listen=(at("tls:192.0.2.10:5061"),))
    proxy = ProxyConfig(
        domain="voip.example", sip=listen, tls=tls, xmpp=XmppConfig(listen=(at("tcp:192.0.2.10:5222"),))
    )
    ca = BackendTlsConfig(ca=certificates.authority)
    alpha = BackendConfig(name="alpha", sip=at("tls:192.0.2.11:5061"), tls=ca)
    config = Config(proxy=proxy, backends=(alpha,))
    contexts = contexts_of(config)
    direct = at("tls:192.0.2.10:5223")
    shown = [contexts.shown.of(Wanted(direct, chat)) for chat in (False, True)]
    assert None not in shown and shown[0] is not shown[1]
    assert contexts.shown.of(Wanted(at("tcp:192.0.2.10:5222"), chat=True)) is None
    assert set(contexts.files) == {certificates.certificate, certificates.key, certificates.authority}
    target = targets_of(config, contexts.peers)["alpha"]
    assert target.local_host == "192.0.2.10" and target.tls is contexts.peers[alpha.sip.address]


def test_a_backend_that_no_listener_fits_is_reached_from_anywhere():
    alpha = BackendConfig(name="alpha", sip=at("tcp:192.0.2.11:5060"))
    proxy = ProxyConfig(domain="voip.example", sip=SipConfig(listen=(at("udp:192.0.2.10:5060"),)))
    assert targets_of(Config(proxy=proxy, backends=(alpha,)), {})["alpha"].local_host == "0.0.0.0"
