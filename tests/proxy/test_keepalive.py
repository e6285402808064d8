"""Keepalives for UDP clients behind NAT."""

from __future__ import annotations

from tests.proxy.servers import Servers, register, unregister

PRIVATE = "<sip:1001@192.168.1.20:5060>"


def test_a_client_behind_nat_is_sent_an_empty_line_each_interval() -> None:
    stage = Servers()
    alice, bob = stage.client("1001"), stage.client("1002")
    register(alice, contact=PRIVATE)
    register(bob)
    before = alice.pongs
    stage.pass_time(100)
    assert alice.pongs - before == 4
    assert bob.pongs == 0
    assert len(stage.node._registrar.keepalives) == 1
    stage.assert_nothing_left()


def test_it_ends_with_the_registration_and_when_the_client_comes_out_from_behind() -> None:
    stage = Servers()
    alice = stage.client("1001")
    register(alice, contact=PRIVATE)
    unregister(alice)
    assert len(stage.node._registrar.keepalives) == 0
    outbound = ';+sip.instance="<urn:uuid:1>";reg-id=1'
    register(alice, contact=f"{PRIVATE}{outbound}")
    assert len(stage.node._registrar.keepalives) == 1
    register(alice, contact=f"{alice.contact}{outbound}")
    assert len(stage.node._registrar.keepalives) == 0
    stage.assert_nothing_left()


def test_many_are_spread_over_the_interval() -> None:
    stage = Servers(users=[str(number) for number in range(3000, 3100)])
    for number in range(100):
        peer = stage.client(str(3000 + number), f"127.2.0.{number + 1}")
        register(peer, contact="<sip:phone@192.168.1.20>")
    groups = [len(group) for group in stage.node._registrar.keepalives._groups]
    assert max(groups) <= 5


def test_a_stream_needs_none() -> None:
    stage = Servers()
    register(stage.connected("1001", 1), contact=PRIVATE)
    assert len(stage.node._registrar.keepalives) == 0
