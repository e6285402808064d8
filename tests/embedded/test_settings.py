"""What a phone is told, and what follows from it."""

from __future__ import annotations

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.embedded.settings import PhoneSettings


def test_a_phone_listens_in_its_servers_transport_and_takes_audio_at_its_own_host() -> None:
    address = Address("192.0.2.1", 5070)
    for transport in (Transport.UDP, Transport.TCP):
        server = Endpoint(transport, Address("192.0.2.2", 5060))
        settings = PhoneSettings(user="1001", password="x", domain="d.example", server=server, address=address)
        assert settings.listen == Endpoint(transport, address)
        assert settings.audio == Address("192.0.2.1", 4000)
