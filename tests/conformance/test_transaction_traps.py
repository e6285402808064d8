"""Whose dialog, whose transaction: 481, CANCEL, merged and repeated requests (RFC 3261 sections 8.2.2, 9, 12.2, 17)."""

import pytest

from haproxy_voip.sip.message import Request, Response, header
from tests.conformance.exchanges import called, finals
from tests.proxy.stage import DOMAIN, PROXY, Stage


@pytest.mark.parametrize("method", ["INVITE", "BYE", "INFO", "REFER", "NOTIFY", "UPDATE", "PRACK", "LEVITATE"])
@pytest.mark.parametrize("sender", ["client", "backend"])
def test_a_request_in_an_unknown_dialog_gets_481(method: str, sender: str) -> None:
    """RFC 3261 section 12.2.2."""
    stage = Stage()
    alice = stage.phone("1001")
    peer = alice if sender == "client" else stage.alpha
    peer.send(peer.new(method, f"sip:x@{PROXY}", to=f"<sip:1002@{DOMAIN}>;tag=nobodys"))
    assert finals(peer) == [481]


def test_known_tags_from_the_wrong_side_are_unknown() -> None:
    stage = Stage()
    alice, mallory = stage.phone("1001"), stage.phone("1003")
    invite, at_alpha = called(stage, alice, call_id="of-alice")
    ok_of_alpha = stage.alpha.answer(at_alpha, 200, tag="of-alpha", body=stage.alpha.offer(9000))
    ok = alice.take_response(200)
    bye = stage.alpha.within(ok_of_alpha, at_alpha, "BYE", 5)
    bye.set("via", mallory.via())
    mallory.send(bye)
    assert finals(mallory) == [481]
    bye = alice.within(invite, ok, "BYE", 5)
    bye.set("via", stage.beta.via())
    stage.beta.send(bye)
    assert finals(stage.beta) == [481]
    assert finals(alice) == [] and not stage.alpha.inbox


def test_a_stray_ack_is_answered_by_nothing() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    alice.send(alice.new("ACK", f"sip:x@{PROXY}", to=f"<sip:1002@{DOMAIN}>;tag=nobodys"))
    alice.send(alice.new("ACK", f"sip:1002@{DOMAIN}"))
    stage.alpha.send(stage.alpha.new("ACK", f"sip:x@{PROXY}", to="<sip:x@y.test>;tag=nobodys"))
    stage.pass_time(1)
    assert not alice.inbox and not stage.alpha.inbox


def test_a_stray_cancel_gets_481() -> None:
    """9.2."""
    stage = Stage()
    alice = stage.phone("1001")
    alice.send(alice.new("CANCEL", f"sip:1002@{DOMAIN}"))
    assert finals(alice) == [481]


def test_a_cancel_means_the_invite_with_its_branch_and_no_other() -> None:
    """9.1, 9.2: hop by hop, with the branch of our own INVITE on the other side."""
    stage = Stage()
    alice, carol = stage.phone("1001"), stage.phone("1003")
    first, at_alpha = called(stage, alice)
    _, other_at_alpha = called(stage, carol)
    stage.alpha.answer(at_alpha, 180)
    stage.alpha.answer(other_at_alpha, 180)
    alice.take(180)
    alice.cancel(first)
    alice.take(200)
    alice.take(487)
    cancel = stage.alpha.take_request("CANCEL")
    assert cancel.top_via.branch == at_alpha.top_via.branch
    assert (cancel.call_id, cancel.cseq.number, cancel.uri) == (at_alpha.call_id, at_alpha.cseq.number, at_alpha.uri)
    carol.take(180)
    assert finals(carol) == []


def test_a_cancel_from_another_user_cancels_nothing() -> None:
    stage = Stage()
    alice, mallory = stage.phone("1001"), stage.phone("1003")
    invite, at_alpha = called(stage, alice)
    stage.alpha.answer(at_alpha, 180)
    forged = Request("CANCEL", invite.uri, [line for line in invite.headers if line[0] not in ("via", "cseq")])
    forged.headers += [header("Via", mallory.via()), header("CSeq", f"{invite.cseq.number} CANCEL")]
    mallory.send(forged)
    assert finals(mallory) == [481]
    assert not stage.alpha.inbox


def test_a_cancel_after_the_answer_changes_nothing() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    invite, at_alpha = called(stage, alice)
    stage.alpha.answer(at_alpha, 200, body=stage.alpha.offer(9000))
    alice.take(200)
    alice.cancel(invite)
    assert alice.take_response(200).cseq.method == "CANCEL"
    assert finals(alice) == []


def test_a_merged_request_is_answered_482() -> None:
    """8.2.2.2: the same request by another way."""
    stage = Stage()
    alice = stage.phone("1001")
    invite, _ = called(stage, alice)
    again = invite.copy()
    again.set("via", alice.via())
    alice.send(again)
    assert finals(alice) == [482]
    assert not stage.alpha.inbox


def test_a_repeated_request_is_not_sent_on_again() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    invite, _ = called(stage, alice)
    alice.inbox.clear()
    alice.send(invite)
    assert not stage.alpha.inbox
    assert [message.status for message in alice.inbox if isinstance(message, Response)] == [100]
