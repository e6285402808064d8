"""What the kernel says of our addresses; nothing is sent."""

import socket

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.edge.own_addresses import is_own, own_addresses, source_towards, why_taken


def test_addresses_that_others_can_reach_are_found_the_default_routes_first() -> None:
    found = own_addresses()
    assert all(is_own(one.host) and one.interface for one in found)
    assert not {"127.0.0.1", "::1"} & {one.host for one in found}
    assert [one.by_default for one in found] == sorted((one.by_default for one in found), reverse=True)


def test_our_address_towards_the_loopback_is_on_it() -> None:
    assert source_towards("127.0.0.5") == "127.0.0.1"
    assert source_towards("240.0.0.1") != "127.0.0.1"  # nobody's; there may be a way or none


def test_an_address_is_ours_if_a_socket_can_have_it() -> None:
    assert is_own("127.0.0.1") and is_own("0.0.0.0") and not is_own("203.0.113.99")


def test_a_port_that_somebody_has_is_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        endpoint = Endpoint(Transport.UDP, Address("127.0.0.1", other.getsockname()[1]))
        reason = why_taken(endpoint)
        assert reason is not None and f"cannot listen on {endpoint}: Address already in use" in reason
    assert why_taken(endpoint) is None
