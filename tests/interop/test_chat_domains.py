"""One proxy for two chat domains, at real servers that have both: their users talk, and outlive their servers."""

import time
from collections.abc import Iterator

import pytest

from tests.interop.chat_house import House, Plan
from tests.interop.chat_proxy import PATIENT, ChatSetting
from tests.interop.chat_servers import ANOTHER, DOMAIN, secret
from tests.interop.chatting import Chatting
from tests.interop.processes import wait_until
from tests.interop.talkers import Talker, Talkers

PLAN = Plan(
    families=("prosody", "ejabberd"),
    users=2,
    setting=ChatSetting(users=2, another=True, lines=(PATIENT,)),
    servers={"ANOTHER": ANOTHER},
)
pytestmark = pytest.mark.parametrize("house", [pytest.param(PLAN, id="two-domains")], indirect=True, scope="module")
BEFORE, AFTER, PERIOD = 0.3, 1.0, 0.150


@pytest.fixture(scope="module")
def talkers(house: House) -> Iterator[Talkers]:
    """Whose certificate must be that of their domain."""
    with Talkers(house.proxy.certificate, house.proxy.another_certificate) as talkers:
        yield talkers


@pytest.fixture(scope="module")
def company(house: House, talkers: Talkers) -> list[Talker]:
    """Users of the same names and other passwords; one in each domain begins with TLS, the other with STARTTLS."""
    company = []
    for domain in (DOMAIN, ANOTHER):
        for user in (1001, 1002):
            company.append(talker := talkers.talker(user, "phone", house.proxy.address, domain=domain))
            talker.connect(direct=user == 1002)
    for talker in company:
        talker.wait_online()
        talker.carbons()
        talker.enter("party", talker.jid)
    house.restore()
    return company


@pytest.mark.parametrize("family", ["prosody", "ejabberd"])
def test_users_of_both_domains_talk_to_each_other_while_their_server_is_killed(
    house: House, talkers: Talkers, company: list[Talker], family: str
) -> None:
    """Everybody speaks to the next in the circle, so within each domain and across, and in a room."""
    failing = house.active()
    assert failing.family == family
    with Chatting(talkers, company, "party@rooms.voip.example", PERIOD) as chatting:
        time.sleep(BEFORE)
        failing.kill()
        house.proxy.wait(lambda status: status["chat_active"] not in (None, failing.name))
        time.sleep(AFTER)
    account = chatting.account()
    assert account.faults == {}
    assert account.words > 20
    house.restore()


def test_a_password_is_good_in_its_own_domain_only(house: House, talkers: Talkers) -> None:
    stranger = talkers.talker(1001, "stranger", house.proxy.address, domain=ANOTHER)
    stranger.client.password = secret(1001, DOMAIN)
    stranger.connect()
    wait_until(lambda: bool(stranger.journal.errors), 10.0, "its refusal")
    assert not stranger.online
    stranger.cut()
