"""Sessions by whatever they are looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from haproxy_voip.proxy.chat.session import Session
from haproxy_voip.proxy.chat.sessions import Sessions


@dataclass(eq=False)
class Named:
    jid: str

    @property
    def bare(self) -> str:
        return self.jid.partition("/")[0]


def session(jid: str) -> Session:
    return cast("Session", Named(jid))


def test_a_session_is_found_by_its_addresses_and_gone_when_it_is_removed() -> None:
    sessions, one, other = Sessions(["alpha"]), session("a@x/1"), session("a@x/2")
    for each in (one, other):
        sessions.all[each] = None
        sessions.add(each)
        sessions.lives_at(each, "alpha")
    assert sessions.by_jid["a@x/1"] is one and sessions.of("a@x") == [one, other] and len(sessions) == 2
    sessions.remove(one)
    assert "a@x/1" not in sessions.by_jid and sessions.of("a@x") == [other]
    assert list(sessions.by_backend["alpha"]) == [other]
    sessions.remove(other)
    assert sessions.of("a@x") == [] and len(sessions) == 0


def test_the_one_that_took_over_an_address_keeps_it() -> None:
    sessions, one, other = Sessions([]), session("a@x/1"), session("a@x/1")
    sessions.add(one)
    sessions.add(other)
    sessions.remove(one)
    assert sessions.by_jid["a@x/1"] is other


def test_a_session_lives_at_one_backend_or_nowhere() -> None:
    sessions, one = Sessions(["alpha", "beta"]), session("a@x/1")
    sessions.lives_at(one, "alpha")
    sessions.lives_at(one, None)
    assert [list(there) for there in sessions.by_backend.values()] == [[], [], [one]]


def test_occupants_are_found_by_room_and_nick() -> None:
    sessions, one, other = Sessions([]), session("a@x/1"), session("b@x/1")
    sessions.occupies("lobby@r/ann", one)
    sessions.occupies("lobby@r/with/slash", other)
    assert sessions.sender("lobby@r/ann") is one and sessions.sender("lobby@r/with/slash") is other
    assert sessions.in_room("lobby@r") == [one, other] and sessions.in_room("hall@r") == []
    sessions.occupies("lobby@r/ann", None)
    sessions.occupies("lobby@r/with/slash", None)
    assert sessions.in_room("lobby@r") == [] and sessions.sender("lobby@r/ann") is None


def test_a_session_is_resumed_by_its_name() -> None:
    sessions, one = Sessions([]), session("a@x/1")
    sessions.name_resumable("name", one)
    assert sessions.resumable("name") is one
    sessions.name_resumable("name", None)
    assert sessions.resumable("name") is None
