"""Whatever is drafted is a configuration that loads, and says what was meant."""

import itertools
from pathlib import Path

import pytest

from haproxy_voip.configuration.draft import CHAT, NAMES, SIP, Draft, server, written
from haproxy_voip.configuration.kinds import Wrong
from haproxy_voip.configuration.load import load

SERVERS = {"alpha": "udp:10.0.0.11:5060", "beta": "tcp:10.0.0.12:5060"}
CHATS = {"beta": "tcp:10.0.0.12:5222", "gamma": "tls:[2001:db8::1]:5223"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("alpha=udp:10.0.0.11:5070", ("alpha", "udp:10.0.0.11:5070")),
        (" pbx-1 = 10.0.0.11 ", ("pbx-1", "udp:10.0.0.11:5060")),
        ("10.0.0.11:5070", ("alpha", "udp:10.0.0.11:5070")),
        ("tcp:10.0.0.11", ("alpha", "tcp:10.0.0.11:5060")),
        ("x=tls:10.0.0.11", ("x", "tls:10.0.0.11:5061")),
        ("2001:db8::1", ("alpha", "udp:[2001:db8::1]:5060")),
        ("tcp:2001:db8::1", ("alpha", "tcp:[2001:db8::1]:5060")),
        ("[2001:db8::1]:5070", ("alpha", "udp:[2001:db8::1]:5070")),
        ("x=udp:[2001:db8::1]", ("x", "udp:[2001:db8::1]:5060")),
        ("pbx.example", ("alpha", "udp:pbx.example")),
        ("x=tls:pbx.example", ("x", "tls:pbx.example")),
        ("pbx.example:5070", ("alpha", "udp:pbx.example:5070")),
    ],
)
def test_a_server_is_given_by_as_little_as_its_address_or_host_name(text: str, found: tuple[str, str]) -> None:
    assert server(text, SIP, {}) == found


def test_chat_has_its_own_defaults_and_names_go_on() -> None:
    assert server("10.0.0.11", CHAT, {}) == ("alpha", "tcp:10.0.0.11:5222")
    assert server("tls:10.0.0.11", CHAT, {"alpha": "..."}) == ("beta", "tls:10.0.0.11:5223")
    assert server("10.0.0.11", SIP, dict.fromkeys(NAMES, "..."))[0] == "backend9"


@pytest.mark.parametrize(
    "text",
    ["", "a=", "two words=10.0.0.1", "a=10.0.0.1:0", "a=10.0.0.1:99999", "a=udp:", "a=sctp:10.0.0.1:5060", "a=b c"],
)
def test_what_is_no_server_is_refused(text: str) -> None:
    with pytest.raises(Wrong):
        server(text, SIP, {})


def test_a_name_is_given_once() -> None:
    with pytest.raises(Wrong, match=r"alpha is udp:10\.0\.0\.11:5060 already"):
        server("alpha=10.0.0.99", SIP, SERVERS)


@pytest.mark.parametrize(
    ("sip", "chat", "advertise", "users"),
    [
        each
        for each in itertools.product([{}, SERVERS], [{}, CHATS], [None, "203.0.113.1"], [None, "users.yaml", "a: #b"])
        if (each[0] or each[1]) and (each[3] or not each[0])
    ],
)
def test_every_draft_loads_as_it_was_meant(
    tmp_path: Path, sip: dict[str, str], chat: dict[str, str], advertise: str | None, users: str | None
) -> None:
    draft = Draft(
        domain="voip.example",
        addresses=("192.0.2.10", "2001:db8::10"),
        advertise=advertise,
        sip=sip,
        chat=chat,
        sip_port=15060,
        media_ports="30000-30999",
        users=users,
        control="null",
    )
    if users is not None:
        (tmp_path / users).write_text("realm: voip.example\nusers:\n")
    file = tmp_path / "haproxy_voip.yaml"
    file.write_text(written(draft, file.name))
    config = load(file)
    assert config.proxy.domain == "voip.example" and config.proxy.advertise == advertise
    assert {name: str(endpoint) for name, endpoint in config.sip_endpoints.items()} == sip
    assert {name: str(endpoint) for name, endpoint in config.xmpp_endpoints.items()} == chat
    assert list(map(str, config.proxy.sip.listen)) == draft.sip_listeners
    assert (config.proxy.xmpp is not None) == bool(chat)
    assert config.users == (None if users is None else tmp_path / users)
    assert not sip or str(config.media.ports) == "30000-30999"
    assert config.control == tmp_path / "null"


def test_a_certificate_brings_listeners_for_tls() -> None:
    draft = Draft(domain="d", addresses=("192.0.2.1",), sip=SERVERS, chat=CHATS, certificate="a.crt", key="a.key")
    assert draft.sip_listeners == ["udp:192.0.2.1:5060", "tcp:192.0.2.1:5060", "tls:192.0.2.1:5061"]
    assert draft.chat_listeners == ["tcp:192.0.2.1:5222", "tls:192.0.2.1:5223"]
    text = written(draft, "x.yaml")
    assert "tls: {certificate: a.crt, key: a.key}" in text and "starttls" not in text
    assert Draft(domain="d", addresses=("192.0.2.1",)).sip_listeners == []


def test_no_line_is_longer_than_a_screen() -> None:
    draft = Draft(domain="voip.example", addresses=("192.0.2.1",), sip=SERVERS, chat=CHATS, users="users.yaml")
    assert max(map(len, written(draft, "haproxy_voip.yaml").splitlines())) <= 120
