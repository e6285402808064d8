"""Legs: where their peer is, and how dialogs are called across (RFC 3261 section 12, RFC 3891)."""

from __future__ import annotations

import pytest

from haproxy_voip.core.address import Address
from tests.proxy.talk import BOTH, Make, calm, outgoing

both = pytest.mark.parametrize("make", BOTH)
either = pytest.mark.parametrize("side", ["by_caller", "by_callee"])


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
