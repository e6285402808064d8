"""How many calls one user may have made."""

from __future__ import annotations

import dataclasses

from haproxy_voip.configuration.model import LimitsConfig
from haproxy_voip.proxy.events import Reconfigured
from haproxy_voip.proxy.limit_facts import CallLimitReached
from tests.proxy.stage import DOMAIN, Peer, Stage
from tests.proxy.talk import Talk, calm, incoming, outgoing, sdp


def call(phone: Peer, number: str = "1003") -> None:
    phone.request("INVITE", f"sip:{number}@{DOMAIN}", body=sdp(phone))


def one_call(limit: int = 1) -> tuple[Stage, Talk]:
    stage = calm(limits=LimitsConfig(calls_per_user=limit))
    return stage, outgoing(stage).established()


def test_one_call_too_many_is_answered_503_with_retry_after_and_told() -> None:
    stage, talk = one_call()
    seen = len(stage.alpha.seen)
    call(talk.caller)
    assert talk.caller.take_response(503).has("retry-after")
    assert len(stage.alpha.seen) == seen
    assert CallLimitReached("1001", 1) in stage.facts
    assert stage.command("status")["refused"] == {"overload": 0, "calls_per_user": 1}
    talk.hang_up()


def test_others_are_not_concerned_nor_is_who_is_called() -> None:
    stage, _ = one_call()
    carol = stage.phone("1003")
    call(carol)
    carol.take(100)
    stage.alpha.inbox.clear()
    bob = incoming(stage).established()
    assert bob.callee.user == "1002"
    call(bob.callee)
    bob.callee.take(100)


def test_a_call_that_ended_however_it_did_makes_room() -> None:
    stage, talk = one_call()
    talk.hang_up()
    for _ in range(3):  # refused by the callee
        call(talk.caller)
        talk.caller.take(100)
        stage.alpha.answer(stage.alpha.take_request("INVITE"), 486)
        talk.caller.take(486)
    assert len(stage.node._calls.quota) == 0


def test_a_reload_changes_how_many() -> None:
    stage, talk = one_call()
    limits = dataclasses.replace(stage.config.limits, calls_per_user=2)
    stage.feed(Reconfigured(dataclasses.replace(stage.config, limits=limits)))
    for status in (100, 503):
        call(talk.caller)
        talk.caller.take(status)


def test_without_a_limit_there_is_none() -> None:
    stage = calm()
    talk = outgoing(stage).established()
    for _ in range(5):
        call(talk.caller)
        talk.caller.take(100)
