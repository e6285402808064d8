"""Questions to the kernel, and its answers."""

import errno
import socket
import struct

import pytest

from haproxy_voip.edge.netlink import Netlink, attribute, attributes

GET_LINK = 18
LINK = struct.Struct("=BxHiII")
IFLA_IFNAME = 3


@pytest.fixture
def netlink():
    opened = Netlink()
    yield opened
    opened.close()


def test_the_loopback_is_there(netlink: Netlink) -> None:
    answer = netlink.one(GET_LINK, LINK.pack(socket.AF_UNSPEC, 0, 1, 0, 0))
    assert attributes(answer[LINK.size :])[IFLA_IFNAME] == b"lo\0"


def test_all_interfaces_are_told_one_by_one(netlink: Netlink) -> None:
    answers = netlink.all(GET_LINK, LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
    names = {attributes(answer[LINK.size :])[IFLA_IFNAME].rstrip(b"\0").decode() for answer in answers}
    assert names == {name for _, name in socket.if_nameindex()}


def test_a_refusal_is_an_error_and_the_next_question_is_answered(netlink: Netlink) -> None:
    with pytest.raises(OSError) as raised:
        netlink.one(GET_LINK, LINK.pack(socket.AF_UNSPEC, 0, 2**30, 0, 0))
    assert raised.value.errno == errno.ENODEV
    assert netlink.one(GET_LINK, LINK.pack(socket.AF_UNSPEC, 0, 1, 0, 0))


def test_attributes_are_read_as_they_are_written() -> None:
    written = attribute(1, b"abc") + attribute(0x8000 | 2, b"") + attribute(3, bytes(8))
    assert len(written) % 4 == 0
    assert attributes(written) == {1: b"abc", 2: b"", 3: bytes(8)}


def test_attributes_cut_off_or_without_size_come_to_an_end() -> None:
    written = attribute(1, b"abc") + attribute(3, bytes(8))
    for size in range(len(written)):
        attributes(written[:size])
    assert attributes(bytes(12)) == {0: b""}
