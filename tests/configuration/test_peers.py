from ipaddress import ip_network

from haproxy_voip.configuration.peers import BackendTlsConfig, TrunkConfig, TrunkRegisterConfig
from haproxy_voip.core.address import Endpoint


def test_certificates_are_checked_unless_somebody_says_otherwise() -> None:
    assert BackendTlsConfig() == BackendTlsConfig(verify=True, ca=None, name=None)


def test_a_trunk_never_shows_its_password() -> None:
    register = TrunkRegisterConfig(user="4930555", password="wire", domain="sip.carrier.example")
    trunk = TrunkConfig(
        name="carrier",
        address=Endpoint.parse("udp:198.51.100.5:5060"),
        from_=(ip_network("198.51.100.0/24"),),
        register=register,
    )
    assert "wire" not in repr(trunk) and "4930555" in repr(trunk)
