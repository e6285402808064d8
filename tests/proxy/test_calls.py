"""What becomes of calls when their backend goes, comes back, or was restarted."""

from __future__ import annotations

from haproxy_voip.configuration.model import LimitsConfig
from haproxy_voip.proxy.events import CanaryClosed
from haproxy_voip.proxy.facts import BackendRemembered, CallMoved
from haproxy_voip.sip.message import Request, Response
from tests.proxy.servers import Servers
from tests.proxy.stage import DOMAIN, Peer


def calling(stage: Servers, user: str = "1001") -> tuple[Peer, Request, Request]:
    alice = stage.phone(user)
    invite = alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    return alice, invite, stage.alpha.take_request("INVITE")


def talking(stage: Servers) -> tuple[Peer, Request, Response, Request, Response]:
    alice, invite, at_alpha = calling(stage)
    ok_at_alpha = stage.alpha.answer(at_alpha, 200, body=stage.alpha.offer(9000))
    ok = alice.take_response(200)
    alice.ack(invite, ok)
    stage.alpha.take("ACK")
    return alice, invite, ok, at_alpha, ok_at_alpha


def methods(peer: Peer) -> list[str]:
    return [message.method for message in peer.inbox if isinstance(message, Request)]


def test_a_call_that_is_being_set_up_goes_on_at_the_next_backend() -> None:
    stage = Servers()
    alice, invite, _ = calling(stage)
    stage.kill("alpha")
    at_beta = stage.beta.take_request("INVITE")
    ok_at_beta = stage.beta.answer(at_beta, 200, body=stage.beta.offer(9000))
    ok = alice.take_response(200)
    alice.ack(invite, ok)
    stage.beta.take("ACK")
    assert stage.node._evacuation.records[-1].moved == {"calls being set up": 1}
    assert [fact for fact in stage.facts if isinstance(fact, CallMoved)]
    stage.beta.send(stage.beta.within(ok_at_beta, at_beta, "BYE", 1))
    alice.answer(alice.take_request("BYE"), 200)
    stage.beta.take(200)
    stage.assert_nothing_left()


def test_without_another_backend_it_is_refused_with_retry_after() -> None:
    stage = Servers()
    stage.kill("beta")
    stage.kill("charlie")
    alice, _, _ = calling(stage)
    stage.kill("alpha")
    assert alice.take_response(503).has("retry-after")
    assert stage.node._evacuation.records[-1].lost == {"calls being set up, no other backend": 1}
    stage.assert_nothing_left(registered=True)


def test_an_answered_call_goes_on_and_the_dead_backend_hears_of_it_when_it_returns() -> None:
    stage = Servers()
    alice, invite, ok, at_alpha, ok_at_alpha = talking(stage)
    alice.inbox.clear()
    stage.kill("alpha")
    at_beta = stage.beta.take_request("INVITE")
    stage.beta.answer(at_beta, 200, body=stage.beta.offer(9000))
    stage.beta.take("ACK")
    assert alice.inbox == []
    assert stage.node._evacuation.records[-1].moved == {"answered calls": 1}
    stage.pass_time(60)
    stage.revive("alpha")
    bye = stage.alpha.take_request("BYE")
    assert bye.call_id == at_alpha.call_id and bye.to.tag == ok_at_alpha.to.tag
    stage.alpha.answer(bye, 200)
    assert [fact.dialogs for fact in stage.facts if isinstance(fact, BackendRemembered)] == [1]
    alice.send(alice.within(invite, ok, "BYE", 20))
    stage.beta.answer(stage.beta.take_request("BYE"), 200)
    stage.assert_nothing_left()


def test_what_a_returned_backend_sends_in_a_call_that_ended_gets_481() -> None:
    stage = Servers()
    alice, _, _, at_alpha, ok_at_alpha = talking(stage)
    stage.freeze("alpha")
    stage.pass_time(20)
    alice.answer(alice.take_request("BYE"), 200)
    stage.pass_time(40)
    stage.revive("alpha")
    for cseq, method in enumerate(("INFO", "INVITE"), 1):
        request = stage.alpha.within(ok_at_alpha, at_alpha, method, cseq)
        stage.alpha.send(request)
        refused = stage.alpha.take_response(481)
        if method == "INVITE":
            stage.alpha.send(stage.alpha.ack_failure(request, refused))
    assert not {"INFO", "INVITE"} & set(methods(alice))


def test_maintenance_moves_calls_and_says_so_to_the_living_backend() -> None:
    stage = Servers()
    alice, invite, at_alpha = calling(stage)
    stage.alpha.answer(at_alpha, 180)
    alice.take(180)
    stage.command("maint", name="alpha")
    stage.alpha.answer(stage.alpha.take_request("CANCEL"), 200)
    stage.alpha.answer(at_alpha, 487)
    stage.alpha.take("ACK")
    at_beta = stage.beta.take_request("INVITE")
    stage.beta.answer(at_beta, 486)
    stage.beta.take("ACK")
    busy = alice.take_response(486)
    alice.send(alice.ack_failure(invite, busy))
    stage.assert_nothing_left()


def test_maintenance_moves_answered_calls_and_hangs_up_at_the_living_backend() -> None:
    stage = Servers()
    alice, invite, ok, *_ = talking(stage)
    alice.inbox.clear()
    stage.command("maint", name="alpha")
    stage.alpha.answer(stage.alpha.take_request("BYE"), 200)
    stage.beta.answer(stage.beta.take_request("INVITE"), 200, body=stage.beta.offer(9000))
    assert alice.inbox == []
    alice.send(alice.within(invite, ok, "BYE", 20))
    stage.beta.answer(stage.beta.take_request("BYE"), 200)
    stage.assert_nothing_left()


def test_drain_leaves_calls_alone() -> None:
    stage = Servers()
    alice, *_ = talking(stage)
    stage.command("drain", name="alpha")
    assert not methods(alice) and not methods(stage.alpha)
    assert stage.node._calls.snapshot()["alpha"] == 1


def test_a_restarted_backend_is_asked_for_its_calls_and_481_ends_them() -> None:
    stage = Servers()
    alice, *_ = talking(stage)
    stage.feed(CanaryClosed("alpha", "reset"))
    stage.pass_time(1)
    options = stage.alpha.take_request("OPTIONS")
    assert options.to.tag is not None
    stage.alpha.answer(options, 200)
    assert not methods(alice)
    stage.pass_time(60)
    stage.alpha.inbox.clear()
    stage.feed(CanaryClosed("alpha", "reset"))
    stage.pass_time(1)
    stage.alpha.answer(stage.alpha.take_request("OPTIONS"), 481)
    alice.answer(alice.take_request("BYE"), 200)
    stage.assert_nothing_left()


def test_a_restarted_backend_gets_an_unanswered_invite_again() -> None:
    stage = Servers()
    _, _, at_alpha = calling(stage)
    stage.alpha.answer(at_alpha, 100)
    stage.feed(CanaryClosed("alpha", "reset"))
    stage.pass_time(1)
    again = stage.alpha.take_request("INVITE")
    assert again.encode() == at_alpha.encode()


def test_a_ringing_phone_rings_on_and_another_backend_claims_it() -> None:
    stage = Servers()
    bob = stage.phone("1002")
    uri = f"sip:{stage.token_of('1002')}@127.0.0.10:5060"
    stage.alpha.user = stage.beta.user = "1001"
    stage.alpha.send(stage.alpha.new("INVITE", uri, body=stage.alpha.offer(9000)))
    at_bob = bob.take_request("INVITE")
    bob.answer(at_bob, 180)
    stage.kill("alpha")
    assert not methods(bob)
    assert stage.node._evacuation.records[-1].moved == {"phones ringing": 1}
    invite = stage.beta.new("INVITE", uri, body=stage.beta.offer(9000))
    stage.beta.send(invite)
    stage.beta.take(180)
    assert not methods(bob)
    bob.answer(at_bob, 200, body=bob.offer())
    ok = stage.beta.take_response(200)
    stage.beta.ack(invite, ok)
    bob.take("ACK")
    assert stage.node._calls.snapshot() == {"alpha": 0, "beta": 1, "charlie": 0}


def test_there_is_a_limit() -> None:
    stage = Servers(limits=LimitsConfig(max_calls=1))
    calling(stage)
    bob = stage.phone("1002")
    bob.request("INVITE", f"sip:1003@{DOMAIN}", body=bob.offer())
    assert bob.take_response(503).has("retry-after")


def test_a_call_cancelled_while_it_waits_to_be_moved_is_not_placed() -> None:
    stage = Servers(registration="active")
    stage.phone("1002")
    stage.pass_time(0.1)
    alice, invite, at_alpha = calling(stage)
    stage.alpha.answer(at_alpha, 180)
    stage.delay = 0.5
    stage.kill("alpha")
    alice.cancel(invite)
    alice.take(200)
    alice.send(alice.ack_failure(invite, alice.take_response(487)))
    stage.pass_time(3)
    assert not methods(stage.beta)
    stage.assert_nothing_left()
