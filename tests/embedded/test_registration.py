"""The phone registers, refreshes and tries again; the PBX is at the other end."""

from __future__ import annotations

import pytest

from haproxy_voip.embedded.facts import By, PbxRegistered, PbxUnregistered, PhoneRegistered, PhoneUnregistered
from tests.embedded.office import Office


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("trust", [False, True])
def test_a_phone_registers_and_takes_it_back(tcp: bool, trust: bool) -> None:
    office = Office(trust=trust)
    phone = office.phone("1001", tcp=tcp)
    assert office.facts("1001") == [PhoneRegistered("1001", 300)]
    assert office.pbx.registrar.count() == 1
    office.act("1001", "unregister")
    office.world.run(1)
    assert not phone.registered and office.pbx.registrar.count() == 0
    assert office.facts("pbx", PbxUnregistered)


def test_a_wrong_password_is_refused_and_tried_again_later() -> None:
    office = Office()
    office.phone("1001", register=False)
    phone = office.phone("1002", register=False)
    phone.stack.account = office.phones["1001"].stack.account
    office.world.act("1002", phone.register)
    office.world.run(0.5)
    assert office.facts("1002", PhoneUnregistered) == [PhoneUnregistered("1002", 403, By.THEM)]
    assert not phone.registered


def test_registrations_are_refreshed_and_expire_when_they_are_not() -> None:
    office = Office()
    office.phone("1001", expires=60)
    office.world.run(200)
    assert office.pbx.registrar.count() == 1
    assert len(office.facts("pbx", PbxRegistered)) == 1
    office.world.kill("1001")
    office.world.run(100)
    assert office.pbx.registrar.count() == 0


def test_a_phone_on_tcp_registers_again_when_the_pbx_restarts() -> None:
    office = Office()
    office.phone("1001", tcp=True)
    office.world.kill("pbx")
    office.world.run(3)
    restarted = type(office.pbx)(office.pbx.settings, office.pbx.stack.chance)
    office.world.add("pbx", restarted, office.pbx.settings.listen)
    office.world.run(40)
    assert restarted.registrar.count() == 1
