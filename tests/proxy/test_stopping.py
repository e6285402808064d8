"""SIGTERM: nothing new is taken, calls may end for a while, then everybody is told. SIGINT: at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from haproxy_voip.configuration.model import XmppConfig
from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.proxy.admission import RETRY_HIGH, RETRY_LOW
from haproxy_voip.proxy.effects import CloseListener, Left
from haproxy_voip.proxy.events import AskedToStop, RelayInUse
from haproxy_voip.proxy.stop_facts import CallsCut, CallsLeftAlone, StopWaits
from haproxy_voip.proxy.stopping import BYE_SECONDS, LEAVE_SECONDS, LOOK_SECONDS
from tests.proxy.stage import DOMAIN, PROXY, Stage
from tests.proxy.stage import config as configured
from tests.proxy.talk import BOTH, Make, Talk, answer_all, calm, incoming, leave_nothing, outgoing, sdp
from tests.proxy.trunking import at_home, exchange

STOP_AFTER = configured().proxy.stop_after


def told(stage: Stage, kind: type) -> list[object]:
    return [fact for fact in stage.facts if isinstance(fact, kind)]


def stop(stage: Stage, signal: str = "SIGTERM") -> Stage:
    stage.feed(AskedToStop(signal))
    return stage


def talking(make: Make = outgoing) -> Talk:
    return make(calm()).established()


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT"])
def test_without_calls_it_ends_at_once(signal: str) -> None:
    stage = stop(calm(), signal)
    assert told(stage, Left) == [Left()] and not told(stage, StopWaits)


@pytest.mark.parametrize("make", BOTH)
def test_a_call_may_end_by_itself_and_then_nothing_is_waited_for(make: Make) -> None:
    talk = talking(make)
    stage = stop(talk.stage)
    assert told(stage, StopWaits) == [StopWaits(1, STOP_AFTER)]
    stage.pass_time(STOP_AFTER / 2)
    assert stage.command("status")["stops_in_seconds"] == STOP_AFTER / 2
    assert not told(stage, Left)
    talk.by_caller("BYE")
    talk.caller.take(200)
    stage.pass_time(2 * LOOK_SECONDS)
    assert not told(stage, Left)  # the callee did not hear it yet: it may have to be sent again
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    stage.pass_time(LOOK_SECONDS)
    assert told(stage, Left) == [Left()] and not told(stage, CallsCut)


@pytest.mark.parametrize("make", BOTH)
def test_a_call_that_does_not_end_is_hung_up_on_both_sides(make: Make) -> None:
    talk = talking(make)
    stage = stop(talk.stage)
    stage.pass_time(STOP_AFTER - 0.01)
    assert stage.node._calls.count == 1
    stage.pass_time(0.02)
    assert told(stage, CallsCut) == [CallsCut(1)] and stage.node._calls.count == 0
    assert not told(stage, Left)
    assert answer_all(stage, "BYE") == 2
    stage.pass_time(LOOK_SECONDS)
    assert told(stage, Left) == [Left()]


def test_who_does_not_answer_the_bye_is_not_waited_for_long() -> None:
    stage = stop(talking().stage)
    stage.pass_time(STOP_AFTER + BYE_SECONDS - 0.01)
    assert not told(stage, Left)
    stage.pass_time(0.02)
    assert told(stage, Left) == [Left()]


def test_a_call_that_rings_goes_on_and_is_refused_in_the_end() -> None:
    stage = calm()
    talk = outgoing(stage)
    talk.provisional(180)
    stop(stage).pass_time(STOP_AFTER + 0.01)
    talk.caller.take(503)
    talk.callee.take("CANCEL")
    assert told(stage, CallsCut) == [CallsCut(1)]


def test_a_phone_that_answered_a_call_nobody_claimed_yet_is_hung_up() -> None:
    """Its backend died shortly before: seed 1 of the storms with a stop."""
    stage = Stage()
    talk = incoming(stage)
    talk.provisional(180)
    stop(stage).pass_time(STOP_AFTER - 2)
    stage.kill("alpha")
    talk.callee.answer(talk.invited, 200, body=sdp(talk.callee, 7000))
    stage.pass_time(2)
    talk.callee.take("ACK")
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    leave_nothing(stage)


def test_a_call_that_rings_may_be_answered_and_what_is_in_a_dialog_crosses() -> None:
    stage = calm()
    talk = outgoing(stage)
    stop(stage)
    talk.established()
    talk.by_caller("INFO")
    talk.callee.answer(talk.callee.take_request("INFO"), 200)
    talk.caller.take(200)


def test_nothing_new_is_taken_and_balancers_notice() -> None:
    stage = stop(talking().stage)
    alice = stage.client("1003")
    seen = len(stage.alpha.seen)
    for method in ("INVITE", "SUBSCRIBE", "REGISTER", "OPTIONS"):
        alice.send(alice.new(method, f"sip:{DOMAIN}" if method == "OPTIONS" else f"sip:1002@{DOMAIN}", body=sdp(alice)))
        assert RETRY_LOW <= int(alice.take_response(503).get("retry-after") or "") <= RETRY_HIGH
    stage.alpha.send(stage.alpha.new("OPTIONS", f"sip:{PROXY}"))
    stage.alpha.take(503)
    assert len(stage.alpha.seen) == seen + 1
    assert stage.command("status")["banned_sources"] == 0


def test_a_carrier_is_told_the_same() -> None:
    stage = exchange()
    carrier = stage.carriers["carrier"]
    outgoing(stage).established()
    stop(stage)
    for method in ("INVITE", "OPTIONS"):
        carrier.send(carrier.new(method, at_home("1002"), body=sdp(carrier)))
        carrier.take(503)


def test_the_other_half_of_a_call_is_taken_and_so_is_a_call_that_replaces_one() -> None:
    """Refusing them would end what is to go on: calls being set up, and transfers."""
    talk = talking()
    stage = talk.stage
    stage.phone("1002"), stage.phone("1003")
    stop(stage)
    incoming(stage).established()
    carol = next(peer for peer in stage.peers.values() if peer.user == "1003")
    replaced = f"{talk.invite.call_id};to-tag=a;from-tag=b"
    carol.send(carol.new("INVITE", f"sip:1002@{DOMAIN}", body=sdp(carol), replaces=replaced))
    carol.take(407)


def test_what_the_kernel_relays_talks_on_and_the_rest_is_refused() -> None:
    talk = talking()
    stage = talk.stage
    bob = stage.phone("1003")
    bob.request("INVITE", f"sip:1001@{DOMAIN}", body=sdp(bob))
    stage.feed(RelayInUse("kernel", 2))
    stop(stage).pass_time(STOP_AFTER + 0.01)
    bob.take(503)
    assert told(stage, CallsLeftAlone) == [CallsLeftAlone(1)] and told(stage, CallsCut) == [CallsCut(1)]
    stage.pass_time(BYE_SECONDS)
    assert told(stage, Left) == [Left(media_stay=True)]
    assert not [one for one in (*talk.caller.inbox, *talk.callee.inbox) if one.cseq.method == "BYE"]


def test_sigint_touches_no_call() -> None:
    talk = talking()
    stop(talk.stage, "SIGINT").pass_time(STOP_AFTER + LEAVE_SECONDS)
    assert told(talk.stage, Left)[0] == Left() and not told(talk.stage, CallsCut)
    assert talk.caller.inbox == [] and talk.callee.inbox == []


def test_asking_again_begins_nothing_anew() -> None:
    stage = stop(talking().stage)
    stage.pass_time(STOP_AFTER - 1)
    stop(stage, "SIGINT").pass_time(0.5)
    assert not told(stage, Left)
    stage.pass_time(0.6)
    assert told(stage, CallsCut) == [CallsCut(1)]


def test_chat_takes_nobody_new_and_a_reload_is_for_the_next_process() -> None:
    chat = Endpoint(Transport.TCP, Address("127.0.0.10", 5222))
    stage = Stage(configured(proxy=replace(configured().proxy, xmpp=XmppConfig(listen=(chat,)))))
    outgoing(stage).established()
    stop(stage)
    assert told(stage, CloseListener) == [CloseListener(chat, chat=True)]
    assert "stops" in str(stage.command("reload")["error"])


def test_a_proxy_that_is_not_to_end_says_so() -> None:
    assert calm().command("status")["stops_in_seconds"] is None
