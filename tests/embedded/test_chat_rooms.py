"""The embedded chat server's rooms, by the sections of XEP-0045."""

from __future__ import annotations

import pytest

from haproxy_voip.embedded import chat_rooms
from haproxy_voip.embedded.chat_client import ChatClient
from haproxy_voip.embedded.chat_facts import ClientHeard, ClientRefused, ClientSaw
from tests.embedded.chat_room import ROOMS, Place

LOBBY = f"lobby@{ROOMS}"


@pytest.fixture
def place() -> Place:
    return Place()


def inside(place: Place, *users: str) -> list[ChatClient]:
    """Clients that are in the lobby, each under its own name."""
    clients = [place.client(user) for user in users]
    for user, client in zip(users, clients, strict=True):
        place.act(client, "enter", LOBBY, user)
    return clients


def seen(place: Place, client: ChatClient) -> list[tuple[str, bool]]:
    """Occupants as they came and went."""
    facts = place.facts(client, ClientSaw)
    return [(fact.who.partition("/")[2], fact.available) for fact in facts if ROOMS in fact.who]


def raws(place: Place, client: ChatClient) -> list[bytes]:
    """Everything that is sent to a client from now on."""
    got: list[bytes] = []
    session = place.server.sessions[client.jid]
    send = session.send

    def keep(raw: bytes) -> None:
        got.append(raw)
        send(raw)

    session.send = keep  # type: ignore[method-assign]
    return got


def test_whoever_enters_sees_who_is_there_and_is_seen(place: Place) -> None:
    alice, bob = inside(place, "alice", "bob")
    assert seen(place, alice) == [("alice", True), ("bob", True)]
    assert seen(place, bob) == [("alice", True), ("bob", True)]


def test_the_first_one_owns_it_and_is_told_that_it_is_new(place: Place) -> None:
    """Section 10.1.1."""
    alice = place.client("alice")
    got = raws(place, alice)
    place.act(alice, "enter", LOBBY, "alice")
    assert b"affiliation='owner'" in got[0] and b"code='110'" in got[0] and b"code='201'" in got[0]
    assert got[-1].startswith(b"<message") and b"<subject/>" in got[-1]


def test_what_is_said_is_heard_by_all(place: Place) -> None:
    alice, bob = inside(place, "alice", "bob")
    place.act(alice, "say", LOBBY, "hello", kind="groupchat")
    for client in (alice, bob):
        [heard] = place.facts(client, ClientHeard)
        assert (heard.text, heard.sender, heard.kind) == ("hello", f"{LOBBY}/alice", "groupchat")


@pytest.mark.parametrize(
    ("history", "expected"), [("", 20), ("<history maxstanzas='3'/>", 3), ("<history seconds='5'/>", 8)]
)
def test_what_was_said_before_is_told_as_far_as_wanted(place: Place, history: str, expected: int) -> None:
    """Section 7.2.14."""
    [alice] = inside(place, "alice")
    for number in range(30):
        place.act(alice, "say", LOBBY, str(number), kind="groupchat")
        if number == 21:
            place.world.run(10.0)
    bob = place.client("bob")
    joining = f"<x xmlns='http://jabber.org/protocol/muc'>{history}</x>"
    place.act(bob, "send", f"<presence to='{LOBBY}/bob'>{joining}</presence>".encode())
    told = place.facts(bob, ClientHeard)
    assert [fact.text for fact in told] == [str(number) for number in range(30 - expected, 30)]
    assert all(fact.delayed for fact in told)


def test_history_is_told_since_a_moment_and_is_limited(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_rooms, "MAX_HISTORY", 5)
    [alice] = inside(place, "alice")
    for number in range(8):
        place.act(alice, "say", LOBBY, str(number), kind="groupchat")
    assert len(place.server.rooms.by_address[LOBBY].history) == 5
    bob = place.client("bob")
    joining = "<x xmlns='http://jabber.org/protocol/muc'><history since='1970-01-01T00:00:00Z'/></x>"
    place.act(bob, "send", f"<presence to='{LOBBY}/bob'>{joining}</presence>".encode())
    assert place.heard(bob) == ["3", "4", "5", "6", "7"]


def test_the_subject_is_told_to_who_comes_later(place: Place) -> None:
    """Section 8.1."""
    [alice] = inside(place, "alice")
    place.act(alice, "send", f"<message to='{LOBBY}' type='groupchat'><subject>birds</subject></message>".encode())
    bob = place.client("bob")
    got = raws(place, bob)
    place.act(bob, "enter", LOBBY, "bob")
    assert b"<subject>birds</subject>" in got[-1] and f"from='{LOBBY}/alice'".encode() in got[-1]


def test_leaving_is_seen_and_the_last_one_takes_the_room_along(place: Place) -> None:
    alice, bob = inside(place, "alice", "bob")
    place.act(bob, "exit", LOBBY)
    assert seen(place, alice)[-1] == ("bob", False) and seen(place, bob)[-1] == ("bob", False)
    place.act(alice, "leave")
    assert place.server.rooms.by_address == {}


def test_a_nick_that_is_taken_is_refused(place: Place) -> None:
    """Section 7.2.8."""
    inside(place, "alice")
    bob = place.client("bob")
    got = raws(place, bob)
    place.act(bob, "enter", LOBBY, "alice")
    assert (
        b"<conflict" in got[0] and place.server.rooms.by_address[LOBBY].nick_of(place.server.sessions[bob.jid]) is None
    )


def test_a_new_nick_is_told_as_one(place: Place) -> None:
    """Section 7.6."""
    alice, bob = inside(place, "alice", "bob")
    got = raws(place, alice)
    place.act(bob, "send", f"<presence to='{LOBBY}/bobby'/>".encode())
    assert b"nick='bobby'" in got[0] and b"code='303'" in got[0] and b"type='unavailable'" in got[0]
    assert seen(place, alice)[-2:] == [("bob", False), ("bobby", True)]


def test_a_new_state_is_told(place: Place) -> None:
    alice, bob = inside(place, "alice", "bob")
    got = raws(place, alice)
    place.act(bob, "send", f"<presence to='{LOBBY}/bob'><show>away</show></presence>".encode())
    assert b"<show>away</show>" in got[0] and b"code='110'" not in got[0]


def test_a_whisper_is_for_one(place: Place) -> None:
    """Section 7.5."""
    alice, bob, carol = inside(place, "alice", "bob", "carol")
    place.act(alice, "say", f"{LOBBY}/bob", "psst")
    [heard] = place.facts(bob, ClientHeard)
    assert heard.sender == f"{LOBBY}/alice" and place.heard(carol) == []
    place.act(alice, "say", f"{LOBBY}/nobody", "psst", id="w")
    assert place.facts(alice, ClientRefused) == [ClientRefused(alice.jid, "w", "item-not-found")]


def test_who_is_not_inside_is_not_heard(place: Place) -> None:
    """Section 7.4."""
    inside(place, "alice")
    bob = place.client("bob")
    place.act(bob, "say", LOBBY, "let me in", kind="groupchat", id="1")
    place.act(bob, "say", f"no-such-room@{ROOMS}", "hello", kind="groupchat", id="2")
    refused = [(fact.id, fact.condition) for fact in place.facts(bob, ClientRefused)]
    assert refused == [("1", "not-acceptable"), ("2", "item-not-found")]


@pytest.mark.parametrize(
    ("payload", "kind", "answer"),
    [
        ("<query xmlns='http://jabber.org/protocol/disco#info'/>", "get", b"conference"),
        ("<query xmlns='http://jabber.org/protocol/muc#owner'/>", "set", b"type='result'"),
        ("<ping xmlns='urn:xmpp:ping'/>", "get", b"type='result'"),
        ("<query xmlns='unknown'/>", "get", b"service-unavailable"),
    ],
)
def test_a_room_answers(place: Place, payload: str, kind: str, answer: bytes) -> None:
    [alice] = inside(place, "alice")
    got = raws(place, alice)
    place.act(alice, "send", f"<iq type='{kind}' id='1' to='{LOBBY}'>{payload}</iq>".encode())
    assert answer in got[0]


def test_there_are_no_more_rooms_than_the_limit(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_rooms, "MAX_ROOMS", 1)
    [alice] = inside(place, "alice")
    got = raws(place, alice)
    place.act(alice, "enter", f"second@{ROOMS}", "alice")
    assert b"<not-allowed" in got[0]
