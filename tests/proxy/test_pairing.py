"""Which two calls are one conversation. Whatever leaves a doubt joins nobody: strangers would hear each other."""

from __future__ import annotations

import random

import pytest

from haproxy_voip.core.address import Address
from haproxy_voip.proxy.call import Call
from haproxy_voip.proxy.events import MediaPrints
from haproxy_voip.proxy.pairing import ANSWERED_WITHIN_SECONDS, conversations
from haproxy_voip.rtp.fingerprint import Print
from tests.proxy.conversation import (
    Conversation,
    Told,
    calls_of,
    claim,
    converse,
    dial,
    joined,
    nobody_is_joined,
    plan_of,
    prove,
    ring,
    theatre,
)
from tests.proxy.stage import Stage
from tests.proxy.talk import Talk, sdp

USERS = ("1001", "1002", "1003", "1004", "1005")


def stage() -> Stage:
    return theatre(users=USERS)


def up(talk: Talk, port: int, after: float = 0.0, **headers: str) -> Talk:
    """It is answered so many seconds from now."""
    talk.stage.pass_time(after)
    talk.answer(sdp(talk.callee, port), **headers)
    talk.acknowledge()
    return talk


def found(stage: Stage, heard: dict[int, int] | None = None) -> list[tuple[str, str]]:
    """Who is thought to talk to whom, as callers' and callees' users."""
    told = Told()
    told.of = heard or {}
    pairs = conversations(calls_of(stage), told)
    assert all(pairs[other] is call for call, other in pairs.items())
    return sorted((call.user, other.user) for call, other in pairs.items() if _from_client(call))


def _from_client(call: Call) -> bool:
    return call.callee.side == "backend"


# -- who called whom ------------------------------------------------------------------------------------


def test_a_call_for_a_user_and_the_one_that_user_answered_in_that_moment_are_one() -> None:
    one = stage()
    converse(one)
    assert found(one) == [("1001", "1002")]


@pytest.mark.parametrize(("after", "together"), [(0.0, True), (ANSWERED_WITHIN_SECONDS - 0.01, True), (0.3, False)])
def test_the_backend_answers_as_soon_as_the_callee_has_not_later(after: float, together: bool) -> None:
    one = stage()
    converse(one, after=after)
    assert bool(found(one)) is together


def test_and_not_before() -> None:
    """An announcement before the callee is called."""
    one = stage()
    ours = up(dial(one, "1001", "1002"), 9000)
    one.pass_time(0.05)
    up(ring(one, "alpha", "1001", "1002"), 7000)
    assert ours.ok is not None and found(one) == []


@pytest.mark.parametrize(("dialled", "name"), [("600", None), ("1003", None), ("1002", "1004"), ("1002", "+431234")])
def test_a_call_led_elsewhere_or_shown_under_another_name_is_not_told_by_names(dialled: str, name: str | None) -> None:
    """Queue, forward, caller ID of the backend's making."""
    one = stage()
    converse(one, dialled=dialled, name=name)
    assert found(one) == []


def test_conversations_side_by_side_are_each_their_own() -> None:
    one = stage()
    first = converse(one, "1001", "1002")
    second = converse(one, "1003", "1004", backend_port=9100)
    assert found(one) == [("1001", "1002"), ("1003", "1004")]
    one.kill("alpha")
    assert joined(one, first.caller, first.callee) and joined(one, second.caller, second.callee)


def test_two_calls_between_the_same_two_are_told_by_when_they_were_answered() -> None:
    one = stage()
    converse(one)
    one.pass_time(5)
    converse(one, backend_port=9100)
    pairs = conversations(calls_of(one), Told())
    assert len(pairs) == 4
    assert all(abs((call.answered_at or 0) - (other.answered_at or 0)) < 1 for call, other in pairs.items())


def test_and_if_at_the_same_time_nobody_is_joined() -> None:
    one = stage()
    a, b = dial(one, "1001", "1002"), dial(one, "1001", "1002")
    c, d = ring(one, "alpha", "1001", "1002"), ring(one, "alpha", "1001", "1002", port=9012)
    for talk, port in ((c, 7000), (d, 7010), (a, 9000), (b, 9010)):
        up(talk, port)
    assert found(one) == []
    one.kill("alpha")
    assert nobody_is_joined(one)


def test_a_caller_who_has_any_other_call_that_is_not_explained_is_in_doubt() -> None:
    """The backend may have led that one to the callee, and this one to its voicemail."""
    one = stage()
    converse(one)
    up(dial(one, "1001", "600"), 9100)
    assert found(one) == []


def test_so_is_one_under_whose_name_somebody_else_is_called() -> None:
    """Two callers with the same number, one of them outside, or a spoofed one."""
    one = stage()
    converse(one)
    up(ring(one, "alpha", "1001", "1003", port=9100), 7000)
    assert found(one) == []
    converse(one, "1004", "1005", backend_port=9200)
    assert found(one) == [("1004", "1005")]


def test_a_forwarded_call_and_one_answered_by_chance_at_that_moment_are_not_crossed() -> None:
    """1001 calls 1002, which alpha leads to 1003; another call under the name 1001 reaches 1002 in that moment."""
    one = stage()
    forwarded = dial(one, "1001", "1002")
    up(ring(one, "alpha", "1001", "1003", port=9100), 7000)
    up(ring(one, "alpha", "1001", "1002", port=9110), 7010)
    up(forwarded, 9000)
    assert found(one) == []
    one.kill("alpha")
    assert nobody_is_joined(one)


def test_two_phones_of_one_user_are_two_people() -> None:
    """Both call the same person, and only one is put through in that moment; the other is in a queue for them."""
    one = stage()
    second = one.phone("1001", "127.0.2.1")
    invite = second.request("INVITE", f"sip:600@{one.domain}", body=sdp(second))
    second.inbox.clear()
    up(Talk(one, second, one.alpha, invite, one.alpha.take_request("INVITE")), 9300)
    first = one.phone("1001", "127.0.2.2")
    invite = first.request("INVITE", f"sip:1002@{one.domain}", body=sdp(first))
    first.inbox.clear()
    voicemail = Talk(one, first, one.alpha, invite, one.alpha.take_request("INVITE"))
    up(ring(one, "alpha", "1001", "1002"), 7000)
    up(voicemail, 9000)
    assert found(one) == []


@pytest.mark.parametrize("by", ["caller", "callee"])
def test_who_was_transferred_is_not_told_by_names_any_more(by: str) -> None:
    one = stage()
    call = converse(one)
    ask = call.ours.by_caller if by == "caller" else call.theirs.by_callee
    (call.ours if by == "caller" else call.theirs).across(ask("REFER", refer_to="<sip:1003@voip.test>"), 202)
    assert found(one) == []
    one.kill("alpha")
    assert nobody_is_joined(one)


def test_what_still_rings_is_no_conversation() -> None:
    one = stage()
    dial(one, "1001", "1002")
    ring(one, "alpha", "1001", "1002").provisional(180)
    assert found(one) == []


# -- what passes ----------------------------------------------------------------------------------------


def test_what_is_heard_pairs_whatever_the_names_say() -> None:
    one = stage()
    call = converse(one, dialled="600", name="+431234")
    prove(call)
    one.kill("alpha")
    assert joined(one, call.caller, call.callee)


def test_what_is_heard_overrules_names() -> None:
    """A transfer by the backend: the callee of 1001 is connected with 1003 now."""
    one = stage()
    call = converse(one)
    other = up(dial(one, "1003", "600"), 9100)
    callee, third = plan_of(one, call.callee).stream, plan_of(one, other.caller).stream
    assert found(one, {callee: third, third: callee}) == [("1003", "1002")]


@pytest.mark.parametrize("elsewhere", ["somebody else", "itself"])
def test_a_few_words_heard_elsewhere_overrule_names_though_they_prove_nothing_yet(elsewhere: str) -> None:
    """The callee pressed a digit, and the backend lets it talk to another, or to an echo test, without telling us."""
    one = stage()
    call = converse(one)
    other = up(dial(one, "1003", "600"), 9100)
    callee = plan_of(one, call.callee).stream
    listener = callee if elsewhere == "itself" else plan_of(one, other.caller).stream
    assert found(one) == [("1001", "1002")]
    voices(one, [(callee, listener)], 0.5, random.Random(4))
    one.pass_time(1.0)
    one.kill("alpha")
    assert nobody_is_joined(one)


def test_evidence_that_names_two_partners_names_none() -> None:
    one = stage()
    call = converse(one)
    other = converse(one, "1003", "1004", backend_port=9100)
    a, b = plan_of(one, call.caller).stream, plan_of(one, call.callee).stream
    c = plan_of(one, other.caller).stream
    assert ("1001", "1002") not in found(one, {a: b, b: a, c: b})


def test_two_who_called_the_same_number_are_in_a_conference() -> None:
    one = stage()
    first, second = up(dial(one, "1001", "600"), 9000), up(dial(one, "1003", "600"), 9100)
    a, b = plan_of(one, first.caller).stream, plan_of(one, second.caller).stream
    assert found(one, {a: b, b: a}) == []


def voices(one: Stage, who: list[tuple[int, int]], seconds: float, rng: random.Random) -> None:
    """The clients of these pairs of streams speak in turn, and the backend passes on what they say."""
    for step in range(int(seconds / 0.02)):
        prints = []
        for speaker, listener in who:
            payload = rng.getrandbits(61) * 8
            prints += [Print(speaker, "client", payload, one.now), Print(listener, "backend", payload, one.now + 0.005)]
        prints.sort(key=lambda item: item.at)
        if step % 5 == 0:
            one.feed(MediaPrints(tuple(prints), complete=True))
        one.pass_time(0.02)


def test_the_payloads_alone_are_enough() -> None:
    """Through a queue, under another name, with two calls between the same people at the same time."""
    one = stage()
    first = converse(one, "1001", "1002", dialled="600", name="0")
    second = converse(one, "1003", "1004", dialled="600", name="0", backend_port=9100)
    streams = [(plan_of(one, call.caller).stream, plan_of(one, call.callee).stream) for call in (first, second)]
    both_ways = [pair for a, b in streams for pair in ((a, b), (b, a))]
    voices(one, both_ways, 4.0, random.Random(1))
    one.kill("alpha")
    assert joined(one, first.caller, first.callee) and joined(one, second.caller, second.callee)


def test_the_same_announcement_to_many_joins_nobody() -> None:
    one = stage()
    talks = [up(dial(one, user, "600"), 9000 + 100 * index) for index, user in enumerate(("1001", "1003", "1004"))]
    streams = [plan_of(one, talk.caller).stream for talk in talks]
    rng = random.Random(2)
    for _ in range(200):
        payload = rng.getrandbits(61) * 8
        one.feed(MediaPrints(tuple(Print(stream, "backend", payload, one.now) for stream in streams), complete=True))
        one.pass_time(0.02)
    one.kill("alpha")
    assert nobody_is_joined(one)


def test_what_was_heard_before_a_transfer_proves_nothing() -> None:
    one = stage()
    call = converse(one, dialled="600")
    a, b = plan_of(one, call.caller).stream, plan_of(one, call.callee).stream
    voices(one, [(a, b), (b, a)], 4.0, random.Random(3))
    call.ours.across(call.ours.by_caller("REFER", refer_to="<sip:1003@voip.test>"), 202)
    one.kill("alpha")
    assert nobody_is_joined(one)


# -- what the backend's messages say --------------------------------------------------------------------


def test_our_own_port_in_the_backends_description_is_proof() -> None:
    """Asterisk's direct_media makes the two legs send to each other, which is to us."""
    one = stage()
    call = converse(one, dialled="600")
    ours, theirs = plan_of(one, call.caller).backend.local, plan_of(one, call.callee).backend.local
    for talk, address in ((call.ours, theirs), (call.theirs, ours)):
        body = sdp(one.alpha, address.port).replace(b"c=IN IP4 127.0.0.11", b"c=IN IP4 127.0.0.10")
        request = (talk.by_callee if talk is call.ours else talk.by_caller)("INVITE", body)
        peer = call.caller if talk is call.ours else call.callee
        _, ok = talk.across(request, body=sdp(peer, 7000))
        talk.ack_of(request, ok)
    assert plan_of(one, call.caller).backend.remote == Address("127.0.0.10", theirs.port)
    assert found(one) == [("1001", "1002")]


def test_the_token_in_the_backends_invite_is_proof() -> None:
    one = stage()
    ours = dial(one, "1001", "600")
    token = ours.invited.get("x-haproxy-voip-call")
    assert token
    theirs = ring(one, "alpha", "0", "1002", x_haproxy_voip_call=token)
    assert not theirs.invited.has("x-haproxy-voip-call")
    up(theirs, 7000)
    up(ours, 9000, after=3.0)
    assert found(one) == [("1001", "1002")]


def test_a_token_in_two_invites_is_none() -> None:
    """A backend that forks: both were answered, and one of them was hung up a moment later."""
    one = stage()
    ours = dial(one, "1001", "600")
    token = ours.invited.get("x-haproxy-voip-call") or ""
    for user, port in (("1002", 9100), ("1003", 9200)):
        up(ring(one, "alpha", "0", user, port=port, x_haproxy_voip_call=token), 7000)
    up(ours, 9000)
    assert found(one) == []


def test_the_token_of_the_backend_that_carries_the_call_counts_not_of_one_before() -> None:
    """1001 calls 1002 twice. The next backend is first with the second call, which takes the leg that rings already."""
    one = stage()
    first = dial(one, "1001", "1002")
    tokens = [first.invited.get("x-haproxy-voip-call") or ""]
    older = ring(one, "alpha", "1001", "1002", x_haproxy_voip_call=tokens[0])
    second = dial(one, "1001", "1002")
    tokens.append(second.invited.get("x-haproxy-voip-call") or "")
    one.kill("alpha")
    again = {invite.get("x-haproxy-voip-call"): invite for invite in (one.beta.take_request("INVITE") for _ in tokens)}
    for talk, token in zip((first, second), tokens, strict=True):
        talk.callee, talk.invited = one.beta, again[token]
    older.caller, older.invite = one.beta, claim(one, "beta", "1001", "1002", x_haproxy_voip_call=tokens[1])
    newer = ring(one, "beta", "1001", "1002", port=9012, x_haproxy_voip_call=tokens[0])
    for talk, port in ((older, 7000), (newer, 7010), (second, 9000), (first, 9010)):
        up(talk, port)
    pairs = conversations(calls_of(one), Told())
    origins = {call.token: other.caller.origin for call, other in pairs.items() if other.caller is not None}
    assert [origins[token] for token in tokens] == tokens
    one.kill("beta")
    assert not nobody_is_joined(one)


def test_a_clients_token_is_not_passed_on() -> None:
    one = stage()
    forged = dial(one, "1003", "600", x_haproxy_voip_call="forged")
    assert forged.invited.get("x-haproxy-voip-call") != "forged"


# -- joining --------------------------------------------------------------------------------------------


def test_two_without_a_codec_in_common_are_not_joined() -> None:
    """The backend transcoded; comfort noise is better than silence."""
    one = stage()
    ours = dial(one, "1001", "1002", body=sdp(one.phone("1001"), 7000, formats="9"))
    theirs = ring(one, "alpha", "1001", "1002")
    up(theirs, 7000)
    one.pass_time(0.01)
    ours.answer(sdp(one.alpha, 9000, formats="9"))
    ours.acknowledge()
    one.kill("alpha")
    assert nobody_is_joined(one) and plan_of(one, ours.caller).comfort_noise
    Conversation(one, ours, theirs).rebuilt(answer=sdp(one.beta, 9500, formats="9"))
    assert ours.caller.inbox == [] and theirs.callee.inbox == []
