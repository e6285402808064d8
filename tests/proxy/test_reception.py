"""Reception: who sent a request, may they, and whose business it is. The traps of the RFCs are in tests/conformance."""

import pytest

from haproxy_voip.core.events import StreamClosed
from haproxy_voip.proxy.facts import AuthenticationFailed, MessageRefused
from haproxy_voip.sip.message import Request, Response
from tests.proxy.stage import DOMAIN, PROXY, Peer, Stage, config


def finals(peer: Peer) -> list[int]:
    return [message.status for message in peer.inbox if isinstance(message, Response) and message.status >= 200]


def in_call(stage: Stage, caller: Peer) -> tuple[Request, Response]:
    invite = caller.request("INVITE", f"sip:1002@{DOMAIN}", body=caller.offer())
    stage.alpha.answer(stage.alpha.take_request("INVITE"), 200, body=stage.alpha.offer(9000))
    ok = caller.take_response(200)
    caller.ack(invite, ok)
    stage.alpha.take("ACK")
    return invite, ok


# --- outside any dialog --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "status"), [("REGISTER", 401), ("INVITE", 407), ("MESSAGE", 407), ("ODD", 407)])
def test_a_client_is_asked_who_it_is(method: str, status: int) -> None:
    """RFC 3261 sections 22.2 and 22.3: by a registrar 401, by a proxy 407."""
    stage = Stage()
    alice = stage.client("1001")
    alice.send(alice.new(method, f"sip:1002@{DOMAIN}", to=f"<sip:1001@{DOMAIN}>"))
    assert finals(alice) == [status]
    assert not any(isinstance(fact, AuthenticationFailed) for fact in stage.facts)


def test_wrong_credentials_are_a_fact() -> None:
    stage = Stage()
    alice = stage.client("1001")
    message = alice.new("MESSAGE", f"sip:1002@{DOMAIN}")
    alice.send(message)
    stage.credentials["1001"] = stage.credentials["1002"]
    alice.send(alice.authorized(message, alice.take_response(407)))
    assert finals(alice)[-1] in (403, 407)
    assert not stage.alpha.inbox


def test_nobody_is_called_while_no_backend_is_up() -> None:
    """503 with Retry-After, which spreads those who try again (RFC 3261 section 21.5.4)."""
    stage = Stage()
    alice = stage.phone("1001")
    for name in stage.backends:
        stage.kill(name)
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    assert alice.take_response(503).get("retry-after")


def test_a_client_registers_while_no_backend_is_up() -> None:
    stage = Stage()
    for name in stage.backends:
        stage.kill(name)
    stage.phone("1001")
    assert len(stage.node.bindings.of("1001")) == 1


def test_a_refusal_is_a_fact_that_says_why() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    alice.request("MESSAGE", "sip:1002@other.test")
    [refused] = [fact for fact in stage.facts if isinstance(fact, MessageRefused)]
    assert refused.status == 404 and "other.test" in str(refused)


def test_a_backends_request_for_a_lost_connection_is_answered_at_once() -> None:
    """RFC 5626 section 5.3: nobody else can open that connection again."""
    stage = Stage()
    bob = stage.connected("1002", 1)
    bob.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1002@{DOMAIN}>")
    token = stage.token_of("1002")
    stage.feed(StreamClosed(bob.flow, "reset"))
    for method in ("INVITE", "MESSAGE", "OPTIONS"):
        stage.alpha.send(stage.alpha.new(method, f"sip:{token}@{PROXY}"))
    assert len(finals(stage.alpha)) == 3 and set(finals(stage.alpha)) <= {430, 480}


def test_each_backend_may_use_every_contact() -> None:
    """In `mirror` mode all of them were given it; a backend that is not active may still have a call to make."""
    stage = Stage()
    bob = stage.phone("1002")
    token = stage.token_of("1002")
    for backend in stage.backends.values():
        backend.send(backend.new("MESSAGE", f"sip:{token}@{PROXY}"))
        bob.answer(bob.take_request("MESSAGE"), 200)
        assert finals(backend) == [200]


# --- a call that waits for its callee's registration ---------------------------------------------------------------


def waiting(stage: Stage) -> tuple[Peer, Request]:
    """A call to a user whose registration the active backend has not taken yet."""
    alice = stage.phone("1001")
    stage.registrar = False
    stage.phone("1002")
    invite = alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    assert not any(isinstance(message, Request) and message.method == "INVITE" for message in stage.alpha.seen)
    return alice, invite


def test_a_call_that_waits_can_be_cancelled_and_is_never_placed() -> None:
    """RFC 3261 section 9.2: the INVITE is answered 487, whatever it was waiting for."""
    stage = Stage(config(registration="active"))
    alice, invite = waiting(stage)
    alice.cancel(invite)
    assert sorted(finals(alice)) == [200, 487]
    stage.pass_time(10)
    assert not any(isinstance(message, Request) and message.method == "INVITE" for message in stage.alpha.seen)
    assert set(finals(alice)) == {200, 487}


def test_a_call_that_waits_long_enough_is_placed_after_all() -> None:
    stage = Stage(config(registration="active"))
    waiting(stage)
    stage.pass_time(5.1)
    stage.alpha.take("INVITE")


# --- inside a dialog -----------------------------------------------------------------------------------------------


def test_a_request_in_a_dialog_needs_no_credentials() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    invite, ok = in_call(stage, alice)
    alice.send(alice.within(invite, ok, "INFO", 20))
    stage.alpha.answer(stage.alpha.take_request("INFO"), 200)
    assert finals(alice) == [200]


def test_a_request_out_of_order_is_refused() -> None:
    """12.2.2: a lower CSeq gets 500."""
    stage = Stage()
    alice = stage.phone("1001")
    invite, ok = in_call(stage, alice)
    alice.send(alice.within(invite, ok, "INFO", invite.cseq.number - 1))
    assert finals(alice) == [500]
    assert not stage.alpha.inbox


def test_a_client_that_moved_is_answered_and_asked_where_it_is_now() -> None:
    """Its NAT gave it another port: a dialog follows the flow its last request came by."""
    stage = Stage()
    alice = stage.phone("1001")
    invite, ok = in_call(stage, alice)
    moved = stage.client("1001", "127.0.1.77")
    info = moved.within(invite, ok, "INFO", 20)
    moved.send(info)
    stage.alpha.answer(stage.alpha.take_request("INFO"), 200)
    assert finals(moved) == [200]
    alice.inbox.clear()
    for backend in ("alpha", "beta", "charlie"):
        stage.kill(backend)
    moved.take("BYE")
    assert not alice.inbox


def test_a_request_for_an_ended_call_gets_481() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    invite, ok = in_call(stage, alice)
    alice.send(alice.within(invite, ok, "BYE", 20))
    alice.take(200)
    stage.alpha.answer(stage.alpha.take_request("BYE"), 200)
    alice.send(alice.within(invite, ok, "INFO", 21))
    assert finals(alice) == [481]


def test_an_assertion_of_identity_in_a_dialog_is_dropped_too() -> None:
    """RFC 3325 section 5."""
    stage = Stage()
    alice = stage.phone("1001")
    invite, ok = in_call(stage, alice)
    update = alice.within(invite, ok, "INFO", 20)
    update.add("P-Asserted-Identity", f"<sip:1003@{DOMAIN}>")
    alice.send(update)
    assert not stage.alpha.take_request("INFO").has("p-asserted-identity")
