"""The embedded chat client, where it does more than its server asks of it."""

from __future__ import annotations

import pytest

from haproxy_voip.core.events import Datagram
from haproxy_voip.embedded import chat_client
from haproxy_voip.embedded.chat_facts import (
    ClientAcknowledged,
    ClientHeard,
    ClientLost,
    ClientOffline,
    ClientOnline,
    ClientRefused,
    ClientResumed,
    ClientTurnedAway,
)
from tests.embedded.chat_room import DOMAIN, ROOMS, Place

LOBBY = f"lobby@{ROOMS}"


def test_it_comes_back_to_its_session_and_sends_what_the_server_lacks() -> None:
    place = Place()
    alice, bob = place.client("alice"), place.client("bob")
    place.cut(alice)
    place.act(alice, "say", bob.jid, "said without a connection", id="1")
    place.world.run(1.0)
    assert place.heard(bob) == ["said without a connection"]
    assert place.facts(alice, ClientResumed) and place.facts(alice, ClientAcknowledged)[-1].ids == ("1",)


def test_where_the_session_is_gone_it_says_what_is_in_doubt_and_begins_anew() -> None:
    place = Place()
    alice = place.client("alice")
    place.act(alice, "enter", LOBBY, "alice")
    place.world.kill("server")
    place.world.run(0.01)
    place.act(alice, "say", f"bob@{DOMAIN}", "lost, perhaps", id="1")
    place.start()
    place.world.run(2.0)
    [lost] = place.facts(alice, ClientLost)
    assert lost.in_doubt == ("1",) and len(place.facts(alice, ClientOnline)) == 2
    assert list(place.server.rooms.by_address[LOBBY].occupants) == ["alice"]  # it is in its rooms again


def test_what_is_said_before_it_is_online_goes_first() -> None:
    place = Place()
    bob = place.client("bob")
    alice = place.client("alice", online=False)
    place.act(alice, "say", bob.jid, "early")
    place.world.run(1.0)
    assert place.heard(bob) == ["early"]


def test_of_that_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_client, "MAX_WAITING", 1)
    place = Place()
    alice = place.client("alice", online=False)
    for id in ("1", "2"):
        place.world.act("alice/home", lambda now, id=id: alice.say(f"bob@{DOMAIN}", id, now, id=id))  # type: ignore[misc]
    assert place.facts(alice, ClientRefused) == [ClientRefused("", "2", "resource-constraint")]


def test_it_tries_again_while_the_server_is_down() -> None:
    place = Place()
    place.world.kill("server")
    alice = place.client("alice", online=False)
    place.world.run(3.0)
    assert not alice.online
    place.start()
    place.world.run(1.0)
    assert alice.online


def test_it_does_not_try_a_wrong_password_again() -> None:
    place = Place()
    alice = place.client("alice", password="wrong", online=False)
    place.world.run(30.0)
    assert len(place.facts(alice, ClientTurnedAway)) == 1 and alice.deadline is None


def test_connecting_twice_is_connecting_once() -> None:
    place = Place()
    alice = place.client("alice")
    place.act(alice, "connect")
    assert len(place.server.links) == 1


def test_leaving_ends_the_session_and_nothing_comes_after() -> None:
    place = Place()
    alice, bob = place.client("alice"), place.client("bob")
    place.act(bob, "leave")
    place.act(alice, "say", f"bob@{DOMAIN}", "later")
    place.world.run(5.0)
    assert place.heard(bob) == [] and [fact.resumable for fact in place.facts(bob, ClientOffline)] == [False]
    place.act(bob, "connect")
    place.world.run(1.0)
    assert place.heard(bob) == ["later"]


def test_copies_from_others_than_its_own_account_are_forged() -> None:
    """XEP-0280 section 11."""
    place = Place()
    alice, bob = place.client("alice"), place.client("bob")
    inside = f"<message xmlns='jabber:client' from='carol@{DOMAIN}/x' to='{bob.jid}'><body>forged</body></message>"
    copy = f"<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{inside}</forwarded></received>"
    place.act(alice, "send", f"<message to='{bob.jid}'>{copy}</message>".encode())
    assert place.facts(bob, ClientHeard) == []


def test_without_stream_management_it_still_talks() -> None:
    place = Place()
    alice, bob = place.client("alice", management=False), place.client("bob")
    place.act(alice, "say", bob.jid, "hello")
    assert place.heard(bob) == ["hello"]
    place.cut(alice)
    place.world.run(1.0)
    assert len(place.facts(alice, ClientOnline)) == 2 and not place.facts(alice, ClientResumed)


def test_datagrams_are_not_for_it() -> None:
    place = Place()
    alice = place.client("alice")
    assert alice.receive(Datagram(b"", next(iter(place.server.links.values())).flow), 0.0) == []
