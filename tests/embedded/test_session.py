"""One INVITE dialog: the rules that are easy to forget."""

from __future__ import annotations

from haproxy_voip.embedded.facts import By, PhoneAnswered, PhoneEnded
from tests.embedded.office import Office, last_call


def test_an_unanswered_ack_is_followed_by_bye() -> None:
    """RFC 3261 13.3.1.4: no ACK in 64*T1."""
    office = Office()
    office.phone("1001")
    office.phone("1002")
    office.call("1001", "1002")
    office.world.run_until(lambda: bool(office.facts("1002", PhoneAnswered)))
    office.world.kill("pbx")
    office.world.run(33)
    assert office.facts("1002", PhoneEnded) == [PhoneEnded("1002", 1, 200, By.NETWORK, "no ACK")]


def test_a_callee_that_hangs_up_before_the_ack_waits_for_it() -> None:
    """RFC 3261 15: no BYE by the callee before the ACK."""
    office = Office()
    office.phone("1001")
    office.phone("1002", answer_after=None)
    ours = office.call("1001", "1002")
    office.world.run(1)
    theirs = last_call(office.phones["1002"])
    office.act("1002", "answer", theirs)
    office.act("1002", "hang_up", theirs)
    office.world.run(1)
    assert ours.over and office.pbx.calls == 0 and not office.phones["1002"].stack.dialogs


def test_both_hold_at_once_and_glare_is_resolved() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002")
    ours, theirs = office.talk("1001", "1002")
    office.act("1001", "hold", ours)
    office.act("1002", "hold", theirs)
    office.world.run(10)
    assert not ours.media.sends and not theirs.media.sends and ours.up and theirs.up


def test_a_2xx_that_crosses_the_cancel_is_acknowledged_and_ended() -> None:
    """RFC 3261 9.1: the CANCEL comes too late; 15: then BYE ends it."""
    office = Office()
    office.phone("1001")
    office.phone("1002", answer_after=None)
    ours = office.call("1001", "1002")
    office.world.run(1)
    office.act("1002", "answer", last_call(office.phones["1002"]))
    office.act("1001", "hang_up", ours)
    office.world.run(2)
    assert not office.phones["1002"].calls and office.pbx.calls == 0
    assert not any(stack.dialogs for stack in (office.pbx.stack, office.phones["1001"].stack))


def test_a_dialog_that_the_other_end_has_forgotten_is_over() -> None:
    """RFC 3261 12.2.1.2: 481 to a request within it."""
    office = Office()
    office.phone("1001")
    office.phone("1002")
    ours, theirs = office.talk("1001", "1002")
    office.pbx.stack.dialogs.clear()
    office.act("1001", "press", ours, "1")
    office.act("1002", "press", theirs, "1")
    office.world.run(1)
    assert ours.over and theirs.over
    assert office.facts("1001", PhoneEnded)[0].by is By.NETWORK
