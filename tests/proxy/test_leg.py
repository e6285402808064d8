"""Legs: where their peer is, and how dialogs are called across (RFC 3261 section 12, RFC 3891)."""

from __future__ import annotations

import pytest

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.events import StreamClosed
from haproxy_voip.proxy.leg import MAX_ACKS, Leg, Legs, Side
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.headers import Replaces
from tests.proxy.stage import DOMAIN
from tests.proxy.talk import BOTH, Make, Talk, calm, leave_nothing, outgoing, sdp

both = pytest.mark.parametrize("make", BOTH)


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


# -- the table ----------------------------------------------------------------------------------------


def leg(call_id: str, local: str, remote: str) -> Leg:
    dialog = Dialog(call_id, local, remote, "<sip:a@b>", "<sip:c@d>", "sip:c@d", [], False)
    flow = Flow(Transport.UDP, Address("192.0.2.1", 5060), Address("198.51.100.7", 5060))
    return Leg(Side.CLIENT, dialog, flow, "<sip:us@192.0.2.1>", None)  # type: ignore[arg-type]


def test_a_dialog_is_found_from_our_side_only() -> None:
    legs, subject = Legs(), leg("id", "ours", "theirs")
    legs.add(subject)
    assert legs.find("id", "ours", "theirs") is subject
    assert legs.find("id", "theirs", "ours") is None
    legs.remove(subject)
    legs.remove(subject)
    assert len(legs) == 0


def test_a_dialog_without_peer_has_no_name_across() -> None:
    legs = Legs()
    legs.add(leg("id", "ours", "theirs"))
    assert legs.across(Replaces("id", "ours", "theirs")) is None
    assert legs.across(Replaces("id", "theirs", "ours")) is None


def test_an_ack_is_repeated_as_it_was_and_few_are_kept() -> None:
    subject = leg("id", "ours", "theirs")
    subject.unacknowledged[1] = None
    for cseq in range(1, MAX_ACKS + 3):
        subject.acknowledged(cseq, b"ACK %d" % cseq)
    assert not subject.unacknowledged
    assert [send.data for send in subject.repeat_ack(MAX_ACKS)] == [b"ACK %d" % MAX_ACKS]
    assert subject.repeat_ack(1) == []
    assert len(subject.acks) == MAX_ACKS


def test_each_side_has_another() -> None:
    assert Side.CLIENT.other is Side.BACKEND and Side.BACKEND.other is Side.CLIENT


# -- streams ------------------------------------------------------------------------------------------


def test_a_call_of_a_client_on_tcp_stays_on_its_connection() -> None:
    stage = calm()
    alice = stage.connected("1001", 1)
    invite = alice.request("INVITE", f"sip:1002@{DOMAIN}", body=sdp(alice))
    alice.inbox.clear()
    talk = Talk(stage, alice, stage.alpha, invite, stage.alpha.take_request("INVITE")).established()
    assert talk.ok is not None and talk.ok.contacts[0].uri.transport == "tcp"
    assert talk.invited.contacts[0].uri.transport is None
    talk.by_callee("INFO")
    assert alice.take_request("INFO").top_via.transport == "TCP"
    talk.hang_up()


def test_a_client_that_connects_anew_goes_on_with_its_call() -> None:
    stage = calm()
    alice = stage.connected("1001", 1)
    invite = alice.request("INVITE", f"sip:1002@{DOMAIN}", body=sdp(alice))
    alice.inbox.clear()
    talk = Talk(stage, alice, stage.alpha, invite, stage.alpha.take_request("INVITE")).established()
    stage.feed(StreamClosed(alice.flow, "gone"))
    again = stage.connected("1001", 3)
    talk.caller = again
    talk.across(talk.by_caller("INFO"))
    talk.by_callee("INFO")
    again.take("INFO")
    talk.hang_up()


def test_a_request_to_a_client_whose_connection_broke_ends_the_call() -> None:
    stage = calm()
    alice = stage.connected("1001", 1)
    invite = alice.request("INVITE", f"sip:1002@{DOMAIN}", body=sdp(alice))
    alice.inbox.clear()
    talk = Talk(stage, alice, stage.alpha, invite, stage.alpha.take_request("INVITE")).established()
    talk.by_callee("INFO")
    stage.feed(StreamClosed(alice.flow, "gone"))
    stage.alpha.answer(stage.alpha.take_request("BYE"), 200)
    leave_nothing(stage)
