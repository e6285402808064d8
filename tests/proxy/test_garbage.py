"""The collector is off while the proxy runs, so nothing a call or a registration leaves may need it."""

from __future__ import annotations

import gc

from tests.proxy.conversation import converse, theatre
from tests.proxy.stage import DOMAIN, Stage
from tests.proxy.talk import leave_nothing

# Objects the interpreter and pytest themselves leave in cycles, whatever runs.
NOISE = 200
CALLS = 40


def one_call(stage: Stage) -> None:
    alice = stage.peers[next(address for address, peer in stage.peers.items() if peer.user == "1001")]
    invite = alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    at_alpha = stage.alpha.take_request("INVITE")
    stage.alpha.answer(at_alpha, 180)
    stage.alpha.answer(at_alpha, 200, body=stage.alpha.offer(9000))
    ok = alice.take_response(200)
    alice.ack(invite, ok)
    alice.send(alice.within(invite, ok, "BYE", invite.cseq.number + 1))
    stage.alpha.answer(stage.alpha.take_request("BYE"), 200)
    alice.inbox.clear()
    stage.alpha.inbox.clear()


def test_finished_calls_leave_nothing_to_the_garbage_collector() -> None:
    stage = Stage()
    stage.phone("1001")
    one_call(stage)
    stage.pass_time(70)
    gc.collect()
    gc.disable()
    try:
        for _ in range(CALLS):
            one_call(stage)
        stage.pass_time(70)
        stage.facts.clear()
        assert gc.collect() < NOISE + CALLS
    finally:
        gc.enable()


def test_calls_that_were_carried_by_the_next_backend_leave_nothing_either() -> None:
    """A soak lost 6 KiB with each such conversation: the first INVITE's transaction and attempt held each other."""
    stage = theatre()
    gc.collect()
    gc.disable()
    try:
        call = converse(stage)
        stage.kill("alpha")
        call.claimed()
        call.carried()
        call.hang_up()
        leave_nothing(stage)
        del call
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = {type(one).__name__ for one in gc.garbage if type(one).__module__.startswith("haproxy_voip")}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not left


def test_a_flood_of_malformed_messages_leaves_nothing_either() -> None:
    stage = Stage()
    stranger = stage.client("1003", "127.0.1.99")
    bad = [
        b"INVITE sip:1002@voip.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.1.99;branch=z9hG4bK1\r\nCSeq: x INVITE\r\n\r\n",
        b"\x00\x01garbage that is long enough to be looked at",
        b"REGISTER sip:voip.test SIP/3.0\r\nVia: SIP/2.0/UDP 127.0.1.99;branch=z9hG4bK2\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: nonsense\r\nCSeq: 1 INVITE\r\n\r\n",
    ]
    for data in bad:
        stranger.send(data)
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            for data in bad:
                stranger.send(data)
        stranger.inbox.clear()
        stranger.seen.clear()
        stage.facts.clear()
        assert gc.collect() < NOISE
    finally:
        gc.enable()
