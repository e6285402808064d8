"""While no call is anywhere but where it began, an INVITE of a backend costs the same however many calls are up."""

from __future__ import annotations

from haproxy_voip.proxy.claims import GROUP_SECONDS
from haproxy_voip.proxy.withdrawn import ANSWERED_SECONDS
from tests.proxy.conversation import claim, converse, known, theatre

USERS = ("1001", "1002", "1003", "1004")


def test_calls_are_looked_at_from_a_failover_until_all_of_them_are_carried_again() -> None:
    stage = theatre(USERS)
    call = converse(stage)
    claims = stage.node._calls.claims
    assert claims.none(0.0)
    stage.kill("alpha")
    assert not claims.none(0.0)
    call.rebuilt()
    stage.pass_time(GROUP_SECONDS)
    claim(stage, "beta", "1004", "1003")
    assert known(stage, "1003").take_request("INVITE")
    assert claims.none(0.0)


def test_of_calls_that_ended_meanwhile_nothing_is_kept() -> None:
    stage = theatre(USERS)
    call = converse(stage)
    stage.kill("alpha")
    call.ours.by_caller("BYE")
    call.caller.take(200)
    call.callee.answer(call.callee.take_request("BYE"), 200)
    stage.pass_time(ANSWERED_SECONDS)  # what beta was asked for it is cancelled, and may be on its way
    assert stage.node._calls.claims.none(stage.now)
