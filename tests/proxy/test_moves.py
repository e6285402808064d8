"""What a failover did, counted."""

from __future__ import annotations

from haproxy_voip.proxy.facts import FailoverSettled
from haproxy_voip.proxy.moves import Moves, Reckoning


def test_things_are_counted_by_kind() -> None:
    moves = Moves(Reckoning("alpha", 1.0))
    moves.move("calls")
    moves.move("calls")
    moves.move("registrations", 7)
    moves.move("nothing", 0)
    moves.lose("calls")
    assert moves.moved == {"calls": 2, "registrations": 7}
    assert moves.lost == {"calls": 1}


def test_what_came_of_the_calls_is_told_when_it_is_known_of_all() -> None:
    reckoning = Reckoning("alpha", 1.0)
    for _ in range(4):
        reckoning.expect()
    assert reckoning.settle("carried", 1.1) == [] and reckoning.counts == {"under way": 3, "carried": 1}
    assert reckoning.settle("carried", 1.2) == reckoning.settle("ended", 1.3) == []
    assert reckoning.settle("joined", 1.5) == [FailoverSettled("alpha", 2, 1, 1, 0.5, 1.5)]
    assert reckoning.counts == {"carried": 2, "joined": 1, "ended": 1}
