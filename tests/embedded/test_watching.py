"""The phone keeps its subscriptions."""

from __future__ import annotations

from haproxy_voip.embedded.facts import PhoneNotified
from tests.embedded.office import Office


def test_subscriptions_are_refreshed() -> None:
    office = Office()
    office.phone("1001")
    office.act("1001", "watch", "1002", "dialog")
    office.world.run(2000)
    assert all(notified.state.startswith("active") for notified in office.facts("1001", PhoneNotified))
    assert len(office.facts("1001", PhoneNotified)) > 3
