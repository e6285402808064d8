"""Real chat servers that are configured by host name: SRV says where and at which port (RFC 6120 section 3.2.1)."""

import pytest

from tests.interop.chat_house import House, Plan
from tests.interop.chat_proxy import PATIENT, ChatSetting

PORT = 5322  # no server is where it would be looked for without SRV
PLAN = Plan(
    families=("prosody", "prosody"),
    users=2,
    contacts=False,
    named=True,
    setting=ChatSetting(users=2, lines=(PATIENT,)),
    servers={"PORT": str(PORT)},
)
pytestmark = pytest.mark.parametrize("house", [pytest.param(PLAN, id="named")], indirect=True, scope="module")


def test_a_message_goes_across_the_death_of_a_server_that_is_known_by_name(house: House) -> None:
    status = house.proxy.status()
    assert status["not_found"] == []
    assert [row["xmpp"] for row in status["chat_backends"]] == [f"tcp:127.0.0.2{last}:{PORT}" for last in (1, 2)]
    ann, bob = house.talkers.online(house.proxy.address, 1001, 1002)
    ann.say(bob, "at alpha")
    assert bob.wait_for("at alpha").sender == ann.full
    house.proxy.wait_ready("alpha")
    house.server("alpha").kill()
    ann.say(bob, "at beta")
    assert bob.wait_for("at beta").sender == ann.full
    assert house.active().name == "beta"
    assert ann.journal.disconnections == bob.journal.disconnections == 0
    assert bob.journal.bodies() == ["at alpha", "at beta"]
