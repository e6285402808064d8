"""Where the embedded chat server sends stanzas, by the sections of RFC 6121."""

from __future__ import annotations

import pytest

from haproxy_voip.embedded import chat_routing
from haproxy_voip.embedded.chat_client import ChatClient
from haproxy_voip.embedded.chat_facts import ClientHeard, ClientRefused, ClientSaw
from tests.embedded.chat_room import DOMAIN, ROOMS, Place


class Answers:
    """A client that keeps iqs and errors as they came."""

    def __init__(self, place: Place, client: ChatClient) -> None:
        self.place, self.client = place, client
        self.got: list[bytes] = []
        take = client._stanza

        def keep(stanza: object, now: float) -> None:
            self.got.append(stanza.raw)  # type: ignore[attr-defined]
            take(stanza, now)  # type: ignore[arg-type]

        client._stanza = keep  # type: ignore[method-assign]

    def ask(self, raw: str) -> bytes:
        """The answer to an iq."""
        self.got.clear()
        self.place.act(self.client, "send", raw.encode())
        [answer] = [raw for raw in self.got if raw.startswith(b"<iq")]
        return answer


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_message_to_a_resource_is_for_that_one_and_copied_to_the_others(place: Place) -> None:
    alice, phone, desk = place.client("alice"), place.client("bob", "phone"), place.client("bob", "desk")
    place.act(alice, "say", phone.jid, "hello")
    assert [fact.carbon for fact in place.facts(phone, ClientHeard)] == [False]
    assert [fact.carbon for fact in place.facts(desk, ClientHeard)] == [True]


def test_what_one_client_sends_the_others_of_the_same_user_see(place: Place) -> None:
    """XEP-0280 section 6."""
    phone, desk, bob = place.client("alice", "phone"), place.client("alice", "desk"), place.client("bob")
    place.act(phone, "say", f"bob@{DOMAIN}", "hello")
    assert place.heard(bob) == place.heard(desk) == ["hello"] and place.heard(phone) == []


def test_a_message_to_an_account_is_for_those_of_the_highest_priority(place: Place) -> None:
    """RFC 6121 section 8.5.2.1.1."""
    alice, phone, desk = place.client("alice"), place.client("bob", "phone"), place.client("bob", "desk")
    place.act(desk, "send", b"<presence><priority>5</priority></presence>")
    place.act(alice, "say", f"bob@{DOMAIN}", "hello")
    assert [fact.carbon for fact in place.facts(desk, ClientHeard)] == [False]
    assert [fact.carbon for fact in place.facts(phone, ClientHeard)] == [True]


def test_what_nobody_is_there_for_is_kept_and_says_since_when(place: Place) -> None:
    alice = place.client("alice")
    place.act(alice, "say", f"bob@{DOMAIN}", "first")
    place.act(alice, "say", f"bob@{DOMAIN}/gone", "second")
    bob = place.client("bob")
    assert [(fact.text, fact.delayed) for fact in place.facts(bob, ClientHeard)] == [("first", True), ("second", True)]
    assert place.store.offline == {}


def test_it_is_kept_also_from_a_client_that_wants_no_messages(place: Place) -> None:
    """RFC 6121 section 8.5.2.1.1: a negative priority."""
    alice, bob = place.client("alice"), place.client("bob")
    place.act(bob, "send", b"<presence><priority>-1</priority></presence>")
    place.act(alice, "say", f"bob@{DOMAIN}", "later")
    assert place.heard(bob) == []
    assert len(place.store.offline[f"bob@{DOMAIN}"]) == 1


def test_no_more_is_kept_than_fits(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_routing, "MAX_OFFLINE", 1)
    alice = place.client("alice")
    for number in range(2):
        place.act(alice, "say", f"bob@{DOMAIN}", str(number), id=f"m{number}")
    assert place.facts(alice, ClientRefused) == [ClientRefused(alice.jid, "m1", "service-unavailable")]


@pytest.mark.parametrize(
    ("to", "kind", "condition"),
    [
        (f"nobody@{DOMAIN}", "chat", "service-unavailable"),
        (f"bob@{DOMAIN}", "headline", "service-unavailable"),
        (f"bob@{DOMAIN}", "groupchat", "service-unavailable"),
        ("bob@elsewhere.example", "chat", "remote-server-not-found"),
        ("@", "chat", "jid-malformed"),
    ],
)
def test_what_cannot_be_delivered_comes_back(place: Place, to: str, kind: str, condition: str) -> None:
    alice = place.client("alice")
    place.act(alice, "say", to, "hello", kind=kind, id="1")
    assert place.facts(alice, ClientRefused) == [ClientRefused(alice.jid, "1", condition)]


def test_what_a_client_never_acknowledged_goes_to_another_or_is_kept(place: Place) -> None:
    alice, bob = place.client("alice"), place.client("bob", retry_after=100.0)
    place.cut(bob)
    place.world.run(0.1)
    place.act(alice, "say", bob.jid, "nobody has this")
    place.world.run(70.0)
    assert place.heard(place.client("bob", "other")) == ["nobody has this"]


def test_a_request_to_a_client_that_does_not_come_back_is_answered(place: Place) -> None:
    alice, bob = Answers(place, place.client("alice")), place.client("bob", retry_after=100.0)
    place.cut(bob)
    place.world.run(0.1)
    place.act(alice.client, "send", f"<iq type='get' id='q' to='{bob.jid}'><query xmlns='x'/></iq>".encode())
    place.world.run(70.0)
    [answer] = [raw for raw in alice.got if raw.startswith(b"<iq")]
    assert b"id='q'" in answer and b"service-unavailable" in answer


def test_everybody_sees_everybody_come_and_go(place: Place) -> None:
    alice, bob = place.client("alice"), place.client("bob")
    assert ClientSaw(bob.jid, alice.jid, True) in place.facts(bob, ClientSaw)
    bob_was = bob.jid
    place.act(bob, "leave")
    assert place.facts(alice, ClientSaw)[-1] == ClientSaw(alice.jid, bob_was, False)


def test_directed_presence_is_for_one(place: Place) -> None:
    alice, bob, carol = place.client("alice"), place.client("bob"), place.client("carol")
    before = len(place.facts(carol, ClientSaw))
    place.act(alice, "send", f"<presence to='{bob.jid}' type='unavailable'/>".encode())
    assert place.facts(bob, ClientSaw)[-1] == ClientSaw(bob.jid, alice.jid, False)
    assert len(place.facts(carol, ClientSaw)) == before


def test_the_roster_has_everybody_else_and_a_version(place: Place) -> None:
    """RFC 6121 section 2.6."""
    alice = Answers(place, place.client("alice"))
    roster = alice.ask("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>")
    assert f"jid='bob@{DOMAIN}'".encode() in roster and b"jid='alice@" not in roster
    again = alice.ask("<iq type='get' id='2'><query xmlns='jabber:iq:roster' ver='1'/></iq>")
    assert again == f"<iq to='{alice.client.jid}' id='2' type='result'/>".encode()


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", b"type='result'"),
        (
            f"<iq type='get' id='1' to='{DOMAIN}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
            b"carbons",
        ),
        (
            f"<iq type='get' id='1' to='{ROOMS}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
            b"conference",
        ),
        (
            f"<iq type='get' id='1' to='{DOMAIN}'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>",
            b"rooms.",
        ),
        ("<iq type='set' id='1'><query xmlns='jabber:iq:roster'/></iq>", b"service-unavailable"),
        (f"<iq type='get' id='1' to='bob@{DOMAIN}/gone'><x xmlns='x'/></iq>", b"service-unavailable"),
    ],
)
def test_requests_are_answered(place: Place, request_: str, answer: bytes) -> None:
    assert answer in Answers(place, place.client("alice")).ask(request_)


def test_clients_ask_each_other(place: Place) -> None:
    alice, bob = Answers(place, place.client("alice")), place.client("bob")
    answer = alice.ask(f"<iq type='get' id='1' to='{bob.jid}'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert b"type='result'" in answer and f"from='{bob.jid}'".encode() in answer
    unknown = alice.ask(f"<iq type='get' id='2' to='{bob.jid}'><query xmlns='unknown'/></iq>")
    assert b"service-unavailable" in unknown and f"from='{bob.jid}'".encode() in unknown
