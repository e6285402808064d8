"""Where calls are placed, when several backends get them, and what becomes of them and of the rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from haproxy_voip.cluster.pool import ActiveChanged
from haproxy_voip.configuration.model import BackendConfig
from haproxy_voip.proxy.events import Reconfigured
from haproxy_voip.proxy.facts import TooFewBackends
from haproxy_voip.sip.message import Request, Response
from tests.proxy.servers import Servers
from tests.proxy.stage import DOMAIN, Peer, config
from tests.proxy.test_subscriptions import Watch

CALLERS = [str(number) for number in range(1001, 1013)]
SPREADING = ["round_robin", "least_calls", "hash"]


def office(balance: str = "round_robin", **terms: dict[str, int]) -> Servers:
    """Three backends; `terms` are more of what is configured for each."""
    return Servers(users=CALLERS, balance=balance, backends=told(**terms))


def told(**terms: dict[str, int]) -> tuple[BackendConfig, ...]:
    return tuple(replace(one, **terms.get(one.name, {})) for one in config().backends)  # type: ignore[arg-type]


def where(stage: Servers) -> str:
    """The backend that has an INVITE to answer."""
    [found] = [name for name, peer in stage.backends.items() if "INVITE" in asked(peer)]
    return found


def asked(peer: Peer) -> list[str]:
    return [message.method for message in peer.inbox if isinstance(message, Request)]


def ring(stage: Servers, user: str, number: str = "600", **headers: str) -> tuple[Peer, Request, str]:
    """A call that is being set up, and where."""
    phone = next((peer for peer in stage.peers.values() if peer.user == user), None) or stage.phone(user)
    invite = phone.request("INVITE", f"sip:{number}@{DOMAIN}", body=phone.offer(), **headers)
    return phone, invite, where(stage)


def talk(stage: Servers, user: str, number: str = "600", **headers: str) -> tuple[Request, Response, str]:
    """A call that is up, as the phone has it, and where."""
    phone, invite, name = ring(stage, user, number, **headers)
    pbx = stage.backends[name]
    pbx.answer(pbx.take_request("INVITE"), 200, tag=f"tag{user}{phone.count}", body=pbx.offer(9000))
    ok = phone.take_response(200)
    phone.ack(invite, ok)
    pbx.take("ACK")
    return invite, ok, name


def refused(stage: Servers, user: str) -> Response:
    phone = stage.phone(user)
    phone.request("INVITE", f"sip:600@{DOMAIN}", body=phone.offer())
    return phone.take_response(503)


# New calls


def test_calls_are_spread_by_weight_and_each_backend_knows_every_phone() -> None:
    stage = office("least_calls", alpha={"weight": 2})
    assert Counter(talk(stage, user)[2] for user in CALLERS[:8]) == {"alpha": 4, "beta": 2, "charlie": 2}
    rows = stage.command("status")["backends"]
    assert [(row["calls"], row["active"], row["weight"], row["warm"]) for row in rows] == [  # type: ignore[attr-defined]
        (4, True, 2, 1.0), (2, True, 1, 1.0), (2, True, 1, 1.0),
    ]  # fmt: skip
    stage.pass_time(1.0)
    assert {len(stage.server(name).contacts) for name in stage.backends} == {8}


def test_a_full_backend_is_passed_over_and_when_all_are_full_the_call_is_refused_for_now() -> None:
    stage = office("round_robin", alpha={"max_calls": 1}, beta={"max_calls": 2}, charlie={"max_calls": 1})
    assert Counter(talk(stage, user)[2] for user in CALLERS[:4]) == {"alpha": 1, "beta": 2, "charlie": 1}
    assert refused(stage, "1012").has("retry-after")


def test_in_failover_what_the_active_one_has_no_room_for_goes_to_the_next() -> None:
    stage = office("failover", alpha={"max_calls": 2})
    assert [talk(stage, user)[2] for user in CALLERS[:4]] == ["alpha", "alpha", "beta", "beta"]


def test_room_is_there_again_when_a_call_has_ended() -> None:
    stage = office("failover", alpha={"max_calls": 1})
    invite, ok, _ = talk(stage, "1001")
    assert ring(stage, "1002")[2] == "beta"
    stage.beta.take("INVITE")
    phone = next(peer for peer in stage.peers.values() if peer.user == "1001")
    phone.send(phone.within(invite, ok, "BYE", 2))
    assert ring(stage, "1003")[2] == "alpha"


@pytest.mark.parametrize("balance", SPREADING)
def test_who_has_a_call_gets_the_next_one_at_the_same_backend(balance: str) -> None:
    stage = office(balance)
    for user in CALLERS[:6]:
        first = talk(stage, user)[2]
        assert [talk(stage, user, number)[2] for number in ("601", "602")] == [first, first]


def test_who_was_called_calls_over_the_backend_that_called() -> None:
    stage = office()
    stage.phone("1001")
    token = stage.token_of("1001")
    stage.charlie.send(
        stage.charlie.new("INVITE", f"sip:{token}@127.0.0.10:5060", body=stage.charlie.offer(9002), call_id="incoming")
    )
    stage.charlie.take(100)
    assert ring(stage, "1001")[2] == "charlie"


def test_an_invite_that_replaces_a_call_goes_where_that_one_is() -> None:
    stage = office()
    invites = [talk(stage, user) for user in CALLERS[:3]]
    assert [name for _, _, name in invites] == ["alpha", "beta", "charlie"]
    for user, (invite, ok, name) in zip(CALLERS[3:6], invites, strict=True):
        dialog = f"{ok.call_id};to-tag={ok.to.tag};from-tag={invite.from_.tag}"
        assert ring(stage, user, replaces=dialog)[2] == name
        stage.backends[name].inbox.clear()
    assert ring(stage, "1010", replaces="nobody's")[2] in stage.backends


def test_who_is_drained_or_down_gets_none_and_is_ready_again_later() -> None:
    stage = office()
    stage.command("drain", name="beta")
    stage.kill("charlie")
    assert {talk(stage, user)[2] for user in CALLERS[:3]} == {"alpha"}
    stage.command("ready", name="beta")
    assert {talk(stage, user)[2] for user in CALLERS[3:5]} == {"alpha", "beta"}


# What moves


@pytest.mark.parametrize("balance", SPREADING)
def test_the_calls_of_a_dead_backend_go_to_all_the_others(balance: str) -> None:
    stage = office(balance, alpha={"weight": 256})
    stage.command("drain", name="beta")
    stage.command("drain", name="charlie")
    for user in CALLERS[:8]:
        assert talk(stage, user)[2] == "alpha"
    stage.command("ready", name="beta")
    stage.command("ready", name="charlie")
    stage.kill("alpha")
    stage.pass_time(0.2)
    found = [asked(stage.beta).count("INVITE"), asked(stage.charlie).count("INVITE")]
    assert sum(found) == 8 and min(found) >= 2
    if balance != "hash":
        assert found == [4, 4]
    assert stage.node._evacuation.records[-1].successor == "beta, charlie"


def test_the_calls_of_one_caller_stay_together() -> None:
    stage = office()
    home = [talk(stage, user)[2] for user in ("1001", "1002", "1001", "1002")]
    assert home == ["alpha", "beta", "alpha", "beta"]
    stage.kill("alpha")
    stage.pass_time(0.1)
    invite = [name for name in ("beta", "charlie") if "INVITE" in asked(stage.backends[name])]
    assert len(invite) == 1


def test_of_the_calls_of_a_dead_backend_only_as_many_go_on_as_the_others_bear() -> None:
    stage = office("failover", beta={"max_calls": 2}, charlie={"max_calls": 1})
    for user in CALLERS[:5]:
        talk(stage, user)
    stage.kill("alpha")
    stage.pass_time(0.2)
    assert [asked(peer).count("INVITE") for peer in (stage.beta, stage.charlie)] == [2, 1]
    assert refused(stage, "1012").has("retry-after")


@pytest.mark.parametrize("balance", SPREADING)
def test_a_request_that_is_no_call_goes_to_the_home_of_its_user(balance: str) -> None:
    stage, homes = office(balance), {}
    for user in CALLERS:
        phone = stage.phone(user)
        for _ in range(2):
            phone.request("PUBLISH", f"sip:{user}@{DOMAIN}", event="presence")
        [homes[user]] = [name for name, peer in stage.backends.items() if asked(peer) == ["PUBLISH"] * 2]
        stage.backends[homes[user]].inbox.clear()
    assert set(homes.values()) == set(stage.backends)


def test_a_subscription_is_made_anew_at_the_users_next_home_and_stays_there() -> None:
    stage = office("least_calls")
    home = stage.node.backends.choice.home("1001")
    assert home is not None
    watch = Watch(stage, home=home).accepted()
    stage.kill(home)
    following = stage.node.backends.choice.home("1001")
    assert following not in (None, home)
    stage.backends[following].take_request("SUBSCRIBE")  # type: ignore[index]
    stage.revive(home)
    assert "SUBSCRIBE" not in asked(stage.backends[home])
    assert watch.alice.user == "1001"


# What people are told


def test_too_few_backends_are_told_of_once_and_again_when_there_are_enough() -> None:
    stage = office()
    stage.kill("charlie")
    assert not [fact for fact in stage.facts if isinstance(fact, TooFewBackends)]
    stage.kill("beta")
    talk(stage, "1001")
    status = stage.command("status")
    assert (status["balance"], status["percent_up"], status["panic"]) == ("round_robin", 33, True)
    stage.revive("beta")
    facts = [fact for fact in stage.facts if isinstance(fact, TooFewBackends)]
    assert facts == [TooFewBackends(True, 33, 50), TooFewBackends(False, 66, 50)]
    assert [str(fact) for fact in facts] == [
        "33 % of the backends' weight can get calls, less than panic: 50; calls beyond max_calls are answered 503",
        "66 % of the backends' weight can get calls, not less than panic: 50",
    ]


def test_of_too_few_backends_each_has_the_time_of_the_last_one() -> None:
    stage = office()
    detectors = stage.node.backends.detectors
    assert not any(detector.last for detector in detectors.values())
    stage.node.backends.choice.arrange(replace(stage.node.backends.choice.sharing, panic=100))
    stage.kill("charlie")
    assert detectors["alpha"].last and detectors["beta"].last


def test_where_all_get_calls_there_is_nothing_to_switch_to_and_no_active_one_to_tell_of() -> None:
    stage = office("hash")
    said = "balance is hash: every backend that is ready gets calls; drain the others instead"
    assert stage.command("switch", name="beta") == {"error": said}
    stage.facts.clear()
    stage.kill("alpha")
    assert not [fact for fact in stage.facts if isinstance(fact, ActiveChanged)]
    stage.kill("beta")
    stage.kill("charlie")
    assert [fact.new for fact in stage.facts if isinstance(fact, ActiveChanged)] == [None]


def test_another_balance_holds_for_the_next_call_after_a_reload() -> None:
    stage = office("failover")
    assert {talk(stage, user)[2] for user in CALLERS[:3]} == {"alpha"}
    backends = told(alpha={"max_calls": 4}, charlie={"weight": 2})
    stage.config = replace(stage.config, balance="round_robin", backends=backends)
    stage.feed(Reconfigured(stage.config))
    assert Counter(talk(stage, user)[2] for user in CALLERS[3:7]) == {"alpha": 1, "beta": 1, "charlie": 2}
    assert Counter(talk(stage, user)[2] for user in CALLERS[7:12])["alpha"] == 0
