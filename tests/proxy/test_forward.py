"""Requests within a call, both ways (RFC 3261 sections 12.2 and 14, RFC 3262, RFC 3311, RFC 3515, RFC 6086)."""

from __future__ import annotations

import pytest

from haproxy_voip.core.address import Address
from haproxy_voip.core.credential import Credential
from haproxy_voip.sip.digest import Authenticator
from haproxy_voip.sip.message import Request, Response, header
from tests.proxy.stage import DOMAIN, Stage
from tests.proxy.talk import BOTH, Make, Talk, answer_all, calm, incoming, leave_nothing, outgoing, sdp

both = pytest.mark.parametrize("make", BOTH)
either = pytest.mark.parametrize("side", ["by_caller", "by_callee"])


def ask(talk: Talk, side: str, method: str, body: bytes = b"", **headers: str) -> Request:
    return (talk.by_caller if side == "by_caller" else talk.by_callee)(method, body, **headers)


# -- what merely crosses ------------------------------------------------------------------------------


@both
@either
@pytest.mark.parametrize(
    "method", ["INFO", "MESSAGE", "UPDATE", "OPTIONS", "REFER", "NOTIFY", "SUBSCRIBE", "FROBNICATE"]
)
def test_every_method_crosses_and_its_answer_comes_back(make: Make, side: str, method: str) -> None:
    talk = make(calm()).established()
    request = ask(talk, side, method, x_custom="kept, as it is")
    there, answer = talk.across(request, 202, x_answer="as well")
    assert there.get("x-custom") == "kept, as it is"
    assert answer.get("x-answer") == "as well"
    assert there.call_id != request.call_id
    assert answer.cseq == request.cseq
    talk.hang_up()


@both
def test_dtmf_by_info_keeps_its_body(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.by_caller("INFO", b"Signal=5\r\nDuration=160\r\n", content_type="application/dtmf-relay")
    there, _ = talk.across(request)
    assert there.body == b"Signal=5\r\nDuration=160\r\n"
    assert there.content_type == "application/dtmf-relay"


@both
def test_max_forwards_is_counted_down(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.caller.within(talk.invite, talk.ok or Response(200), "INFO", 50)
    request.set("max-forwards", "10")
    talk.caller.send(request)
    assert talk.callee.take_request("INFO").max_forwards == 9


@both
def test_a_refusal_comes_back_without_ending_the_call(make: Make) -> None:
    talk = make(calm()).established()
    talk.across(talk.by_caller("INFO"), 415, accept="application/dtmf-relay")
    talk.hang_up()


@both
@either
def test_481_to_a_request_ends_the_call_for_the_other_party(make: Make, side: str) -> None:
    talk = make(calm()).established()
    request = ask(talk, side, "INFO")
    talk.across(request, 481)
    sender, other = talk.ends(request)
    sender.answer(sender.take_request("BYE"), 200)
    assert [one for one in other.inbox if isinstance(one, Request)] == []
    leave_nothing(talk.stage)


@both
def test_481_to_a_notify_is_about_the_subscription_alone(make: Make) -> None:
    talk = make(calm()).established()
    talk.across(talk.by_callee("NOTIFY", event="refer", subscription_state="active"), 481)
    talk.hang_up()


@both
def test_a_request_nobody_answers_ends_the_call_and_gets_no_late_408(make: Make) -> None:
    talk = make(calm()).established()
    talk.by_caller("INFO")
    talk.stage.pass_time(33)
    assert [one for one in talk.caller.inbox if isinstance(one, Response) and one.status == 408] == []
    talk.caller.answer(talk.caller.take_request("BYE"), 200)
    leave_nothing(talk.stage)


@both
def test_requests_that_wait_when_the_call_ends_are_answered_487(make: Make) -> None:
    talk = make(calm()).established()
    talk.by_callee("INFO")
    talk.by_caller("BYE")
    assert talk.callee.take_response(487).cseq.method == "INFO"
    answer_all(talk.stage, "BYE")
    leave_nothing(talk.stage)


# -- who is spoken to ---------------------------------------------------------------------------------


def test_a_client_that_moved_to_another_port_is_answered_there() -> None:
    """RFC 3581, and NAT routers that forget: in-dialog requests may come from a new source."""
    stage = calm()
    talk = outgoing(stage).established()
    phone = talk.caller
    moved = Address(phone.host, 61000)
    stage.peers[moved] = phone
    phone.flow = phone.flow._replace(remote=moved)
    talk.across(talk.by_caller("INFO"))
    talk.by_callee("INFO")
    phone.take("INFO")
    assert phone.seen
    talk.hang_up()


@both
def test_a_contact_that_changed_is_where_the_next_request_goes(make: Make) -> None:
    talk = make(calm()).established()
    host = talk.caller.host
    request = talk.by_caller("UPDATE", contact=f"<sip:other@{host}:5062>")
    talk.across(request)
    talk.by_callee("INFO")
    assert talk.caller.take_request("INFO").uri == f"sip:other@{host}:5062"


def test_a_loose_route_of_the_client_is_followed() -> None:
    talk = outgoing(calm(), record_route="<sip:127.0.1.77;lr>, <sip:127.0.1.78;lr>").established()
    assert talk.ok is not None
    assert talk.ok.all("record-route") == ["<sip:127.0.1.77;lr>, <sip:127.0.1.78;lr>"]
    talk.by_callee("INFO")
    info = talk.caller.take_request("INFO")
    assert info.uri == "sip:1001@127.0.1.1:5060"
    assert [str(route) for route in info.routes] == ["<sip:127.0.1.77;lr>", "<sip:127.0.1.78;lr>"]


def test_a_strict_route_of_the_client_is_followed() -> None:
    talk = outgoing(calm(), record_route="<sip:127.0.1.77>, <sip:127.0.1.78;lr>").established()
    talk.by_callee("INFO")
    info = talk.caller.take_request("INFO")
    assert info.uri == "sip:127.0.1.77"
    assert [str(route) for route in info.routes] == ["<sip:127.0.1.78;lr>", "<sip:1001@127.0.1.1:5060>"]


def test_a_route_a_phone_preloads_is_taken_off() -> None:
    talk = outgoing(calm(), route="<sip:127.0.0.10;lr>")
    assert not talk.invited.has("route")


# -- sessions that change (RFC 3261 section 14) -------------------------------------------------------


@both
@either
def test_a_re_invite_crosses_with_its_ack(make: Make, side: str) -> None:
    talk = make(calm()).established()
    sender, other = (talk.caller, talk.callee) if side == "by_caller" else (talk.callee, talk.caller)
    request = ask(talk, side, "INVITE", sdp(sender, 7100))
    there, ok = talk.across(request, 200, sdp(other, 9100))
    assert b"127.0.0.10" in there.body and b"127.0.0.10" in ok.body
    assert ok.contacts[0].uri.host == "127.0.0.10"
    ack = talk.ack_of(request, ok)
    assert ack.cseq.number == there.cseq.number
    talk.stage.pass_time(5)
    talk.hang_up()


@both
def test_a_200_to_a_re_invite_is_repeated_until_its_ack_and_acknowledged_again(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.by_callee("INVITE", sdp(talk.callee, 9100))
    there = talk.caller.take_request("INVITE")
    answer = talk.caller.answer(there, 200, body=sdp(talk.caller))
    ok = talk.callee.take_response(200)
    talk.stage.pass_time(2)
    assert len([one for one in talk.callee.inbox if isinstance(one, Response)]) == 2
    talk.callee.inbox.clear()
    talk.caller.send(answer)
    assert talk.caller.inbox == []
    first = talk.ack_of(request, ok)
    talk.caller.send(answer)
    assert talk.caller.take_request("ACK").encode() == first.encode()
    talk.hang_up()


@both
def test_a_re_invite_whose_ack_never_comes_ends_the_call_for_both(make: Make) -> None:
    talk = make(calm()).established()
    talk.across(talk.by_caller("INVITE", sdp(talk.caller)), 200, sdp(talk.callee))
    talk.stage.pass_time(33)
    talk.callee.take("ACK")
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    talk.caller.answer(talk.caller.take_request("BYE"), 200)
    leave_nothing(talk.stage)


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
def test_a_request_older_than_the_last_is_refused(make: Make) -> None:
    talk = make(calm()).established()
    talk.across(talk.by_caller("INFO"))
    old = talk.caller.within(talk.invite, talk.ok or Response(200), "INFO", 5)
    talk.caller.send(old)
    talk.caller.take(500)


@both
def test_a_re_invite_can_be_cancelled(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.by_caller("INVITE", sdp(talk.caller, 7100))
    there = talk.callee.take_request("INVITE")
    talk.callee.answer(there, 180)
    talk.caller.take(180)
    talk.caller.cancel(request)
    talk.caller.take(200)
    talk.callee.answer(talk.callee.take_request("CANCEL"), 200)
    talk.callee.answer(there, 487)
    talk.callee.take("ACK")
    answer = talk.caller.take_response(487)
    talk.caller.send(talk.caller.ack_failure(request, answer))
    talk.hang_up()


@both
def test_a_re_invite_nobody_answers_ends_the_call(make: Make) -> None:
    talk = make(calm()).established()
    talk.by_caller("INVITE", sdp(talk.caller, 7100))
    talk.stage.pass_time(33)
    talk.caller.take(408)
    answer_all(talk.stage, "BYE")
    leave_nothing(talk.stage)


@both
def test_a_bad_offer_is_refused_and_changes_nothing(make: Make) -> None:
    talk = make(calm()).established()
    talk.by_caller("INVITE", b"v=0\r\nm=audio nonsense\r\n")
    talk.caller.take(400)
    assert talk.callee.inbox == []
    again = talk.by_caller("INVITE", sdp(talk.caller))
    _, ok = talk.across(again, 200, sdp(talk.callee, 9000))
    talk.ack_of(again, ok)
    talk.hang_up()


@both
def test_a_bad_answer_ends_the_call(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.by_caller("INVITE", sdp(talk.caller))
    there = talk.callee.take_request("INVITE")
    talk.callee.answer(there, 200, body=b"v=1\r\n")
    talk.callee.take("ACK")
    answer = talk.caller.take_response(502)
    talk.caller.send(talk.caller.ack_failure(request, answer))
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    talk.caller.answer(talk.caller.take_request("BYE"), 200)
    leave_nothing(talk.stage)


@both
def test_a_re_invite_before_the_call_is_answered_is_refused(make: Make) -> None:
    talk = make(calm())
    ringing = talk.provisional(180)
    talk.by_caller("INVITE", sdp(talk.caller), early=ringing)
    talk.caller.take(491)


# -- reliable provisional responses (RFC 3262) --------------------------------------------------------


@both
def test_prack_is_translated(make: Make) -> None:
    stage = calm()
    talk = outgoing(stage, supported="100rel") if make is outgoing else incoming(stage, supported="100rel")
    early = talk.provisional(183, body=sdp(talk.callee, 9000), rseq="4711", require="100rel")
    assert early.get("require") == "100rel" and early.get("rseq") == "1"
    prack = talk.by_caller("PRACK", early=early, rack=f"1 {talk.invite.cseq.number} INVITE")
    there, _ = talk.across(prack)
    assert there.get("rack") == f"4711 {talk.invited.cseq.number} INVITE"
    talk.answer()
    talk.acknowledge()
    talk.hang_up()


@both
def test_a_retransmitted_provisional_keeps_its_number_and_the_next_has_the_next(make: Make) -> None:
    talk = make(calm())
    first = talk.provisional(183, rseq="7", require="100rel")
    again = talk.provisional(183, rseq="7", require="100rel")
    second = talk.provisional(180, rseq="8", require="100rel")
    assert [one.get("rseq") for one in (first, again, second)] == ["1", "1", "2"]


def test_each_fork_counts_by_itself() -> None:
    talk = outgoing(calm())
    numbers = [
        talk.provisional(183, tag=tag, rseq=rseq, require="100rel").get("rseq")
        for tag, rseq in [("one", "5"), ("two", "5"), ("one", "6"), ("two", "6")]
    ]
    assert numbers == ["1", "1", "2", "2"]


@both
def test_a_prack_for_nothing_gets_481_and_the_call_goes_on(make: Make) -> None:
    talk = make(calm())
    early = talk.provisional(183, rseq="7", require="100rel")
    talk.by_caller("PRACK", early=early, rack=f"9 {talk.invite.cseq.number} INVITE")
    talk.caller.take(481)
    assert talk.callee.inbox == []
    talk.established().hang_up()


@both
def test_a_re_invite_may_have_reliable_provisionals_as_well(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.by_callee("INVITE", sdp(talk.callee, 9100), supported="100rel")
    there = talk.caller.take_request("INVITE")
    talk.caller.answer(there, 183, rseq="99", require="100rel", body=sdp(talk.caller))
    early = talk.callee.take_response(183)
    prack = talk.by_callee("PRACK", rack=f"{early.get('rseq')} {request.cseq.number} INVITE")
    got, _ = talk.across(prack)
    assert got.get("rack") == f"99 {there.cseq.number} INVITE"
    talk.caller.answer(there, 200)
    ok = talk.callee.take_response(200)
    talk.ack_of(request, ok)
    talk.hang_up()


@both
@either
def test_an_early_dialog_can_be_updated(make: Make, side: str) -> None:
    """RFC 3311: once offer and answer are through, even before the call is answered."""
    talk = make(calm())
    body = sdp(talk.callee, 9000)
    sent = talk.callee.answer(talk.invited, 183, rseq="1", require="100rel", body=body)
    early = talk.caller.take_response(183)
    talk.across(talk.by_caller("PRACK", early=early, rack=f"1 {talk.invite.cseq.number} INVITE"))
    if side == "by_caller":
        update = talk.by_caller("UPDATE", sdp(talk.caller, 7200), early=early)
        there, ok = talk.across(update, 200, sdp(talk.callee, 9200))
    else:
        update = talk.by_callee("UPDATE", sdp(talk.callee, 9200), early=sent)
        there, ok = talk.across(update, 200, sdp(talk.caller, 7200))
    assert b"127.0.0.10" in there.body and b"127.0.0.10" in ok.body
    talk.answer(b"")
    talk.acknowledge()
    talk.hang_up()


# -- delayed offers -----------------------------------------------------------------------------------


@both
def test_an_offer_may_come_in_the_200_and_its_answer_in_the_ack(make: Make) -> None:
    stage = calm()
    talk = outgoing(stage, body=b"") if make is outgoing else incoming(stage, body=b"")
    assert talk.invited.body == b""
    ok = talk.answer()
    assert b"c=IN IP4 127.0.0.10" in ok.body
    ack = talk.acknowledge(sdp(talk.caller))
    assert b"c=IN IP4 127.0.0.10" in ack.body
    plan = next(iter(stage.plans.values())).plan
    assert plan.client.remote is not None and plan.backend.remote is not None
    talk.hang_up()


@both
def test_a_bad_answer_in_the_ack_ends_the_call(make: Make) -> None:
    stage = calm()
    talk = outgoing(stage, body=b"") if make is outgoing else incoming(stage, body=b"")
    ok = talk.answer()
    talk.caller.ack(talk.invite, ok, b"v=0\r\nm=?\r\n")
    talk.callee.take("ACK")
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    talk.caller.answer(talk.caller.take_request("BYE"), 200)
    leave_nothing(stage)


@both
def test_a_re_invite_may_delay_its_offer_as_well(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.by_caller("INVITE")
    _, ok = talk.across(request, 200, sdp(talk.callee, 9100))
    ack = talk.ack_of(request, ok, sdp(talk.caller, 7100))
    assert b"127.0.0.10" in ack.body
    talk.hang_up()


# -- backends that challenge --------------------------------------------------------------------------


class Challenger:
    """A backend that knows the users by their passwords."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.authenticator = Authenticator("asterisk", self.credential, b"key")

    def credential(self, user: str) -> Credential | None:
        known = self.stage.credentials.get(user)
        return None if known is None else Credential(user, "asterisk", password=known.password)

    def challenge(self, request: Request) -> None:
        values = self.authenticator.challenge(self.stage.now)
        response = self.stage.alpha.answer(request, 401, www_authenticate=values[-1])
        assert response.status == 401

    def accepts(self, request: Request) -> bool:
        return hasattr(self.authenticator.authenticate(request, self.stage.now), "nonce_count") or request.has(
            "authorization"
        )


def test_a_challenged_invite_is_sent_again_with_credentials_and_so_is_its_ack() -> None:
    """RFC 3261 section 22.1: the ACK repeats the INVITE's credentials."""
    talk = outgoing(calm())
    challenger = Challenger(talk.stage)
    challenger.challenge(talk.invited)
    talk.callee.take("ACK")
    first, talk.invited = talk.invited, talk.callee.take_request("INVITE")
    assert challenger.accepts(talk.invited)
    assert talk.invited.cseq.number == first.cseq.number + 1
    assert talk.caller.inbox == []
    talk.answer()
    assert talk.acknowledge().get("authorization") == talk.invited.get("authorization")
    talk.hang_up()


def test_a_challenged_request_within_the_call_is_sent_again_as_well() -> None:
    talk = outgoing(calm()).established()
    challenger = Challenger(talk.stage)
    request = talk.by_caller("INVITE", sdp(talk.caller, 7100))
    first = talk.callee.take_request("INVITE")
    challenger.challenge(first)
    talk.callee.take("ACK")
    there, ok = talk.across(request, 200, sdp(talk.callee, 9000))
    assert challenger.accepts(there) and there.cseq.number == first.cseq.number + 1
    assert talk.ack_of(request, ok).get("authorization") == there.get("authorization")
    talk.hang_up()


def test_a_challenged_bye_is_sent_again() -> None:
    talk = outgoing(calm()).established()
    talk.by_caller("BYE")
    Challenger(talk.stage).challenge(talk.callee.take_request("BYE"))
    again = talk.callee.take_request("BYE")
    assert again.has("authorization")
    talk.callee.answer(again, 200)
    leave_nothing(talk.stage)


@pytest.mark.parametrize("method", ["INVITE", "INFO"])
def test_a_challenge_that_is_not_satisfied_reaches_the_client_as_403(method: str) -> None:
    talk = outgoing(calm()).established()
    request = talk.by_caller(method)
    challenger = Challenger(talk.stage)
    for _ in range(3):
        challenger.challenge(talk.callee.take_request(method))
    answer = talk.caller.take_response(403)
    if method == "INVITE":
        talk.caller.send(talk.caller.ack_failure(request, answer))
    assert [one for one in talk.callee.inbox if isinstance(one, Request) and one.method == method] == []
    talk.hang_up()


def test_an_invite_whose_credentials_are_refused_ends_with_403() -> None:
    talk = outgoing(calm())
    challenger = Challenger(talk.stage)
    challenger.challenge(talk.invited)
    for _ in range(2):
        challenger.challenge(talk.callee.take_request("INVITE"))
    talk.caller.take(403)
    leave_nothing(talk.stage)


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
