"""Calls that wait to be built anew: for their turn, or until the next backend knows the callee."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.survival import REBUILD_SECONDS
from haproxy_voip.sip.message import Request
from tests.proxy.conversation import converse, dial, hung_up, joined, silent, theatre
from tests.proxy.servers import Servers
from tests.proxy.stage import Stage
from tests.proxy.talk import Talk, leave_nothing, outgoing, sdp


def rebuilt(talk: Talk, backend: str = "beta", body: bytes | None = None) -> None:
    pbx = talk.stage.backends[backend]
    talk.callee, talk.invited = pbx, pbx.take_request("INVITE")
    talk.ok_sent = pbx.answer(talk.invited, 200, tag=f"new{backend}", body=sdp(pbx, 9500) if body is None else body)
    pbx.take("ACK")


def queued(stage: Stage) -> list[Talk]:
    """Three calls of one caller."""
    talks = []
    for number, port in (("600", 9000), ("601", 9100), ("602", 9200)):
        talk = dial(stage, "1001", number)
        talk.answer(sdp(stage.alpha, port))
        talk.acknowledge()
        talks.append(talk)
    stage.kill("alpha")
    return talks


def invited(stage: Stage, backend: str = "beta") -> list[str]:
    """The numbers that were called there and not taken yet."""
    inbox = stage.backends[backend].inbox
    return [one.uri[4:7] for one in inbox if isinstance(one, Request) and one.method == "INVITE"]


def test_of_three_calls_of_one_caller_each_waits_for_its_turn_as_long_as_it_takes() -> None:
    stage = theatre()
    talks = queued(stage)
    for number, talk in zip(("600", "601", "602"), talks, strict=True):
        assert invited(stage) == [number]
        stage.beta.answer(stage.beta.inbox[-1], 100)  # type: ignore[arg-type]
        stage.pass_time(REBUILD_SECONDS - 0.5)
        assert silent(talk.caller)
        rebuilt(talk)
    stage.pass_time(60)
    assert silent(talks[0].caller)


def test_one_that_was_hung_up_while_it_waited_is_passed_over() -> None:
    stage = theatre()
    first, second, third = queued(stage)
    second.by_caller("BYE")
    second.caller.take(200)
    rebuilt(first)
    assert invited(stage) == ["602"]
    rebuilt(third)


def test_the_callee_is_called_once_the_next_backend_knows_its_phone() -> None:
    stage = Servers(registration="active")
    stage.pass_time(0.1)
    call = converse(stage)
    stage.pass_time(0.1)
    stage.delay = 0.2
    stage.kill("alpha")
    assert invited(stage) == []
    stage.pass_time(0.3)
    call.rebuilt()
    assert silent(call.caller, call.callee)


@pytest.mark.parametrize("meanwhile", ["hang up", "kill"])
def test_while_it_does_not_anything_may_happen(meanwhile: str) -> None:
    stage = Servers(registration="active")
    stage.pass_time(0.1)
    call = converse(stage)
    stage.pass_time(0.1)
    stage.delay = 0.2
    stage.kill("alpha")
    if meanwhile == "kill":
        stage.kill("beta")
        stage.pass_time(0.5)
        assert invited(stage) == [] and invited(stage, "charlie") == ["100"]
    else:
        call.ours.by_caller("BYE")
        call.caller.take(200)
        hung_up(call.callee)
        stage.pass_time(0.5)
        assert invited(stage) == [] and len(stage.node._calls.turns) == 0


def test_what_took_part_in_the_first_invite_alone_is_not_asked_again() -> None:
    """The call that Replaces names was replaced, and nobody knows it at the next backend."""
    stage = theatre()
    talk = outgoing(stage, replaces="abc;to-tag=1;from-tag=2", require="replaces", subject="lunch").established()
    assert talk.invited.has("replaces") and talk.invited.has("require")
    stage.kill("alpha")
    rebuilt(talk)
    assert not talk.invited.has("replaces") and not talk.invited.has("require") and talk.invited.has("subject")
    talk.hang_up()


def test_an_answer_that_cannot_be_read_is_none() -> None:
    stage = theatre()
    talk = outgoing(stage).established()
    stage.kill("alpha")
    invite = stage.beta.take_request("INVITE")
    stage.beta.answer(invite, 200, body=b"nonsense")
    stage.beta.take("ACK")
    hung_up(stage.beta, talk.caller)
    leave_nothing(stage)


def test_and_so_does_the_other_end_of_each() -> None:
    stage = theatre()
    calls = []
    for user, port in (("1002", 9000), ("1003", 9100)):
        calls.append(converse(stage, "1001", user, backend_port=port))
        stage.pass_time(1)
    stage.kill("alpha")
    stage.beta.answer(calls[0].invited(), 100)
    stage.pass_time(REBUILD_SECONDS - 0.5)
    first = calls[0]
    assert silent(first.caller, first.callee, calls[1].callee)
    first.ours.by_caller("BYE")
    first.caller.take(200)
    hung_up(first.callee)
    stage.beta.answer(stage.beta.take_request("CANCEL"), 200)
    stage.beta.answer(first.ours.invited, 487)
    stage.pass_time(0.05)
    stage.beta.answer(calls[1].invited(), 100)
    stage.pass_time(REBUILD_SECONDS - 0.5)
    assert joined(stage, calls[1].caller, calls[1].callee)
    stage.pass_time(1)
    stage.beta.answer(stage.beta.take_request("CANCEL"), 200)
    assert joined(stage, calls[1].caller, calls[1].callee) and silent(calls[1].caller, calls[1].callee)


def test_whose_turn_has_not_come_is_not_given_up() -> None:
    stage = theatre()
    calls = []
    for user, port in (("1002", 9000), ("1003", 9100)):
        calls.append(converse(stage, "1001", user, backend_port=port))
        stage.pass_time(1)
    stage.kill("alpha")
    stage.pass_time(0.1)
    stage.kill("beta")  # the first has its turn at charlie later than the second began to wait
    stage.charlie.answer(calls[0].invited("charlie"), 100)
    stage.pass_time(REBUILD_SECONDS + 0.05)
    stage.charlie.answer(calls[0].ours.invited, 487)
    stage.pass_time(0.05)
    calls[1].rebuilt("charlie")
    assert silent(calls[1].caller, calls[1].callee)
