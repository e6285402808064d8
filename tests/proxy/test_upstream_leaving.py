"""Registrations stay at a backend that lives until it has answered: it may yet look for the callee."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from haproxy_voip.proxy.facts import BackendGone
from haproxy_voip.proxy.upstream import ANSWERS_SECONDS, LOOK_SECONDS
from tests.proxy.servers import Servers
from tests.proxy.stage import DOMAIN
from tests.proxy.talk import Talk, leave_nothing, outgoing, sdp
from tests.proxy.test_reconfiguration import ALL, reload, told


def removed(stage: Servers) -> None:
    reload(stage, "beta", "charlie")


def drained(stage: Servers) -> None:
    stage.command("drain", name="alpha")


def drained_of_its_calls(stage: Servers) -> None:
    stage.command("drain", name="alpha", move="yes")


def switched(stage: Servers) -> None:
    stage.command("switch", name="beta")


MIRROR, ACTIVE = {"registration": "mirror"}, {"registration": "active"}
LEFT = [
    pytest.param(removed, MIRROR, id="removed"),
    pytest.param(removed, {**MIRROR, "balance": "round_robin"}, id="removed, calls are spread"),
    pytest.param(removed, ACTIVE, id="removed, of one that is active"),
    pytest.param(drained, ACTIVE, id="drained"),
    pytest.param(drained_of_its_calls, ACTIVE, id="drained of its calls"),
    pytest.param(switched, ACTIVE, id="switched"),
]


def calling(stage: Servers) -> Talk:
    """1001 calls 1002, whom alpha knows."""
    stage.phone("1002")
    stage.pass_time(0.1)
    assert knows(stage)
    return outgoing(stage)


def knows(stage: Servers, name: str = "alpha") -> bool:
    """Whether this backend finds 1002."""
    return stage.token_of("1002") in stage.server(name).contacts


@pytest.mark.parametrize(("leave", "changes"), LEFT)
def test_who_is_called_is_known_until_the_call_is_answered(
    leave: Callable[[Servers], None], changes: dict[str, str]
) -> None:
    stage = Servers(**changes)
    talk = calling(stage)
    leave(stage)
    stage.pass_time(0.2)
    assert knows(stage), "alpha has not looked for 1002 yet, and would answer 480"
    talk.provisional(180)
    stage.pass_time(5)
    assert knows(stage), "nobody picks up: alpha may be about to ring somebody else"
    talk.answer()
    talk.acknowledge()
    stage.pass_time(2 * LOOK_SECONDS)
    assert not stage.server("alpha").contacts
    assert knows(stage, "beta")
    talk.hang_up()


def test_a_refusal_is_an_answer_too_and_the_backend_is_not_gone_before_it_has_forgotten_all() -> None:
    stage = Servers()
    talk = calling(stage)
    removed(stage)
    stage.pass_time(0.1)
    stage.alpha.answer(talk.invited, 486)
    talk.caller.take(486)
    stage.pass_time(5)
    assert told(stage, BackendGone)
    assert not stage.server("alpha").contacts
    leave_nothing(stage)


def test_a_message_on_its_way_finds_whom_it_is_for() -> None:
    stage = Servers()
    alice, _ = stage.phone("1001"), stage.phone("1002")
    alice.request("MESSAGE", f"sip:1002@{DOMAIN}", body=b"hello", content_type="text/plain")
    stage.pass_time(0.1)
    message = stage.alpha.take_request("MESSAGE")
    removed(stage)
    stage.pass_time(1)
    assert knows(stage)
    stage.alpha.answer(message, 200)
    stage.pass_time(2 * LOOK_SECONDS)
    assert not stage.server("alpha").contacts


def test_what_the_backend_asks_of_phones_keeps_nobody_there() -> None:
    stage = Servers()
    calling(stage).established()
    bob = stage.token_of("1002")
    stage.alpha.send(stage.alpha.new("MESSAGE", f"sip:{bob}@127.0.0.10:5060"))
    stage.alpha.send(stage.alpha.new("INVITE", f"sip:{bob}@127.0.0.10:5060", body=sdp(stage.alpha)))
    removed(stage)
    stage.pass_time(0.1)
    assert not stage.server("alpha").contacts


def test_who_does_not_answer_is_waited_for_so_long_only() -> None:
    stage = Servers()
    talk = calling(stage)
    removed(stage)
    for _ in range(int(ANSWERS_SECONDS) // 60):
        assert knows(stage)
        talk.callee.answer(talk.invited, 183)  # it rings and rings
        stage.pass_time(60)
    stage.pass_time(0.1)
    assert not stage.server("alpha").contacts
    talk.answer()
    talk.acknowledge()
    talk.hang_up()


@pytest.mark.parametrize("changes", [MIRROR, ACTIVE])
def test_one_that_is_taken_back_meanwhile_keeps_what_it_shall_hold(changes: dict[str, str]) -> None:
    stage = Servers(**changes)
    talk = calling(stage)
    removed(stage)
    reload(stage, *ALL)
    stage.pass_time(0.2)
    assert knows(stage), "it is asked for 1002 still"
    stage.alpha.answer(talk.invited, 486)
    stage.pass_time(5)
    assert knows(stage) is (changes is MIRROR)
    assert told(stage, BackendGone) == []


def test_one_that_becomes_the_active_one_again_keeps_them_all() -> None:
    stage = Servers(**ACTIVE)
    talk = calling(stage)
    switched(stage)
    stage.command("switch", name="alpha")
    stage.alpha.answer(talk.invited, 486)
    stage.pass_time(5)
    assert len(stage.server("alpha").contacts) == 2
    assert not stage.server("beta").contacts


@pytest.mark.parametrize(("leave", "changes"), [(removed, MIRROR), (switched, ACTIVE)])
def test_one_that_dies_meanwhile_is_told_nothing_any_more(
    leave: Callable[[Servers], None], changes: dict[str, str]
) -> None:
    stage = Servers(**changes)
    calling(stage)
    leave(stage)
    stage.kill("alpha")
    stage.pass_time(2 * LOOK_SECONDS)
    stage.beta.take_request("INVITE")
    assert not stage.node._upstream._lines["alpha"].pace.in_flight
    assert bool(told(stage, BackendGone)) is (leave is removed)


def test_maintenance_waits_for_nobody() -> None:
    stage = Servers()
    calling(stage)
    stage.command("maint", name="alpha")
    stage.pass_time(0.1)
    assert not stage.server("alpha").contacts
    stage.beta.take_request("INVITE")


def test_a_call_that_waits_for_its_callees_registration_there_is_placed_when_it_is_made() -> None:
    stage = Servers(**ACTIVE)
    alice, _ = stage.phone("1001"), stage.phone("1002")
    stage.pass_time(0.1)
    stage.delay = 0.2
    switched(stage)
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=sdp(alice))
    stage.command("switch", name="charlie")
    stage.pass_time(1)
    asked = stage.beta.take_request("INVITE")
    assert knows(stage, "beta")
    stage.beta.answer(asked, 486)
    stage.pass_time(2)
    assert not stage.server("beta").contacts
