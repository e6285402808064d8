"""Ports of ours that somebody else has."""

from __future__ import annotations

from haproxy_voip.proxy.events import MediaFailed
from haproxy_voip.proxy.facts import MediaTrouble
from tests.proxy.talk import Make, calm, outgoing, sdp
from tests.proxy.test_media import both, m_lines, plans, re_invite


@both
def test_ports_that_cannot_be_bound_are_set_aside_and_the_next_offer_tells_others(make: Make) -> None:
    talk = make(calm()).established()
    stage = talk.stage
    (plan,) = plans(stage)
    former = {plan.client.local.port, plan.backend.local.port}
    stage.feed(MediaFailed(plan.stream, "address in use"))
    assert [str(fact) for fact in stage.facts if isinstance(fact, MediaTrouble)]
    same = sdp(talk.caller, 7000 if make is outgoing else 9000)
    there, ok = re_invite(talk, same, sdp(talk.callee, 9000))
    (plan,) = plans(stage)
    ports = {plan.client.local.port, plan.backend.local.port}
    assert ports == {int(m_lines(body)[0].split()[1]) for body in (there.body, ok.body)}
    assert not ports & former
    talk.hang_up()


@both
def test_an_offer_that_is_refused_does_not_bring_back_ports_that_cannot_be_bound(make: Make) -> None:
    talk = make(calm()).established()
    (plan,) = plans(talk.stage)
    request = talk.by_caller("INVITE", sdp(talk.caller, direction="sendonly"))
    talk.stage.feed(MediaFailed(plan.stream, "address in use"))
    talk.stage.feed(MediaFailed(plan.stream + 1, "of a call that is over"))
    talk.across(request, 488)
    assert plans(talk.stage)[0].client.local != plan.client.local
    talk.hang_up()
