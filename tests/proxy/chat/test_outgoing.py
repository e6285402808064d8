"""What a client sent, until nobody can ask for it any more."""

from __future__ import annotations

from typing import cast

import pytest

from haproxy_voip.proxy.chat.entry import Entry
from haproxy_voip.proxy.chat.outgoing import MAX_WAITING, MAX_WATCHED, WATCH_SECONDS, Full, Outgoing, harmless_twice
from haproxy_voip.proxy.chat.session import Session
from tests.proxy.chat.test_entry import entry

BOB, CAROL = cast("Session", "bob's session"), cast("Session", "carol's")


def message(number: int, at: float = 0.0, body: str = "x") -> Entry:
    made = entry(f"<message id='{number}'><body>{body}</body></message>")
    made.serial, made.at, made.sends = number, at, 1
    return made


def sent(outgoing: Outgoing, *entries: Entry, now: float = 0.0) -> None:
    for one in entries:
        outgoing.sent(one, now)


def test_a_message_is_news_once_to_everybody() -> None:
    outgoing, one = Outgoing(), message(1)
    sent(outgoing, one)
    assert one.key is not None
    assert outgoing.observed(one.key, BOB) and outgoing.observed(one.key, CAROL)
    assert not outgoing.observed(one.key, BOB)


def test_two_that_say_the_same_under_one_id_are_news_twice() -> None:
    outgoing, one, other = Outgoing(), message(1), message(1)
    other.serial = 2
    sent(outgoing, one, other)
    assert one.key is not None
    assert [outgoing.observed(one.key, BOB) for _ in range(3)] == [True, True, False]


def test_who_heard_it_is_known_until_it_is_settled_but_for_whose_client_did_not_get_it() -> None:
    outgoing, one = Outgoing(), message(1)
    sent(outgoing, one)
    assert one.key is not None and outgoing.hearers(one.key) == []
    assert outgoing.observed(one.key, BOB) and outgoing.observed(one.key, CAROL)
    assert outgoing.hearers(one.key) == [BOB, CAROL]
    outgoing.never_had(one.key, BOB)
    outgoing.never_had(one.key, BOB)
    assert outgoing.hearers(one.key) == [CAROL]
    one.acknowledged = True
    sent(outgoing, message(2, at=WATCH_SECONDS + 1.0), now=WATCH_SECONDS + 1.0)
    assert outgoing.hearers(one.key) == []


def test_what_a_dead_server_had_is_doubtful_in_the_order_it_was_sent() -> None:
    outgoing, entries = Outgoing(), [message(number) for number in range(5)]
    sent(outgoing, *entries)
    entries[0].acknowledged = entries[1].acknowledged = entries[2].acknowledged = True
    missing = {entries[1]}
    found = outgoing.doubtful([entries[4], entries[3]], missing.__contains__, 1.0)
    assert found == [entries[1], entries[3], entries[4]]


def test_what_was_acknowledged_long_ago_is_not() -> None:
    outgoing, old, new = Outgoing(), message(1), message(2, at=5.0)
    sent(outgoing, old, new)
    old.acknowledged = new.acknowledged = True
    assert outgoing.doubtful([], lambda one: True, WATCH_SECONDS + 1.0) == [new]


def test_what_outlived_a_server_is_remembered_and_recognised_much_later() -> None:
    outgoing, one = Outgoing(), message(1)
    sent(outgoing, one)
    assert one.key is not None and outgoing.observed(one.key, BOB)
    one.acknowledged = True
    outgoing.doubtful([], lambda one: False, 1.0)
    sent(outgoing, message(2, at=1000.0), now=1000.0)
    assert not outgoing.observed(one.key, BOB)  # from the store of the server that came back
    assert outgoing.observed(one.key, CAROL)


def test_a_request_is_asked_again_until_it_is_answered() -> None:
    outgoing, asked = Outgoing(), entry("<iq id='1' type='get'/>")
    asked.sends = 1
    sent(outgoing, asked)
    asked.acknowledged = True
    assert outgoing.doubtful([], lambda one: False, 0.0) == [asked]
    assert outgoing.answered("1", "bob@x") is asked
    assert outgoing.doubtful([], lambda one: False, 0.0) == []


def test_the_second_answer_to_a_request_made_twice_is_late() -> None:
    outgoing, asked = Outgoing(), entry("<iq id='1' type='get'/>")
    asked.sends = 2
    sent(outgoing, asked)
    assert outgoing.answered("1", "bob@x") is asked
    assert outgoing.is_late("1", "bob@x") and outgoing.answered("1", "bob@x") is None


def test_what_waits_goes_in_order_and_past_those_who_must_wait() -> None:
    outgoing, entries = Outgoing(), [message(number) for number in range(4)]
    entries[1].peer = entries[2].peer = "carol@x"
    for one in entries:
        outgoing.wait(one)
    assert outgoing.release(lambda one: one.peer == "carol@x", 10) == [entries[0], entries[3]]
    assert outgoing.release(lambda one: False, 1) == [entries[1]]
    assert list(outgoing.waiting) == [entries[2]] and outgoing.waiting_bytes == len(entries[2].raw)


def test_what_is_in_doubt_goes_first_and_once() -> None:
    outgoing, one, other = Outgoing(), message(1), message(2)
    outgoing.wait(other)
    outgoing.put_first([one, other])
    assert list(outgoing.waiting) == [one, other]


def test_there_is_an_end_to_waiting_and_to_watching() -> None:
    outgoing = Outgoing()
    for number in range(MAX_WAITING):
        outgoing.wait(message(number))
    with pytest.raises(Full):
        outgoing.wait(message(9999))
    entries = [message(number) for number in range(MAX_WATCHED + 1)]
    sent(outgoing, *entries)
    assert outgoing.doubtful([], lambda one: True, 0.0) == []
    for one in entries:
        one.acknowledged = True
    assert len(outgoing.doubtful([], lambda one: True, 0.0)) == MAX_WATCHED


@pytest.mark.parametrize(
    ("raw", "harmless"),
    [
        ("<iq id='1' type='get'><x xmlns='y'/></iq>", True),
        ('<iq id="1" type="set"><query xmlns="jabber:iq:roster"/></iq>', True),
        ("<iq id='1' type='set'><command xmlns='http://jabber.org/protocol/commands'/></iq>", False),
    ],
)
def test_which_requests_may_be_made_twice(raw: str, harmless: bool) -> None:
    assert harmless_twice(entry(raw)) is harmless
