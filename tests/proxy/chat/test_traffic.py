"""Requests in flight, carbons, floods, errors that come too early."""

from __future__ import annotations

from haproxy_voip.proxy.chat.traffic import AHEAD_STANZAS, WINDOW
from tests.proxy.chat.server import DOMAIN, ROOMS
from tests.proxy.chat.stage import Client, Stage

VCARD = "<vCard xmlns='vcard-temp'/>"
CARBONS = "<enable xmlns='urn:xmpp:carbons:2'/>"
COMMAND = "<command xmlns='http://jabber.org/protocol/commands' node='restart'/>"


def answers(client: Client) -> list[tuple[str | None, str | None]]:
    return [(one.id, one.type) for one in client.take("iq")]


def unanswered(stage: Stage, client: Client, payload: str, kind: str, to: str = "") -> str:
    """A request that dies with its server."""
    stage.run(1.0)
    stage.mute(client)
    asked = client.ask(payload, to, kind)
    stage.kill("alpha")
    stage.run(1.0)
    return asked


def test_a_question_is_asked_again() -> None:
    stage = Stage()
    alice = stage.client("alice")
    asked = unanswered(stage, alice, VCARD, "get")
    assert answers(alice) == [(asked, "result")]
    assert [one.id for one in stage.beta.handled if one.name == "iq"] == [asked]


def test_a_change_that_may_be_made_twice_is_made_again() -> None:
    stage = Stage()
    alice = stage.client("alice")
    asked = unanswered(stage, alice, VCARD, "set")
    assert answers(alice) == [(asked, "result")]


def test_another_change_comes_back_as_an_error_that_says_try_again() -> None:
    """Nobody knows whether it was made."""
    stage = Stage()
    alice = stage.client("alice")
    asked = unanswered(stage, alice, COMMAND, "set", DOMAIN)
    [error] = alice.take("iq")
    assert (error.id, error.type) == (asked, "error")
    assert b"recipient-unavailable" in error.raw and b"type='wait'" in error.raw
    assert [one for one in stage.beta.handled if one.name == "iq"] == []


def test_a_request_between_two_of_ours_is_made_again_and_carried_out_once() -> None:
    """Its recipient's session drops what it has had already, so it may be of any kind."""
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    stage.mute(alice)
    asked = alice.ask("<jingle xmlns='urn:xmpp:jingle:1'/>", bob.jid, "set")
    [request] = bob.take("iq")
    stage.kill("alpha")
    stage.run(1.0)
    assert bob.take("iq") == []
    bob.send(f"<iq type='result' id='{request.id}' to='{alice.jid}'/>")
    assert answers(alice) == [(asked, "result")]


def test_an_answer_given_twice_is_heard_once() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    asked = alice.ask("<ping xmlns='urn:xmpp:ping'/>", bob.jid)
    stage.mute(alice)
    bob.send(f"<iq type='result' id='{asked}' to='{alice.jid}'/>")
    assert answers(alice) == []
    stage.kill("alpha")
    stage.run(1.0)
    assert answers(alice) == [(asked, "result")]


def test_a_copy_for_another_resource_is_not_lost_and_not_doubled() -> None:
    """XEP-0280."""
    stage = Stage()
    alice, phone, bob = stage.client("alice"), stage.client("alice", "phone"), stage.client("bob")
    phone.ask(CARBONS, kind="set")
    phone.take()
    stage.run(1.0)
    alice.say(bob.jid, "1")
    stage.mute(phone)
    alice.say(bob.jid, "2")
    stage.kill("alpha")
    stage.run(1.0)
    alice.say(bob.jid, "3")
    assert bob.said() == phone.said() == ["1", "2", "3"]


def test_a_flooding_client_is_not_read_from_until_its_server_has_caught_up() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.freeze("alpha")
    for number in range(AHEAD_STANZAS + WINDOW + 1):
        alice.say(bob.jid, str(number))
    assert alice.paused
    assert len(stage.session(alice).residence.active.books.unacknowledged) == WINDOW  # type: ignore[union-attr]
    stage.alpha.thaw(stage.now)
    stage.settle()
    assert not alice.paused
    assert bob.said() == [str(number) for number in range(AHEAD_STANZAS + WINDOW + 1)]


def test_a_server_that_stops_puts_nobody_out_of_a_room_and_says_of_nobody_that_it_is_gone() -> None:
    """As Prosody does at SIGTERM: occupants are thrown out, presences are returned, and no word about why."""
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    room = alice.join("lobby")
    bob.join("lobby")
    stage.run(1.0)
    alice.take(), bob.take()
    stage.alpha.terminate()
    for client in (alice, bob):
        session = stage.chat.shared.sessions.by_jid[client.jid]
        assert session.residence.active is not None or session.residence.backend is not None
    stage.kill("alpha")
    stage.run(20.0)
    alice.say(room, "still here", kind="groupchat")
    assert bob.said() == alice.said() == ["still here"]
    assert [one for one in (*alice.inbox, *bob.inbox) if one.name == "presence"] == []


def test_an_error_about_somebody_who_is_there_is_believed_only_if_the_server_stays() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    gone = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    bounce = f"<message from='{bob.jid}' to='{alice.jid}' id='x' type='error'>{gone}</message>"
    stage.alpha.sessions[alice.jid].send(bounce.encode())
    stage.settle()
    assert alice.inbox == []
    stage.run(1.0)
    assert [one.type for one in alice.take()] == ["error"]
    alice.say(bob.jid, "hello")
    stage.mute(bob)
    alice.say(bob.jid, "lost", id="y")
    stage.alpha.sessions[alice.jid].send(bounce.replace("'x'", "'y'").encode())
    stage.settle()
    stage.kill("alpha")
    stage.run(2.0)
    assert bob.said() == ["hello", "lost"] and alice.inbox == []


def test_a_kick_is_a_kick() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    room = alice.join("lobby")
    bob.join("lobby")
    alice.take(), bob.take()
    stage.alpha.leave_room(room, "bob", "307")
    stage.settle()
    assert [one.type for one in alice.take()] == [one.type for one in bob.take()] == ["unavailable"]
    stage.run(1.0)
    stage.kill("alpha")
    stage.run(1.0)
    assert list(stage.beta.occupants(f"lobby@{ROOMS}")) == ["alice"]


def test_thrown_out_by_accident_at_a_server_that_stays_it_comes_in_again() -> None:
    stage = Stage()
    alice = stage.client("alice")
    room = alice.join("lobby")
    alice.take()
    stage.alpha.leave_room(room, "alice", "333")
    stage.settle()
    assert list(stage.alpha.occupants(room)) == []
    stage.run(10.0)
    assert list(stage.alpha.occupants(room)) == ["alice"] and alice.inbox == []


def test_a_server_without_stream_management_acknowledges_by_answering_pings() -> None:
    stage = Stage()
    for server in stage.servers.values():
        server.management = False
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.run(1.0)
    alice.say(bob.jid, "1")
    assert alice.acknowledged() == 2
    stage.mute(alice)
    alice.say(bob.jid, "2")
    assert alice.acknowledged() == 2
    stage.kill("alpha")
    stage.run(1.0)
    assert bob.said() == ["1", "2"] and alice.acknowledged() == 3
