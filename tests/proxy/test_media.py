"""The media of a call: our ports in every SDP that crosses, and plans for the relay (RFC 3264, RFC 6337, RFC 8866)."""

from __future__ import annotations

import re

import pytest

from haproxy_voip.configuration.model import MediaConfig, PortRange, ProxyConfig, SipConfig
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.media import CallMedia, carries_sdp
from haproxy_voip.proxy.stream import Place
from haproxy_voip.rtp.flow import StreamPlan
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, header
from tests.proxy.stage import DOMAIN, Stage
from tests.proxy.talk import BOTH, Make, Talk, calm, incoming, leave_nothing, outgoing, sdp

both = pytest.mark.parametrize("make", BOTH)
VIDEO = "m=video {port} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
FAX = (
    "v=0\r\no=- 5 5 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=image {port} udptl t38\r\na=T38FaxVersion:0\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n"
)


def plans(stage: Stage) -> list[StreamPlan]:
    return [install.plan for install in stage.plans.values()]


def re_invite(talk: Talk, offer: bytes, answer: bytes) -> tuple[Request, Response]:
    request = talk.by_caller("INVITE", offer)
    there, ok = talk.across(request, 200, answer)
    talk.ack_of(request, ok)
    return there, ok


def origin(body: bytes) -> tuple[str, int]:
    found = re.search(rb"o=- (\d+) (\d+) IN", body)
    assert found is not None, body
    return found[1].decode(), int(found[2])


def m_lines(body: bytes) -> list[str]:
    return [line for line in body.decode().splitlines() if line.startswith("m=")]


# -- calls --------------------------------------------------------------------------------------------


@both
def test_each_side_is_told_our_own_even_port_and_the_relay_knows_both(make: Make) -> None:
    talk = make(calm()).established()
    assert talk.ok is not None
    (plan,) = plans(talk.stage)
    ports = {int(m_lines(body)[0].split()[1]) for body in (talk.invited.body, talk.ok.body)}
    assert ports == {plan.client.local.port, plan.backend.local.port}
    assert all(port % 2 == 0 for port in ports)
    clients = talk.caller if make is outgoing else talk.callee
    assert plan.client.remote is not None and plan.client.remote.host == clients.host
    assert plan.client.signalling_host == clients.host
    assert plan.backend.remote is not None and plan.backend.remote.host == "127.0.0.11"
    talk.hang_up()


@both
def test_early_media_is_relayed_before_the_answer(make: Make) -> None:
    talk = make(calm())
    early = talk.provisional(183, body=sdp(talk.callee, 9300))
    assert b"c=IN IP4 127.0.0.10" in early.body
    (plan,) = plans(talk.stage)
    far = plan.backend if make is outgoing else plan.client
    assert far.remote == Address(talk.callee.host, 9300)
    ok = talk.answer(sdp(talk.callee, 9300))
    assert ok.body == early.body  # o= line and all: nothing changed
    talk.acknowledge()
    talk.hang_up()


@both
def test_the_o_line_keeps_its_id_and_counts_only_changes(make: Make) -> None:
    talk = make(calm()).established()
    first = origin(talk.invited.body)
    same, _ = re_invite(talk, sdp(talk.caller, 7000 if make is outgoing else 9000), sdp(talk.callee, 9000))
    assert origin(same.body) == first
    hold, _ = re_invite(talk, sdp(talk.caller, direction="sendonly"), sdp(talk.callee, direction="recvonly"))
    assert origin(hold.body) == (first[0], first[1] + 1)
    resumed, _ = re_invite(talk, sdp(talk.caller), sdp(talk.callee))
    assert origin(resumed.body) == (first[0], first[1] + 2)
    talk.hang_up()


@both
@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
def test_hold_by_direction(make: Make, direction: str) -> None:
    talk = make(calm()).established()
    there, _ = re_invite(talk, sdp(talk.caller, direction=direction), sdp(talk.callee, direction="recvonly"))
    assert f"a={direction}".encode() in there.body
    (plan,) = plans(talk.stage)
    held = plan.client if make is outgoing else plan.backend
    assert not held.receives
    re_invite(talk, sdp(talk.caller), sdp(talk.callee))
    (plan,) = plans(talk.stage)
    assert plan.client.receives and plan.backend.receives
    talk.hang_up()


@both
def test_hold_by_null_address(make: Make) -> None:
    """RFC 2543's way, which RFC 3264 section 8.4 still wants understood."""
    talk = make(calm()).established()
    offer = sdp(talk.caller).replace(f"c=IN IP4 {talk.caller.host}".encode(), b"c=IN IP4 0.0.0.0")
    there, _ = re_invite(talk, offer, sdp(talk.callee))
    assert b"c=IN IP4 0.0.0.0" in there.body
    (plan,) = plans(talk.stage)
    held = plan.client if make is outgoing else plan.backend
    assert not held.receives
    talk.hang_up()


@both
def test_a_codec_change_keeps_the_ports(make: Make) -> None:
    talk = make(calm()).established()
    (before,) = plans(talk.stage)
    there, _ = re_invite(talk, sdp(talk.caller, formats="9"), sdp(talk.callee, 9000, formats="9"))
    assert m_lines(there.body)[0].endswith("RTP/AVP 9")
    (after,) = plans(talk.stage)
    assert (after.stream, after.client.local, after.backend.local) == (
        before.stream,
        before.client.local,
        before.backend.local,
    )
    assert after.generation > before.generation
    talk.hang_up()


@both
def test_video_is_added_and_taken_away_again(make: Make) -> None:
    talk = make(calm()).established()
    ports = talk.stage.node._shared.ports
    assert ports.in_use == 2
    more = VIDEO.format(port=7002)
    there, ok = re_invite(talk, sdp(talk.caller, more=more), sdp(talk.callee, more=VIDEO.format(port=9002)))
    assert len(m_lines(there.body)) == len(m_lines(ok.body)) == 2
    assert len(plans(talk.stage)) == 2 and ports.in_use == 4
    assert plans(talk.stage)[1].clock_hz == 90000
    gone = VIDEO.format(port=0)
    there, _ = re_invite(talk, sdp(talk.caller, more=gone), sdp(talk.callee, more=gone))
    assert m_lines(there.body)[1].startswith("m=video 0 ")
    assert len(plans(talk.stage)) == 1 and ports.in_use == 2
    talk.hang_up()


@both
def test_video_the_other_party_rejects_takes_no_ports(make: Make) -> None:
    stage = calm()
    more = VIDEO.format(port=7002)
    talk = with_more(make, stage, more)
    assert stage.node._shared.ports.in_use == 4
    ok = talk.answer(sdp(talk.callee, more=VIDEO.format(port=0)))
    assert m_lines(ok.body)[1].startswith("m=video 0 ")
    assert stage.node._shared.ports.in_use == 2
    talk.acknowledge()
    talk.hang_up()


def with_more(make: Make, stage: Stage, more: str) -> Talk:
    """A call whose offer has more m-lines."""
    if make is outgoing:
        return outgoing(stage, body=sdp(stage.phone("1001"), more=more))
    return incoming(stage, body=sdp(stage.alpha, more=more))


@both
def test_a_stream_that_was_to_be_removed_stays_when_the_offer_is_refused(make: Make) -> None:
    talk = with_more(make, calm(), VIDEO.format(port=7002))
    talk.answer(sdp(talk.callee, more=VIDEO.format(port=9002)))
    talk.acknowledge()
    before = {plan.stream: plan for plan in plans(talk.stage)}
    request = talk.by_caller("INVITE", sdp(talk.caller, more=VIDEO.format(port=0)))
    talk.across(request, 488)
    after = {plan.stream: plan for plan in plans(talk.stage)}
    assert after.keys() == before.keys()
    assert all(
        after[stream].client == plan.client and after[stream].backend == plan.backend for stream, plan in before.items()
    )
    talk.caller.send(talk.caller.ack_failure(request, Response(488, None, [header("To", request.get("to") or "")])))
    talk.hang_up()


@both
def test_a_stream_that_was_to_be_added_is_gone_when_the_offer_is_refused(make: Make) -> None:
    talk = make(calm()).established()
    request = talk.by_caller("INVITE", sdp(talk.caller, more=VIDEO.format(port=7002)))
    assert talk.stage.node._shared.ports.in_use == 4
    talk.across(request, 488)
    assert talk.stage.node._shared.ports.in_use == 2
    talk.caller.send(talk.caller.ack_failure(request, Response(488, None, [header("To", request.get("to") or "")])))
    talk.hang_up()


@both
def test_an_offer_for_which_there_are_no_ports_is_refused_and_changes_nothing(make: Make) -> None:
    talk = make(calm(media=MediaConfig(ports=PortRange(20000, 20005)))).established()
    before = plans(talk.stage)
    request = talk.by_caller("INVITE", sdp(talk.caller, 7400, more=VIDEO.format(port=7002)))
    refused = talk.caller.take_response(503)
    assert refused.has("retry-after")
    talk.caller.send(talk.caller.ack_failure(request, refused))
    assert talk.stage.node._shared.ports.in_use == 2
    re_invite(talk, sdp(talk.caller, 7000), sdp(talk.callee, 9000))
    assert [plan.stream for plan in plans(talk.stage)] == [plan.stream for plan in before]
    talk.hang_up()


@both
def test_fax_takes_the_place_of_voice(make: Make) -> None:
    talk = make(calm()).established()
    (voice,) = plans(talk.stage)
    request = talk.by_callee("INVITE", FAX.format(host=talk.callee.host, port=9600).encode())
    there, ok = talk.across(request, 200, FAX.format(host=talk.caller.host, port=7600).encode())
    talk.ack_of(request, ok)
    assert m_lines(there.body)[0].startswith("m=image ") and b"127.0.0.10" in there.body
    (fax,) = plans(talk.stage)
    assert (fax.stream, fax.kind) == (voice.stream, "udptl")
    talk.hang_up()


@both
def test_what_is_no_datagram_is_refused_rather_than_passed_by(make: Make) -> None:
    talk = make(calm()).established()
    msrp = "m=message 2855 TCP/MSRP *\r\na=path:msrp://{host}:2855/x;tcp\r\n"
    more = msrp.format(host=talk.caller.host)
    refused = "m=message 0 TCP/MSRP *\r\n"
    there, _ = re_invite(talk, sdp(talk.caller, more=more), sdp(talk.callee, more=refused))
    assert m_lines(there.body)[1].startswith("m=message 0 ")
    assert f"msrp://{DOMAIN}/x".encode() in there.body
    assert talk.stage.node._shared.ports.in_use == 2
    talk.hang_up()


@both
def test_a_description_among_other_parts_is_found_and_the_parts_stay(make: Make) -> None:
    stage = calm()
    inner = sdp(stage.phone("1001") if make is outgoing else stage.alpha)
    body = (
        b"--xyz\r\nContent-Type: application/sdp\r\n\r\n" + inner + b"\r\n--xyz\r\n"
        b"Content-Type: application/isup;version=itu-t92+\r\n\r\n\x01\x00\x49\x00\r\n--xyz--\r\n"
    )
    kind = "multipart/mixed;boundary=xyz"
    talk = (
        outgoing(stage, body=body, content_type=kind)
        if make is outgoing
        else incoming(stage, body=body, content_type=kind)
    )
    assert talk.invited.get("content-type") == kind
    assert b"\x01\x00\x49\x00" in talk.invited.body and b"c=IN IP4 127.0.0.10" in talk.invited.body
    assert len(plans(stage)) == 1
    talk.established().hang_up()


def test_of_several_forks_the_one_that_answered_is_listened_to() -> None:
    talk = outgoing(calm())
    talk.provisional(183, tag="one", body=sdp(talk.callee, 9100), rseq="1", require="100rel")
    talk.provisional(183, tag="two", body=sdp(talk.callee, 9200))
    talk.answer(b"", tag="one")
    (plan,) = plans(talk.stage)
    assert plan.backend.remote == Address("127.0.0.11", 9100)
    talk.acknowledge()
    talk.hang_up()


@pytest.mark.parametrize(
    "body", [b"nonsense", b"v=0\r\nm=audio x RTP/AVP 0\r\n", b"v=0\r\nm=audio 1 RTP/AVP 0\rc=x\r\n"]
)
def test_an_offer_that_cannot_be_read_is_refused_before_anybody_is_called(body: bytes) -> None:
    stage = calm()
    alice = stage.phone("1001")
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=body)
    alice.take(400)
    assert stage.alpha.inbox == []
    leave_nothing(stage)


def test_an_encoded_offer_cannot_be_read_either() -> None:
    stage = calm()
    alice = stage.phone("1001")
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=sdp(alice), content_encoding="gzip")
    alice.take(415)


def test_an_enormous_offer_is_not_acceptable() -> None:
    stage = calm()
    alice = stage.phone("1001")
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=sdp(alice, more="a=x:y\r\n" * 6000))
    alice.take(488)


def test_a_bad_answer_ends_what_it_answers() -> None:
    talk = outgoing(calm())
    talk.callee.answer(talk.invited, 200, body=b"v=0\r\nm=audio\r\n")
    talk.callee.take("ACK")
    talk.callee.answer(talk.callee.take_request("BYE"), 200)
    refused = talk.caller.take_response(502)
    talk.caller.send(talk.caller.ack_failure(talk.invite, refused))
    leave_nothing(talk.stage)


def test_over_ipv6_the_description_is_of_that_family() -> None:
    six = Address("2001:db8::10", 5060)
    listen = (Endpoint(Transport.UDP, Address("127.0.0.10", 5060)), Endpoint(Transport.UDP, six))
    proxy = ProxyConfig(domain=DOMAIN, sip=SipConfig(listen=listen))
    stage = calm(proxy=proxy)
    alice = stage.client("1001", "2001:db8::1")
    alice.flow = Flow(Transport.UDP, six, Address("2001:db8::1", 5060))
    offer = sdp(alice).replace(b"IP4", b"IP6")
    invite = alice.request("INVITE", f"sip:1002@{DOMAIN}", body=offer)
    alice.inbox.clear()
    invited = stage.alpha.take_request("INVITE")
    talk = Talk(stage, alice, stage.alpha, invite, invited).established()
    assert talk.ok is not None
    assert b"c=IN IP4 127.0.0.10" in invited.body and b"c=IN IP6 2001:db8::10" in talk.ok.body
    assert str(talk.ok.contacts[0].uri).endswith("@[2001:db8::10]:5060")
    talk.by_callee("INFO")
    assert alice.take_request("INFO").uri == "sip:1001@[2001:db8::1]:5060"
    talk.hang_up()


# -- the object ---------------------------------------------------------------------------------------


def media(stage: Stage) -> CallMedia:
    place = Place("127.0.0.10", "203.0.113.1", "127.0.1.1")
    return CallMedia(stage.node._shared, {Side.CLIENT: place, Side.BACKEND: place})


def message(body: bytes) -> Request:
    return Request("INVITE", "sip:x@y", [header("Content-Type", "application/sdp")], body)


def test_rtcp_is_multiplexed_only_where_both_say_so() -> None:
    stage = calm()
    subject, mux = media(stage), "a=rtcp-mux\r\n"
    subject.translate(message(sdp(stage.alpha, more=mux)), Side.CLIENT)
    subject.translate(message(sdp(stage.alpha)), Side.BACKEND)
    plan = subject.plans()[-1].plan  # type: ignore[union-attr]
    assert not plan.client.mux
    subject.translate(message(sdp(stage.alpha, more=mux)), Side.BACKEND)
    plan = subject.plans()[-1].plan  # type: ignore[union-attr]
    assert plan.client.mux and plan.backend.mux


def test_the_same_description_again_plans_nothing() -> None:
    stage = calm()
    subject = media(stage)
    subject.translate(message(sdp(stage.alpha)), Side.CLIENT)
    assert len(subject.plans()) == 1
    subject.translate(message(sdp(stage.alpha)), Side.CLIENT)
    assert subject.plans() == []


def test_when_the_call_is_over_nothing_is_learnt() -> None:
    stage = calm()
    subject = media(stage)
    subject.release()
    with pytest.raises(MessageError):
        subject.hear(message(sdp(stage.alpha)), Side.CLIENT)


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        ("application/sdp", b"x", True),
        ("Application/SDP; charset=utf-8", b"x", True),
        ("application/sdp", b"", False),
        ("text/plain", b"x", False),
        ("multipart/mixed;boundary=b", b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--", False),
        ("multipart/mixed;boundary=b", b"--b\r\nContent-Type: application/sdp\r\n\r\nx\r\n--b--", True),
    ],
)
def test_which_bodies_carry_a_description(kind: str, body: bytes, found: bool) -> None:
    assert carries_sdp(Request("INFO", "sip:x@y", [header("Content-Type", kind)], body)) is found
