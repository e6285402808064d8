from __future__ import annotations

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.observe.repeats import MAX_SOURCES, WINDOW, Repeats
from haproxy_voip.proxy.facts import (
    AdminChanged,
    AuthenticationFailed,
    MessageRefused,
    RegistrationRefused,
    SessionFailed,
)
from haproxy_voip.proxy.limit_facts import CallLimitReached, SourceBanned


def guess(user: str = "eve", host: str = "192.0.2.1", port: int = 40000) -> AuthenticationFailed:
    return AuthenticationFailed(user, Flow(Transport.UDP, Address("127.0.0.1", 5060), Address(host, port)), "wrong")


def test_the_first_is_told_and_the_rest_of_its_window_are_counted():
    repeats = Repeats()
    assert [repeats.told(guess(port=port), now=5.0) for port in range(1, 514)] == [True] + [False] * 512
    assert repeats.due(5.0 + WINDOW - 0.01) == []
    [repeated] = repeats.due(5.0 + WINDOW)
    assert str(repeated).startswith("... and 512 more like this in the last 10 s, the last one: wrong credentials")
    assert str(repeated).endswith("192.0.2.1:513: wrong")


def test_after_its_window_the_next_is_told_again():
    repeats = Repeats()
    assert repeats.told(guess(), 0.0)
    assert repeats.due(WINDOW) == []
    assert repeats.told(guess(), WINDOW)


def test_kinds_and_sources_are_told_apart():
    repeats = Repeats()
    refused = MessageRefused(guess().flow, 400, "no good")
    facts = [guess(), guess(host="192.0.2.2"), refused, RegistrationRefused("alpha", "1001", "403", 1.0)]
    facts.append(SessionFailed("Call x", "KeyError: 1", "haproxy_voip.proxy.call:9 hold"))
    assert [repeats.told(fact, 0.0) for fact in [*facts, *facts]] == [True] * 5 + [False] * 5
    sources = [repeated.source for repeated in repeats.due(WINDOW)]
    assert sources == ["192.0.2.1", "192.0.2.2", "192.0.2.1", "alpha", "haproxy_voip.proxy.call:9 hold"]


def test_what_comes_but_rarely_is_always_told():
    repeats = Repeats()
    assert all(repeats.told(AdminChanged("alpha", "drain"), 0.0) for _ in range(50))
    assert repeats.rest() == []


def test_a_flood_from_everywhere_takes_no_more_room_and_no_more_lines():
    repeats = Repeats()
    told = sum(repeats.told(guess(host=f"10.0.{number // 256}.{number % 256}"), 0.0) for number in range(10_000))
    assert told == MAX_SOURCES + 1
    assert [(repeated.source, repeated.count) for repeated in repeats.rest()] == [("others", 10_000 - told)]


def test_at_the_end_the_rest_is_told():
    repeats = Repeats()
    repeats.told(guess(), 0.0)
    repeats.told(guess("mallory"), 0.1)
    assert [str(repeated.last) for repeated in repeats.rest()] == [str(guess("mallory"))]
    assert repeats.rest() == []


def test_bans_are_told_apart_by_who_is_banned_and_limits_by_who_calls():
    repeats = Repeats()
    for fact in (SourceBanned("192.0.2.1", "x", 60.0, 1), SourceBanned("192.0.2.2", "x", 60.0, 1)):
        assert repeats.told(fact, 0.0)
        assert not repeats.told(fact, 1.0)
    assert repeats.told(CallLimitReached("1001", 2), 1.0)
    assert not repeats.told(CallLimitReached("1001", 2), 1.0)
    assert repeats.told(CallLimitReached("1002", 2), 1.0)
