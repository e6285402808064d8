"""The call flows of RFC 3665 section 3, from Alice's phone to Bob's and back, with a PBX behind the proxy.

Alice and Bob are clients; alpha joins them as a B2BUA does, and what it gets from one it sends to the other. The
numbers F1, F2 ... are the RFC's.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from haproxy_voip.sip.message import Request, Response
from tests.proxy.stage import DOMAIN, Peer, Stage
from tests.proxy.talk import Talk, calm, incoming, leave_nothing, outgoing, sdp


@dataclass
class Path:
    """Alice - proxy - PBX - proxy - Bob: two calls that the PBX joins."""

    stage: Stage
    alices: Talk
    bobs: Talk

    @property
    def alice(self) -> Peer:
        return self.alices.caller

    @property
    def bob(self) -> Peer:
        return self.bobs.callee

    def back(self, status: int, body: bytes = b"") -> Response:
        """Bob answers so; as Alice gets it."""
        heard = self.bobs.answer(body) if status == 200 else self.bobs.provisional(status, body=body)
        return self.alices.answer(heard.body) if status == 200 else self.alices.provisional(status, body=heard.body)

    def acknowledged(self, body: bytes = b"") -> Request:
        """Alice acknowledges; as Bob gets it."""
        return self.bobs.acknowledge(self.alices.acknowledge(body).body)

    def refused(self, status: int) -> Response:
        """Bob refuses; as Alice gets it."""
        self.bob.answer(self.bobs.invited, status)
        self.bob.take("ACK")
        at_pbx = self.bobs.caller.take_response(status)
        self.stage.alpha.send(self.stage.alpha.ack_failure(self.bobs.invite, at_pbx))
        self.stage.alpha.answer(self.alices.invited, status)
        self.stage.alpha.take("ACK")
        response = self.alice.take_response(status)
        self.alice.send(self.alice.ack_failure(self.alices.invite, response))
        return response

    def hung_up_by_bob(self) -> None:
        self.bobs.by_callee("BYE")
        assert self.bob.take_response(200).cseq.method == "BYE"
        self.stage.alpha.answer(self.stage.alpha.take_request("BYE"), 200)
        self.alices.by_callee("BYE")
        assert self.stage.alpha.take_response(200).cseq.method == "BYE"
        self.alice.answer(self.alice.take_request("BYE"), 200)
        leave_nothing(self.stage)


def called(stage: Stage, body: bytes | None = None) -> Path:
    """Alice called Bob, and Bob's phone has the INVITE."""
    alices = outgoing(stage, body=body)
    stage.phone("1002")
    return Path(stage, alices, incoming(stage, body=alices.invited.body))


def test_3_1_successful_session_establishment() -> None:
    path = called(calm())  # F1
    ringing = path.back(180)  # F2
    ok = path.back(200, sdp(path.bob, 3456))  # F3
    assert ok.to.tag == ringing.to.tag
    assert f"c=IN IP4 {path.stage.config.proxy.sip.listen[0].address.host}".encode() in ok.body
    path.acknowledged()  # F4
    assert len(path.stage.plans) == 2
    path.hung_up_by_bob()  # F5, F6


def test_3_2_session_establishment_through_two_proxies() -> None:
    """Alice's own proxy records its route, and is on the way of all that follows."""
    stage = calm()
    alices = outgoing(stage, record_route="<sip:ss1.voip.test;lr>")
    stage.phone("1002")
    path = Path(stage, alices, incoming(stage, body=alices.invited.body))
    ringing = path.back(180)
    assert ringing.all("record-route") == ["<sip:ss1.voip.test;lr>"]
    path.back(200, sdp(path.bob, 3456))
    path.acknowledged()
    path.bobs.by_callee("BYE")
    stage.alpha.answer(stage.alpha.take_request("BYE"), 200)
    path.alices.by_callee("BYE")
    bye = path.alice.take_request("BYE")
    assert [str(route) for route in bye.routes] == ["<sip:ss1.voip.test;lr>"]
    path.alice.answer(bye, 200)
    leave_nothing(stage)


def test_3_3_session_with_multiple_proxy_authentication() -> None:
    stage = calm()
    alice = stage.phone("1001")
    invite = alice.new("INVITE", f"sip:1002@{DOMAIN}", body=sdp(alice))  # F1
    alice.send(invite)
    challenge = alice.take_response(407)  # F2
    alice.send(alice.ack_failure(invite, challenge))  # F3
    assert stage.alpha.inbox == []
    again = alice.authorized(invite, challenge)  # F4
    alice.send(again)
    alice.inbox.clear()
    invited = stage.alpha.take_request("INVITE")
    assert not invited.has("proxy-authorization")
    Talk(stage, alice, stage.alpha, again, invited).established().hang_up()


def test_3_4_session_with_failure_of_the_first_server() -> None:
    """F1-F10: in the RFC the phone itself turns to the next proxy; here it need not know."""
    stage = Stage()
    talk = outgoing(stage)
    stage.kill("alpha")
    talk.callee, talk.invited = stage.beta, stage.beta.take_request("INVITE")
    assert talk.caller.inbox == []
    talk.established().hang_up()


def test_3_5_session_through_an_alg() -> None:
    """The offer comes in the 200 and the answer in the ACK; every address is the proxy's."""
    path = called(calm(), body=b"")
    assert path.bobs.invited.body == b""
    path.back(180)
    ok = path.back(200, sdp(path.bob, 3456))
    assert b"127.0.0.10" in ok.body
    ack = path.acknowledged(sdp(path.alice, 49170))
    assert b"127.0.0.10" in ack.body
    assert all(plan.plan.client.remote is not None for plan in path.stage.plans.values())
    path.hung_up_by_bob()


def test_3_6_session_via_redirect_and_proxy_servers_with_sdp_in_ack() -> None:
    stage = calm()
    talk = outgoing(stage)
    stage.alpha.answer(talk.invited, 302, contact=f"<sip:1003@{stage.alpha.host}>")  # F2
    stage.alpha.take("ACK")
    moved = talk.caller.take_response(302)
    talk.caller.send(talk.caller.ack_failure(talk.invite, moved))  # F3
    target = str(moved.contacts[0].uri)
    assert target == f"sip:1003@{DOMAIN}"
    again = talk.caller.request("INVITE", target)  # F4
    talk.caller.inbox.clear()
    second = Talk(stage, talk.caller, stage.alpha, again, stage.alpha.take_request("INVITE"))
    second.provisional(180)
    second.answer()
    assert second.acknowledge(sdp(talk.caller)).body
    second.hang_up()


def test_3_7_session_with_re_invite() -> None:
    """The callee's address changes: F7-F9."""
    path = called(calm())
    path.back(180)
    path.back(200, sdp(path.bob, 3456))
    path.acknowledged()
    host = path.bob.host
    request = path.bobs.by_callee("INVITE", sdp(path.bob, 3460), contact=f"<sip:1002@{host}:5090>")
    at_pbx = path.stage.alpha.take_request("INVITE")
    path.stage.alpha.answer(at_pbx, 200, body=sdp(path.stage.alpha, 9700))
    ok = path.bob.take_response(200)
    path.bobs.ack_of(request, ok)
    path.stage.alpha.send(path.bobs.caller.within(path.bobs.invite, path.bobs.ok or ok, "BYE", 60))
    bye = path.bob.take_request("BYE")
    assert bye.uri == f"sip:1002@{host}:5090"
    path.bob.answer(bye, 200)
    path.alices.by_callee("BYE")
    path.alice.answer(path.alice.take_request("BYE"), 200)
    leave_nothing(path.stage)


def test_3_8_unsuccessful_no_answer() -> None:
    """Alice gives up: CANCEL, 200, 487, ACK at each hop."""
    path = called(calm())
    path.back(180)
    path.alice.cancel(path.alices.invite)  # F10
    assert path.alice.take_response(200).cseq.method == "CANCEL"  # F11
    terminated = path.alice.take_response(487)
    path.alice.send(path.alice.ack_failure(path.alices.invite, terminated))
    cancel = path.stage.alpha.take_request("CANCEL")  # F12
    path.stage.alpha.answer(cancel, 200)
    path.stage.alpha.answer(path.alices.invited, 487)
    path.stage.alpha.take("ACK")
    path.stage.alpha.cancel(path.bobs.invite)
    at_bob = path.bob.take_request("CANCEL")  # F14
    path.bob.answer(at_bob, 200)
    path.bob.answer(path.bobs.invited, 487)
    path.bob.take("ACK")
    at_alpha = path.stage.alpha.take_response(487)
    path.stage.alpha.send(path.stage.alpha.ack_failure(path.bobs.invite, at_alpha))
    leave_nothing(path.stage)


def test_3_9_unsuccessful_busy() -> None:
    path = called(calm())
    assert path.refused(486).reason == "Busy Here"
    leave_nothing(path.stage)


def test_3_10_unsuccessful_no_response_from_user_agent() -> None:
    """Bob's phone is gone. The RFC's proxy says 480 after its INVITE was sent seven times."""
    path = called(calm())
    path.stage.alpha.answer(path.alices.invited, 100)
    path.stage.pass_time(33)
    invites = [one for one in path.bob.seen if isinstance(one, Request) and one.method == "INVITE"]
    assert len(invites) == 7
    gone = path.stage.alpha.take_response(480)
    path.stage.alpha.send(path.stage.alpha.ack_failure(path.bobs.invite, gone))
    path.stage.alpha.answer(path.alices.invited, 480)
    refused = path.alice.take_response(480)
    path.alice.send(path.alice.ack_failure(path.alices.invite, refused))
    leave_nothing(path.stage)


@pytest.mark.parametrize("status", [480, 404, 603])
def test_3_11_unsuccessful_temporarily_unavailable(status: int) -> None:
    path = called(calm())
    path.back(180)
    assert path.refused(status).status == status
    leave_nothing(path.stage)
