"""Ringing a user: several contacts, no answer, cancelling."""

from __future__ import annotations

import pytest

from haproxy_voip.embedded.facts import By, PhoneConfirmed, PhoneEnded, PhoneHeardRinging
from tests.embedded.office import Office


def test_a_cancelled_call_stops_ringing() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002", answer_after=None)
    call = office.call("1001", "1002")
    office.world.run(1)
    assert office.facts("1001", PhoneHeardRinging) == [PhoneHeardRinging("1001", 1, 180)]
    office.act("1001", "hang_up", call)
    office.world.run(1)
    assert office.facts("1001", PhoneEnded) == [PhoneEnded("1001", 1, 487, By.US, "Request Terminated")]
    assert office.facts("1002", PhoneEnded) == [PhoneEnded("1002", 1, 487, By.THEM, "cancelled")]


def test_all_phones_of_a_user_ring_and_the_first_answer_wins() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002", answer_after=2.0)
    office.phone("1002", name="1002 at home", answer_after=1.0)
    call = office.call("1001", "1002")
    office.world.run(3)
    assert call.up
    assert [ended.reason for ended in office.facts("1002", PhoneEnded)] == ["cancelled"]
    assert office.facts("1002 at home", PhoneConfirmed)


def test_nobody_answers_for_a_minute() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002", answer_after=None)
    office.call("1001", "1002")
    office.world.run(61)
    assert [ended.status for ended in office.facts("1001", PhoneEnded)] == [480]
    assert not office.phones["1002"].calls


@pytest.mark.parametrize(
    ("statuses", "best"), [([486, 500], 486), ([503, 404], 404), ([408, 503], 480), ([500, 500, 488], 488)]
)
def test_of_several_refusals_the_lowest_class_is_told(statuses: list[int], best: int) -> None:
    """RFC 3261 16.7 step 6; a phone that cannot be reached says least."""
    office = Office()
    office.phone("1001")
    for number, status in enumerate(statuses):
        office.phone("1002", name=f"phone {number}", refuse_with=status)
    office.call("1001", "1002")
    office.world.run(1)
    assert [ended.status for ended in office.facts("1001", PhoneEnded)] == [best]


def test_a_decline_ends_the_search_everywhere() -> None:
    """RFC 3261 16.7 step 5."""
    office = Office()
    office.phone("1001")
    office.phone("1002", name="rings", answer_after=None)
    office.phone("1002", name="declines", answer_after=1.0, refuse_with=603)
    office.call("1001", "1002")
    office.world.run(1)
    assert [ended.status for ended in office.facts("1001", PhoneEnded)] == [603]
    assert [ended.reason for ended in office.facts("rings", PhoneEnded)] == ["cancelled"]


def test_two_phones_that_answer_at_once_leave_one_call() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002", name="one")
    office.phone("1002", name="two")
    ours = office.call("1001", "1002")
    office.world.run(2)
    up = [call for name in ("one", "two") for call in office.phones[name].calls.values()]
    assert ours.up and [call.up for call in up] == [True]
