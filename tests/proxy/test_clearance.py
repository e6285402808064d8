"""`drain NAME --move`: one conversation after the other; what cannot be moved stays, and is told."""

from __future__ import annotations

from typing import Any

from haproxy_voip.proxy.clearance import KNOWN_AFTER_SECONDS, LOOK_AGAIN_SECONDS, LOOK_SECONDS, UNKNOWN
from haproxy_voip.proxy.facts import CallNotMoved
from haproxy_voip.proxy.relocation import ON_ITS_WAY_SECONDS
from tests.proxy.conversation import Conversation, converse, dial, hung_up, plan_of, ring, silent, theatre
from tests.proxy.stage import Stage
from tests.proxy.talk import outgoing, sdp

USERS = tuple(str(number) for number in range(1001, 1009))
MOMENT = ON_ITS_WAY_SECONDS + 2 * LOOK_SECONDS


def row(stage: Stage, name: str = "alpha") -> dict[str, Any]:
    """What `status` says of this backend."""
    rows: Any = stage.command("status")["backends"]
    return next(one for one in rows if one["name"] == name)


def drain(stage: Stage) -> None:
    stage.command("drain", name="alpha", move="yes")


def one_moves(stage: Stage, calls: list[Conversation]) -> Conversation:
    """Beta was asked for one of these, and takes it."""
    [invite] = [one for one in stage.beta.inbox if getattr(one, "method", "") == "INVITE"]
    call = next(call for call in calls if call.caller.user == invite.from_.uri.user)
    call.rebuilt()
    stage.pass_time(MOMENT)
    hung_up(stage.alpha, stage.alpha)
    return call


def test_one_after_the_other_and_how_far_it_has_come_is_told() -> None:
    stage = theatre(USERS)
    calls = [converse(stage, USERS[n], USERS[n + 1], backend_port=9000 + 10 * n) for n in (0, 2, 4)]
    drain(stage)
    for done in range(3):
        told = row(stage)
        assert (told["moved"], told["to_move"], told["staying"]) == (2 * done, 6 - 2 * done, {})
        one_moves(stage, calls)
    told = row(stage)
    assert (told["moved"], told["to_move"], told["calls"]) == (6, 0, 0)
    assert row(stage, "beta")["calls"] == 6 and row(stage, "beta")["moved"] is None
    for call in calls:
        assert silent(call.caller, call.callee)
        call.hang_up()


def test_who_talks_to_the_backend_itself_stays_and_is_told_once() -> None:
    stage = theatre()
    alone = outgoing(stage).established()
    drain(stage)
    stage.pass_time(KNOWN_AFTER_SECONDS + 3 * LOOK_AGAIN_SECONDS)
    assert stage.beta.inbox == [] and silent(alone.caller)
    told = row(stage)
    assert (told["moved"], told["to_move"], told["staying"]) == (0, 0, {UNKNOWN: 1})
    [fact] = [fact for fact in stage.facts if isinstance(fact, CallNotMoved)]
    assert (fact.backend, fact.reason) == ("alpha", UNKNOWN)
    alone.hang_up()
    assert row(stage)["staying"] == {}


def test_encrypted_calls_stay() -> None:
    stage = theatre()
    call = converse(stage)
    key = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n"
    for talk in (call.ours, call.theirs):
        body = sdp(talk.caller, 7002, more=key).replace(b"RTP/AVP", b"RTP/SAVP")
        request = talk.by_caller("INVITE", body)
        _, ok = talk.across(request, body=sdp(talk.callee, 9900, more=key).replace(b"RTP/AVP", b"RTP/SAVP"))
        talk.ack_of(request, ok)
    drain(stage)
    assert stage.beta.inbox == []
    assert list(row(stage)["staying"]) == ["its media are encrypted, or cannot be joined"]


def test_ready_ends_it_and_what_was_moved_stays_there() -> None:
    stage = theatre(USERS)
    calls = [converse(stage, USERS[n], USERS[n + 1], backend_port=9000 + 10 * n) for n in (0, 2)]
    drain(stage)
    moved = one_moves(stage, calls)
    other = next(call for call in calls if call is not moved)
    invited = stage.beta.take_request("INVITE")
    stage.beta.answer(invited, 180)
    stage.command("ready", name="alpha")
    stage.beta.take("CANCEL")
    stage.pass_time(2 * LOOK_AGAIN_SECONDS)
    told = row(stage)
    assert told["admin"] == "ready" and told["moved"] is None and told["calls"] == 2
    assert plan_of(stage, other.caller).backend.remote.host == stage.alpha.host  # type: ignore[union-attr]
    other.hang_up()
    moved.hang_up()


def test_a_plain_drain_moves_nothing() -> None:
    stage = theatre()
    call = converse(stage)
    stage.command("drain", name="alpha")
    stage.pass_time(5.0)
    assert stage.beta.inbox == [] and row(stage)["moved"] is None
    call.hang_up()


def test_a_call_that_is_answered_later_moves_then() -> None:
    stage = theatre()
    ours = dial(stage, "1001", "1002")
    theirs = ring(stage, "alpha", "1001", "1002")
    drain(stage)
    assert (row(stage)["moved"], row(stage)["to_move"]) == (0, 0)
    theirs.answer(sdp(theirs.callee, 7000))
    theirs.acknowledge()
    ours.answer(sdp(stage.alpha, 9000))
    ours.acknowledge()
    stage.pass_time(LOOK_AGAIN_SECONDS)
    one_moves(stage, [Conversation(stage, ours, theirs)])
    assert row(stage)["moved"] == 2


def test_with_no_other_backend_all_stay() -> None:
    stage = theatre()
    call = converse(stage)
    stage.command("drain", name="beta")
    stage.command("drain", name="charlie")
    drain(stage)
    assert row(stage)["staying"] == {"no other backend is ready and has room": 2}
    stage.command("ready", name="charlie")
    stage.pass_time(2 * LOOK_AGAIN_SECONDS)
    call.rebuilt("charlie")
    stage.pass_time(MOMENT)
    assert row(stage)["moved"] == 2
