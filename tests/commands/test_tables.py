from __future__ import annotations

from haproxy_voip.commands.tables import described, table, word


def test_columns_are_as_wide_as_they_must_be_and_numbers_stand_right():
    rows = [{"name": "alpha", "calls": 2, "suspected_for": 0.25}, {"name": "b", "calls": 117, "active": True}]
    assert table(rows).splitlines() == [
        "              suspected",
        "name   calls        for  active",
        "alpha      2       0.25  -",
        "b        117          -  yes",
    ]


def test_a_column_without_any_value_is_left_out():
    assert table([{"name": "alpha", "suspected_for": None}, {"name": "b"}]).splitlines() == ["name", "alpha", "b"]


def test_the_backends_of_a_busy_proxy_fit_on_100_columns():
    row = {"name": "charlie", "sip": "udp:[2001:db8::ff:fe00:1]:5060", "health": "unknown", "admin": "maint"}
    row |= {"active": True, "calls": 12345, "registrations": 12345, "registrations_missing": 123}
    assert max(map(len, table([row]).splitlines())) <= 100


def test_single_values_come_first_then_each_list_under_its_name():
    result = {"active": "alpha", "backends": [{"name": "alpha"}], "failovers": [], "uptime_seconds": 1.5}
    assert described(result) == "active: alpha\nuptime seconds: 1.5\n\nbackends:\nname\nalpha"


def test_a_single_value_that_is_not_there_is_none():
    assert described({"active": None, "backends": []}) == "active: none"


def test_values_are_short():
    values = [None, "", {}, [], True, False, 1, 0.0, 1.5, 2.0, {"calls": 1, "why": "x"}, ["a", "b"], "text"]
    assert list(map(word, values)) == [
        *("-", "-", "-", "-", "yes", "-", "1", "0", "1.5", "2", "calls: 1, why: x", "a, b", "text")
    ]
