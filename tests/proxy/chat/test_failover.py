"""A server dies: nothing is lost, nothing doubled, nobody notices."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.chat_facts import ChatFailover
from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import Stage, config

STANDBY = pytest.mark.parametrize("standby", ["available", "hot", "warm", "cold"])


@STANDBY
def test_a_killed_server_is_left_for_the_next_and_no_client_is_disconnected(standby: str) -> None:
    stage = Stage(config(standby))
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    stage.kill("alpha")
    alice.say(bob.jid, "still there?")
    stage.run(1.0)
    assert bob.said() == ["still there?"]
    assert not alice.ended and not bob.ended
    assert stage.backend_of(alice) == stage.backend_of(bob) == "beta"


@STANDBY
def test_the_record_says_how_many_moved_and_how_long_it_took(standby: str) -> None:
    stage = Stage(config(standby))
    stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    stage.kill("alpha")
    stage.run(1.0)
    [record] = [fact for fact in stage.facts if isinstance(fact, ChatFailover)]
    assert (record.backend, record.successor, record.sessions, record.lost) == ("alpha", "beta", 2, {})
    assert record.settled_after < 0.1


@STANDBY
def test_contacts_see_no_flap_of_one_another(standby: str) -> None:
    stage = Stage(config(standby))
    clients = [stage.client(name) for name in ("alice", "bob", "carol")]
    for client in clients:
        client.send("<presence><show>away</show></presence>")
    stage.run(1.0)
    for client in clients:
        client.inbox.clear()
    stage.kill("alpha")
    stage.run(20.0)
    assert [client.inbox for client in clients] == [[], [], []]
    assert len(stage.beta.sessions) == 3


def test_a_message_the_server_took_with_it_is_sent_again() -> None:
    """Not acknowledged and not delivered."""
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.alpha.mute = True
    alice.say(bob.jid, "lost?")
    assert bob.said() == [] and alice.acknowledged() == 1  # its presence
    stage.kill("alpha")
    stage.run(1.0)
    assert bob.said() == ["lost?"]
    assert alice.acknowledged() == 2


def test_a_message_acknowledged_but_not_delivered_is_sent_again() -> None:
    """XEP-0198 alone would lose it."""
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.mute(bob)
    alice.say(bob.jid, "lost?")
    assert bob.said() == [] and alice.acknowledged() == 2
    stage.kill("alpha")
    stage.run(1.0)
    assert bob.said() == ["lost?"]


def test_a_message_delivered_but_not_acknowledged_is_not_seen_twice() -> None:
    """XEP-0198 alone would double it."""
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.mute(alice)
    alice.say(bob.jid, "twice?")
    assert bob.said() == ["twice?"] and alice.acknowledged() == 1
    stage.kill("alpha")
    stage.run(1.0)
    assert bob.said() == ["twice?"]
    assert [one.id for one in stage.beta.handled if one.name == "message"] == ["alice-1"]  # it was sent again
    assert alice.acknowledged() == 2


def test_a_message_delivered_and_acknowledged_is_not_sent_again() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.say(bob.jid, "once")
    stage.kill("alpha")
    stage.run(1.0)
    assert [one for one in stage.beta.handled if one.name == "message"] == []


def test_the_order_between_two_is_kept_whatever_had_arrived() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.say(bob.jid, "1")
    stage.mute(bob)
    alice.say(bob.jid, "2")
    stage.mute(alice)
    alice.say(bob.jid, "3")
    stage.kill("alpha")
    alice.say(bob.jid, "4")
    stage.run(1.0)
    alice.say(bob.jid, "5")
    assert bob.said() == ["1", "2", "3", "4", "5"]


@STANDBY
def test_what_is_said_while_everybody_moves_arrives_in_order(standby: str) -> None:
    stage = Stage(config(standby))
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    stage.freeze("alpha")
    for number in range(100):
        alice.say(f"bob@{DOMAIN}" if number % 2 else bob.jid, str(number))
        stage.run(0.01)
    assert bob.said() == [str(number) for number in range(100)]
    assert stage.backend_of(bob) == "beta"


def test_a_message_without_an_id_is_told_apart_as_well() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.mute(alice)
    alice.send(f"<message to='{bob.jid}'><body>anonymous</body></message>")
    stage.kill("alpha")
    stage.run(1.0)
    assert bob.said() == ["anonymous"]


def test_two_messages_with_one_id_are_two_messages() -> None:
    """Some clients count from 1 in every conversation, some do not count at all."""
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.mute(bob)
    alice.say(bob.jid, "first", id="same")
    alice.say(bob.jid, "second", id="same")
    stage.kill("alpha")
    stage.run(1.0)
    assert bob.said()[:2] == ["first", "second"]


def test_a_message_that_kills_every_server_is_sent_to_three_only() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    for server in stage.servers.values():
        server.poison = b"poison"
    alice.say(bob.jid, "poison")
    stage.run(6.0)
    assert [server.frozen for server in stage.servers.values()] == [True, True, True]
    assert stage.backend_of(alice) is None and not alice.ended
    stage.revive("alpha")
    [refusal] = [one for one in alice.inbox if one.type == "error"]
    assert refusal.id == "alice-1" and b"recipient-unavailable" in refusal.raw
    assert bob.said() == [] and alice.acknowledged() == 2


def test_a_second_failover_while_the_first_is_under_way_loses_nothing() -> None:
    stage = Stage(config("cold"))
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.mute(bob)
    alice.say(bob.jid, "through two fires")
    stage.freeze("beta")
    stage.kill("alpha")
    stage.run(0.5)
    stage.kill("beta")
    stage.run(1.0)
    assert stage.backend_of(alice) == "charlie"
    assert bob.said() == ["through two fires"]


def test_somebody_who_was_only_at_the_dead_server_is_gone_after_the_hold() -> None:
    stage = Stage()
    bob = stage.client("bob")
    dave = stage.stranger(stage.alpha, "dave")
    assert [one.from_ for one in bob.take("presence")] == [dave.jid]
    stage.kill("alpha")
    stage.run(3.0)
    assert bob.inbox == []
    stage.run(3.0)
    assert [(one.from_, one.type) for one in bob.inbox] == [(dave.jid, "unavailable")]


def test_what_changed_about_a_contact_is_told() -> None:
    stage = Stage()
    bob = stage.client("bob")
    dave = stage.stranger(stage.alpha, "dave")
    there = stage.stranger(stage.beta, "dave")
    there.presence = f"<presence from='{dave.jid}'><show>dnd</show></presence>".encode()
    bob.inbox.clear()
    stage.kill("alpha")
    stage.run(10.0)
    assert [one.raw for one in bob.inbox] == [
        f"<presence to='{bob.jid}' from='{dave.jid}'><show>dnd</show></presence>".encode()
    ]
