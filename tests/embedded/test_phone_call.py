"""What the phone does with a call."""

from __future__ import annotations

from haproxy_voip.core.address import Address
from haproxy_voip.embedded.facts import PhoneEnded, PhoneHeardRinging, PhoneMediaChanged
from tests.embedded.office import Office, last_call


def test_early_media_reaches_the_caller() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002", early_media=True, answer_after=None)
    call = office.call("1001", "1002")
    office.world.run(1)
    assert call.media.remote == Address("192.0.2.101", 4000)
    assert office.facts("1001", PhoneHeardRinging)[-1].status == 183


def test_hold_and_resume_reach_the_other_end() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002")
    ours, theirs = office.talk("1001", "1002")
    office.act("1001", "hold", ours)
    office.world.run(1)
    assert not theirs.media.sends and theirs.media.receives
    office.act("1001", "resume", ours)
    office.world.run(1)
    assert theirs.media.sends and theirs.media.receives
    changes = office.facts("1002", PhoneMediaChanged)
    assert [(change.sends, change.receives) for change in changes] == [(False, True), (True, True)]


def test_a_phone_can_ring_late_and_be_answered_by_hand() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002", ring_after=0.5, answer_after=None)
    ours = office.call("1001", "1002")
    office.world.run(0.4)
    assert not office.facts("1001", PhoneHeardRinging)
    office.world.run(0.2)
    assert office.facts("1001", PhoneHeardRinging)
    office.act("1002", "answer", last_call(office.phones["1002"]))
    office.world.run(0.1)
    assert ours.up


def test_a_call_that_rings_can_be_refused_with_any_status() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002", answer_after=None)
    office.call("1001", "1002")
    office.world.run(1)
    office.act("1002", "hang_up", last_call(office.phones["1002"]), status=603)
    office.world.run(1)
    assert [ended.status for ended in office.facts("1001", PhoneEnded)] == [603]


def test_both_held_and_both_resumed() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002")
    ours, theirs = office.talk("1001", "1002")
    for name, call in (("1001", ours), ("1002", theirs)):
        office.act(name, "hold", call)
        office.world.run(1)
    assert not (ours.media.sends or ours.media.receives or theirs.media.sends or theirs.media.receives)
    for name, call in (("1001", ours), ("1002", theirs)):
        office.act(name, "resume", call)
        office.world.run(1)
    assert ours.media.sends and ours.media.receives and theirs.media.sends and theirs.media.receives
