"""The demonstration's certificate."""

from __future__ import annotations

import ssl
import stat
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509

from haproxy_voip.embedded.certificate import VALID, write_certificate


def test_it_is_for_the_names_and_trusted_by_who_is_told_to(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    write_certificate(certificate, key, ["voip.example", "127.0.0.1"])
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["voip.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1")]
    assert found.not_valid_after_utc - found.not_valid_before_utc > VALID
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    assert len(ssl.create_default_context(cafile=str(certificate)).get_ca_certs()) == 1
