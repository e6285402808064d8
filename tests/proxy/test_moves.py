"""What a failover did, counted."""

from __future__ import annotations

from haproxy_voip.proxy.moves import Moves


def test_things_are_counted_by_kind() -> None:
    moves = Moves()
    moves.move("calls")
    moves.move("calls")
    moves.move("registrations", 7)
    moves.move("nothing", 0)
    moves.lose("calls")
    assert moves.moved == {"calls": 2, "registrations": 7}
    assert moves.lost == {"calls": 1}
