"""haproxy_voip.sip.sdp.description: what a section says about where its media goes."""

import pytest

from haproxy_voip.core.address import Address
from haproxy_voip.sip.sdp.description import Direction, MediaSection, literal, unicast


def section(**changes: object) -> MediaSection:
    known = MediaSection("audio", 5000, 1, "RTP/AVP", ("0",), 0, "192.0.2.1")
    for name, value in changes.items():
        setattr(known, name, value)
    return known


def test_media_and_rtcp_go_to_neighbouring_ports() -> None:
    assert section().address == Address("192.0.2.1", 5000)
    assert section().rtcp_address == Address("192.0.2.1", 5001)


def test_rtcp_goes_where_its_attribute_says() -> None:
    assert section(rtcp=(7000, None)).rtcp_address == Address("192.0.2.1", 7000)
    assert section(rtcp=(7000, "2001:db8::9")).rtcp_address == Address("2001:db8::9", 7000)


@pytest.mark.parametrize("host", [None, "0.0.0.0", "::", "phone.example", "239.1.2.3", "ff02::1", "fe80::1%eth0"])
def test_what_one_peer_cannot_be_reached_at_is_no_address(host: str | None) -> None:
    assert section(host=host).address is None
    assert section(host=host).rtcp_address is None


def test_a_rejected_stream_has_no_address_and_receives_nothing() -> None:
    assert section(port=0).rejected
    assert section(port=0).address is None
    assert section(port=0).rtcp_address is None
    assert not section(port=0).receives


def test_the_last_port_leaves_none_for_rtcp() -> None:
    assert section(port=65535).rtcp_address is None


@pytest.mark.parametrize(
    ("attribute", "host", "direction"),
    [
        (None, "192.0.2.1", Direction.SENDRECV),
        (Direction.SENDONLY, "192.0.2.1", Direction.SENDONLY),
        (None, "0.0.0.0", Direction.SENDONLY),
        (Direction.SENDRECV, "::", Direction.SENDONLY),
        (Direction.RECVONLY, "0.0.0.0", Direction.INACTIVE),
        (Direction.INACTIVE, "0.0.0.0", Direction.INACTIVE),
    ],
)
def test_both_forms_of_hold_are_recognised(attribute: Direction | None, host: str, direction: Direction) -> None:
    """RFC 3264 section 8.4: the attribute, and the null address of RFC 2543."""
    held = section(attribute=attribute, host=host)
    assert held.direction is direction
    assert held.receives == direction.receives


@pytest.mark.parametrize(
    ("proto", "carrier"),
    [
        ("RTP/AVP", "rtp"),
        ("rtp/savpf", "rtp"),
        ("UDP/TLS/RTP/SAVPF", "rtp"),
        ("udptl", "udptl"),
        ("UDP/DTLS/SCTP", "udptl"),
        ("TCP/MSRP", None),
        ("TCP/RTP/AVP", None),
        ("DTLS/SCTP", None),
    ],
)
def test_only_datagrams_can_be_anchored(proto: str, carrier: str | None) -> None:
    assert section(proto=proto).carrier == carrier


def test_literals_are_canonical() -> None:
    assert literal("2001:DB8:0::1") == "2001:db8::1"
    assert literal("phone.example") is None
    assert unicast("2001:DB8:0::1") == "2001:db8::1"
