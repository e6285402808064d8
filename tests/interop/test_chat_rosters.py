"""Servers that share their users' contact lists: a contact made at one of them is one at the next."""

import pytest

from tests.interop.chat_house import House, Plan
from tests.interop.chat_proxy import ChatSetting
from tests.interop.processes import wait_until
from tests.interop.talkers import Talker

PLAN = Plan(
    families=("prosody", "prosody"),
    contacts=False,
    setting=ChatSetting(standby="available"),
    servers={"SHARED": "{folder}/shared.sqlite"},
)
pytestmark = pytest.mark.parametrize("house", [pytest.param(PLAN, id="prosody")], indirect=True, scope="module")


def test_a_contact_made_while_a_reserve_was_there_is_known_there(house: House) -> None:
    """Prosody keeps a user's list in memory while any session of the user lasts, a reserve included."""
    [ann, bob] = house.talkers.online(house.proxy.address, 1001, 1002)
    house.restore()
    ann.befriend(bob)
    wait_until(lambda: _friends(ann, bob) and _friends(bob, ann), 10.0, "two friends")
    house.restore()
    house.active().kill()
    house.proxy.wait_settled("beta")
    ann.ping(), bob.ping()  # what the new server says of the list has arrived by then
    assert _friends(ann, bob) and _friends(bob, ann)
    bob.show("away")
    wait_until(lambda: _show(ann, bob) == "away", 10.0, "news of a friend")


def _friends(one: Talker, other: Talker) -> bool:
    return one.client.client_roster[other.jid]["subscription"] == "both"


def _show(one: Talker, other: Talker) -> str:
    resource = other.full.rpartition("/")[2]
    return str(one.client.client_roster[other.jid].resources.get(resource, {}).get("show", ""))
