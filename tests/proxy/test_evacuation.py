"""A backend's end as a whole: what is recorded, and in which order things are done."""

from __future__ import annotations

from haproxy_voip.proxy.evacuation import RECORDS_KEPT
from haproxy_voip.proxy.facts import FailoverRecord
from haproxy_voip.sip.message import Request
from tests.proxy.servers import Servers, register, unregister
from tests.proxy.stage import DOMAIN
from tests.proxy.test_calls import calling, talking


def test_a_record_counts_everything_that_was_on_the_backend() -> None:
    stage = Servers(registration="active")
    talking(stage)
    calling(stage, "1003")
    bob = stage.phone("1002")
    bob.request("OPTIONS", f"sip:1001@{DOMAIN}")
    bob.request("MESSAGE", f"sip:1001@{DOMAIN}")
    bob.request("SUBSCRIBE", f"sip:1001@{DOMAIN}", event="dialog", expires="600")
    stage.alpha.answer(stage.alpha.take_request("SUBSCRIBE"), 200, expires="600")
    stage.pass_time(0.1)
    stage.kill("alpha")
    record = stage.node._evacuation.records[-1]
    assert (record.backend, record.successor) == ("alpha", "beta")
    assert record.signal == "canary closed"
    assert record.moved == {
        "registrations": 3,
        "calls being set up": 1,
        "requests in flight": 1,
        "subscriptions": 1,
    }
    assert record.lost == {"answered calls": 1, "requests in flight": 1}
    assert record in stage.facts


def test_an_idle_backends_end_is_recorded_too_and_old_records_go() -> None:
    stage = Servers()
    for _ in range(RECORDS_KEPT + 2):
        stage.command("maint", name="charlie")
        stage.command("ready", name="charlie")
    records = stage.node._evacuation.records
    assert len(records) == RECORDS_KEPT
    assert records[-1].signal == "maintenance"
    assert len([fact for fact in stage.facts if isinstance(fact, FailoverRecord)]) == RECORDS_KEPT + 2


def test_a_backend_that_dies_in_maintenance_is_asked_for_nothing_more() -> None:
    stage = Servers()
    alice = stage.client("1001")
    register(alice)
    stage.pass_time(0.1)
    stage.command("maint", name="alpha")
    stage.dead.add("alpha")
    stage.kill("alpha")
    asked = len(stage.server("alpha").asked)
    unregister(alice)
    stage.pass_time(1)
    assert len(stage.server("alpha").asked) == asked
    stage.assert_nothing_left()


def test_everything_moves_twice() -> None:
    stage = Servers(registration="active")
    alice, _, _ = calling(stage)
    stage.pass_time(0.1)
    stage.kill("alpha")
    stage.beta.take("INVITE")
    stage.pass_time(0.1)
    stage.kill("beta")
    at_charlie = stage.charlie.take_request("INVITE")
    stage.charlie.answer(at_charlie, 486)
    alice.take(486)
    stage.pass_time(0.1)
    assert stage.token_of("1001") in stage.server("charlie").contacts
    stage.revive("alpha")
    stage.revive("beta")
    assert not stage.server("alpha").contacts and not stage.server("beta").contacts
    assert not [one for one in alice.inbox if isinstance(one, Request)]


def test_failback_by_switch_brings_registrations_back() -> None:
    stage = Servers(registration="active")
    register(stage.client("1001"))
    stage.pass_time(0.1)
    stage.kill("alpha")
    stage.revive("alpha")
    assert stage.command("switch", name="alpha")["active"] == "alpha"
    stage.pass_time(0.1)
    assert stage.server("alpha").contacts and not stage.server("beta").contacts
    stage.assert_nothing_left()
