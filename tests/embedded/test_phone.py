"""What the phone tells."""

from __future__ import annotations

from haproxy_voip.core.address import Address
from haproxy_voip.embedded.facts import PhoneAnswered, PhoneRegistered
from tests.embedded.office import Office


def test_answers_are_facts_of_both_phones() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002")
    office.talk("1001", "1002")
    assert office.facts("1001", PhoneAnswered) == [PhoneAnswered("1001", 1, Address("192.0.2.101", 4000))]
    assert office.facts("1002", PhoneAnswered) == [PhoneAnswered("1002", 1, Address("192.0.2.100", 4000))]


def test_a_phone_has_several_lines() -> None:
    office = Office()
    phone = office.phone("1001")
    office.phone("1002", answer_after=None)
    for _ in range(3):
        office.call("1001", "1002")
    office.world.run(1)
    assert len(office.phones["1002"].calls) == len(phone.calls) == 3


def test_the_history_holds_facts_with_their_times() -> None:
    office = Office()
    phone = office.phone("1001")
    [(at, fact)] = phone.history
    assert fact == PhoneRegistered("1001", 300) and 0 < at < 0.1
