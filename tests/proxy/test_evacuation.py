"""A backend's end as a whole: what is recorded, and in which order things are done."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.attempt import Attempt
from haproxy_voip.proxy.evacuation import RECORDS_KEPT
from haproxy_voip.proxy.facts import FailoverRecord, SessionFailed
from haproxy_voip.proxy.inquiry import Inquiry
from haproxy_voip.proxy.shared import Output
from haproxy_voip.proxy.subscription import Subscription
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
        "answered calls": 1,
        "requests in flight": 1,
        "subscriptions": 1,
    }
    assert record.lost == {"requests in flight": 1}
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


def test_a_mistake_with_one_call_costs_that_call_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Servers(registration="active")
    stage.mistakes_expected = True
    alice, _, _ = calling(stage)
    bob, _, _ = calling(stage, "1003")
    spoilt, sound = stage.node._calls._by_backend["alpha"]

    def wrong(self: Attempt, now: float) -> list[Output]:
        assert self is not spoilt.attempt, "a mistake"
        return give_up(self, now)

    give_up = Attempt.give_up
    monkeypatch.setattr(Attempt, "give_up", wrong)
    stage.pass_time(0.1)
    stage.kill("alpha")
    [fact] = [fact for fact in stage.facts if isinstance(fact, SessionFailed)]
    assert fact.what == f"Call {spoilt.token}" and "a mistake" in fact.error
    alice.take(480)
    at_beta = stage.beta.take_request("INVITE")
    stage.beta.answer(at_beta, 486)
    bob.take(486)
    assert sound.over and spoilt.over and stage.node._evacuation.records[-1].successor == "beta"


def test_a_mistake_with_a_request_or_a_subscription_ends_only_these(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Servers()
    stage.mistakes_expected = True
    calling(stage)
    bob = stage.phone("1002")
    bob.request("OPTIONS", f"sip:1001@{DOMAIN}")
    bob.request("SUBSCRIBE", f"sip:1001@{DOMAIN}", event="dialog", expires="600")
    stage.alpha.answer(stage.alpha.take_request("SUBSCRIBE"), 200, expires="600")

    def wrong(*arguments: object) -> list[Output]:
        raise KeyError("a mistake")

    monkeypatch.setattr(Inquiry, "elsewhere", wrong)
    monkeypatch.setattr(Subscription, "lose_notifier", wrong)
    stage.pass_time(0.1)
    stage.kill("alpha")
    failed = [fact.what.partition(" ")[0] for fact in stage.facts if isinstance(fact, SessionFailed)]
    assert failed == ["Inquiry", "Subscription"]
    bob.take(500)
    assert "terminated" in (bob.take_request("NOTIFY").get("subscription-state") or "")
    stage.beta.take("INVITE")


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
