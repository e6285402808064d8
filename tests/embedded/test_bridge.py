"""Calls through the PBX: what passes between the legs."""

from __future__ import annotations

import pytest

from haproxy_voip.core.address import Address
from haproxy_voip.embedded.facts import (
    By,
    PbxConnected,
    PbxHungUp,
    PhoneConfirmed,
    PhoneEnded,
)
from tests.embedded.office import Office


@pytest.mark.parametrize("tcp", [False, True])
def test_two_users_talk_and_the_caller_hangs_up(tcp: bool) -> None:
    office = Office()
    office.phone("1001", tcp=tcp)
    office.phone("1002", tcp=tcp, media=Address("192.0.2.101", 4002))
    ours, theirs = office.talk("1001", "1002")
    assert ours.media.remote == Address("192.0.2.101", 4002) and theirs.media.remote == Address("192.0.2.100", 4000)
    assert office.facts("1002", PhoneConfirmed)
    assert office.facts("pbx", PbxConnected) == [PbxConnected("1001", "1002")]
    assert ours.session.dialog is not None and theirs.session.dialog is not None
    assert ours.session.dialog.call_id != theirs.session.dialog.call_id
    office.act("1001", "hang_up", ours)
    office.world.run(1)
    assert office.facts("1001", PhoneEnded) == [PhoneEnded("1001", 1, 200, By.US, "hung up")]
    assert office.facts("1002", PhoneEnded) == [PhoneEnded("1002", 1, 200, By.THEM, "BYE")]
    assert office.facts("pbx", PbxHungUp) == [PbxHungUp("1001", "1002", 200)]
    assert office.pbx.calls == 0 and not office.pbx.stack.dialogs


def test_a_call_with_a_delayed_offer_is_answered_in_the_ack() -> None:
    office = Office()
    office.phone("1001")
    office.phone("1002")
    ours, theirs = office.talk("1001", "1002", delayed_offer=True)
    assert ours.media.remote == Address("192.0.2.101", 4000) and theirs.media.remote == Address("192.0.2.100", 4000)
