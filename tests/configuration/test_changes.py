from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from haproxy_voip.configuration.changes import AT_RUN_TIME, Departing, Plan, plan
from haproxy_voip.configuration.fields import fields_of
from haproxy_voip.configuration.model import (
    BackendConfig,
    ChatDomainConfig,
    Config,
    HealthConfig,
    LimitsConfig,
    LogConfig,
    MediaConfig,
    PortRange,
    ProxyConfig,
    SipConfig,
    TimersConfig,
    TlsConfig,
    XmppConfig,
)
from haproxy_voip.configuration.peers import BackendTlsConfig, TrunkConfig, TrunkRegisterConfig
from haproxy_voip.core.address import Endpoint


def at(text: str) -> Endpoint:
    return Endpoint.parse(text)


def sip(*listen: str, **more: Any) -> ProxyConfig:
    return ProxyConfig(domain="voip.example", sip=SipConfig(listen=tuple(map(at, listen))), **more)


def server(name: str, place: str, **more: Any) -> BackendConfig:
    return BackendConfig(name=name, sip=at(place), **more)


ALPHA, BETA = server("alpha", "udp:192.0.2.11:5060"), server("beta", "udp:192.0.2.12:5060")
GAMMA = server("gamma", "udp:192.0.2.13:5060")
RUNNING = Config(proxy=sip("udp:192.0.2.10:5060"), users=Path("users.yaml"), backends=(ALPHA, BETA))
NOBODY = Departing()


def planned(departing: Departing = NOBODY, running: Config = RUNNING, **changes: Any) -> Plan:
    return plan(running, replace(running, **changes), departing)


def said(made: Plan) -> list[str]:
    return [str(change) for change in made.changes]


def names(made: Plan) -> list[str]:
    return [backend.name for backend in made.config.backends]


def test_the_same_configuration_changes_nothing():
    assert planned() == Plan(RUNNING, ())


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"limits": LimitsConfig(max_calls=5)}, "limits.max_calls: 2000 -> 5"),
        ({"balance": "least_calls"}, "balance: failover -> least_calls"),
        ({"panic": 20}, "panic: 50 -> 20"),
        ({"timers": TimersConfig(ring=60.0)}, "timers.ring: 3m -> 1m"),
        ({"health": HealthConfig(fall=5)}, "health.fall: 2 -> 5"),
        ({"failback": 30.0}, "failback: none -> 30s"),
        ({"media": MediaConfig(ports=PortRange(40000, 40999))}, "media.ports: 20000-29999 -> 40000-40999"),
        ({"log": LogConfig(level="debug")}, "log.level: info -> debug"),
        ({"call_records": Path("calls.jsonl")}, "call_records: none -> calls.jsonl"),
        ({"users": Path("others.yaml")}, "users: users.yaml -> others.yaml"),
        ({"proxy": sip("udp:192.0.2.10:5060", digest=("MD5",))}, "proxy.digest: [SHA-256, MD5] -> [MD5]"),
        (
            {"proxy": sip("udp:192.0.2.10:5060", tls=TlsConfig(certificate=Path("c"), key=Path("k")))},
            "proxy.tls: none -> given",
        ),
        (
            {"proxy": sip("udp:192.0.2.10:5060", "tcp:192.0.2.10:5060")},
            "proxy.sip.listen: [udp:192.0.2.10:5060] -> [udp:192.0.2.10:5060, tcp:192.0.2.10:5060]",
        ),
        (
            {"backends": (replace(ALPHA, tls=BackendTlsConfig(verify=False)), BETA)},
            "backends.alpha.tls.verify: true -> false",
        ),
    ],
)
def test_what_can_change_at_run_time_does(changes, line):
    made = planned(**changes)
    assert said(made) == [line]
    assert made.config == replace(RUNNING, **changes)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"control": Path("/run/other.sock")}, "control"),
        ({"media": MediaConfig(relay="kernel")}, "media.relay"),
        ({"registration": "active"}, "registration"),
        ({"log": LogConfig(format="json")}, "log.format"),
        ({"proxy": replace(RUNNING.proxy, domain="other.example")}, "proxy.domain"),
        ({"proxy": replace(RUNNING.proxy, advertise="203.0.113.1")}, "proxy.advertise"),
        ({"proxy": replace(RUNNING.proxy, xmpp=XmppConfig(listen=(at("tcp:192.0.2.10:5222"),)))}, "proxy.xmpp"),
    ],
)
def test_what_cannot_is_told_by_name_and_stays_as_it_is(changes, key):
    made = planned(**changes, limits=LimitsConfig(max_calls=5))
    assert f"{key}: changed; takes effect at restart" in said(made)
    assert made.config == replace(RUNNING, limits=LimitsConfig(max_calls=5))


def test_every_key_that_is_named_is_one_of_the_models():
    for key in AT_RUN_TIME:
        section: type = Config
        for name in key.split("."):
            if name != "*":
                field = next(field for field in fields_of(section) if field.name == name)
                section = field.section or section


# -- backends ---------------------------------------------------------------------------------------


def test_backends_are_added_removed_and_reordered():
    made = planned(backends=(GAMMA, BETA, ALPHA))
    assert said(made) == [
        "backends.gamma.sip: udp:192.0.2.13:5060 added: it is checked before it is used",
        "backends: the order is gamma, beta, alpha",
    ]
    made = planned(backends=(BETA,))
    assert names(made) == ["beta"] and not made.waits
    assert said(made) == ["backends.alpha: removed: what is there stays until it ends, then it is gone"]


def test_another_address_is_taken_when_nothing_is_left_at_the_former_one():
    moved = server("alpha", "udp:192.0.2.21:5060")
    first = planned(backends=(moved, BETA))
    assert names(first) == ["beta"] and first.waits
    assert said(first) == [
        "backends.alpha.sip: udp:192.0.2.11:5060 -> udp:192.0.2.21:5060; when nothing is left at the former address"
    ]
    wanted = replace(RUNNING, backends=(moved, BETA))
    meanwhile = plan(first.config, wanted, Departing(sip={"alpha": ALPHA.sip}))
    assert names(meanwhile) == ["beta"] and meanwhile.waits
    then = plan(first.config, wanted, NOBODY)
    assert then.config == wanted and not then.waits


def test_an_address_changes_its_name_when_nothing_is_left_of_the_former_one():
    renamed = server("a2", "udp:192.0.2.11:5060")
    made = planned(backends=(renamed, BETA))
    assert names(made) == ["beta"] and made.waits
    assert "backends.a2.sip: udp:192.0.2.11:5060 added; when nothing is left of alpha there" in said(made)


def test_one_that_leaves_can_be_taken_back():
    running = replace(RUNNING, backends=(BETA,))
    made = plan(running, RUNNING, Departing(sip={"alpha": ALPHA.sip}))
    assert made.config == RUNNING and not made.waits


def test_the_address_of_the_only_backend_takes_effect_at_restart():
    """Nobody could take its calls while it leaves."""
    running = replace(RUNNING, backends=(ALPHA,))
    made = planned(running=running, backends=(server("alpha", "udp:192.0.2.21:5060"),), failback=5.0)
    assert made.config == running
    assert {change.later for change in made.changes} == {"takes effect at restart"}


def test_the_last_one_may_leave_where_a_name_says_that_it_is_elsewhere_now():
    running = replace(RUNNING, backends=(ALPHA,))
    wanted = replace(running, backends=(server("alpha", "udp:192.0.2.21:5060"),))
    made = plan(running, wanted, NOBODY, last_may_go=True)
    assert made.config.backends == () and made.waits
    then = plan(made.config, wanted, NOBODY, last_may_go=True)
    assert then.config == wanted and not then.waits


def test_a_backend_may_begin_and_end_to_chat():
    proxy = replace(RUNNING.proxy, xmpp=XmppConfig(listen=(at("tcp:192.0.2.10:5222"),), starttls="optional"))
    running = replace(RUNNING, proxy=proxy)
    chats = replace(ALPHA, xmpp=at("tcp:192.0.2.11:5222"))
    made = planned(running=running, backends=(chats, BETA))
    assert made.config.backends == (chats, BETA)
    ended = plan(made.config, running, NOBODY)
    assert ended.config == running
    assert [change.key for change in ended.changes] == ["backends.alpha.xmpp"]


def test_a_listener_that_backends_are_reached_from_stays_until_a_restart():
    made = planned(proxy=sip("udp:192.0.2.10:5070"))
    assert made.config == RUNNING
    assert said(made)[0].endswith("; a backend is reached from one that would go: takes effect at restart")
    first = planned(proxy=sip("udp:192.0.2.10:5070", "udp:192.0.2.10:5060"))
    assert first.config == RUNNING  # backends know us by the first one that fits


def test_what_does_not_fit_to_what_stays_changes_nothing():
    """A TLS backend needs a TLS listener, which needs the first place: but that moves the others."""
    tls = TlsConfig(certificate=Path("c"), key=Path("k"))
    running = replace(
        RUNNING, proxy=sip("tls:192.0.2.10:5061", tls=tls), backends=(server("alpha", "tls:192.0.2.11:5061"),)
    )
    made = planned(running=running, proxy=sip("udp:192.0.2.10:5060"), limits=LimitsConfig(max_calls=5))
    assert made.config == running
    assert {change.later for change in made.changes} == {"takes effect at restart"}


# -- certificates -----------------------------------------------------------------------------------


def test_a_domains_certificate_changes_but_not_which_domains_there_are():
    def with_domains(*domains: ChatDomainConfig) -> ProxyConfig:
        listen = (at("tcp:192.0.2.10:5222"),)
        return replace(RUNNING.proxy, xmpp=XmppConfig(listen=listen, starttls="optional", domains=domains))

    one = ChatDomainConfig(name="a.example", certificate=Path("a.crt"), key=Path("a.key"))
    running = replace(RUNNING, proxy=with_domains(one))
    made = planned(running=running, proxy=with_domains(replace(one, certificate=Path("b.crt"))))
    assert said(made) == ["proxy.xmpp.domains.a.example.certificate: a.crt -> b.crt"]
    made = planned(running=running, proxy=with_domains(one, ChatDomainConfig(name="b.example")))
    assert said(made) == ["proxy.xmpp.domains: changed; takes effect at restart"]


def test_trunks_come_change_and_go_at_run_time_and_no_password_is_told():
    account = TrunkRegisterConfig(user="me", password="old secret")
    carrier = TrunkConfig(name="carrier", address=at("udp:203.0.113.5:5060"), register=account)
    running = replace(RUNNING, trunks=(carrier,))
    other = replace(carrier, max_calls=5, register=replace(account, password="new secret"))
    made = planned(running=running, trunks=(other,))
    assert made.config.trunks == (other,)
    assert said(made) == ["trunks.carrier.register.password: changed", "trunks.carrier.max_calls: 30 -> 5"]
    assert said(planned(running=running, trunks=(carrier, replace(other, name="b")))) == [
        "trunks: [carrier] -> [carrier, b]"
    ]
