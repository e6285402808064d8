"""Addresses, endpoints and flows, as configuration and SIP write them."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.core.address import Address, Endpoint, Flow, Transport, bracketed, is_name

V4 = Address("192.0.2.1", 5060)
V6 = Address("2001:db8::1", 5061)


@pytest.mark.parametrize(("address", "text"), [(V4, "192.0.2.1:5060"), (V6, "[2001:db8::1]:5061")])
def test_an_address_is_written_as_it_is_read(address: Address, text: str) -> None:
    assert str(address) == text
    assert Address.parse(text) == address


def test_an_ipv6_literal_has_one_spelling() -> None:
    assert Address.parse("[2001:DB8:0:0::0001]:1").host == "2001:db8::1"


@settings(max_examples=50)
@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_survives_a_round_trip(host: object, port: int) -> None:
    address = Address(str(host), port)
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", ":", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:٣", "2001:db8::1:5060",
     "[192.0.2.1:5060", "pbx.example:5060", "192.0.2.256:5060", "[::g]:1", "192.0.2.1: 5060", "192.0.2.1:5060 "],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Address.parse(text)


@settings(max_examples=100)
@given(st.text(max_size=30))
def test_noise_is_an_address_or_refused(text: str) -> None:
    for parse in (Address.parse, Endpoint.parse):
        with suppress(ValueError):
            assert str(parse(text))


def test_a_refusal_says_what_would_be_right() -> None:
    with pytest.raises(ValueError, match="brackets"):
        Address.parse("2001:db8::1:5060")
    with pytest.raises(ValueError, match="udp, tcp or tls"):
        Endpoint.parse("sctp:192.0.2.1:5060")


def test_the_family_is_that_of_the_literal() -> None:
    assert (V4.family, V6.family) == (4, 6)


@pytest.mark.parametrize("text", ["udp:192.0.2.1:5060", "tcp:0.0.0.0:5060", "tls:[::1]:5061"])
def test_an_endpoint_is_written_as_it_is_read(text: str) -> None:
    assert str(Endpoint.parse(text)) == text


def test_only_udp_loses_messages() -> None:
    assert [transport.reliable for transport in Transport] == [False, True, True]


def test_a_flow_is_as_reliable_as_its_connection() -> None:
    assert not Flow(Transport.UDP, V4, V4).reliable
    assert Flow(Transport.TCP, V4, V4, 1).reliable


def test_ipv6_hosts_are_bracketed_where_a_port_may_follow() -> None:
    assert bracketed("192.0.2.1") == "192.0.2.1"
    assert bracketed("::1") == "[::1]"
    assert bracketed("voip.example") == "voip.example"


def test_a_name_is_told_from_an_address_and_written_without_a_port_that_is_to_be_looked_up() -> None:
    assert [is_name(host) for host in ("pbx1", "pbx1.example", "192.0.2.1", "::1", "2001:db8::a")] == [True] * 2 + [
        False
    ] * 3
    name = Address("pbx1.example", 0)
    assert str(Endpoint(Transport.UDP, name)) == "udp:pbx1.example"
    assert str(Endpoint(Transport.UDP, name._replace(port=5060))) == "udp:pbx1.example:5060"
