"""Clients that others wrote, at the real proxy before real servers: ways to log in, and that they are understood."""

from pathlib import Path

import pytest

from tests.interop.chat_house import House, Plan
from tests.interop.chat_proxy import PATIENT, ChatSetting
from tests.interop.processes import wait_until
from tests.interop.profanity import Profanity
from tests.interop.talkers import Talker

SETTING = ChatSetting(lines=(PATIENT,))
PLANS = [
    pytest.param(Plan(families=("prosody", "ejabberd"), setting=SETTING), id="prosody-first"),
    pytest.param(Plan(families=("ejabberd", "prosody"), setting=SETTING), id="ejabberd-first"),
]
pytestmark = pytest.mark.parametrize("house", PLANS, indirect=True, scope="module")

MECHANISMS = ("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256")


@pytest.fixture
def ann(house: House) -> Talker:
    [ann] = house.talkers.online(house.proxy.address, 1001)
    return ann


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_client_logs_in_by_any_mechanism(house: House, mechanism: str) -> None:
    """The server behind is logged in to by what was proved, so it takes part in every one of them."""
    talker = house.talkers.talker(1002, mechanism, house.proxy.address)
    talker.log_in_by(mechanism)
    talker.connect()
    talker.wait_online()
    assert talker.ping() < 5.0
    talker.leave()


def test_a_client_may_begin_with_tls(house: House, ann: Talker) -> None:
    """XEP-0368."""
    talker = house.talkers.talker(1002, "direct", house.proxy.address)
    talker.connect(direct=True)
    talker.wait_online()
    talker.say(ann, "over TLS from the first byte")
    ann.wait_for("over TLS from the first byte")
    talker.leave()
    ann.leave()


def test_profanity_talks_gets_receipts_and_outlives_its_server(house: House, ann: Talker, tmp_path: Path) -> None:
    """A client built on libstrophe: a word each way and a receipt, before its server is killed and after."""
    with Profanity(1002, house.proxy.address, tmp_path) as bob:
        talk(house, ann, bob, "before")
        presences, failed = len(ann.journal.presences), house.active()
        failed.kill()
        house.proxy.wait(lambda status: status["chat_active"] not in (None, failed.name))
        talk(house, ann, bob, "after")
        assert len(ann.journal.receipts) == 2
        assert ann.journal.presences[presences:] == []
        assert bob.logins == 1
    ann.leave()
    house.restore()


def talk(house: House, ann: Talker, bob: Profanity, when: str) -> None:
    """A word each way, and Profanity's receipt for what it heard."""
    receipts = len(ann.journal.receipts)
    house.talkers.call(lambda: ann.send(bob.full, f"to you, {when}", receipt=True))
    bob.wait_heard(ann.jid, f"to you, {when}")
    wait_until(lambda: len(ann.journal.receipts) > receipts, 5.0, "its receipt")
    bob.say(ann.jid, f"to me, {when}")
    assert ann.wait_for(f"to me, {when}").sender == bob.full
