from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import pytest

from haproxy_voip.configuration.load import load
from haproxy_voip.configuration.model import TlsConfig
from haproxy_voip.edge.chat_tls import ServerTls, Shown, chat_tls, end_point_binding
from haproxy_voip.edge.tls import TlsError

CHAT = """
proxy:
  domain: pbx.example
  tls: {{certificate: {certificate}, key: {key}}}
  xmpp:
    listen: ["tcp:127.0.0.1:5222"]
backends:
  alpha: {{xmpp: "tcp:192.0.2.1:5222", tls: {{ca: {authority}}}}}
  beta: {{xmpp: "tls:192.0.2.2:5223", tls: {{ca: {authority}, name: beta.example}}}}
"""


def handshake(server: ServerTls, client: ssl.SSLContext, name: str | None) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends of a TLS handshake in memory: ours, theirs."""
    to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.context.wrap_bio(to_us, to_them, server_side=True)
    theirs = client.wrap_bio(to_them, to_us, server_hostname=name)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for each in (theirs, ours):
            try:
                each.do_handshake()
                done.add(each)
            except ssl.SSLWantReadError:
                pass
    return ours, theirs


def trusting(*protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


@pytest.fixture
def server(certificates, other_certificate) -> ServerTls:
    default = TlsConfig(certificate=certificates.certificate, key=certificates.key)
    return ServerTls(default, {"pbx.example": default, "chat.example": other_certificate})


@pytest.fixture(scope="session")
def other_certificate(certificates) -> TlsConfig:
    """The test authority's own certificate serves as that of another domain."""
    return TlsConfig(certificate=certificates.authority, key=certificates.other_key)


def test_rfc_5929_4_1_the_binding_is_the_hash_of_the_certificate_we_showed(certificates, server):
    ours, theirs = handshake(server, trusting(), "pbx.example")
    seen = theirs.getpeercert(binary_form=True)
    assert server.shown(ours) == Shown(hashlib.sha256(seen).digest(), "pbx.example")
    assert end_point_binding(certificates.certificate) == hashlib.sha256(seen).digest()


@pytest.mark.parametrize(
    ("asked", "domain"),
    [("chat.example", "chat.example"), ("CHAT.example", "chat.example"), ("else.example", None), (None, None)],
)
def test_the_certificate_is_that_of_the_domain_asked_for_else_the_default(server, certificates, asked, domain):
    ours, theirs = handshake(server, trusting(), asked)
    expected = certificates.authority if domain else certificates.certificate
    assert hashlib.sha256(theirs.getpeercert(binary_form=True)).digest() == end_point_binding(expected)
    assert server.shown(ours).domain == domain


@pytest.mark.parametrize("asked", ["chat.example", None])
def test_xep_0368_the_client_is_told_that_we_speak_xmpp(server, asked):
    _, theirs = handshake(server, trusting("xmpp-client"), asked)
    assert theirs.selected_alpn_protocol() == "xmpp-client"


def test_a_handshake_of_somebody_elses_context_was_shown_nothing_of_ours(server, certificates):
    other = ServerTls(TlsConfig(certificate=certificates.certificate, key=certificates.key), {})
    ours, _ = handshake(other, trusting(), None)
    assert server.shown(ours) is None


def test_what_is_no_certificate_is_told_with_its_file(tmp_path: Path):
    nonsense = tmp_path / "x.pem"
    nonsense.write_text("hello")
    with pytest.raises(TlsError, match=r"x\.pem: cannot be read as a PEM certificate"):
        end_point_binding(nonsense)
    with pytest.raises(TlsError, match=r"nowhere\.pem"):
        end_point_binding(tmp_path / "nowhere.pem")


def test_all_is_made_of_the_configuration(tmp_path: Path, certificates):
    path = tmp_path / "haproxy_voip.yaml"
    path.write_text(CHAT.format(**{name: getattr(certificates, name) for name in ("certificate", "key", "authority")}))
    config = load(path)
    tls = chat_tls(config)
    assert tls.server is not None
    alpha, beta = (tls.backends[config.xmpp_endpoints[name].address] for name in ("alpha", "beta"))
    assert alpha.name is None and beta.name == "beta.example"
    assert alpha.context.verify_mode == ssl.CERT_REQUIRED
