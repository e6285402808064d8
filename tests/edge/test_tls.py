from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from haproxy_voip.configuration.model import BackendConfig, TlsConfig
from haproxy_voip.configuration.peers import BackendTlsConfig, TrunkConfig
from haproxy_voip.core.address import Endpoint
from haproxy_voip.edge.tls import TlsError, client_tls, server_context, trunk_tls


def backend(tls: BackendTlsConfig) -> BackendConfig:
    return BackendConfig(name="alpha", sip=Endpoint.parse("tls:192.0.2.1:5061"), tls=tls)


def test_nothing_older_than_tls_1_2(certificates):
    context = server_context(TlsConfig(certificate=certificates.certificate, key=certificates.key))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert client_tls(backend(BackendTlsConfig())).context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_key_of_another_certificate_is_refused(certificates):
    with pytest.raises(TlsError, match="do not work together: key values mismatch"):
        server_context(TlsConfig(certificate=certificates.certificate, key=certificates.other_key))


def test_files_that_cannot_be_read_are_told(certificates):
    with pytest.raises(TlsError, match="cannot read"):
        server_context(TlsConfig(certificate=Path("/nowhere.crt"), key=certificates.key))
    with pytest.raises(TlsError, match=r"backends\.alpha\.tls\.ca: /nowhere\.crt: no such file"):
        client_tls(backend(BackendTlsConfig(ca=Path("/nowhere.crt"))))


def test_a_backends_certificate_is_verified_against_its_address_unless_told_otherwise(certificates):
    by_default = client_tls(backend(BackendTlsConfig(ca=certificates.authority)))
    assert by_default.context.verify_mode == ssl.CERT_REQUIRED and by_default.context.check_hostname
    assert by_default.name == "192.0.2.1"
    assert client_tls(backend(BackendTlsConfig(name="pbx.example"))).name == "pbx.example"
    trusting = client_tls(backend(BackendTlsConfig(verify=False)))
    assert trusting.context.verify_mode == ssl.CERT_NONE and not trusting.context.check_hostname


def test_a_trunks_certificate_is_verified_like_a_backends(certificates):
    trunk = TrunkConfig(name="carrier", address=Endpoint.parse("tls:203.0.113.5:5061"))
    assert trunk_tls(trunk).name == "203.0.113.5"
    assert trunk_tls(trunk).context.verify_mode == ssl.CERT_REQUIRED
    nowhere = BackendTlsConfig(ca=Path("/nowhere.crt"))
    with pytest.raises(TlsError, match=r"trunks\.carrier\.tls\.ca: /nowhere\.crt: no such file"):
        trunk_tls(TrunkConfig(name="carrier", address=trunk.address, tls=nowhere))
