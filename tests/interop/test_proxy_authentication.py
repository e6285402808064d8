"""`authentication: backend`: servers challenge the phones through the proxy, which knows no password."""

from collections.abc import Iterator

import pytest

from tests.interop.audio import CALLEE_TONE, CALLER_TONE, Ear
from tests.interop.baresip import SERVER_SIDE, Baresip, PhoneNetwork
from tests.interop.conftest import StartAsterisk, StartHandset, StartKamailio, StartProxy
from tests.interop.handset import Handset
from tests.interop.parties import CALLEE, CALLER
from tests.interop.processes import wait_until
from tests.interop.proxy import ADDRESS, ProxySetting
from tests.interop.servers import Asterisk, Setting

ENTRUSTED = ProxySetting(registration="active", lines=("authentication: backend",))
SHORT = 5  # seconds until a phone must register again
NOTICED_SECONDS = 10.0


def converse(caller: Handset, callee: Handset, caller_ear: Ear, callee_ear: Ear) -> None:
    """A call, answered and heard."""
    ours = caller.call("1002")
    theirs = callee.wait_call()
    theirs.answer()
    ours.wait_answered()
    caller_ear.wait_for(CALLEE_TONE)
    callee_ear.wait_for(CALLER_TONE)
    ours.hang_up()
    theirs.wait_ended()


def test_phones_register_and_call_with_their_own_passwords_before_and_after_a_failover(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, start_handset: StartHandset,
    caller_ear: Ear, callee_ear: Ear,
) -> None:  # fmt: skip
    proxy = start_proxy(alpha, beta, setting=ENTRUSTED)
    caller = start_handset(user="1001", server=proxy.address, address=CALLER, ear=caller_ear)
    callee = start_handset(user="1002", server=proxy.address, address=CALLEE, ear=callee_ear)
    assert caller.register(secret="guess") == 401
    assert not alpha.contacts("1001")
    assert (caller.register(), callee.register()) == (200, 200)
    assert all(f"@{ADDRESS}" in contact for contact in alpha.contacts("1001") + alpha.contacts("1002"))
    assert (alpha.contact_count(), beta.contact_count()) == (2, 0)
    converse(caller, callee, caller_ear, callee_ear)
    assert caller.message("1002", "hello") in (200, 202)

    alpha.kill()
    status = proxy.wait_active("beta", NOTICED_SECONDS)
    assert status["unreachable"]["contacts"] == 2
    assert 0 < status["unreachable"]["seconds"] <= 120
    # The caller is challenged by beta, and may call; whoever has not registered there cannot be called.
    echo = caller.call("600")
    echo.wait_answered()
    echo.hang_up()
    assert caller.call("1002").wait_refused() == 480
    assert (caller.register(), callee.register()) == (200, 200)
    assert proxy.status()["unreachable"] == {"contacts": 0, "seconds": None}
    converse(caller, callee, caller_ear, callee_ear)


def test_a_server_that_looks_at_the_domain_serves_them_as_well(
    start_kamailio: StartKamailio, start_proxy: StartProxy, start_handset: StartHandset,
    caller_ear: Ear, callee_ear: Ear,
) -> None:  # fmt: skip
    alpha, beta = start_kamailio("alpha"), start_kamailio("beta")
    proxy = start_proxy(alpha, beta, setting=ENTRUSTED)
    caller = start_handset(user="1001", server=proxy.address, address=CALLER, ear=caller_ear)
    callee = start_handset(user="1002", server=proxy.address, address=CALLEE, ear=callee_ear)
    assert (caller.register(), callee.register()) == (200, 200)
    assert alpha.contacts("1001") and not beta.contacts("1001")
    alpha.kill()
    proxy.wait_active("beta", NOTICED_SECONDS)
    assert (caller.register(), callee.register()) == (200, 200)
    converse(caller, callee, caller_ear, callee_ear)


def test_a_server_that_trusts_the_proxy_lets_nobody_in(
    start_asterisk: StartAsterisk, start_proxy: StartProxy, start_handset: StartHandset
) -> None:
    """It cannot tell one phone from another, so whoever it lets in could be anybody."""
    proxy = start_proxy(start_asterisk("alpha", Setting(profile="trusted", proxy=ADDRESS)), setting=ENTRUSTED)
    phone = start_handset(user="1001", server=proxy.address, address=CALLER)
    assert phone.register() == 403
    assert phone.call("600").wait_refused() == 403
    assert "takes REGISTER without a password" in proxy.text()
    assert proxy.status()["contacts"] == 0


@pytest.fixture
def baresips(
    tmp_path_factory: pytest.TempPathFactory, phone_network: PhoneNetwork
) -> Iterator[tuple[Baresip, Baresip]]:
    def phone(user: str, frequency: float, port: int) -> Baresip:
        folder = tmp_path_factory.mktemp("baresip")
        return Baresip(network=phone_network, folder=folder, user=user, frequency=frequency, port=port)

    pair = phone("1001", 500.0, 5070), phone("1002", 800.0, 5072)
    yield pair
    for one in pair:
        one.stop()


def test_baresip_registers_at_the_next_server_by_itself_and_calls(
    alpha: Asterisk, beta: Asterisk, start_proxy: StartProxy, baresips: tuple[Baresip, Baresip]
) -> None:
    """It refreshes as soon as it was granted, and proves itself anew."""
    timers = f"timers: {{min_expires: {SHORT}s, relayed_expires: {SHORT}s}}"
    setting = ProxySetting(
        registration="active", addresses=(ADDRESS, SERVER_SIDE), lines=("authentication: backend", timers)
    )
    proxy = start_proxy(alpha, beta, setting=setting)
    caller, callee = baresips
    caller.start()
    callee.start()
    proxy.wait(lambda status: status["contacts"] == 2)
    alpha.kill()
    proxy.wait_active("beta", NOTICED_SECONDS)
    proxy.wait(lambda status: (status["contacts"], status["unreachable"]["contacts"]) == (2, 0), 4.0 * SHORT)
    assert beta.contact_count() == 2
    caller.dial("1002")
    callee.wait_for("sndfile: dumping decode audio", 5.0)
    caller.hang_up()
    wait_until(lambda: proxy.status()["calls"] == 0, 5.0, "no calls")
