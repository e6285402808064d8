"""Messages between users."""

from __future__ import annotations

from haproxy_voip.embedded.facts import PhoneAsked, PhoneTold
from tests.embedded.office import Office


def test_digits_and_messages_pass() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002")
    ours, _ = office.talk("1001", "1002")
    office.act("1001", "press", ours, "5")
    office.act("1001", "write", "1002", "how are you?")
    office.world.run(1)
    told = office.facts("1002", PhoneTold)
    assert PhoneTold("1002", "INFO", "1001", b"Signal=5\r\nDuration=160\r\n") in told
    assert PhoneTold("1002", "MESSAGE", "1001", b"how are you?") in told
    answers = {asked.method: asked.status for asked in office.facts("1001", PhoneAsked)}
    assert answers == {"INFO": 200, "MESSAGE": 200}


def test_a_message_reaches_every_phone_of_the_user() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002", name="one")
    office.phone("1002", name="two")
    office.act("1001", "write", "1002", "hello")
    office.world.run(1)
    assert [len(office.facts(name, PhoneTold)) for name in ("one", "two")] == [1, 1]
    assert office.facts("1001", PhoneAsked) == [PhoneAsked("1001", "MESSAGE", 200)]


def test_a_message_to_nobody_is_refused() -> None:
    office = Office()
    office.phone("1001")
    office.act("1001", "write", "1003", "hello")
    office.world.run(1)
    assert office.facts("1001", PhoneAsked) == [PhoneAsked("1001", "MESSAGE", 480)]
