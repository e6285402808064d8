"""What the next backend is told of a call that is up already."""

from __future__ import annotations

from haproxy_voip.proxy.call import Call
from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.rebuilding import again, standing_answer
from haproxy_voip.sip.message import Request
from haproxy_voip.sip.sdp import codecs, parse
from tests.proxy.conversation import Conversation, calls_of, converse, theatre
from tests.proxy.stage import Stage
from tests.proxy.talk import sdp


def two(stage: Stage) -> tuple[Conversation, Call, Call]:
    call = converse(stage)
    ours = next(one for one in calls_of(stage) if one.callee.side is Side.BACKEND)
    return call, ours, next(one for one in calls_of(stage) if one is not ours)


def written_again(stage: Stage, ours: Call) -> Request:
    assert ours.caller is not None
    shared = stage.node._shared
    return again(shared, ours, ours.callee.at(shared, "beta"), ours.caller.incoming, "<sip:us@127.0.0.10>")


def test_the_invite_is_a_new_one_to_the_same_number_in_the_codecs_in_use() -> None:
    stage = theatre()
    call, ours, _ = two(stage)
    request = written_again(stage, ours)
    assert request.uri == "sip:1002@127.0.0.12:5060" and request.to.tag is None
    assert request.call_id != call.ours.invited.call_id and request.from_.uri.user == "1001"
    assert request.get("x-haproxy-voip-call") == ours.token
    description = parse(request.body)
    agreed = ours.media.described(Side.BACKEND)
    assert agreed is not None
    assert set(codecs(description, description.medias[0])) <= set(codecs(agreed, agreed.medias[0]))
    assert call.caller.host.encode() not in request.body


def test_what_the_first_invite_asked_for_once_is_not_asked_again() -> None:
    stage = theatre()
    _, ours, _ = two(stage)
    assert ours.caller is not None
    incoming = ours.caller.incoming.request
    incoming.add("Replaces", "other@voip.test;to-tag=1;from-tag=2")
    incoming.add("Subject", "lunch")
    request = written_again(stage, ours)
    assert not request.has("replaces") and request.get("subject") == "lunch"


def test_the_standing_answer_is_one_to_an_offer_or_an_offer_itself() -> None:
    stage = theatre()
    _, _, theirs = two(stage)
    assert theirs.caller is not None and theirs.caller.leg is not None
    shared, leg = stage.node._shared, theirs.caller.leg
    invite = stage.beta.new("INVITE", "sip:x@127.0.0.10", body=sdp(stage.beta, 9502))
    for offer in (parse(invite.body), None):
        answer = standing_answer(shared, theirs, invite, leg, offer)
        assert answer.status == 200 and answer.get("contact") == leg.contact
        [media] = parse(answer.body).medias
        assert media.address is not None and media.address.host == "127.0.0.10"
        assert stage.node._calls.count == 2
