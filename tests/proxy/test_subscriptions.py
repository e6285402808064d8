"""Subscriptions across the node: made, refreshed, ended, moved."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy import subscriptions
from haproxy_voip.proxy.events import CanaryClosed
from haproxy_voip.sip.message import Request, Response, header, response_to
from tests.proxy.servers import Servers
from tests.proxy.stage import DOMAIN, Peer

ACTIVE = "active;expires=500"


class Watch:
    """Alice watches 1002 at alpha, or wherever her home is."""

    def __init__(self, stage: Servers, expires: str = "600", home: str = "alpha") -> None:
        self.stage = stage
        self.alice = stage.phone("1001")
        self.subscribe = self.alice.request(
            "SUBSCRIBE", f"sip:1002@{DOMAIN}", event="dialog", expires=expires, accept="application/dialog-info+xml"
        )
        self.home = stage.backends[home]
        self.at_alpha = self.home.take_request("SUBSCRIBE")
        self.cseq = 0

    def accepted(self, expires: str = "600") -> Watch:
        self.ok_at_alpha = self.home.answer(self.at_alpha, 200, expires=expires)
        self.ok = self.alice.take_response(200)
        return self

    def notify(self, backend: Peer, subscribe: Request, made: Request | Response, state: str = ACTIVE) -> Request:
        self.cseq += 1
        notify = backend.within(made, subscribe, "NOTIFY", self.cseq)
        notify.headers += [header("Event", "dialog"), header("Subscription-State", state)]
        notify.headers.append(header("Contact", backend.contact))
        notify.headers.append(header("Content-Type", "application/dialog-info+xml"))
        notify.body = f"<dialog-info entity='sip:1002@{backend.host}:5060'/>".encode()
        backend.send(notify)
        return notify

    def notified(self, backend: Peer, subscribe: Request, made: Request | Response, state: str = ACTIVE) -> Request:
        """A NOTIFY all the way to Alice and its answer back."""
        self.notify(backend, subscribe, made, state)
        at_alice = self.alice.take_request("NOTIFY")
        self.alice.answer(at_alice, 200)
        backend.take(200)
        return at_alice

    def moved_to(self, backend: Peer, expires: str = "500") -> tuple[Request, Response]:
        again = backend.take_request("SUBSCRIBE")
        return again, backend.answer(again, 200, expires=expires)


def early(backend: Peer, subscribe: Request) -> Response:
    """The 200 a NOTIFY comes before."""
    ok = response_to(subscribe, 200, None, f"to{backend.host}")
    ok.add("Contact", backend.contact)
    ok.add("Expires", "600")
    return ok


def test_a_subscription_is_made_notified_and_refreshed() -> None:
    stage = Servers()
    watch = Watch(stage).accepted()
    assert watch.at_alpha.get("event") == "dialog"
    assert watch.at_alpha.get("accept") == "application/dialog-info+xml"
    assert watch.ok.get("expires") == "600"
    at_alice = watch.notified(stage.alpha, watch.at_alpha, watch.ok_at_alpha)
    assert at_alice.body == b"<dialog-info entity='sip:1002@voip.test'/>"
    assert at_alice.call_id == watch.subscribe.call_id
    refresh = watch.alice.within(watch.subscribe, watch.ok, "SUBSCRIBE", 10)
    refresh.headers += [header("Contact", watch.alice.contact), header("Expires", "900"), header("Event", "dialog")]
    watch.alice.send(refresh)
    at_alpha = stage.alpha.take_request("SUBSCRIBE")
    assert at_alpha.to.tag is not None
    stage.alpha.answer(at_alpha, 200, expires="800")
    watch.alice.take(200)
    stage.pass_time(700)
    assert len(stage.node._subscriptions) == 1
    stage.pass_time(140)
    assert len(stage.node._subscriptions) == 0


def test_a_notify_may_overtake_the_200() -> None:
    stage = Servers()
    watch = Watch(stage)
    ok = early(stage.alpha, watch.at_alpha)
    at_alice = watch.notified(stage.alpha, watch.at_alpha, ok)
    stage.alpha.send(ok)
    answer = watch.alice.take_response(200)
    assert answer.to.tag == at_alice.from_.tag
    watch.notified(stage.alpha, watch.at_alpha, ok, "terminated;reason=timeout")
    stage.assert_nothing_left()


def test_a_forked_second_notifier_is_refused() -> None:
    stage = Servers()
    watch = Watch(stage)
    watch.notified(stage.alpha, watch.at_alpha, early(stage.alpha, watch.at_alpha))
    other = early(stage.alpha, watch.at_alpha)
    other.set("to", f"{watch.at_alpha.get('to')};tag=another")
    watch.notify(stage.alpha, watch.at_alpha, other)
    stage.alpha.take(481)


def test_unsubscribing_ends_with_the_last_notify() -> None:
    stage = Servers()
    watch = Watch(stage).accepted()
    end = watch.alice.within(watch.subscribe, watch.ok, "SUBSCRIBE", 10)
    end.headers += [header("Contact", watch.alice.contact), header("Expires", "0"), header("Event", "dialog")]
    watch.alice.send(end)
    stage.alpha.answer(stage.alpha.take_request("SUBSCRIBE"), 200, expires="0")
    watch.alice.take(200)
    watch.notified(stage.alpha, watch.at_alpha, watch.ok_at_alpha, "terminated;reason=timeout")
    stage.assert_nothing_left()


@pytest.mark.parametrize("status", [403, 489, 503])
def test_a_refused_subscription_leaves_nothing(status: int) -> None:
    stage = Servers()
    watch = Watch(stage)
    stage.alpha.answer(watch.at_alpha, status)
    if status == 503:
        stage.beta.answer(stage.beta.take_request("SUBSCRIBE"), 489)
    watch.alice.take(489 if status == 503 else status)
    stage.assert_nothing_left()


def test_one_that_nobody_answers_or_refreshes_leaves_nothing() -> None:
    stage = Servers()
    Watch(stage)
    stage.pass_time(33)
    stage.assert_nothing_left(registered=True)
    stage = Servers()
    Watch(stage).accepted("60")
    stage.pass_time(60)
    stage.assert_nothing_left()


def test_a_challenged_subscribe_is_one_subscription_with_the_right_cseq() -> None:
    stage = Servers()
    watch = Watch(stage)
    challenge = header("WWW-Authenticate", 'Digest realm="pbx", nonce="abc"')
    stage.alpha.send(response_to(watch.at_alpha, 401, None, "t", (challenge,)))
    again = stage.alpha.take_request("SUBSCRIBE")
    watch.at_alpha = again
    ok = early(stage.alpha, again)
    watch.notified(stage.alpha, again, ok)
    stage.alpha.send(ok)
    watch.ok = watch.alice.take_response(200)
    assert len(stage.node._subscriptions) == 1
    refresh = watch.alice.within(watch.subscribe, watch.ok, "SUBSCRIBE", 10)
    refresh.headers += [header("Contact", watch.alice.contact), header("Expires", "0"), header("Event", "dialog")]
    watch.alice.send(refresh)
    assert stage.alpha.take_request("SUBSCRIBE").cseq.number == again.cseq.number + 1


def test_after_a_failover_the_next_backend_notifies_in_the_same_dialog() -> None:
    stage = Servers()
    watch = Watch(stage).accepted()
    before = watch.notified(stage.alpha, watch.at_alpha, watch.ok_at_alpha)
    stage.pass_time(90)
    stage.kill("alpha")
    again, ok = watch.moved_to(stage.beta)
    assert again.uri == "sip:1002@127.0.0.12:5060"
    assert 405 <= (again.expires or 0) <= 410
    assert again.get("event") == "dialog"
    watch.cseq = 0
    after = watch.notified(stage.beta, again, ok)
    assert after.call_id == before.call_id
    assert after.from_.tag == before.from_.tag and after.to.tag == before.to.tag
    assert after.cseq.number == before.cseq.number + 1
    assert stage.node._evacuation.records[-1].moved == {"subscriptions": 1}
    refresh = watch.alice.within(watch.subscribe, watch.ok, "SUBSCRIBE", 10)
    refresh.headers += [header("Contact", watch.alice.contact), header("Expires", "0"), header("Event", "dialog")]
    watch.alice.send(refresh)
    at_beta = stage.beta.take_request("SUBSCRIBE")
    stage.beta.answer(at_beta, 200, expires="0")
    watch.alice.take(200)
    stage.assert_nothing_left()


def test_at_the_next_backend_a_notify_may_come_first_as_well() -> None:
    stage = Servers()
    watch = Watch(stage).accepted()
    stage.kill("alpha")
    again = stage.beta.take_request("SUBSCRIBE")
    ok = early(stage.beta, again)
    watch.notified(stage.beta, again, ok)
    stage.beta.send(ok)
    watch.notified(stage.beta, again, ok)
    assert not watch.alice.inbox


def test_what_a_returned_backend_notifies_in_a_moved_subscription_gets_481() -> None:
    stage = Servers()
    watch = Watch(stage).accepted()
    stage.kill("alpha")
    watch.moved_to(stage.beta)
    stage.revive("alpha")
    watch.notify(stage.alpha, watch.at_alpha, watch.ok_at_alpha)
    stage.alpha.take(481)
    assert not watch.alice.inbox


def test_without_another_backend_the_subscriber_shall_try_again_later() -> None:
    stage = Servers()
    watch = Watch(stage).accepted()
    for name in ("charlie", "beta", "alpha"):
        stage.kill(name)
    last = watch.alice.take_request("NOTIFY")
    assert last.get("subscription-state") == "terminated;reason=probation;retry-after=2"
    assert last.get("event") == "dialog"
    watch.alice.answer(last, 200)
    stage.assert_nothing_left(registered=True)


@pytest.mark.parametrize(
    ("status", "reason"), [(489, "rejected"), (404, "noresource"), (400, "deactivated"), (503, "probation")]
)
def test_a_refusal_by_the_next_backend_is_told_to_the_subscriber(status: int, reason: str) -> None:
    stage = Servers()
    watch = Watch(stage).accepted()
    stage.kill("alpha")
    stage.beta.answer(stage.beta.take_request("SUBSCRIBE"), status)
    last = watch.alice.take_request("NOTIFY")
    assert f"terminated;reason={reason}" in (last.get("subscription-state") or "")
    watch.alice.answer(last, 200)
    stage.assert_nothing_left()


def test_it_moves_on_when_the_next_backend_dies_before_it_answers() -> None:
    stage = Servers()
    watch = Watch(stage).accepted()
    stage.kill("alpha")
    stage.beta.take("SUBSCRIBE")
    stage.kill("beta")
    again, ok = watch.moved_to(stage.charlie)
    watch.cseq = 0
    watch.notified(stage.charlie, again, ok)
    stage.pass_time(40)
    assert not [one for one in watch.alice.inbox if isinstance(one, Request)]


def test_a_refresh_in_flight_is_answered_when_its_backend_dies() -> None:
    stage = Servers()
    watch = Watch(stage).accepted()
    refresh = watch.alice.within(watch.subscribe, watch.ok, "SUBSCRIBE", 10)
    refresh.headers += [header("Contact", watch.alice.contact), header("Expires", "900"), header("Event", "dialog")]
    watch.alice.send(refresh)
    stage.alpha.take("SUBSCRIBE")
    stage.kill("alpha")
    assert [one.status for one in watch.alice.inbox if isinstance(one, Response)] == [487]
    watch.moved_to(stage.beta)


def test_one_that_is_being_made_is_asked_for_elsewhere() -> None:
    stage = Servers()
    watch = Watch(stage)
    stage.kill("alpha")
    again, ok = watch.moved_to(stage.beta)
    watch.alice.take(200)
    watch.notified(stage.beta, again, ok, "terminated;reason=noresource")
    stage.assert_nothing_left()


def test_a_restarted_backend_is_subscribed_to_again() -> None:
    stage = Servers()
    watch = Watch(stage).accepted()
    stage.feed(CanaryClosed("alpha", "reset"))
    stage.pass_time(1)
    again, ok = watch.moved_to(stage.alpha)
    assert again.to.tag is None
    watch.cseq = 0
    watch.notified(stage.alpha, again, ok)


def refer(stage: Servers) -> tuple[Peer, Request, Response]:
    alice = stage.phone("1001")
    alice.request("REFER", f"sip:1002@{DOMAIN}", refer_to=f"<sip:1003@{DOMAIN}>")
    at_alpha = stage.alpha.take_request("REFER")
    ok = stage.alpha.answer(at_alpha, 202)
    alice.take(202)
    return alice, at_alpha, ok


def test_a_refer_outside_a_dialog_is_notified_of() -> None:
    stage = Servers()
    alice, at_alpha, ok = refer(stage)
    notify = stage.alpha.within(ok, at_alpha, "NOTIFY", 1)
    notify.headers += [header("Event", "refer"), header("Subscription-State", "terminated;reason=noresource")]
    notify.headers += [header("Contact", stage.alpha.contact), header("Content-Type", "message/sipfrag")]
    notify.body = b"SIP/2.0 200 OK\r\n"
    stage.alpha.send(notify)
    at_alice = alice.take_request("NOTIFY")
    assert at_alice.body == notify.body
    alice.answer(at_alice, 200)
    stage.alpha.take(200)
    stage.assert_nothing_left()


def test_a_refer_whose_backend_dies_has_failed() -> None:
    stage = Servers()
    alice, _, _ = refer(stage)
    stage.kill("alpha")
    last = alice.take_request("NOTIFY")
    assert last.get("event") == "refer"
    assert last.body == b"SIP/2.0 503 Service Unavailable\r\n"
    alice.answer(last, 200)
    stage.assert_nothing_left()


def test_a_phone_that_forgot_its_subscription_ends_it_with_481() -> None:
    stage = Servers()
    watch = Watch(stage).accepted()
    watch.notify(stage.alpha, watch.at_alpha, watch.ok_at_alpha)
    watch.alice.answer(watch.alice.take_request("NOTIFY"), 481)
    stage.alpha.take(481)
    stage.assert_nothing_left()


def test_a_backend_may_subscribe_at_a_phone() -> None:
    stage = Servers()
    bob = stage.phone("1002")
    uri = f"sip:{stage.token_of('1002')}@127.0.0.10:5060"
    stage.alpha.send(stage.alpha.new("SUBSCRIBE", uri, event="presence", expires="60"))
    at_bob = bob.take_request("SUBSCRIBE")
    ok = bob.answer(at_bob, 200, expires="60")
    stage.alpha.take(200)
    notify = bob.within(ok, at_bob, "NOTIFY", 1)
    notify.headers += [header("Event", "presence"), header("Subscription-State", "active")]
    notify.headers.append(header("Contact", bob.contact))
    bob.send(notify)
    stage.alpha.answer(stage.alpha.take_request("NOTIFY"), 200)
    bob.take(200)
    stage.kill("alpha")
    assert not bob.inbox
    assert len(stage.node._subscriptions) == 0
    stage.assert_nothing_left()


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_SUBSCRIPTIONS", 0)
    stage = Servers()
    alice = stage.phone("1001")
    alice.request("SUBSCRIBE", f"sip:1002@{DOMAIN}", event="dialog", expires="600")
    assert alice.take_response(503).has("retry-after")
    assert not stage.alpha.inbox
    stage.assert_nothing_left()
