"""Trunks: who is one, who may reach one, and what carrier and backends see of each other."""

from __future__ import annotations

import dataclasses

import pytest

from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.proxy.events import Reconfigured
from haproxy_voip.proxy.facts import CallStarted
from haproxy_voip.sip.digest import Authenticator
from haproxy_voip.sip.message import Request
from tests.proxy.stage import DOMAIN, Peer, Stage
from tests.proxy.talk import Challenger, Talk, leave_nothing, sdp
from tests.proxy.trunking import (
    ACCOUNT,
    OUTSIDE,
    STRANGER,
    at_home,
    exchange,
    from_outside,
    sent_out,
    take_registration,
    to_outside,
    trunk,
)


def refused(peer: Peer, invite: Request, status: int) -> None:
    """This INVITE gets this answer."""
    peer.send(peer.ack_failure(invite, peer.take_response(status)))


def challenged(talk: Talk, request: Request, *, status: int = 407) -> Request:
    """The callee asks who we are; our request again."""
    name = "proxy_authenticate" if status == 407 else "www_authenticate"
    [challenge] = Authenticator("carrier", lambda user: None, b"key", ["MD5"]).challenge(talk.stage.now)
    talk.callee.answer(request, status, **{name: challenge})
    talk.callee.inbox = [one for one in talk.callee.inbox if isinstance(one, Request) and one.method != "ACK"]
    return talk.callee.take_request(request.method)


# -- calls of a carrier ---------------------------------------------------------------------------------


def test_a_carriers_call_is_not_challenged_and_goes_to_the_active_backend() -> None:
    stage = exchange()
    call = from_outside(stage, p_asserted_identity=f"<sip:{STRANGER}@carrier.example>")
    assert call.invited.request_uri.user == "1002"
    assert call.invited.from_.uri.user == STRANGER
    assert call.invited.get("p-asserted-identity") == f"<sip:{STRANGER}@carrier.example>"
    assert call.invited.get("x-haproxy-voip-trunk") == "carrier"
    assert stage.carriers["carrier"].host not in call.invited.encode().decode()
    [started] = [fact for fact in stage.facts if isinstance(fact, CallStarted)]
    assert str(started).endswith(f"{STRANGER} calls 1002 over alpha from trunk carrier")
    call.established().hang_up()


def test_every_host_of_its_networks_is_the_carrier_and_no_other() -> None:
    stage = exchange()
    for host, taken in (("203.0.113.14", True), ("203.0.113.16", False)):
        somebody = stage.client("1001", host)
        somebody.send(somebody.new("INVITE", at_home("1002"), body=sdp(somebody), from_="<sip:carrier@x.org>;tag=a"))
        assert bool([one for one in stage.alpha.inbox if isinstance(one, Request)]) is taken
        stage.alpha.inbox.clear()
    somebody.take(407)


def test_without_networks_only_its_own_address_is_the_carrier() -> None:
    stage = exchange(trunk(from_=()))
    from_outside(stage)
    neighbour = stage.client("1001", "203.0.113.6")
    neighbour.send(neighbour.new("INVITE", at_home("1002"), body=sdp(neighbour)))
    neighbour.take(407)


def test_in_an_exchange_without_trunks_nobody_is_one() -> None:
    stage = Stage()
    stranger = stage.client("1001", "203.0.113.5")
    stranger.send(stranger.new("INVITE", at_home("1002"), body=sdp(stranger)))
    stranger.take(407)
    stage.phone("1002")
    refused(stage.alpha, sent_out(stage), 404)


def test_a_call_to_our_account_is_for_the_number_in_to() -> None:
    stage = exchange(trunk(register=ACCOUNT))
    assert from_outside(stage, ACCOUNT.user, to="<sip:+493055577@carrier.example>").invited.request_uri.user == (
        "+493055577"
    )


def test_of_two_accounts_at_one_carrier_the_one_that_is_called_is_meant() -> None:
    other = dataclasses.replace(ACCOUNT, user="4930777")
    stage = exchange(trunk("first", register=ACCOUNT), trunk("carrier", register=other))
    assert from_outside(stage, "4930777").invited.get("x-haproxy-voip-trunk") == "carrier"
    assert from_outside(stage, ACCOUNT.user).invited.get("x-haproxy-voip-trunk") == "first"
    assert from_outside(stage, "1002").invited.get("x-haproxy-voip-trunk") == "first"


def test_a_carrier_asks_for_nothing_but_calls() -> None:
    stage = exchange()
    carrier = stage.carriers["carrier"]
    carrier.send(carrier.new("REGISTER", f"sip:{DOMAIN}", to=f"<{at_home('1001')}>"))
    carrier.take(401)
    carrier.send(carrier.new("MESSAGE", at_home("1001"), body=b"hi"))
    carrier.take(407)
    carrier.send(carrier.new("OPTIONS", f"sip:{DOMAIN}"))
    carrier.take(200)


def test_what_a_backend_wants_to_know_of_a_carriers_call_nobody_can_say() -> None:
    """Not even when the carrier's caller bears the name of a user of ours."""
    stage = exchange()
    call = from_outside(stage, caller="1001")
    Challenger(stage).challenge(call.invited)
    refused(call.caller, call.invite, 403)
    assert all(not one.has("authorization") for one in stage.alpha.seen)


# -- calls to a carrier ---------------------------------------------------------------------------------


def test_a_backend_reaches_a_number_over_the_trunk_it_names() -> None:
    stage = exchange(trunk(register=ACCOUNT))
    call = to_outside(stage, p_asserted_identity="<sip:1001@127.0.0.11>", privacy="id")
    assert str(call.invited.request_uri) == f"sip:{OUTSIDE}@carrier.example"
    assert call.invited.to.uri.host == call.invited.from_.uri.host == "carrier.example"
    assert call.invited.get("p-asserted-identity") == f"<sip:1001@{DOMAIN}>"  # for the carrier to keep to itself
    assert not call.invited.has("x-haproxy-voip-call")
    call.established()
    assert call.across(call.by_callee("INVITE", sdp(call.callee), p_asserted_identity="<sip:new@x.org>"))[0].has(
        "p-asserted-identity"
    )


def test_without_a_domain_the_carrier_is_known_by_its_address() -> None:
    call = to_outside(exchange())
    assert str(call.invited.request_uri) == f"sip:{OUTSIDE}@203.0.113.5:5060"
    assert call.invited.from_.uri.host == DOMAIN
    call.established().hang_up()


@pytest.mark.parametrize("status", [401, 407])
def test_the_carrier_is_told_who_we_are_whatever_it_asks_about(status: int) -> None:
    stage = exchange(trunk(register=ACCOUNT))
    take_registration(stage)
    call = to_outside(stage)
    call.invited = challenged(call, call.invited, status=status)
    proof = call.invited.get("authorization") or call.invited.get("proxy-authorization") or ""
    assert 'username="4930555", realm="carrier"' in proof
    call.established()
    call.by_caller("BYE")
    bye = challenged(call, call.callee.take_request("BYE"), status=status)
    call.callee.answer(bye, 200)
    leave_nothing(stage)


def test_without_an_account_the_carriers_challenge_ends_the_call() -> None:
    stage = exchange()
    call = to_outside(stage)
    call.callee.answer(call.invited, 407, proxy_authenticate='Digest realm="c", nonce="1"')
    refused(call.caller, call.invite, 403)


@pytest.mark.parametrize(("name", "number"), [("other", OUTSIDE), ("carrier", "")])
def test_a_trunk_that_is_not_there_or_no_number_is_not_found(name: str, number: str) -> None:
    stage = exchange()
    pbx = stage.alpha
    invite = pbx.new("INVITE", f"sip:{number and number + '@'}127.0.0.10:5060;trunk={name}", body=sdp(pbx))
    pbx.send(invite)
    refused(pbx, invite, 404)


def test_a_trunk_takes_calls_only_and_answers_for_itself() -> None:
    stage = exchange()
    for method, status in (("MESSAGE", 405), ("OPTIONS", 200)):
        stage.alpha.send(stage.alpha.new(method, f"sip:{OUTSIDE}@127.0.0.10:5060;trunk=carrier"))
        stage.alpha.take(status)
    assert stage.carriers["carrier"].seen == []


def test_a_backend_that_counts_as_down_reaches_no_trunk() -> None:
    stage = exchange()
    stage.kill("alpha")
    stage.dead.clear()
    sent_out(stage)
    stage.alpha.take(480)


def test_no_more_calls_than_max_calls_go_over_a_trunk_in_both_directions() -> None:
    stage = exchange(trunk(max_calls=2))
    first, _ = to_outside(stage).established(), from_outside(stage).established()
    refused(stage.alpha, sent_out(stage), 503)
    carrier = stage.carriers["carrier"]
    invite = carrier.new("INVITE", at_home("1002"), body=sdp(carrier))
    carrier.send(invite)
    carrier.take(100)
    refused(carrier, invite, 503)
    first.by_caller("BYE")
    to_outside(stage)


# -- fraud ----------------------------------------------------------------------------------------------


def test_a_phone_cannot_address_a_trunk() -> None:
    stage = exchange()
    phone = stage.phone("1001")
    for uri in (f"sip:{OUTSIDE}@{DOMAIN};trunk=carrier", f"sip:{OUTSIDE}@127.0.0.10;trunk=other"):
        refused(phone, phone.request("INVITE", uri, body=sdp(phone)), 403)
    assert all(isinstance(one, Request) and one.method != "INVITE" for one in stage.alpha.seen)
    assert stage.carriers["carrier"].seen == []


def test_a_phone_cannot_have_somebody_transferred_to_a_trunk() -> None:
    stage = exchange()
    call = to_outside(stage).established()
    call.by_callee("REFER", refer_to=f"<sip:{OUTSIDE}@127.0.0.10;trunk=carrier>")
    call.callee.take(403)
    phone = stage.phone("1001")
    for target in (f"<sip:{OUTSIDE}@127.0.0.10;trunk=carrier>", f"sip:{OUTSIDE}@127.0.0.10;Trunk=carrier"):
        phone.request("REFER", at_home("1002"), refer_to=target)
        phone.take(403)


def test_a_phone_cannot_say_that_it_is_a_trunk() -> None:
    stage = exchange()
    phone = stage.phone("1001")
    phone.request("INVITE", at_home("1002"), body=sdp(phone), x_haproxy_voip_trunk="carrier")
    assert not stage.alpha.take_request("INVITE").has("x-haproxy-voip-trunk")


def test_a_phone_that_sends_somebody_elsewhere_names_no_trunk_to_the_backend() -> None:
    stage = exchange()
    phone = stage.phone("1002")
    uri = f"sip:{stage.token_of('1002')}@127.0.0.10:5060"
    stage.alpha.send(stage.alpha.new("INVITE", uri, body=sdp(stage.alpha)))
    phone.answer(phone.take_request("INVITE"), 302, contact=f"<sip:{OUTSIDE}@127.0.0.10;trunk=carrier>")
    [contact] = stage.alpha.take_response(302).contacts
    assert contact.uri.param("trunk") is None


# -- another configuration ------------------------------------------------------------------------------


def test_trunks_come_change_and_go_while_calls_are_up() -> None:
    stage = exchange()
    call = from_outside(stage).established()
    fewer = trunk(max_calls=1)
    new = trunk("new", address=Endpoint(Transport.UDP, Address("203.0.113.99", 5060)), from_=())
    stage.feed(Reconfigured(dataclasses.replace(stage.config, trunks=(fewer, new))))
    rows = stage.command("status")["trunks"]
    assert [(row["name"], row["calls"], row["max_calls"]) for row in rows] == [("carrier", 1, 1), ("new", 0, 30)]  # type: ignore[attr-defined]
    refused(stage.alpha, sent_out(stage), 503)
    stage.feed(Reconfigured(dataclasses.replace(stage.config, trunks=())))
    refused(stage.alpha, sent_out(stage), 404)
    call.hang_up()
