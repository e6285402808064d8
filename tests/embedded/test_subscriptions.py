"""Busy lamps and message waiting at the PBX."""

from __future__ import annotations

from haproxy_voip.embedded.facts import PhoneAsked, PhoneNotified
from tests.embedded.office import Office


def test_a_busy_lamp_follows_the_calls_of_another() -> None:
    office = Office()
    for user in ("1001", "1002", "1003"):
        office.phone(user)
    office.act("1003", "watch", "1002", "dialog")
    office.world.run(1)
    ours, _ = office.talk("1001", "1002")
    office.act("1001", "hang_up", ours)
    office.world.run(1)
    bodies = [notified.body for notified in office.facts("1003", PhoneNotified)]
    assert [b"early" in body for body in bodies] == [False, True, False, False]
    assert [b"confirmed" in body for body in bodies] == [False, False, True, False]
    assert b'entity="sip:1002@voip.example"' in bodies[0] and b'version="3"' in bodies[3]
    office.act("1003", "unwatch", office.phones["1003"].watches[0])
    office.world.run(1)
    assert office.facts("1003", PhoneNotified)[-1].state == "terminated;reason=timeout"


def test_a_voice_message_turns_the_lamp_on() -> None:
    office = Office()
    office.phone("1001")
    office.act("1001", "watch", "1001", "message-summary")
    office.world.run(1)
    office.world.act("pbx", lambda now: office.pbx.leave_message("1001", now))
    office.world.run(1)
    assert office.facts("1001", PhoneNotified)[-1].body.startswith(b"Messages-Waiting: yes\r\nVoice-Message: 1/0")


def test_an_unknown_event_is_refused() -> None:
    office = Office()
    office.phone("1001")
    office.act("1001", "watch", "1002", "weather")
    office.world.run(1)
    assert office.facts("1001", PhoneAsked) == [PhoneAsked("1001", "SUBSCRIBE", 489)]
