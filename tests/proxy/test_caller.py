"""What the caller sees of forks and failures behind us: one callee that goes on (RFC 3261 sections 12.1, 13.2.2.4)."""

from __future__ import annotations

from haproxy_voip.sip.message import Request, Response
from tests.proxy.stage import Stage
from tests.proxy.talk import Talk, answer_all, calm, leave_nothing, outgoing, sdp


def forked(stage: Stage) -> tuple[Talk, Response, Response]:
    talk = outgoing(stage)
    return talk, talk.provisional(180, tag="one"), talk.provisional(183, tag="two", body=sdp(talk.callee, 9100))


def test_each_fork_is_an_early_dialog_to_the_caller_as_well() -> None:
    talk, first, second = forked(calm())
    assert first.to.tag != second.to.tag
    assert talk.answer(tag="one").to.tag == first.to.tag
    talk.acknowledge()
    talk.hang_up()


def test_the_other_forks_are_forgotten_once_one_answered() -> None:
    talk, _, second = forked(calm())
    talk.answer(tag="one")
    talk.acknowledge()
    talk.by_caller("INFO", early=second)
    talk.caller.take(481)
    talk.hang_up()


def test_a_second_2xx_is_acknowledged_and_hung_up_once() -> None:
    talk, _, _ = forked(calm())
    talk.answer(tag="one")
    talk.acknowledge()
    for _ in range(2):
        talk.callee.answer(talk.invited, 200, tag="two", body=sdp(talk.callee, 9100))
        assert talk.callee.take_request("ACK").to.tag == "two"
    assert answer_all(talk.stage, "BYE") == 1
    assert [one for one in talk.callee.inbox if isinstance(one, Request)] == []
    assert talk.caller.inbox == []
    talk.hang_up()


def test_a_bye_in_one_of_several_early_dialogs_ends_that_one() -> None:
    talk, first, second = forked(calm())
    talk.by_caller("BYE", early=first)
    talk.caller.take(200)
    bye = talk.callee.take_request("BYE")
    assert bye.to.tag == "one"
    talk.callee.answer(bye, 200)
    assert talk.answer(tag="two").to.tag == second.to.tag
    talk.acknowledge()
    talk.hang_up()


def test_no_more_early_dialogs_than_anybody_needs() -> None:
    talk = outgoing(calm())
    for number in range(30):
        talk.callee.answer(talk.invited, 180, tag=f"fork{number}")
    assert len([one for one in talk.caller.inbox if isinstance(one, Response) and one.status == 180]) == 20
    talk.caller.cancel(talk.invite)
    talk.callee.answer(talk.invited, 487)
    leave_nothing(talk.stage)
