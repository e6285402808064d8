from __future__ import annotations

from haproxy_voip.edge.facts import StreamsFull
from haproxy_voip.edge.places import Places


def test_one_host_gets_half_the_places_and_all_together_no_more_than_all():
    told = []
    places = Places(4, told.append)
    assert [places.take("a"), places.take("a"), places.take("a")] == [True, True, False]
    assert [places.take("b"), places.take("b"), places.take("c")] == [True, True, False]
    assert told == [StreamsFull(2, "a"), StreamsFull(4, None)]


def test_being_full_is_told_once_until_there_was_room():
    told = []
    places = Places(2, told.append)
    assert places.take("a")
    assert [places.take("a") for _ in range(5)] == [False] * 5
    assert len(told) == 1
    places.give_back("a")
    assert places.take("a") and not places.take("a")
    assert len(told) == 2


def test_a_place_given_back_is_free_for_anybody():
    places = Places(1, lambda fact: None)
    for host in ("a", "b", "a"):
        assert places.take(host)
        places.give_back(host)
    assert places.taken == 0 and not places._hosts


def test_fewer_places_take_nobodys_away() -> None:
    places = Places(4, lambda fact: None)
    assert places.take("a") and places.take("b")
    places.resize(1)
    assert not places.take("c")
    places.give_back("a")
    places.give_back("b")
    assert places.take("c")
