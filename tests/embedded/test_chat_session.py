"""A session at the embedded chat server: what it keeps for its client."""

from __future__ import annotations

import pytest

from haproxy_voip.embedded import chat_session
from haproxy_voip.embedded.chat_facts import ClientHeard, ClientOffline
from haproxy_voip.embedded.chat_session import Kept
from tests.embedded.chat_room import Place


def test_a_message_that_waited_says_since_when() -> None:
    kept = Kept(b"<message><body>hello</body></message>", 0.0)
    delay = b"<delay xmlns='urn:xmpp:delay' from='x' stamp='1970-01-01T00:00:00.000Z'/>"
    assert kept.delayed("x") == b"<message><body>hello</body>" + delay + b"</message>"
    assert Kept(kept.delayed("x"), 5.0).delayed("x") == kept.delayed("x")


def test_what_is_no_message_says_nothing_of_it() -> None:
    assert Kept(b"<presence/>", 0.0).delayed("x") == b"<presence/>"


def test_a_client_that_is_back_gets_what_it_missed_once() -> None:
    place = Place()
    alice, bob = place.client("alice"), place.client("bob")
    place.act(alice, "say", bob.jid, "had")
    place.cut(bob)
    place.act(alice, "say", bob.jid, "missed")
    place.world.run(2.0)
    assert [(fact.text, fact.delayed) for fact in place.facts(bob, ClientHeard)] == [("had", False), ("missed", True)]


def test_acknowledgements_are_asked_for_and_what_is_acknowledged_is_forgotten() -> None:
    place = Place()
    alice, bob = place.client("alice"), place.client("bob")
    place.act(alice, "say", bob.jid, "hello")
    unacknowledged = place.server.sessions[bob.jid].unacknowledged
    assert unacknowledged is not None and len(unacknowledged) == 0 and unacknowledged.acknowledged > 0


def test_a_client_that_acknowledges_nothing_loses_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_session, "MAX_KEPT", 20)
    place = Place()
    alice, bob = place.client("alice"), place.client("bob", retry_after=100.0)
    bob._write = lambda raw: None  # type: ignore[method-assign]
    for number in range(30):
        place.act(alice, "say", bob.jid, str(number))
    assert place.facts(bob, ClientOffline) and list(place.server.sessions) == [alice.jid]
