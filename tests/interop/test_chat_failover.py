"""Clients who chat without a pause while their server is killed, frozen or stopped: they notice nothing but a wait.

benchmarks/chat_failover.py does it many times and measures.
"""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.interop.chat_house import House, Plan
from tests.interop.chat_proxy import ChatSetting
from tests.interop.chat_servers import ChatServer
from tests.interop.chatting import Chatting
from tests.interop.processes import wait_until
from tests.interop.talkers import Talker

SETS = {
    "prosody": ("prosody", "prosody", "prosody"),
    "ejabberd": ("ejabberd", "ejabberd", "ejabberd"),
    "mixed": ("prosody", "ejabberd", "prosody"),
}
# How sessions are prepared at the next server.
STANDBY = {"prosody": "hot", "ejabberd": "available", "mixed": "available"}
PLANS = [
    pytest.param(Plan(families=families, setting=ChatSetting(standby=STANDBY[name])), id=name)
    for name, families in SETS.items()
]
pytestmark = pytest.mark.parametrize("house", PLANS, indirect=True, scope="module")

# Whole seconds of talk around a failure, and between two words of one client.
BEFORE, AFTER, PERIOD = 0.3, 1.0, 0.150
# The longest wait of a message, generous: machines that run tests are busy.
LONGEST_WAIT = 3.0

Fail = Callable[[ChatServer], float]


def kill(server: ChatServer) -> float:
    return server.kill()


def freeze(server: ChatServer) -> float:
    return server.freeze()


def stop(server: ChatServer) -> float:
    at = time.monotonic()
    server.stop()
    return at


@pytest.fixture(scope="module")
def company(house: House) -> list[Talker]:
    """Six clients of five users, all of them in a room; their contacts' presence has arrived."""
    talkers = house.company(users=5, second=1, room="party")
    house.restore()
    return talkers


@pytest.fixture
def calm(house: House, company: list[Talker]) -> Iterator[None]:
    """Everything is as it was, before and after."""
    house.restore()
    yield
    house.restore()


@pytest.mark.parametrize("fail", [kill, freeze, stop])
def test_nobody_is_disconnected_and_every_word_is_heard_once(
    house: House, company: list[Talker], calm: None, fail: Fail
) -> None:
    """In order; no contact and no occupant of the room is seen to leave or to come."""
    failing = house.active()
    with Chatting(house.talkers, company, "party@rooms.voip.example", PERIOD) as chatting:
        time.sleep(BEFORE)
        failed_at = fail(failing)
        house.proxy.wait(lambda status: status["chat_active"] not in (None, failing.name))
        time.sleep(AFTER)
        failing.ensure()  # what it still believes when it is back may not disturb anybody
    account = chatting.account()
    assert account.faults == {}
    assert account.words > 50
    assert account.longest_wait(failed_at) < LONGEST_WAIT


def test_a_client_that_is_away_when_its_server_dies_comes_back_to_its_session(
    house: House, company: list[Talker], calm: None
) -> None:
    """XEP-0198 resumption: what was said meanwhile is heard, once, and nobody saw the client leave."""
    ann, bob = company[:2]
    presences, resumptions = len(ann.journal.presences), bob.journal.resumptions
    bob.cut()
    house.proxy.wait(lambda status: status["chat_clients_away"] == 1)
    words = [f"{when} {bob.journal.connections}" for when in ("before it dies", "as it dies", "later")]
    ann.say(bob, words[0])
    house.active().kill()
    ann.say(bob, words[1])
    house.proxy.wait_settled()
    ann.say(bob, words[2])
    bob.connect()
    wait_until(lambda: bob.journal.resumptions == resumptions + 1, 10.0, "resumption")
    bob.wait_for(words[2])
    assert [body for body in bob.journal.bodies(ann.jid) if body in words] == words
    bob.say(ann, words[0] + ", he says")
    ann.wait_for(words[0] + ", he says")
    assert ann.journal.presences[presences:] == []
