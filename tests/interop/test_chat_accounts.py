"""Accounts that stop working at a real server: the deep probe's, and a user's while the session is elsewhere."""

from pathlib import Path

import pytest

from tests.interop.chat_house import House, Plan
from tests.interop.chat_proxy import ChatSetting
from tests.interop.processes import wait_until
from tests.interop.proxy import Status
from tests.interop.wire import Wire

PROBE = ", probe: {user: '1010', secret: probe.secret, inter: 4s, timeout: 4s}"
PLAN = Plan(
    families=("prosody", "ejabberd"),
    contacts=False,
    setting=ChatSetting(held={"prosody": PROBE, "ejabberd": PROBE}, files={"probe.secret": "secret1010\n"}),
)
pytestmark = pytest.mark.parametrize("house", [pytest.param(PLAN, id="probed")], indirect=True, scope="module")
# Two probes and the seconds between them, on a busy machine.
NOTICED_SECONDS = 30.0


def _refused(status: Status) -> bool:
    alpha = status["chat_backends"][0]
    return alpha["health"] == "down" and (alpha["deep_probe"] or "").startswith("login refused: not-authorized")


def test_a_server_that_refuses_a_login_is_left_and_taken_again(house: House) -> None:
    """Prosody reads an account when somebody logs in: without its file that account is refused."""
    [ann, bob] = house.talkers.online(house.proxy.address, 1001, 1002)
    account = (
        Path(house.server("alpha").process.environment["HAPROXY_VOIP_RUN"]) / "data/voip%2eexample/accounts/1010.dat"
    )
    kept = account.read_bytes()
    account.unlink()
    house.proxy.wait(_refused, NOTICED_SECONDS)
    house.proxy.wait_settled("beta")
    assert "alpha is down: deep probe: " in house.proxy.text()
    ann.say(bob, "elsewhere")
    assert bob.wait_for("elsewhere").sender == ann.full
    account.write_bytes(kept)
    house.proxy.wait(lambda status: bool(status["chat_backends"][0]["health"] == "up"), NOTICED_SECONDS)
    assert ann.journal.disconnections == bob.journal.disconnections == 0
    ann.leave(), bob.leave()


def test_whose_password_was_changed_hears_so_and_nobody_else_is_disturbed(house: House) -> None:
    """The next server refuses the login: that session ends, and the next login is a temporary failure, because the
    password is the one that the proxy knows."""
    house.proxy.prefer("beta")
    folder = Path(house.server("alpha").process.environment["HAPROXY_VOIP_RUN"])
    account = folder / "data/voip%2eexample/accounts/1003.dat"
    kept = account.read_bytes()
    account.unlink()
    [ann, carl] = house.talkers.online(house.proxy.address, 1001, 1003)
    house.server("beta").kill()
    wait_until(lambda: carl.journal.disconnections > 0, NOTICED_SECONDS, "the end of that session")
    assert "alpha does not log in 1003@voip.example" in house.proxy.text()
    with Wire(house.proxy.address) as wire:
        wire.encrypt()
        wire.plain("", "1003", "secret1003")
        assert wire.condition() == "temporary-auth-failure"
    assert ann.ping() < 5.0 and ann.journal.disconnections == 0
    account.write_bytes(kept)
    ann.leave()
