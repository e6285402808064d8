"""A final response that cannot be used: nobody is left waiting, no callee is left in a call."""

import pytest

from haproxy_voip.proxy.facts import MessageRefused
from haproxy_voip.sip.message import Request, Response, header, response_to
from tests.proxy.stage import DOMAIN, Peer, Stage


def called(stage: Stage) -> tuple[Peer, Request]:
    alice = stage.phone("1001")
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    alice.take(100)
    return alice, stage.alpha.take_request("INVITE")


def answer(stage: Stage, request: Request, status: int = 200, **headers: str) -> Response:
    """As a backend sends it, with these headers in place of what they should be."""
    response = response_to(request, status, None, "of-alpha")
    response.add("Contact", stage.alpha.contact)
    for name, value in headers.items():
        response.set(name.replace("_", "-"), value)
    stage.alpha.send(response)
    return response


BAD = [
    {"contact": "<sip:pbx@"},
    {"contact": "<sip:a@127.0.0.11>, <sip:b@127.0.0.11>"},
    {"record_route": "<sip:x"},
    {"contact": "nonsense", "record_route": "nonsense"},
]


@pytest.mark.parametrize("headers", BAD)
def test_an_unusable_2xx_is_acknowledged_and_hung_up_and_the_caller_told(headers: dict[str, str]) -> None:
    """RFC 3261 section 13.2.2.4."""
    stage = Stage()
    alice, invite = called(stage)
    answer(stage, invite, **headers)
    ack, bye = stage.alpha.take_request("ACK"), stage.alpha.take_request("BYE")
    assert ack.cseq.number == invite.cseq.number
    assert bye.cseq.number > invite.cseq.number
    assert ack.to.tag == bye.to.tag == "of-alpha"
    assert (ack.call_id, ack.from_.tag) == (invite.call_id, invite.from_.tag)
    assert alice.take_response(502).cseq.method == "INVITE"
    stage.alpha.answer(bye, 200)
    stage.pass_time(120)
    assert not stage.plans and len(stage.node._shared.legs) == 0


def test_a_2xx_that_names_nobody_cannot_be_acknowledged_but_the_caller_is_told() -> None:
    stage = Stage()
    alice, invite = called(stage)
    answer(stage, invite, to="<sip:1002@")
    assert not stage.alpha.inbox
    alice.take(502)


def test_it_is_a_fact_that_says_what_was_wrong() -> None:
    stage = Stage()
    _, invite = called(stage)
    answer(stage, invite, contact="<sip:pbx@")
    facts = [str(fact) for fact in stage.facts if isinstance(fact, MessageRefused)]
    assert len(facts) == 1 and "127.0.0.11" in facts[0] and "200" in facts[0]


def test_an_unusable_provisional_is_ignored() -> None:
    stage = Stage()
    alice, invite = called(stage)
    alice.inbox.clear()
    answer(stage, invite, 180, contact="<sip:pbx@")
    assert not alice.inbox
    answer(stage, invite, 486)
    alice.take(486)


@pytest.mark.parametrize("headers", BAD)
def test_an_unusable_2xx_in_an_early_dialog_leaves_nobody_waiting_either(headers: dict[str, str]) -> None:
    stage = Stage()
    alice, invite = called(stage)
    answer(stage, invite, 180)
    alice.take(180)
    answer(stage, invite, **headers)
    assert {stage.alpha.take_request("ACK").to.tag, stage.alpha.take_request("BYE").to.tag} == {"of-alpha"}
    alice.take(502)


@pytest.mark.parametrize("headers", BAD[:2])
def test_an_unusable_2xx_to_a_new_offer_is_acknowledged_and_the_call_ends(headers: dict[str, str]) -> None:
    stage = Stage()
    alice = stage.phone("1001")
    invite = alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    stage.alpha.answer(stage.alpha.take_request("INVITE"), 200, body=stage.alpha.offer(9000))
    ok = alice.take_response(200)
    alice.ack(invite, ok)
    stage.alpha.take("ACK")
    again = alice.within(invite, ok, "INVITE", 10)
    again.extend([header("Contact", alice.contact), header("Content-Type", "application/sdp")])
    again.body = alice.offer(7002)
    alice.send(again)
    crossed = stage.alpha.take_request("INVITE")
    answer(stage, crossed, **headers)
    assert stage.alpha.take_request("ACK").cseq.number == crossed.cseq.number
    stage.alpha.take("BYE")
    alice.take("BYE")
    answers = [message.status for message in alice.inbox if isinstance(message, Response)]
    assert answers[-1] in (500, 502)


def test_an_unusable_answer_to_a_subscription_is_told_as_502() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    alice.request("SUBSCRIBE", f"sip:1002@{DOMAIN}", event="presence", expires="600")
    answer(stage, stage.alpha.take_request("SUBSCRIBE"), contact="<sip:pbx@")
    assert [message.status for message in alice.inbox if isinstance(message, Response)][-1] in (400, 502)
