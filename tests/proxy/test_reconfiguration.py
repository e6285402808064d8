"""Another configuration while calls are up and calls are being set up: nothing is dropped."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from haproxy_voip.configuration.model import (
    BackendConfig,
    HealthConfig,
    LimitsConfig,
    MediaConfig,
    PortRange,
    ProxyConfig,
    SipConfig,
    TimersConfig,
)
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.credential import Credential
from haproxy_voip.proxy.effects import CloseCanary, CloseListener, ForgetBackend
from haproxy_voip.proxy.events import CanaryClosed, Looked, ProbeRefused, ProbeReply, Reconfigured
from haproxy_voip.proxy.facts import BackendGone, BackendLeaves
from tests.proxy.servers import Servers
from tests.proxy.stage import DOMAIN, PROXY, Peer, Stage, config
from tests.proxy.talk import calm, incoming, leave_nothing, outgoing, sdp

ALL = ("alpha", "beta", "charlie")
DELTA = BackendConfig(name="delta", sip=Endpoint(Transport.UDP, Address("127.0.0.14", 5060)))


def reload(stage: Stage, *names: str, **changes: object) -> None:
    """Have these backends from now on, in this order; and whatever else is to change."""
    known = {backend.name: backend for backend in (*config().backends, DELTA)}
    names = names or tuple(backend.name for backend in stage.config.backends)
    stage.config = replace(stage.config, backends=tuple(known[name] for name in names), **changes)  # type: ignore[arg-type]
    if "delta" in names and "delta" not in stage.backends:
        flow = Flow(Transport.UDP, PROXY, DELTA.sip.address)  # type: ignore[union-attr]
        stage.backends["delta"] = stage.peers[flow.remote] = Peer(stage, flow)
    stage.feed(Reconfigured(stage.config))


def status(stage: Stage) -> dict[str, tuple[str, str]]:
    rows = stage.command("status")["backends"]
    return {row["name"]: (row["health"], row["admin"]) for row in rows}  # type: ignore[attr-defined]


def active(stage: Stage) -> str | None:
    return stage.node.backends.pool.active


def told(stage: Stage, kind: type) -> list[object]:
    return [fact for fact in stage.facts if isinstance(fact, kind)]


# -- backends ---------------------------------------------------------------------------------------


def test_a_backend_that_is_added_is_probed_before_it_gets_anything_and_is_told_the_registrations() -> None:
    stage = Stage()
    stage.phone("1001")
    stage.frozen.add("delta")
    reload(stage, "delta", *ALL)
    stage.pass_time(0.01)
    assert status(stage)["delta"] == ("unknown", "ready")
    stage.frozen.discard("delta")
    stage.pass_time(5.0)
    assert status(stage)["delta"] == ("up", "ready")
    assert active(stage) == "alpha"  # what works is left alone
    assert [message.method for message in stage.backends["delta"].seen] == ["REGISTER"]  # type: ignore[union-attr]


@pytest.mark.parametrize("make", [outgoing, incoming])
def test_a_removed_backends_calls_stay_until_they_end_and_then_it_is_gone(make) -> None:
    stage = calm()
    talk = make(stage).established()
    reload(stage, "beta", "charlie")
    assert active(stage) == "beta"
    assert status(stage)["alpha"] == ("up", "leaving")
    assert told(stage, BackendLeaves) == [BackendLeaves("alpha", "sip", 1)]
    stage.pass_time(60)
    talk.across(talk.by_caller("UPDATE", sdp(talk.caller)), body=sdp(talk.callee, 9000))
    assert told(stage, BackendGone) == []
    talk.hang_up()
    assert list(status(stage)) == ["beta", "charlie"]
    assert [fact for fact in stage.facts if isinstance(fact, (BackendGone, ForgetBackend))] == [
        ForgetBackend("alpha"),
        BackendGone("alpha"),
    ]


@pytest.mark.parametrize("make", [outgoing, incoming])
def test_a_call_that_is_being_set_up_goes_on_at_the_backend_that_was_removed(make) -> None:
    stage = calm()
    talk = make(stage)
    reload(stage, "beta", "charlie")
    stage.pass_time(5)
    talk.established()
    stage.pass_time(60)
    talk.hang_up()


def test_new_calls_go_elsewhere_and_the_removed_one_gives_its_registrations_back() -> None:
    stage = Servers()
    stage.phone("1001")
    stage.pass_time(0.2)
    assert stage.node._upstream.counts("alpha") == (1, 0)
    reload(stage, "beta", "charlie")
    stage.pass_time(0.2)
    assert stage.server("alpha").asked[-1][1].get("expires") == "0"
    alice = stage.peers[next(at for at, peer in stage.peers.items() if peer.user == "1001")]
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=sdp(alice))
    assert stage.beta.take_request("INVITE")
    stage.pass_time(2)
    assert told(stage, BackendGone)


def test_a_backend_that_dies_while_it_leaves_loses_no_call() -> None:
    stage = calm()
    talk = outgoing(stage).established()
    reload(stage, "beta", "charlie")
    stage.kill("alpha")
    stage.pass_time(1)
    again = stage.beta.take_request("INVITE")
    stage.beta.answer(again, 200, body=sdp(stage.beta, 9100))
    stage.beta.take_request("ACK")
    stage.pass_time(2)
    assert list(status(stage)) == ["beta", "charlie"]
    assert talk.caller.inbox == []


def test_the_only_backend_goes_on_until_the_one_that_replaces_it_is_up() -> None:
    stage = Stage()
    reload(stage, "alpha")
    stage.pass_time(2)
    assert list(status(stage)) == ["alpha"]
    stage.frozen.add("delta")
    reload(stage, "delta")
    stage.pass_time(1)
    assert active(stage) == "alpha"
    talk = outgoing(stage).established()  # alpha is better than nobody
    stage.frozen.discard("delta")
    stage.pass_time(5)
    assert active(stage) == "delta"
    assert status(stage) == {"delta": ("up", "ready"), "alpha": ("up", "leaving")}
    stage.backends["delta"].inbox.clear()
    talk.hang_up()
    assert list(status(stage)) == ["delta"]


def test_one_that_was_removed_by_mistake_is_taken_back_as_if_nothing_had_been() -> None:
    stage = calm()
    talk = outgoing(stage).established()
    reload(stage, "beta", "charlie")
    stage.pass_time(5)
    reload(stage, *ALL)
    stage.pass_time(5)
    assert status(stage)["alpha"] == ("up", "ready")
    assert stage.node._upstream.counts("alpha") == (1, 0)
    stage.command("switch", name="alpha")
    assert active(stage) == "alpha"
    talk.hang_up()
    assert told(stage, BackendGone) == []


def test_another_order_moves_nothing_but_says_who_comes_next() -> None:
    stage = Stage()
    reload(stage, "charlie", "beta", "alpha")
    assert list(status(stage)) == ["charlie", "beta", "alpha"]
    assert active(stage) == "alpha"
    stage.kill("alpha")
    assert active(stage) == "charlie"


def test_another_order_is_followed_where_failback_is_configured() -> None:
    stage = Stage()
    reload(stage, "charlie", "beta", "alpha", failback=10.0)
    stage.pass_time(11)
    assert active(stage) == "charlie"


@pytest.mark.parametrize("command", ["ready", "switch"])
def test_a_backend_that_leaves_cannot_be_called_back_by_command(command) -> None:
    stage = calm()
    outgoing(stage).established()
    reload(stage, "beta", "charlie")
    assert stage.command(command, name="alpha") == {
        "error": "alpha was removed from the configuration; add it there and reload"
    }
    stage.command("maint", name="alpha")  # who cannot wait
    stage.pass_time(1)
    assert stage.beta.take_request("INVITE")


def test_what_is_told_of_a_backend_that_is_gone_means_nothing() -> None:
    stage = Stage()
    reload(stage, "beta", "charlie")
    stage.pass_time(2)
    assert CloseCanary("alpha") not in stage.facts  # carried out
    for event in (
        ProbeReply("alpha", b"SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n"),
        ProbeRefused("alpha", "refused"),
        Looked("alpha", 1),
        CanaryClosed("alpha", "reset"),
    ):
        stage.feed(event)
    assert list(status(stage)) == ["beta", "charlie"]


def test_subscriptions_leave_a_backend_that_was_removed() -> None:
    stage = Servers()
    bob = stage.phone("1002")
    bob.request("SUBSCRIBE", f"sip:1001@{DOMAIN}", event="dialog", expires="600")
    stage.alpha.answer(stage.alpha.take_request("SUBSCRIBE"), 200, expires="600")
    reload(stage, "beta", "charlie")
    stage.beta.answer(stage.beta.take_request("SUBSCRIBE"), 200, expires="500")
    stage.pass_time(2)
    assert list(status(stage)) == ["beta", "charlie"]


# -- everything else --------------------------------------------------------------------------------


def test_limits_and_timers_hold_from_the_next_request_on() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    limits = LimitsConfig(max_calls=1, max_registrations=1, max_contacts=1)
    reload(stage, limits=limits, timers=TimersConfig(max_expires=90.0, default_expires=90.0))
    alice.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1001@{DOMAIN}>", expires="600")
    assert "expires=9" in (alice.take_response(200).get("contact") or "")
    bob = stage.client("1002")
    bob.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1002@{DOMAIN}>", expires="600")
    assert bob.take(503)
    for status_code in (100, 503):
        alice.request("INVITE", f"sip:1002@{DOMAIN}", body=sdp(alice))
        assert alice.take(status_code)


def test_probes_follow_the_new_health_parameters() -> None:
    stage = Stage()
    reload(stage, health=HealthConfig(inter=10.0, timeout=0.5, rise=5))
    stage.pass_time(1)
    detector = stage.node.backends.detectors["alpha"]
    assert detector.up and detector.deadline - stage.now > 5


def test_media_ports_come_from_the_new_range_and_calls_keep_theirs() -> None:
    stage = calm()
    talk = outgoing(stage).established()
    reload(stage, media=MediaConfig(ports=PortRange(30000, 30099)))
    other = stage.phone("1003")
    other.request("INVITE", f"sip:1002@{DOMAIN}", body=sdp(other))
    stage.alpha.take_request("INVITE")
    ports = sorted(party.local.port for plan in stage.plans.values() for party in (plan.plan.client, plan.plan.backend))
    assert [port // 10000 for port in ports] == [2, 2, 3, 3]
    assert talk.ok is not None


def test_users_and_digest_algorithms_are_exchanged() -> None:
    stage = Stage()
    users = {"2001": Credential("2001", DOMAIN, password="new")}
    stage.credentials |= users
    proxy = replace(stage.config.proxy, digest=("MD5",))
    stage.config = replace(stage.config, proxy=proxy)
    stage.feed(Reconfigured(stage.config, (DOMAIN, users)))
    assert stage.phone("2001", "127.0.1.21")
    gone = stage.client("1001")
    gone.send(gone.new("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1001@{DOMAIN}>"))
    challenge = gone.take_response(401)
    assert [value for value in challenge.all("www-authenticate") if "algorithm=MD5" in value]
    assert len(challenge.all("www-authenticate")) == 1


def test_a_removed_udp_listener_closes_when_nobody_talks_over_it() -> None:
    stage = calm()
    here, there = Endpoint(Transport.UDP, PROXY), Endpoint(Transport.UDP, Address("127.0.0.10", 5070))
    listen = stage.config.proxy.sip.listen
    two = ProxyConfig(domain=DOMAIN, sip=SipConfig(listen=(*listen, there)))
    reload(stage, proxy=two)
    alice = stage.peers[Address("127.0.1.1", 5060)] = Peer(
        stage, Flow(Transport.UDP, there.address, Address("127.0.1.1", 5060)), "1001"
    )
    alice.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1001@{DOMAIN}>", expires="600")
    alice.take(200)
    invite = alice.request("INVITE", f"sip:1002@{DOMAIN}", body=sdp(alice))
    invited = stage.alpha.take_request("INVITE")
    sent = stage.alpha.answer(invited, 200, body=sdp(stage.alpha, 9000))
    alice.ack(invite, alice.take_response(200))
    reload(stage, proxy=ProxyConfig(domain=DOMAIN, sip=SipConfig(listen=listen)))
    stage.pass_time(2)
    assert told(stage, CloseListener) == []
    stage.alpha.send(stage.alpha.within(sent, invited, "BYE", 200))
    alice.answer(alice.take_request("BYE"), 200)
    leave_nothing(stage)
    assert told(stage, CloseListener) == [CloseListener(there)]
    assert here in stage.config.proxy.sip.listen


# -- again and again --------------------------------------------------------------------------------


def test_a_hundred_reloads_leave_nothing_behind() -> None:
    stage = calm()
    talk = outgoing(stage).established()

    def rounds(count: int) -> None:
        for number in range(count):
            names = [("delta", "beta", "alpha"), ("alpha", "charlie"), ("beta", "alpha", "charlie", "delta")][
                number % 3
            ]
            reload(stage, *names, limits=LimitsConfig(max_calls=1000 + number))
            stage.pass_time(2.0)
        reload(stage, *ALL)
        stage.pass_time(4000)  # what was to be refreshed within the hour lets go of its alarm
        for peer in stage.backends.values():
            peer.inbox.clear()
            peer.seen.clear()
        stage.facts.clear()
        stage.replies.clear()

    rounds(6)
    gc.collect()
    before = len(gc.get_objects())
    gc.disable()
    try:
        rounds(100)
        assert gc.collect() < 50  # the collector is off while the proxy runs
    finally:
        gc.enable()
    assert len(gc.get_objects()) < before + 200
    assert set(status(stage)) == set(ALL)
    if active(stage) != "alpha":
        stage.command("switch", name="alpha")
    talk.hang_up()
