"""Phones register through the proxy, over every transport, and appear at every server."""

import subprocess
from dataclasses import replace

import pytest

from tests.interop.conftest import StartAsterisk, StartHandset, StartKamailio, StartProxy, StartSipp
from tests.interop.parties import CALLEE, CALLER, register, register_refused
from tests.interop.processes import wait_until
from tests.interop.proxy import ADDRESS, TLS_PORT, ProxySetting
from tests.interop.servers import REALM, Asterisk, Kamailio, Setting, password

SIPSAK_SECONDS = 10.0
WITHDRAWAL_SECONDS = 2.0

Two = tuple[Asterisk, Asterisk]


def contacts(server: Asterisk | Kamailio, user: str) -> list[str]:
    """Where a server would call a user; of the proxy's contacts all but the token."""
    return [contact.partition("@")[2] for contact in server.contacts(user)]


def sipsak(*arguments: str) -> int:
    """Its exit status."""
    argv = ["sipsak", "-p", ADDRESS, "-i", *arguments]
    return subprocess.run(argv, capture_output=True, timeout=SIPSAK_SECONDS, check=False).returncode


@pytest.fixture
def both(alpha: Asterisk, beta: Asterisk) -> Two:
    return alpha, beta


def test_a_right_password_registers_at_every_server_and_a_wrong_one_at_none(
    both: Two, start_proxy: StartProxy, start_sipp: StartSipp
) -> None:
    proxy = start_proxy(*both)
    start_sipp(register("1001", CALLER, proxy.address)).wait()
    proxy.wait_registered(1)
    start_sipp(register_refused("1002", CALLEE, proxy.address, "wrong")).wait()
    start_sipp(register_refused("4711", CALLEE, proxy.address, "secret4711")).wait()
    assert proxy.status()["users_registered"] == 1
    for server in both:
        assert contacts(server, "1001") == [f"{ADDRESS}:5060"]
        assert contacts(server, "1002") == []


def test_a_contact_that_is_taken_back_is_gone_from_every_server(
    both: Two, start_proxy: StartProxy, start_sipp: StartSipp
) -> None:
    proxy = start_proxy(*both)
    start_sipp(register("1001", CALLER, proxy.address)).wait()
    proxy.wait_registered(1)
    start_sipp(register("1001", CALLER, proxy.address, expires=0)).wait()
    assert proxy.status()["contacts"] == 0
    wait_until(lambda: not any(server.contacts("1001") for server in both), WITHDRAWAL_SECONDS, "none anywhere")


def test_two_phones_of_one_user_are_two_contacts_at_every_server(
    both: Two, start_proxy: StartProxy, start_handset: StartHandset
) -> None:
    proxy = start_proxy(*both)
    for address in (CALLER, CALLEE):
        assert start_handset(user="1001", server=proxy.address, address=address).register() == 200
    proxy.wait_registered(2)
    for server in both:
        assert contacts(server, "1001") == [f"{ADDRESS}:5060"] * 2


def test_sipsak_registers_with_the_right_password_only(both: Two, start_proxy: StartProxy) -> None:
    proxy = start_proxy(*both)
    # Left to itself it calls itself "1003@".
    user = ("-U", "-u", "1003", "-s", f"sip:1003@{REALM}", "-C", f"sip:1003@{CALLER}:5099", "-x", "300")
    assert sipsak(*user, "-a", "wrong") != 0
    assert proxy.status()["contacts"] == 0
    assert sipsak(*user, "-a", password("1003")) == 0
    proxy.wait_registered(1)
    assert contacts(both[1], "1003") == [f"{ADDRESS}:5060"]


def test_a_phone_over_tcp_registers(both: Two, start_proxy: StartProxy, start_sipp: StartSipp) -> None:
    proxy = start_proxy(*both)
    phone = register("1001", CALLER, proxy.address, contact=f"sip:1001@{CALLER}:5060;transport=tcp")
    start_sipp(replace(phone, transport="t1")).wait()
    proxy.wait_registered(1)
    assert contacts(both[0], "1001") == [f"{ADDRESS}:5060"]


def test_a_phone_over_tls_registers(both: Two, start_proxy: StartProxy, start_handset: StartHandset) -> None:
    proxy = start_proxy(*both, setting=ProxySetting(tls=True))
    phone = start_handset(
        user="1001",
        server=proxy.address,
        server_port=TLS_PORT,
        transport="tls",
        trust=proxy.certificate,
        address=CALLER,
    )
    assert phone.register(secret="wrong") == 401
    assert phone.register() == 200
    proxy.wait_registered(1)
    assert contacts(both[0], "1001") == [f"{ADDRESS}:5060"]


def test_a_phone_that_knows_sha_256_registers_with_it(
    both: Two, start_proxy: StartProxy, start_handset: StartHandset
) -> None:
    proxy = start_proxy(*both, setting=ProxySetting(digest="SHA-256"))
    phone = start_handset(user="1001", server=proxy.address, address=CALLER)
    assert phone.register(secret="wrong") == 401
    assert phone.register() == 200
    proxy.wait_registered(1)


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param(Setting(stack="chan_sip"), id="chan_sip-16"),
        pytest.param(Setting(suite="sid", algorithms="SHA-256,MD5"), id="pjsip-22-sha-256"),
        pytest.param(Setting(profile="trusted", proxy=ADDRESS), id="pjsip-16-trusted"),
        pytest.param(Setting(profile="trusted", proxy=ADDRESS, stack="chan_sip"), id="chan_sip-16-trusted"),
    ],
)
def test_every_kind_of_asterisk_takes_the_proxys_registrations(
    start_asterisk: StartAsterisk, start_proxy: StartProxy, start_sipp: StartSipp, setting: Setting
) -> None:
    alpha = start_asterisk("alpha", setting)
    proxy = start_proxy(alpha)
    start_sipp(register("1001", CALLER, proxy.address)).wait()
    proxy.wait_registered(1)
    assert contacts(alpha, "1001") == [f"{ADDRESS}:5060"]


def test_kamailios_take_the_proxys_registrations(
    start_kamailio: StartKamailio, start_proxy: StartProxy, start_sipp: StartSipp
) -> None:
    servers = [start_kamailio(name) for name in ("alpha", "beta")]
    proxy = start_proxy(*servers)
    start_sipp(register("1001", CALLER, proxy.address)).wait()
    proxy.wait_registered(1)
    for server in servers:
        assert contacts(server, "1001") == [f"{ADDRESS}:5060"]
