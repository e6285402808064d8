"""Whose offer is under way (RFC 3261 section 14), when the session runs out (RFC 4028), which transfers are reported
(RFC 3515)."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.media import CallMedia
from haproxy_voip.proxy.session import Session
from haproxy_voip.proxy.stream import Place
from haproxy_voip.sip.message import Request, Response, header
from tests.proxy.stage import DOMAIN, Stage
from tests.proxy.talk import BOTH, Make, Talk, answer_all, ask, calm, incoming, leave_nothing, outgoing, sdp

both = pytest.mark.parametrize("make", BOTH)
either = pytest.mark.parametrize("side", ["by_caller", "by_callee"])


@both
def test_offers_that_meet_are_both_refused_with_491(make: Make) -> None:
    talk = make(calm()).established()
    mine = talk.by_caller("INVITE", sdp(talk.caller, 7100))
    theirs = talk.by_callee("INVITE", sdp(talk.callee, 9100))
    refused = talk.callee.take_response(491)
    talk.callee.send(talk.callee.ack_failure(theirs, refused))
    _, answer = talk.across(mine, 491)
    talk.caller.send(talk.caller.ack_failure(mine, answer))
    again = talk.by_caller("INVITE", sdp(talk.caller, 7100))
    _, ok = talk.across(again, 200, sdp(talk.callee, 9000))
    talk.ack_of(again, ok)
    talk.hang_up()


@both
def test_a_second_re_invite_before_the_first_was_answered_is_too_early(make: Make) -> None:
    """RFC 3261 section 14.2: "MUST return a 500 ... and MUST include a Retry-After"."""
    talk = make(calm()).established()
    talk.by_caller("INVITE", sdp(talk.caller, 7100))
    talk.by_caller("INVITE", sdp(talk.caller, 7102))
    assert talk.caller.take_response(500).has("retry-after")


@both
def test_a_re_invite_that_is_refused_leaves_the_call_as_it_was(make: Make) -> None:
    talk = make(calm()).established()
    before = {number: plan.plan for number, plan in talk.stage.plans.items()}
    request = talk.by_caller("INVITE", sdp(talk.caller, 7500, direction="inactive"))
    talk.across(request, 488)
    talk.caller.send(talk.caller.ack_failure(request, Response(488, None, [header("To", request.get("to") or "")])))
    after = {number: plan.plan for number, plan in talk.stage.plans.items()}
    assert after.keys() == before.keys()
    for number, plan in after.items():
        assert (plan.client, plan.backend) == (before[number].client, before[number].backend)
    talk.hang_up()


# -- session timers (RFC 4028) ------------------------------------------------------------------------


@both
def test_a_session_timer_is_agreed_on_by_the_parties(make: Make) -> None:
    stage = calm()
    talk = (
        outgoing(stage, session_expires="1800", min_se="90", supported="timer")
        if make is outgoing
        else incoming(stage, session_expires="1800", min_se="90", supported="timer")
    )
    assert talk.invited.get("session-expires") == "1800"
    assert talk.invited.get("min-se") == "90"
    assert talk.invited.get("supported") == "timer"
    ok = talk.answer(session_expires="1800;refresher=uac", require="timer")
    assert ok.get("session-expires") == "1800;refresher=uac"
    assert ok.get("require") == "timer"
    talk.acknowledge()
    talk.hang_up()


@both
def test_422_comes_back_with_what_would_do(make: Make) -> None:
    talk = make(calm())
    talk.callee.answer(talk.invited, 422, min_se="1800")
    assert talk.caller.take_response(422).get("min-se") == "1800"


@both
def test_a_session_nobody_refreshes_ends_for_both(make: Make) -> None:
    talk = make(calm())
    talk.answer(session_expires="90;refresher=uas", require="timer")
    talk.acknowledge()
    talk.stage.pass_time(89)
    assert talk.caller.inbox == []
    talk.stage.pass_time(2)
    talk.caller.answer(talk.caller.take_request("BYE"), 200)
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    leave_nothing(talk.stage)


@both
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refreshed_session_goes_on(make: Make, method: str) -> None:
    talk = make(calm())
    talk.answer(session_expires="90;refresher=uac", require="timer")
    talk.acknowledge()
    for _ in range(3):
        talk.stage.pass_time(60)
        request = talk.by_caller(method, sdp(talk.caller), session_expires="90;refresher=uac")
        headers = {"session_expires": "90;refresher=uac", "require": "timer"}
        _, ok = talk.across(request, 200, sdp(talk.callee, 9000), **headers)
        if method == "INVITE":
            talk.ack_of(request, ok)
    talk.stage.pass_time(31)
    talk.hang_up()


def test_a_session_whose_timer_was_switched_off_never_ends() -> None:
    talk = outgoing(calm())
    talk.answer(session_expires="90;refresher=uac", require="timer")
    talk.acknowledge()
    request = talk.by_caller("UPDATE")
    talk.across(request)
    talk.stage.pass_time(300)
    talk.hang_up()


# -- transfers ----------------------------------------------------------------------------------------


@both
@either
def test_a_blind_transfer_is_reported_until_its_end_even_after_bye(make: Make, side: str) -> None:
    """RFC 3515 section 2.4.4; the implicit subscription outlives the call (RFC 5057 section 4)."""
    talk = make(calm()).established()
    refer = ask(talk, side, "REFER", refer_to=f"<sip:1003@{DOMAIN}>", referred_by=f"<sip:1001@{DOMAIN}>")
    there, _ = talk.across(refer, 202)
    assert there.get("refer-to") == f"<sip:1003@{DOMAIN}>"
    sipfrag = {"content_type": "message/sipfrag;version=2.0", "event": "refer"}
    other = "by_callee" if side == "by_caller" else "by_caller"
    trying = ask(talk, other, "NOTIFY", b"SIP/2.0 100 Trying\r\n", subscription_state="active;expires=60", **sipfrag)
    got, _ = talk.across(trying)
    assert got.body == b"SIP/2.0 100 Trying\r\n"
    ask(talk, side, "BYE")
    answer_all(talk.stage, "BYE")
    for peer in (talk.caller, talk.callee):
        peer.inbox.clear()
    talk.stage.pass_time(50)
    done = ask(
        talk, other, "NOTIFY", b"SIP/2.0 200 OK\r\n", subscription_state="terminated;reason=noresource", **sipfrag
    )
    got, _ = talk.across(done)
    assert got.body == b"SIP/2.0 200 OK\r\n"
    leave_nothing(talk.stage)


@both
def test_a_transfer_nobody_reports_on_is_forgotten(make: Make) -> None:
    talk = make(calm()).established()
    talk.across(talk.by_callee("REFER", refer_to=f"<sip:1003@{DOMAIN}>"), 202)
    talk.by_callee("BYE")
    answer_all(talk.stage, "BYE")
    leave_nothing(talk.stage, 230)


@both
def test_a_notify_under_way_when_the_call_ends_is_still_answered(make: Make) -> None:
    talk = make(calm()).established()
    notify = talk.by_callee("NOTIFY", event="refer", subscription_state="active")
    there = talk.caller.take_request("NOTIFY")
    talk.by_callee("BYE")
    talk.caller.answer(there, 200)
    assert notify.cseq in [one.cseq for one in talk.callee.inbox if isinstance(one, Response)]
    answer_all(talk.stage, "BYE")
    leave_nothing(talk.stage)


def test_an_attended_transfer_names_the_other_call_in_the_words_of_the_backend() -> None:
    stage = calm()
    first = outgoing(stage).established()
    alice = first.caller
    invite = alice.request("INVITE", f"sip:1003@{DOMAIN}", body=sdp(alice, 7200))
    alice.inbox.clear()
    invited = stage.alpha.take_request("INVITE")
    second = Talk(stage, alice, stage.alpha, invite, invited).established()
    assert second.ok is not None and second.ok_sent is not None
    to_tag, from_tag = second.ok.to.tag, second.ok.from_.tag
    replaces = f"{second.invite.call_id.replace('@', '%40')}%3Bto-tag%3D{to_tag}%3Bfrom-tag%3D{from_tag}"
    refer = first.by_caller("REFER", refer_to=f"<sip:1003@{DOMAIN}?Replaces={replaces}>")
    there, _ = first.across(refer, 202)
    theirs = f"{invited.call_id}%3Bto-tag%3D{second.ok_sent.to.tag}%3Bfrom-tag%3D{invited.from_.tag}"
    assert theirs.lower() in (there.get("refer-to") or "").lower()
    assert second.invite.call_id not in (there.get("refer-to") or "")


def test_an_invite_with_replaces_is_translated_for_the_side_that_knows_the_dialog() -> None:
    stage = calm()
    talk = incoming(stage).established()
    assert talk.ok is not None and talk.ok_sent is not None
    alice = stage.phone("1001")
    # Somebody told Alice of Bob's call in Bob's words: his Call-ID and tags (an attended transfer to him).
    replaces = f"{talk.invited.call_id};to-tag={talk.ok_sent.to.tag};from-tag={talk.invited.from_.tag}"
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=sdp(alice), replaces=replaces)
    got = stage.alpha.take_request("INVITE").get("replaces")
    assert got == f"{talk.invite.call_id};to-tag={talk.ok.to.tag};from-tag={talk.invite.from_.tag}"


def test_replaces_from_a_backend_is_translated_for_the_phone() -> None:
    stage = calm()
    talk = incoming(stage).established()
    assert talk.ok is not None and talk.ok_sent is not None
    replaces = f"{talk.invite.call_id};to-tag={talk.ok.to.tag};from-tag={talk.invite.from_.tag}"
    again = incoming(stage, replaces=replaces, from_="<sip:1003@127.0.0.11>;tag=third", call_id="third@pbx")
    got = again.invited.get("replaces")
    assert got == f"{talk.invited.call_id};to-tag={talk.ok_sent.to.tag};from-tag={talk.invited.from_.tag}"


# -- the object ---------------------------------------------------------------------------------------


def session(stage: Stage) -> Session:
    place = Place("127.0.0.10", "127.0.0.10", "127.0.1.1")
    return Session(stage.node._shared, CallMedia(stage.node._shared, {Side.CLIENT: place, Side.BACKEND: place}))


@pytest.mark.parametrize("value", ["nonsense", "90;refresher=nobody"])
def test_a_session_timer_that_cannot_be_read_is_none(value: str) -> None:
    subject = session(calm())
    subject.watch(Response(200, None, [header("Session-Expires", value)]), Side.CLIENT, 0.0)
    assert subject.expires_at is None


@pytest.mark.parametrize(("asked", "answered"), [("false", None), (None, "false"), ("true", "false")])
def test_a_transfer_that_is_not_to_be_reported_is_not_waited_for(asked: str | None, answered: str | None) -> None:
    """RFC 4488."""
    subject = session(calm())
    refer = Request("REFER", "sip:x@y", [] if asked is None else [header("Refer-Sub", asked)])
    subject.done(refer, Response(202, None, [] if answered is None else [header("Refer-Sub", answered)]), 0.0)
    assert not subject.transferring


def test_only_the_report_of_a_transfer_ends_it() -> None:
    subject = session(calm())
    subject.done(Request("REFER", "sip:x@y"), Response(202), 0.0)
    ended = header("Subscription-State", "terminated;reason=noresource")
    subject.done(Request("NOTIFY", "sip:x@y", [header("Event", "talk"), ended]), Response(200), 0.0)
    assert subject.transferring
    subject.done(Request("NOTIFY", "sip:x@y", [header("Event", "refer;id=3"), ended]), Response(200), 0.0)
    assert not subject.transferring


def test_a_refused_transfer_is_not_waited_for() -> None:
    subject = session(calm())
    subject.done(Request("REFER", "sip:x@y"), Response(403), 0.0)
    subject.done(Request("REFER", "sip:x@y"), None, 0.0)
    assert not subject.transferring
