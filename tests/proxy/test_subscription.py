"""One subscription: how long it lasts, and how its end is told."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.subscription import GRACE_SECONDS
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, header
from tests.proxy.servers import Servers
from tests.proxy.test_subscriptions import Watch


def test_a_notifier_may_shorten_it() -> None:
    stage = Servers()
    watch = Watch(stage).accepted("3600")
    watch.notified(stage.alpha, watch.at_alpha, watch.ok_at_alpha, "active;expires=60")
    stage.pass_time(60 + GRACE_SECONDS - 1)
    assert len(stage.node._subscriptions) == 1
    stage.pass_time(2)
    assert len(stage.node._subscriptions) == 0


def test_it_is_no_call() -> None:
    stage = Servers()
    watch = Watch(stage).accepted()
    for method in ("INVITE", "BYE"):
        watch.alice.send(watch.alice.within(watch.subscribe, watch.ok, method, 20))
        watch.alice.take(481)


def test_while_it_moves_a_refresh_is_put_off() -> None:
    stage = Servers()
    watch = Watch(stage).accepted()
    stage.kill("alpha")
    refresh = watch.alice.within(watch.subscribe, watch.ok, "SUBSCRIBE", 10)
    refresh.headers += [header("Contact", watch.alice.contact), header("Expires", "900"), header("Event", "dialog")]
    watch.alice.send(refresh)
    watch.alice.take(500)


def test_when_the_notifier_does_not_answer_a_refresh_the_subscriber_shall_begin_anew() -> None:
    stage = Servers()
    watch = Watch(stage).accepted()
    refresh = watch.alice.within(watch.subscribe, watch.ok, "SUBSCRIBE", 10)
    refresh.headers += [header("Contact", watch.alice.contact), header("Expires", "900"), header("Event", "dialog")]
    watch.alice.send(refresh)
    stage.pass_time(33)
    last = watch.alice.take_request("NOTIFY")
    assert last.get("subscription-state") == "terminated;reason=deactivated"
    watch.alice.answer(last, 200)
    stage.assert_nothing_left()


def test_what_is_over_stays_over() -> None:
    stage = Servers()
    Watch(stage).accepted()
    subscription = next(iter(stage.node._subscriptions._by_backend["alpha"]))
    subscription.close()
    assert subscription.terminate("probation", stage.now) == []
    request = Request("NOTIFY", "sip:x@y", [])
    assert subscription.crossed(request, None, subscription.subscriber, stage.now) == []  # type: ignore[arg-type]
    with pytest.raises(MessageError):
        subscription.accept(Request("INVITE", "sip:x@y", []), subscription.subscriber)  # type: ignore[arg-type]
