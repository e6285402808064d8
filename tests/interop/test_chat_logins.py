"""Logging users in at real servers without their passwords: as an administrator (Prosody), by token (ejabberd)."""

import pytest

from tests.interop.chat_house import House, Plan
from tests.interop.chat_proxy import ChatSetting
from tests.interop.wire import Wire

ADMINISTRATOR, KEY = "of the account that may be anybody", "a key of at least thirty-two characters"
SETTING = ChatSetting(
    keys=True,
    held={
        "prosody": ", login: [key, impersonation], impersonation: {user: proxy, secret: proxy.secret}",
        "ejabberd": ", login: [key, impersonation], impersonation: {by: token, secret: jwt.secret}",
    },
    files={"proxy.secret": ADMINISTRATOR + "\n", "jwt.secret": KEY + "\n"},
)
PLAN = Plan(
    families=("prosody", "ejabberd"),
    contacts=False,
    setting=SETTING,
    servers={"PROXY_SECRET": ADMINISTRATOR, "JWT_KEY": KEY},
)
pytestmark = pytest.mark.parametrize("house", [pytest.param(PLAN, id="impersonated")], indirect=True, scope="module")


def test_a_user_of_whom_only_keys_are_known_is_impersonated_before_and_after_a_failover(house: House) -> None:
    ann, bob = (house.talkers.talker(user, "phone", house.proxy.address) for user in (1001, 1002))
    for talker in (ann, bob):
        talker.log_in_by("SCRAM-SHA-256")
        talker.connect()
    for talker in (ann, bob):
        talker.wait_online()
    assert house.active().family == "prosody"
    ann.say(bob, "at Prosody")
    assert bob.wait_for("at Prosody").sender == ann.full
    house.proxy.wait_ready("alpha")  # logged in at ejabberd as well
    house.active().kill()
    ann.say(bob, "at ejabberd")
    assert bob.wait_for("at ejabberd").sender == ann.full
    assert ann.journal.disconnections == bob.journal.disconnections == 0
    for talker in (ann, bob):
        talker.leave()
    house.restore()


@pytest.mark.parametrize(
    ("authzid", "name", "secret"),
    [
        ("1002@voip.example", "1001", "secret1001"),  # no administrator
        ("nobody@voip.example", "proxy", ADMINISTRATOR),  # no such user
        ("1001@elsewhere.example", "proxy", ADMINISTRATOR),
        ("1001@voip.example", "proxy", "guess"),
    ],
)
def test_at_prosody_only_that_account_may_be_another(house: House, authzid: str, name: str, secret: str) -> None:
    """backends/prosody/modules/mod_proxy_accounts.lua."""
    with Wire(house.server("alpha").address) as wire:
        wire.encrypt()
        wire.plain(authzid, name, secret)
        assert wire.condition() in ("invalid-authzid", "not-authorized")
