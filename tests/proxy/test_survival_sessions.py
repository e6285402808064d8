"""What a call was that moves to another backend: on hold, encrypted, a fax, with pictures, timed, without an offer."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.survival import REBUILD_SECONDS
from haproxy_voip.sip.message import Request
from tests.proxy.conversation import (
    Conversation,
    claim,
    converse,
    dial,
    hung_up,
    joined,
    nobody_is_joined,
    plan_of,
    ring,
    silent,
    theatre,
)
from tests.proxy.stage import Peer, Stage
from tests.proxy.talk import Talk, incoming, leave_nothing, outgoing, sdp

KEY = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n"


def taken(talk: Talk, body: bytes | None = None, backend: str = "beta", **headers: str) -> Talk:
    pbx = talk.stage.backends[backend]
    talk.callee, talk.invited = pbx, pbx.take_request("INVITE")
    body = sdp(pbx, 9500) if body is None else body
    talk.ok_sent = pbx.answer(talk.invited, 200, tag=f"new{backend}", body=body, **headers)
    pbx.take("ACK")
    return talk


def reinvite(talk: Talk, body: bytes, answer: bytes) -> None:
    request = talk.by_caller("INVITE", body)
    _, ok = talk.across(request, body=answer)
    talk.ack_of(request, ok)
    talk.caller.take(100)


# -- hold -----------------------------------------------------------------------------------------------

HOLDS = [("sendonly", "recvonly"), ("inactive", "inactive")]


@pytest.mark.parametrize(("direction", "back"), HOLDS)
def test_a_call_on_hold_goes_on_being_held_and_is_resumed_at_the_next_backend(direction: str, back: str) -> None:
    stage = theatre()
    call = converse(stage)
    alice = call.caller
    reinvite(call.ours, sdp(alice, 7000, direction=direction), sdp(stage.alpha, 9000, direction=back))
    stage.kill("alpha")
    assert joined(stage, alice, call.callee) and not plan_of(stage, alice).client.receives
    call.claimed()
    assert f"a={direction}\r\n".encode() in call.ours.invited.body
    call.carried(answer=sdp(stage.beta, 9500, direction=back))
    assert not plan_of(stage, alice).client.receives
    reinvite(call.ours, sdp(alice, 7000), sdp(stage.beta, 9500))
    assert plan_of(stage, alice).client.receives and silent(alice, call.callee)
    call.hang_up()
    leave_nothing(stage)


def test_one_that_is_held_by_null_address_as_well() -> None:
    stage = theatre()
    talk = outgoing(stage).established()
    held = sdp(talk.caller, 7000).replace(b"c=IN IP4 127.0.1.1", b"c=IN IP4 0.0.0.0")
    reinvite(talk, held, sdp(stage.alpha, 9000))
    stage.kill("alpha")
    taken(talk)
    assert b"c=IN IP4 0.0.0.0" in talk.invited.body
    [plan] = [install.plan for install in stage.plans.values()]
    assert not plan.client.receives
    talk.hang_up()


@pytest.mark.parametrize(
    ("offered", "answered"), [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("inactive", "inactive")]
)
def test_a_claim_that_holds_is_answered_so(offered: str, answered: str) -> None:
    """RFC 3264 section 6.1."""
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    ok = call.claimed(offer=sdp(stage.beta, 9502, direction=offered))
    assert ok.body.count(b"a=") == 1 and f"a={answered}\r\n".encode() in ok.body
    assert silent(call.callee)


# -- the offer in the 2xx -------------------------------------------------------------------------------


def test_a_call_begun_without_an_offer_is_rebuilt_with_one() -> None:
    stage = theatre()
    talk = outgoing(stage, body=b"")
    talk.provisional(180)
    talk.answer()
    talk.acknowledge(sdp(talk.caller, 7000))
    stage.kill("alpha")
    taken(talk)
    assert b"m=audio" in talk.invited.body and talk.invited.content_type == "application/sdp"
    assert silent(talk.caller)
    talk.hang_up()


def test_its_answer_may_come_with_an_ack_that_is_still_under_way() -> None:
    stage = theatre()
    talk = outgoing(stage, body=b"")
    ok = talk.answer()
    stage.kill("alpha")
    assert silent(stage.beta)
    talk.caller.ack(talk.invite, ok, sdp(talk.caller, 7000))
    taken(talk)
    assert b"m=audio" in talk.invited.body
    talk.hang_up()


def test_one_that_is_never_acknowledged_is_hung_up() -> None:
    stage = theatre()
    talk = outgoing(stage, body=b"")
    talk.answer()
    stage.kill("alpha")
    stage.pass_time(REBUILD_SECONDS + 0.1)
    talk.caller.inbox = [one for one in talk.caller.inbox if isinstance(one, Request)]
    assert silent(stage.beta, talk.caller)  # RFC 3261 section 15: no BYE before the ACK
    stage.pass_time(30)
    talk.caller.inbox = [one for one in talk.caller.inbox if isinstance(one, Request)]
    hung_up(talk.caller)
    leave_nothing(stage)


def test_a_callee_whose_offer_nobody_answered_is_hung_up() -> None:
    stage = theatre()
    talk = incoming(stage, body=b"")
    talk.answer(sdp(talk.callee, 7000))
    stage.kill("alpha")
    talk.callee.take("ACK")
    hung_up(talk.callee)
    leave_nothing(stage)


def test_a_living_backend_that_hangs_up_instead_of_answering_leaves_nothing_behind() -> None:
    """Found by seed 20016 of the simulation: its dialog was kept for ever."""
    stage = theatre()
    talk = incoming(stage, body=b"")
    talk.answer(sdp(talk.callee, 7000))
    stage.command("maint", name="alpha")
    talk.callee.take("ACK")
    hung_up(talk.callee)
    talk.by_caller("BYE")
    talk.caller.take(200)
    leave_nothing(stage)


def test_a_next_backend_that_offers_nothing_is_offered_what_the_callee_has() -> None:
    stage = theatre()
    call = converse(stage)
    stage.kill("alpha")
    call.invited()
    call.theirs.caller = stage.beta
    call.theirs.invite = claim(stage, "beta", "1001", "1002", body=b"")
    call.theirs.ok = ok = stage.beta.take_response(200)
    assert b"m=audio" in ok.body and b"127.0.0.10" in ok.body
    stage.beta.ack(call.theirs.invite, ok, sdp(stage.beta, 9504))
    assert plan_of(stage, call.callee).backend.remote.port == 9504  # type: ignore[union-attr]
    call.carried()
    assert silent(call.caller, call.callee)
    call.hang_up()
    leave_nothing(stage)


# -- session timers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("refresher", ["uac", "uas"])
def test_whoever_refreshed_the_session_goes_on_doing_so(refresher: str) -> None:
    """RFC 4028: the client was told so, and is told nothing else."""
    stage = theatre()
    talk = outgoing(stage, supported="timer", session_expires="1800")
    talk.answer(session_expires=f"1800;refresher={refresher}")
    talk.acknowledge()
    stage.kill("alpha")
    taken(talk, session_expires=f"1800;refresher={refresher}")
    assert talk.invited.all("session-expires") == [f"1800;refresher={refresher}"]
    talk.hang_up()


@pytest.mark.parametrize(("theirs", "ours"), [("uac", "uac"), ("uas", "uas")])
def test_so_does_a_callee(theirs: str, ours: str) -> None:
    stage = theatre()
    call = _timed(stage, theirs)
    stage.kill("alpha")
    call.invited()
    claim(stage, "beta", "1001", "1002", supported="timer")
    ok = stage.beta.take_response(200)
    assert ok.get("session-expires") == f"300;refresher={ours}" and ok.get("require") == "timer"


def _timed(stage: Stage, refresher: str) -> Conversation:
    ours = dial(stage, "1001", "1002")
    theirs = ring(stage, "alpha", "1001", "1002", supported="timer", session_expires="300")
    theirs.answer(sdp(theirs.callee, 7000), session_expires=f"300;refresher={refresher}")
    theirs.acknowledge()
    ours.answer()
    ours.acknowledge()
    return Conversation(stage, ours, theirs)


def test_a_session_that_nobody_refreshes_at_the_next_backend_ends() -> None:
    stage = theatre()
    talk = outgoing(stage, supported="timer", session_expires="90")
    talk.answer(session_expires="90;refresher=uac")
    talk.acknowledge()
    stage.pass_time(50)
    stage.kill("alpha")
    taken(talk, session_expires="90;refresher=uac")
    stage.pass_time(80)
    assert silent(talk.caller)
    stage.pass_time(11)
    hung_up(talk.caller, stage.beta)
    leave_nothing(stage)


def test_a_refresh_that_was_put_off_by_the_move_may_still_come() -> None:
    stage = theatre()
    call = _timed(stage, "uas")
    stage.pass_time(299)
    stage.kill("alpha")
    request = call.theirs.by_callee("UPDATE")
    call.callee.take(491)
    stage.pass_time(1.5)
    call.rebuilt()
    request = call.theirs.by_callee("UPDATE", session_expires="300;refresher=uac")
    call.theirs.across(request, session_expires="300;refresher=uac")
    stage.pass_time(250)
    assert silent(call.callee)
    call.hang_up()


# -- media of other kinds -------------------------------------------------------------------------------


def video(peer: Peer, port: int, video_port: int, key: str = "") -> bytes:
    more = f"m=video {video_port} RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n"
    return sdp(peer, port, more=key + more)


def test_a_video_call_is_joined_and_rebuilt_with_both_streams() -> None:
    stage = theatre()
    ours = dial(stage, "1001", "1002", body=video(stage.phone("1001"), 7000, 7002))
    theirs = ring(stage, "alpha", "1001", "1002", body=video(stage.alpha, 9002, 9004))
    theirs.answer(video(theirs.callee, 7000, 7002))
    theirs.acknowledge()
    ours.answer(video(stage.alpha, 9000, 9006))
    ours.acknowledge()
    stage.kill("alpha")
    assert all(install.plan.bridge is not None for install in stage.plans.values()) and len(stage.plans) == 4
    call = Conversation(stage, ours, theirs)
    call.rebuilt(offer=video(stage.beta, 9502, 9504), answer=video(stage.beta, 9500, 9506))
    assert nobody_is_joined(stage) and call.ours.invited.body.count(b"m=") == 2
    assert silent(call.caller, call.callee)
    call.hang_up()
    leave_nothing(stage)


def test_pictures_that_were_declined_stay_declined() -> None:
    stage = theatre()
    alice = stage.phone("1001")
    talk = outgoing(stage, body=video(alice, 7000, 7002))
    talk.answer(video(stage.alpha, 9000, 0))
    talk.acknowledge()
    stage.kill("alpha")
    assert [line for line in stage.beta.inbox[-1].body.splitlines() if line.startswith(b"m=video")] == [
        b"m=video 0 RTP/AVP 99"
    ]
    taken(talk, video(stage.beta, 9500, 0))
    talk.hang_up()


def t38(peer: Peer, port: int) -> bytes:
    text = sdp(peer, 0).decode().partition("m=audio")[0]
    return f"{text}m=image {port} udptl t38\r\na=T38FaxVersion:0\r\n".encode()


def test_a_fax_is_not_joined_but_rebuilt() -> None:
    """Its packets are numbered by its sender; a gap is what T.38's redundancy is for."""
    stage = theatre()
    call = converse(stage)
    reinvite(call.ours, t38(call.caller, 7100), t38(stage.alpha, 9100))
    request = call.theirs.by_caller("INVITE", t38(stage.alpha, 9102))
    _, ok = call.theirs.across(request, body=t38(call.callee, 7100))
    call.theirs.ack_of(request, ok)
    stage.kill("alpha")
    assert nobody_is_joined(stage)
    call.rebuilt(offer=t38(stage.beta, 9502), answer=t38(stage.beta, 9500))
    assert b"m=image" in call.ours.invited.body and silent(call.caller, call.callee)
    call.hang_up()
    leave_nothing(stage)


def secret(peer: Peer, port: int, key: str) -> bytes:
    return sdp(peer, port, more=KEY.format(key=key)).replace(b"RTP/AVP", b"RTP/SAVP")


def encrypted(stage: Stage, to_callee: str, back: str) -> Conversation:
    """Alice's key and Bob's, and those that alpha tells instead of each."""
    ours = dial(stage, "1001", "1002", body=secret(stage.phone("1001"), 7000, "alice"))
    theirs = ring(stage, "alpha", "1001", "1002", body=secret(stage.alpha, 9002, to_callee))
    theirs.answer(secret(theirs.callee, 7000, "bob"))
    theirs.acknowledge()
    ours.answer(secret(stage.alpha, 9000, back))
    ours.acknowledge()
    return Conversation(stage, ours, theirs)


def test_an_encrypted_call_whose_keys_are_the_phones_own_is_never_joined_but_rebuilt() -> None:
    """A backend that passes keys on lets the phones understand each other at the next one as well."""
    stage = theatre()
    call = encrypted(stage, "alice", "bob")
    stage.kill("alpha")
    assert nobody_is_joined(stage)
    call.claimed(offer=secret(stage.beta, 9502, "alice"))
    assert b"inline:alice" in call.ours.invited.body
    assert call.theirs.ok is not None and b"inline:bob" in call.theirs.ok.body
    call.carried(answer=secret(stage.beta, 9500, "bob"))
    assert silent(call.caller, call.callee)
    call.hang_up()
    leave_nothing(stage)


def test_one_whose_keys_were_the_backends_own_ends_cleanly_instead_of_in_noise() -> None:
    stage = theatre()
    call = encrypted(stage, "alpha one", "alpha two")
    stage.kill("alpha")
    invited = call.invited()
    refused_invite = claim(stage, "beta", "1001", "1002", body=secret(stage.beta, 9502, "beta"))
    stage.beta.send(stage.beta.ack_failure(refused_invite, stage.beta.take_response(480)))
    assert silent(call.callee)
    stage.beta.answer(invited, 486)
    hung_up(call.caller)
    stage.pass_time(REBUILD_SECONDS)
    hung_up(call.callee)
    leave_nothing(stage)


def test_so_does_one_with_a_service_of_the_backend() -> None:
    stage = theatre()
    alice = stage.phone("1001")
    talk = outgoing(stage, body=secret(alice, 7000, "alice"))
    talk.answer(secret(stage.alpha, 9000, "alpha"))
    talk.acknowledge()
    stage.kill("alpha")
    taken(talk, secret(stage.beta, 9500, "beta"))
    hung_up(talk.caller, stage.beta)
    leave_nothing(stage)


def test_what_a_backend_that_returns_agrees_to_too_late_moves_nobodys_media() -> None:
    """Found by seed 6601 of the simulation: a phone's audio went to the backend that had been frozen."""
    stage = Stage()
    talk = outgoing(stage).established()
    before = plan_of(stage, talk.caller).client
    talk.by_caller("INVITE", sdp(talk.caller, 7100))
    asked = stage.alpha.take_request("INVITE")
    stage.freeze("alpha")
    stage.pass_time(1)
    talk.caller.take(491)
    stage.frozen.clear()
    stage.alpha.answer(asked, 200, body=sdp(stage.alpha, 9900))
    stage.alpha.take("ACK")
    assert plan_of(stage, talk.caller).client == before
