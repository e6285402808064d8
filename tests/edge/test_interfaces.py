"""What the kernel says of its interfaces; the loopback is the one that is everywhere."""

from haproxy_voip.edge.interfaces import LOOPBACK, Interface, arriving, interfaces


def test_the_loopback_is_found_with_its_addresses() -> None:
    [loopback] = [one for one in interfaces() if one.hardware == LOOPBACK]
    assert loopback.name == "lo" and loopback.usable and "127.0.0.1" in loopback.hosts


def test_what_this_machine_sends_to_itself_arrives_on_its_loopback_whatever_the_address() -> None:
    assert arriving(["127.0.0.1"]) == arriving(["192.0.2.255"]) == arriving([]) == ["lo"]


def test_a_wildcard_stands_for_every_interface_that_can_be_used() -> None:
    """Other tests may make and remove some meanwhile; test_media_namespaces.py has machines of its own."""
    for wildcard in ("0.0.0.0", "::"):
        before, found, after = interfaces(), arriving([wildcard]), interfaces()
        usable = [{one.name for one in seen if one.usable} for seen in (before, after)]
        assert usable[0] & usable[1] <= set(found) <= usable[0] | usable[1]


def test_one_that_is_down_or_speaks_no_ethernet_is_left_out() -> None:
    assert not Interface("eth0", hardware=1, up=False).usable
    assert not Interface("tun0", hardware=65534, up=True).usable  # no link layer header at all
