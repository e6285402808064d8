"""What the parts of chat share."""

from __future__ import annotations

from haproxy_voip.configuration.model import BackendConfig
from haproxy_voip.core.address import Address, Endpoint, Transport
from tests.proxy.chat.stage import Stage, config


def test_a_backend_is_reached_over_tcp_in_its_own_family_under_a_number_of_ours() -> None:
    at = Endpoint(Transport.TLS, Address("2001:db8::1", 5223))
    shared = Stage(config(backends=(BackendConfig(name="alpha", xmpp=at),))).chat.shared
    first, second = shared.flow_to("alpha"), shared.flow_to("alpha")
    assert (first.transport, first.local, first.remote) == (Transport.TCP, Address("::", 0), at.address)
    assert first.connection % 2 == 0 and second.connection == first.connection + 2


def test_an_owner_is_waited_for_only_while_it_is_under_way() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    room = alice.join("lobby")
    bob.join("lobby")
    shared = stage.chat.shared
    assert not shared.owner_comes(room, stage.session(bob))
    stage.session(alice).residence.leave("alpha", stage.now, in_peace=False)
    assert shared.owner_comes(room, stage.session(bob))
    assert not shared.owner_comes(room, stage.session(alice))
