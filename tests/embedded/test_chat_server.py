"""The embedded chat server's accounts, sessions and life."""

from __future__ import annotations

import pytest

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.effects import Close
from haproxy_voip.core.events import StreamOpened
from haproxy_voip.embedded import chat_server
from haproxy_voip.embedded.chat_client import ChatClient
from haproxy_voip.embedded.chat_facts import (
    ClientLost,
    ClientOffline,
    ClientOnline,
    ClientResumed,
    ClientSaw,
    ClientTurnedAway,
)
from haproxy_voip.embedded.chat_server import ChatServer
from haproxy_voip.embedded.settings import ChatClientSettings, ChatServerSettings
from tests.embedded.chat_room import DOMAIN, SERVER, USERS, Place


def test_who_has_the_password_gets_the_resource_it_asks_for() -> None:
    place = Place()
    alice = place.client("alice", "desk")
    assert alice.jid == f"alice@{DOMAIN}/desk" and list(place.server.sessions) == [alice.jid]


def test_who_has_not_is_turned_away_for_good() -> None:
    place = Place()
    mallory = place.client("alice", password="guessed", online=False)
    place.world.run(1.0)
    assert [fact.temporary for fact in place.facts(mallory, ClientTurnedAway)] == [False]
    assert place.server.sessions == {}


def test_a_session_outlives_its_connection_for_a_while() -> None:
    place = Place(resumable=5.0)
    alice = place.client("alice", retry_after=3.0)
    place.cut(alice)
    place.world.run(4.0)
    assert place.facts(alice, ClientResumed) and len(place.facts(alice, ClientOnline)) == 1


def test_and_no_longer() -> None:
    place = Place(resumable=5.0)
    alice, bob = place.client("alice", retry_after=7.0), place.client("bob")
    place.cut(alice)
    place.world.run(6.0)
    assert list(place.server.sessions) == [bob.jid]
    assert ClientSaw(bob.jid, f"alice@{DOMAIN}/home", False) in place.facts(bob, ClientSaw)
    place.world.run(2.0)
    assert not place.facts(alice, ClientResumed) and len(place.facts(alice, ClientOnline)) == 2


def test_without_stream_management_it_ends_with_the_connection() -> None:
    place = Place(management=False)
    alice = place.client("alice", retry_after=10.0)
    place.cut(alice)
    place.world.run(0.1)
    assert place.server.sessions == {} and place.facts(alice, ClientLost)


def test_the_newer_login_has_the_resource() -> None:
    """RFC 6120 section 7.7.2.2, case 3."""
    place = Place()
    older = place.client("alice", retry_after=60.0)
    [session] = place.server.sessions.values()
    wanted = ChatClientSettings(
        user="alice", password=USERS["alice"], domain=DOMAIN, resource="home", server=SERVER, secure=False
    )
    newer: ChatClient = place.world.add("newer", ChatClient(wanted, Chance.seeded(7)), [])
    place.world.act("newer", newer.connect)
    place.world.run(1.0)
    [offline] = place.facts(older, ClientOffline)
    assert "conflict" in offline.reason and newer.online
    assert place.server.sessions[newer.jid] is not session


def test_somebody_elses_session_cannot_be_resumed() -> None:
    place = Place()
    alice, bob = place.client("alice"), place.client("bob")
    bob._name, alice._name = alice._name, bob._name
    place.cut(bob)
    place.world.run(1.0)
    assert len(place.facts(bob, ClientOnline)) == 2  # another session
    assert not place.facts(bob, ClientResumed)


def test_whoever_is_told_of_the_end_is_disconnected() -> None:
    place = Place()
    alice, bob = place.client("alice", retry_after=60.0), place.client("bob", retry_after=60.0)
    place.world.act("server", place.server.shut_down)
    place.world.run(0.1)
    for client in (alice, bob):
        [offline] = place.facts(client, ClientOffline)
        assert "system-shutdown" in offline.reason
    assert place.server.sessions == {} and place.server.links == {}


def test_what_is_stored_is_there_after_a_restart() -> None:
    place = Place()
    alice = place.client("alice")
    place.act(alice, "say", f"bob@{DOMAIN}", "later")
    place.world.kill("server")
    place.start()
    assert place.heard(place.client("bob")) == ["later"]


def test_one_connection_too_many_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ChatServer(ChatServerSettings(users=USERS, domain=DOMAIN), Chance.seeded(1))
    monkeypatch.setattr(chat_server, "MAX_LINKS", 1)
    here, there = Address("192.0.2.1", 5222), Address("192.0.2.2", 4000)
    first, second = (Flow(Transport.TCP, here, there, number) for number in (1, 3))
    assert server.receive(StreamOpened(first), 0.0) == []
    assert server.receive(StreamOpened(second), 0.0) == [Close(second)]


def test_who_says_nothing_after_connecting_is_disconnected() -> None:
    place = Place()
    flow = Flow(Transport.TCP, Address("192.0.2.20", 5222), Address("192.0.2.9", 4000), 99)
    place.world.act("server", lambda now: place.server.receive(StreamOpened(flow), now))
    place.world.run(61.0)
    assert 99 not in place.server.links
