"""Blind and attended transfer."""

from __future__ import annotations

from haproxy_voip.core.address import Address
from haproxy_voip.embedded.facts import PhoneEnded, PhoneNotified, PhoneRinging
from tests.embedded.office import Office, last_call


def test_a_blind_transfer_joins_the_other_two() -> None:
    office = Office()
    for user in ("1001", "1002", "1003"):
        office.phone(user)
    ours, theirs = office.talk("1001", "1002")
    office.act("1001", "transfer", ours, "1003")
    office.world.run(3)
    third = last_call(office.phones["1003"])
    assert office.facts("1001", PhoneEnded)[0].status == 200
    assert PhoneRinging("1003", 1, "1002") in office.facts("1003")
    assert theirs.media.remote == Address("192.0.2.102", 4000) and third.media.remote == Address("192.0.2.101", 4000)
    bodies = [notified.body for notified in office.facts("1001", PhoneNotified)]
    assert bodies == [b"SIP/2.0 100 Trying\r\n", b"SIP/2.0 180 Ringing\r\n", b"SIP/2.0 200 OK\r\n"]
    office.act("1003", "hang_up", third)
    office.world.run(1)
    assert theirs.over and office.pbx.calls == 0 and not office.pbx.stack.dialogs


def test_a_blind_transfer_to_nobody_leaves_the_call_as_it_was() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002")
    ours, theirs = office.talk("1001", "1002")
    office.act("1001", "transfer", ours, "486")
    office.world.run(3)
    assert ours.up and theirs.up
    assert office.facts("1001", PhoneNotified)[-1].body == b"SIP/2.0 486 Busy Here\r\n"


def test_an_attended_transfer_joins_the_far_ends_of_both_calls() -> None:
    office = Office()
    for user in ("1001", "1002", "1003"):
        office.phone(user)
    first, second = office.talk("1001", "1002")
    other, third = office.talk("1001", "1003")
    office.act("1001", "transfer_to_call", first, other)
    office.world.run(3)
    assert first.over and other.over and second.up and third.up
    assert second.media.remote == Address("192.0.2.102", 4000) and third.media.remote == Address("192.0.2.101", 4000)
    office.act("1002", "hang_up", second)
    office.world.run(1)
    assert third.over and office.pbx.calls == 0 and not office.pbx.stack.dialogs
