"""Blocks of loopback addresses."""

from __future__ import annotations

import socket

import pytest

from haproxy_voip.embedded import demo_place
from haproxy_voip.embedded.demo_place import PROXY, DemoFailed, Place


def test_two_demonstrations_never_share_a_block() -> None:
    one, other = Place.claim(), Place.claim()
    assert one.block != other.block and one.address(PROXY) != other.address(PROXY)
    for place in (one, other):
        place.give_back()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
            bound.bind(place.address(demo_place.CLAIM))


def test_a_block_in_which_something_listens_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    free = Place.claim()
    free.give_back()
    monkeypatch.setattr(demo_place, "BLOCKS", [free.block])
    monkeypatch.setattr(demo_place, "SIP_PORTS", [free.port])
    with socket.socket() as taken:
        taken.bind(free.address(demo_place.CALLEE))
        taken.listen()
        with pytest.raises(DemoFailed):
            Place.claim()


def test_chat_has_a_port_of_its_own_that_is_free_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    free = Place.claim()
    free.give_back()
    monkeypatch.setattr(demo_place, "BLOCKS", [free.block])
    monkeypatch.setattr(demo_place, "SIP_PORTS", [free.port])
    assert free.chat_address(PROXY).host == free.address(PROXY).host
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of an earlier test's connections
        taken.bind(free.chat_address(demo_place.FIRST_BACKEND))
        taken.listen()
        with pytest.raises(DemoFailed):
            Place.claim()
