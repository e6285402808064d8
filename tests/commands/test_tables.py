from __future__ import annotations

from haproxy_voip.commands.tables import described, table, word


def test_columns_are_as_wide_as_they_must_be_and_numbers_stand_right():
    rows = [{"name": "alpha", "calls": 2, "suspected_for": None}, {"name": "b", "calls": 117, "active": True}]
    assert table(rows).splitlines() == [
        "name   calls  suspected for  active",
        "alpha      2              -  -",
        "b        117              -  yes",
    ]


def test_single_values_come_first_then_each_list_under_its_name():
    result = {"active": "alpha", "backends": [{"name": "alpha"}], "failovers": [], "uptime_seconds": 1.5}
    assert described(result) == "active: alpha\nuptime seconds: 1.5\n\nbackends:\nname\nalpha"


def test_values_are_short():
    values = [None, "", {}, [], True, False, 1, 0.0, 1.5, 2.0, {"calls": 1, "why": "x"}, ["a", "b"], "text"]
    assert list(map(word, values)) == [
        *("-", "-", "-", "-", "yes", "-", "1", "0", "1.5", "2", "calls: 1, why: x", "a, b", "text")
    ]
