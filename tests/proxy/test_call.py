"""Calls from and to clients, one backend, no failures."""

from __future__ import annotations

from haproxy_voip.sip.message import Request, Response
from tests.proxy.stage import DOMAIN, Peer, Stage


def outgoing(stage: Stage, caller: Peer) -> tuple[Request, Request]:
    """A client calls 1002: its INVITE, and the backend's view of it."""
    invite = caller.request("INVITE", f"sip:1002@{DOMAIN}", body=caller.offer())
    caller.take(100)
    return invite, stage.alpha.take_request("INVITE")


def answered(stage: Stage, caller: Peer) -> tuple[Request, Response, Request, Response]:
    """The same, answered and acknowledged."""
    invite, at_alpha = outgoing(stage, caller)
    ringing = stage.alpha.answer(at_alpha, 180)
    caller.take(180)
    assert ringing is not None
    ok_at_alpha = stage.alpha.answer(at_alpha, 200, body=stage.alpha.offer(9000))
    ok = caller.take_response(200)
    caller.ack(invite, ok)
    stage.alpha.take("ACK")
    return invite, ok, at_alpha, ok_at_alpha


def test_a_call_from_a_client_is_a_dialog_of_its_own_at_the_backend() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    invite, at_alpha = outgoing(stage, alice)
    assert at_alpha.call_id != invite.call_id
    assert at_alpha.from_.tag != invite.from_.tag
    assert at_alpha.uri == "sip:1002@127.0.0.11:5060"
    assert at_alpha.from_.uri.user == "1001"
    assert b"c=IN IP4 127.0.0.10" in at_alpha.body
    assert not at_alpha.has("proxy-authorization")


def test_a_call_is_answered_acknowledged_and_hung_up_by_the_caller() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    invite, ok, _, _ = answered(stage, alice)
    assert len(stage.plans) == 1
    alice.send(alice.within(invite, ok, "BYE", invite.cseq.number + 1))
    alice.take(200)
    bye = stage.alpha.take_request("BYE")
    stage.alpha.answer(bye, 200)
    assert not stage.plans
    stage.pass_time(60)
    assert len(stage.node._shared.legs) == 0
    assert len(stage.node._shared.transactions) == 0
    assert stage.node._shared.ports.in_use == 0


def test_a_call_to_a_client_goes_to_its_contact() -> None:
    stage = Stage()
    bob = stage.phone("1002")
    token = stage.token_of("1002")
    stage.alpha.user = "1001"
    invite = stage.alpha.new("INVITE", f"sip:{token}@127.0.0.10:5060", body=stage.alpha.offer(9000))
    stage.alpha.send(invite)
    at_bob = bob.take_request("INVITE")
    assert at_bob.uri == "sip:1002@127.0.1.2:5060"
    assert at_bob.to.uri.user == "1002"
    bob.answer(at_bob, 180)
    stage.alpha.take(180)
    ok_at_bob = bob.answer(at_bob, 200, body=bob.offer())
    ok = stage.alpha.take_response(200)
    stage.alpha.ack(invite, ok)
    bob.take("ACK")
    bob.send(bob.within(ok_at_bob, at_bob, "BYE", 1))
    bob.take(200)
    stage.alpha.take("BYE")
