"""Who is believed to be there."""

from __future__ import annotations

from haproxy_voip.proxy.chat.contacts import GRACE_SECONDS, HOLD_SECONDS, Contacts, unavailable
from haproxy_voip.xmpp.framing import Stanza, StreamFramer

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
BOB = "bob@chat.test/home"


def presence(inside: str = "") -> Stanza:
    framer = StreamFramer()
    framer.feed(HEADER)
    [stanza] = framer.feed(f"<presence from='{BOB}' to='alice@chat.test/home'>{inside}</presence>".encode())
    assert isinstance(stanza, Stanza)
    return stanza


def test_without_a_move_every_word_is_passed_on() -> None:
    contacts = Contacts()
    assert contacts.available(BOB, presence()) and contacts.available(BOB, presence())
    assert contacts.unavailable(BOB, 0.0, moving=False)


def test_after_a_move_only_news_is() -> None:
    contacts = Contacts()
    contacts.available(BOB, presence("<show>away</show>"))
    contacts.moved(0.0)
    delay = "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"
    assert not contacts.available(BOB, presence(f"<show>away</show>{delay}"))
    assert contacts.available(BOB, presence("<show>dnd</show>"))
    assert contacts.missing() == []


def test_whom_the_new_server_does_not_mention_is_missing_in_the_end() -> None:
    contacts = Contacts()
    contacts.available(BOB, presence())
    contacts.moved(1.0)
    assert contacts.hold_ends_at == 1.0 + HOLD_SECONDS
    assert contacts.missing() == [BOB] and contacts.hold_ends_at is None
    contacts.gone(BOB)
    assert len(contacts) == 0


def test_who_moves_is_not_gone_until_the_hold_is_over() -> None:
    contacts = Contacts()
    contacts.available(BOB, presence())
    assert not contacts.unavailable(BOB, 5.0, moving=True)
    assert contacts.hold_ends_at == 5.0 + GRACE_SECONDS
    assert not contacts.available(BOB, presence())  # back, and the same
    assert contacts.missing() == []


def test_who_is_still_on_the_way_is_waited_for_again() -> None:
    contacts = Contacts()
    contacts.available(BOB, presence())
    contacts.unavailable(BOB, 0.0, moving=True)
    assert contacts.missing() == [BOB]
    contacts.keep_waiting([BOB], 10.0)
    assert contacts.hold_ends_at == 10.0 + HOLD_SECONDS and contacts.missing() == [BOB]


def test_addresses_are_escaped() -> None:
    assert unavailable("a'b@x/<", "c@x/d") == b"<presence from='a&apos;b@x/&lt;' to='c@x/d' type='unavailable'/>"
