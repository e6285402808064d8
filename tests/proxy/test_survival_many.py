"""A backend that carries many calls dies: those who talk are joined first, the rest is done in small steps."""

from __future__ import annotations

from typing import Any

from haproxy_voip.cluster.detector import SEVERAL_CALLS, BackendDown
from haproxy_voip.configuration.model import MediaConfig, PortRange
from haproxy_voip.core.effects import Send
from haproxy_voip.proxy.effects import InstallStream
from haproxy_voip.proxy.errands import STEP
from haproxy_voip.proxy.events import BackendsSilent, CanaryClosed, MediaRefused, ProbeRefused
from haproxy_voip.proxy.facts import (
    CallCarried,
    CallEnded,
    CallJoined,
    CallStaysJoined,
    FailoverRecord,
    FailoverSettled,
)
from haproxy_voip.proxy.survival import REBUILD_SECONDS
from haproxy_voip.proxy.turns import JOINED_AT_ONCE
from tests.proxy.conversation import Conversation, converse, dial, joined, nobody_is_joined, plan_of, theatre
from tests.proxy.stage import Stage
from tests.proxy.talk import Talk, leave_nothing, sdp

CONVERSATIONS = 24
USERS = tuple(str(1001 + number) for number in range(2 * CONVERSATIONS + 2))


def many(count: int = CONVERSATIONS) -> tuple[Stage, list[Conversation]]:
    stage = theatre(USERS, media=MediaConfig(ports=PortRange(20000, 20999)))
    calls = [converse(stage, USERS[2 * n], USERS[2 * n + 1], backend_port=9000 + 4 * n) for n in range(count)]
    return stage, calls


class Steps:
    """What each step of the node says from now on."""

    def __init__(self, stage: Stage) -> None:
        self.outputs: list[list[Any]] = []
        node: Any = stage.node
        for name in ("receive", "wake"):
            setattr(node, name, self._kept(getattr(node, name)))

    def _kept(self, method: Any) -> Any:
        def kept(*arguments: Any) -> Any:
            outputs = method(*arguments)
            self.outputs.append(outputs)
            return outputs

        return kept


def killed(stage: Stage) -> None:
    stage.dead.add("alpha")
    stage.feed(CanaryClosed("alpha", "reset"))
    stage.feed(ProbeRefused("alpha", "refused"))


def invites(stage: Stage) -> list[Any]:
    return [one for one in stage.beta.inbox if getattr(one, "method", "") == "INVITE"]


def by_caller(calls: list[Conversation], invite: Any) -> Conversation:
    return next(call for call in calls if call.caller.user == invite.from_.uri.user)


def take_one(stage: Stage, calls: list[Conversation]) -> Conversation:
    call = by_caller(calls, invites(stage)[0])
    call.rebuilt()
    return call


def test_all_are_joined_before_anything_else_is_done() -> None:
    stage, calls = many()
    steps = Steps(stage)
    killed(stage)
    first = next(outputs for outputs in steps.outputs if any(isinstance(one, BackendDown) for one in outputs))
    installs = [one for one in first if isinstance(one, InstallStream)]
    assert len(installs) == 2 * CONVERSATIONS and all(one.plan.bridge is not None for one in installs)
    assert not any(isinstance(one, Send) for one in first)
    assert len([one for one in first if isinstance(one, CallJoined)]) == CONVERSATIONS
    assert all(joined(stage, call.caller, call.callee) for call in calls)


def test_the_next_backend_is_asked_in_small_steps_and_for_no_more_than_it_takes() -> None:
    stage, calls = many()
    steps = Steps(stage)
    killed(stage)
    stage.pass_time(0.2)
    assert len(invites(stage)) == JOINED_AT_ONCE
    while invites(stage):
        take_one(stage, calls)
        stage.pass_time(0.005)
    assert nobody_is_joined(stage)
    sent = [sum(isinstance(one, Send) and one.data.startswith(b"INVITE") for one in step) for step in steps.outputs]
    assert 0 < max(sent) <= STEP
    assert stage.node._calls.snapshot() == {"alpha": 0, "beta": 2 * CONVERSATIONS, "charlie": 0}
    for call in calls:
        call.hang_up()
    leave_nothing(stage)


def test_a_new_call_does_not_wait_for_them() -> None:
    stage, _ = many()
    stage.phone(USERS[-1])
    killed(stage)
    stage.pass_time(0.002)
    stage.beta.inbox.clear()
    phone = stage.phone(USERS[-2])
    phone.request("INVITE", f"sip:{USERS[-1]}@voip.test", body=phone.offer())
    assert [one.from_.uri.user for one in invites(stage)][-1] == USERS[-2]


def test_those_that_wait_for_their_turn_are_not_given_up() -> None:
    stage, calls = many()
    killed(stage)
    for _ in range(CONVERSATIONS // JOINED_AT_ONCE + 1):
        stage.pass_time(0.1)
        asked = invites(stage)
        for invite in asked:
            stage.beta.answer(invite, 100)
        stage.pass_time(0.8 * REBUILD_SECONDS)
        for _ in asked:
            take_one(stage, calls)
    assert nobody_is_joined(stage)
    assert not any(isinstance(fact, CallEnded | CallStaysJoined) for fact in stage.facts)


def test_what_came_of_each_is_told_and_counted() -> None:
    stage, calls = many(3)
    killed(stage)
    stage.pass_time(0.04)
    record = next(fact for fact in stage.facts if isinstance(fact, FailoverRecord))
    assert record.calls == {"under way": 6}
    carried = take_one(stage, calls)
    stage.beta.answer(invites(stage)[0], 486)
    refused = by_caller(calls, invites(stage)[0])
    stage.beta.inbox.remove(invites(stage)[0])
    last = by_caller(calls, invites(stage)[0])
    last.ours.by_caller("BYE")
    stage.pass_time(0.1)
    assert record.calls == {"carried": 2, "joined": 2, "ended": 2}
    tokens = [fact.call for fact in stage.facts if isinstance(fact, CallCarried)]
    assert len(tokens) == 2 and nobody_is_joined_but(stage, refused, carried)
    [stays] = [fact for fact in stage.facts if isinstance(fact, CallStaysJoined)]
    assert stays.backend == "beta" and "486" in stays.reason and stays.partner != stays.call
    [settled] = [fact for fact in stage.facts if isinstance(fact, FailoverSettled)]
    assert (settled.backend, settled.carried, settled.joined, settled.ended) == ("alpha", 2, 2, 2)
    assert 0.04 <= settled.after <= 0.2
    status: Any = stage.command("status")
    assert status["failovers"][-1]["calls"] == record.calls


def nobody_is_joined_but(stage: Stage, call: Conversation, other: Conversation) -> bool:
    return joined(stage, call.caller, call.callee) and plan_of(stage, other.caller).bridge is None


# -- what media tell -------------------------------------------------------------------------------------


def streams(stage: Stage, calls: list[Conversation]) -> tuple[int, ...]:
    return tuple(plan_of(stage, peer).stream for call in calls for peer in (call.caller, call.callee))


def test_calls_that_fall_silent_together_have_a_frozen_backend_left_within_30_ms() -> None:
    stage, calls = many(2)
    stage.frozen.add("alpha")
    began = stage.now
    stage.feed(BackendsSilent(streams(stage, calls), began - 0.06))
    stage.pass_time(0.030)
    [down] = [fact for fact in stage.facts if isinstance(fact, BackendDown)]
    assert down.signal == "no media on 4 of 4 calls" and down.detected_after <= 0.030
    assert all(joined(stage, call.caller, call.callee) for call in calls)


def test_calls_that_fall_silent_at_a_backend_that_answers_stay_there() -> None:
    stage, calls = many(2)
    stage.feed(BackendsSilent(streams(stage, calls), stage.now - 0.06))
    stage.pass_time(1.0)
    assert not any(isinstance(fact, BackendDown) for fact in stage.facts)


def test_media_refused_on_several_calls_and_one_refused_probe_are_enough() -> None:
    stage, calls = many(2)
    stage.dead.add("alpha")
    for stream in streams(stage, calls)[:SEVERAL_CALLS]:
        stage.feed(MediaRefused(stream, "backend"))
    stage.pass_time(0.001)
    [down] = [fact for fact in stage.facts if isinstance(fact, BackendDown)]
    assert down.detected_after <= 0.001


def test_a_phone_that_refuses_its_media_says_nothing_of_a_backend() -> None:
    stage, calls = many(3)
    for stream in streams(stage, calls):
        stage.feed(MediaRefused(stream, "client"))
    assert stage.node.backends.detectors["alpha"].suspected_for is None


# -- members of a conference -------------------------------------------------------------------------------


def members(stage: Stage, count: int = 5) -> list[Talk]:
    """They dialled the same number; alpha has answered."""
    calls = [dial(stage, USERS[n], "600") for n in range(count)]
    for n, call in enumerate(calls):
        call.answer(sdp(stage.alpha, 9000 + 4 * n))
        call.acknowledge()
    return calls


def test_members_of_a_conference_meet_again_in_the_order_in_which_they_came() -> None:
    stage, _ = many(0)
    calls = members(stage)
    killed(stage)
    stage.pass_time(0.1)
    asked = invites(stage)
    assert [one.from_.uri.user for one in asked] == [call.caller.user for call in calls]
    assert {one.uri for one in asked} == {"sip:600@127.0.0.12:5060"}
    assert nobody_is_joined(stage) and all(plan_of(stage, call.caller).comfort_noise for call in calls)


def test_when_the_next_one_dies_in_the_middle_of_it_they_all_meet_at_the_one_after_it() -> None:
    stage, _ = many(0)
    calls = members(stage)
    killed(stage)
    stage.pass_time(0.1)
    for call, invite in zip(calls[:2], invites(stage), strict=False):
        stage.beta.answer(invite, 200, tag=f"again{call.caller.user}", body=sdp(stage.beta, 9500))
    stage.kill("beta")
    asked = [one for one in stage.charlie.inbox if getattr(one, "method", "") == "INVITE"]
    assert {one.from_.uri.user for one in asked} == {call.caller.user for call in calls}
    assert {one.uri for one in asked} == {"sip:600@127.0.0.13:5060"}
