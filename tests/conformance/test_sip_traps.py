"""Where proxies go wrong, one test each, at the level of requests and who sent them (RFC 3261 and its relatives)."""

import pytest

from haproxy_voip.configuration.model import ProxyConfig, SipConfig
from haproxy_voip.core.address import Endpoint, Transport
from haproxy_voip.sip.message import Request, Response, header
from tests.proxy.stage import DOMAIN, PROXY, Peer, Stage, config

# What says where somebody is, in headers that cross. {host} is the sender's, as its own side knows it.
REVEALING = {
    "Warning": '399 {host} "from {host}:5060"',
    "Call-Info": "<http://{host}/photo.jpg>;purpose=icon",
    "Alert-Info": "<http://{host}:8088/ring.wav>",
    "History-Info": "<sip:1002@{host}:5060>;index=1",
    "Diversion": "<sip:1003@{host}>;reason=unconditional",
    "X-Asterisk-Server": "{host}",
}


def called(stage: Stage, caller: Peer, **arguments: str) -> tuple[Request, Request]:
    """An INVITE of a client, and as the backend sees it."""
    invite = caller.request("INVITE", f"sip:1002@{DOMAIN}", body=caller.offer(), **arguments)
    return invite, stage.alpha.take_request("INVITE")


def answered(stage: Stage, caller: Peer) -> tuple[Request, Response, Request, Response]:
    invite, at_alpha = called(stage, caller)
    ok_of_alpha = stage.alpha.answer(at_alpha, 200, body=stage.alpha.offer(9000))
    ok = caller.take_response(200)
    caller.ack(invite, ok)
    stage.alpha.take("ACK")
    return invite, ok, at_alpha, ok_of_alpha


def asked(stage: Stage, client: Peer, method: str, **arguments: str) -> Request:
    """A request of a client outside any dialog, as the backend sees it."""
    client.request(method, f"sip:1002@{DOMAIN}", **arguments)
    return stage.alpha.take_request(method)


def finals(peer: Peer) -> list[int]:
    return [message.status for message in peer.inbox if isinstance(message, Response) and message.status >= 200]


# --- what a request must say ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "NEWMETHOD"])
def test_a_request_with_no_hops_left_is_not_passed_on(method: str) -> None:
    """RFC 3261 section 16.3 item 3."""
    stage = Stage()
    alice = stage.phone("1001")
    alice.request(method, f"sip:1002@{DOMAIN}", max_forwards="0")
    assert finals(alice) == [483]


def test_a_request_in_a_dialog_with_no_hops_left_is_not_passed_on() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    invite, ok, _, _ = answered(stage, alice)
    info = alice.within(invite, ok, "INFO", 10)
    info.set("max-forwards", "0")
    alice.send(info)
    assert finals(alice) == [483]


def test_each_hop_counts_max_forwards_down() -> None:
    """16.6 item 3."""
    stage = Stage()
    assert asked(stage, stage.phone("1001"), "MESSAGE", max_forwards="12").max_forwards == 11


def test_a_request_without_max_forwards_gets_one() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    message = alice.new("MESSAGE", f"sip:1002@{DOMAIN}")
    message.remove("max-forwards")
    alice.send(message)
    message = alice.authorized(message, alice.take_response(407))
    alice.send(message)
    assert stage.alpha.take_request("MESSAGE").max_forwards == 70


@pytest.mark.parametrize("name", ["require", "proxy-require"])
def test_an_unknown_extension_is_refused_by_name(name: str) -> None:
    """RFC 3261 sections 8.2.2.3 and 16.3 item 5."""
    stage = Stage()
    alice = stage.phone("1001")
    alice.request("INVITE", f"sip:1002@{DOMAIN}", **{name: "100rel, teleport, levitate"})
    refusal = alice.take_response(420)
    assert refusal.values("unsupported") == ["teleport", "levitate"]
    assert not stage.alpha.inbox


def test_an_unknown_extension_for_proxies_is_refused_within_a_dialog_too() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    invite, ok, _, _ = answered(stage, alice)
    info = alice.within(invite, ok, "INFO", 10)
    info.add("Proxy-Require", "teleport")
    alice.send(info)
    assert alice.take_response(420).values("unsupported") == ["teleport"]


@pytest.mark.parametrize("uri", ["soap.beep://192.0.2.103:3002", "nobodyKnowsThisScheme:totallyopaquecontent"])
def test_an_unknown_scheme_is_refused(uri: str) -> None:
    """16.3 item 2."""
    stage = Stage()
    alice = stage.phone("1001")
    alice.request("INVITE", uri)
    assert finals(alice) == [416]


def test_a_number_may_be_called_by_tel_or_sips() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    alice.request("INVITE", "tel:+15550100;phone-context=voip.test", body=alice.offer())
    assert stage.alpha.take_request("INVITE").uri == "sip:+15550100@127.0.0.11:5060;user=phone"
    alice.request("INVITE", f"sips:1002@{DOMAIN}", body=alice.offer())
    assert stage.alpha.take_request("INVITE").uri == "sip:1002@127.0.0.11:5060"


def test_unknown_methods_are_passed_on() -> None:
    """16: "A proxy MUST NOT ... understand the method"; both ways, and the answer back."""
    stage = Stage()
    alice = stage.phone("1001")
    crossed = asked(stage, alice, "LEVITATE", x_height="3 m")
    assert crossed.get("x-height") == "3 m"
    stage.alpha.answer(crossed, 200)
    assert finals(alice) == [200]
    stage.alpha.send(stage.alpha.new("LEVITATE", f"sip:{stage.token_of('1001')}@{PROXY}"))
    alice.answer(alice.take_request("LEVITATE"), 405)
    assert finals(stage.alpha) == [405]


def test_unknown_methods_are_passed_on_within_a_dialog() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    invite, ok, _, _ = answered(stage, alice)
    alice.send(alice.within(invite, ok, "LEVITATE", 10))
    stage.alpha.answer(stage.alpha.take_request("LEVITATE"), 202)
    assert finals(alice) == [202]


# --- whose dialog, whose transaction --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["INVITE", "BYE", "INFO", "REFER", "NOTIFY", "UPDATE", "PRACK", "LEVITATE"])
@pytest.mark.parametrize("sender", ["client", "backend"])
def test_a_request_in_an_unknown_dialog_gets_481(method: str, sender: str) -> None:
    """RFC 3261 section 12.2.2."""
    stage = Stage()
    alice = stage.phone("1001")
    peer = alice if sender == "client" else stage.alpha
    peer.send(peer.new(method, f"sip:x@{PROXY}", to=f"<sip:1002@{DOMAIN}>;tag=nobodys"))
    assert finals(peer) == [481]


def test_known_tags_from_the_wrong_side_are_unknown() -> None:
    stage = Stage()
    alice, mallory = stage.phone("1001"), stage.phone("1003")
    invite, at_alpha = called(stage, alice, call_id="of-alice")
    ok_of_alpha = stage.alpha.answer(at_alpha, 200, tag="of-alpha", body=stage.alpha.offer(9000))
    ok = alice.take_response(200)
    bye = stage.alpha.within(ok_of_alpha, at_alpha, "BYE", 5)
    bye.set("via", mallory.via())
    mallory.send(bye)
    assert finals(mallory) == [481]
    bye = alice.within(invite, ok, "BYE", 5)
    bye.set("via", stage.beta.via())
    stage.beta.send(bye)
    assert finals(stage.beta) == [481]
    assert finals(alice) == [] and not stage.alpha.inbox


def test_a_stray_ack_is_answered_by_nothing() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    alice.send(alice.new("ACK", f"sip:x@{PROXY}", to=f"<sip:1002@{DOMAIN}>;tag=nobodys"))
    alice.send(alice.new("ACK", f"sip:1002@{DOMAIN}"))
    stage.alpha.send(stage.alpha.new("ACK", f"sip:x@{PROXY}", to="<sip:x@y.test>;tag=nobodys"))
    stage.pass_time(1)
    assert not alice.inbox and not stage.alpha.inbox


def test_a_stray_cancel_gets_481() -> None:
    """9.2."""
    stage = Stage()
    alice = stage.phone("1001")
    alice.send(alice.new("CANCEL", f"sip:1002@{DOMAIN}"))
    assert finals(alice) == [481]


def test_a_cancel_means_the_invite_with_its_branch_and_no_other() -> None:
    """9.1, 9.2: hop by hop, with the branch of our own INVITE on the other side."""
    stage = Stage()
    alice, carol = stage.phone("1001"), stage.phone("1003")
    first, at_alpha = called(stage, alice)
    _, other_at_alpha = called(stage, carol)
    stage.alpha.answer(at_alpha, 180)
    stage.alpha.answer(other_at_alpha, 180)
    alice.take(180)
    alice.cancel(first)
    alice.take(200)
    alice.take(487)
    cancel = stage.alpha.take_request("CANCEL")
    assert cancel.top_via.branch == at_alpha.top_via.branch
    assert (cancel.call_id, cancel.cseq.number, cancel.uri) == (at_alpha.call_id, at_alpha.cseq.number, at_alpha.uri)
    carol.take(180)
    assert finals(carol) == []


def test_a_cancel_from_another_user_cancels_nothing() -> None:
    stage = Stage()
    alice, mallory = stage.phone("1001"), stage.phone("1003")
    invite, at_alpha = called(stage, alice)
    stage.alpha.answer(at_alpha, 180)
    forged = Request("CANCEL", invite.uri, [line for line in invite.headers if line[0] not in ("via", "cseq")])
    forged.headers += [header("Via", mallory.via()), header("CSeq", f"{invite.cseq.number} CANCEL")]
    mallory.send(forged)
    assert finals(mallory) == [481]
    assert not stage.alpha.inbox


def test_a_cancel_after_the_answer_changes_nothing() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    invite, at_alpha = called(stage, alice)
    stage.alpha.answer(at_alpha, 200, body=stage.alpha.offer(9000))
    alice.take(200)
    alice.cancel(invite)
    assert alice.take_response(200).cseq.method == "CANCEL"
    assert finals(alice) == []


def test_a_merged_request_is_answered_482() -> None:
    """8.2.2.2: the same request by another way."""
    stage = Stage()
    alice = stage.phone("1001")
    invite, _ = called(stage, alice)
    again = invite.copy()
    again.set("via", alice.via())
    alice.send(again)
    assert finals(alice) == [482]
    assert not stage.alpha.inbox


def test_a_repeated_request_is_not_sent_on_again() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    invite, _ = called(stage, alice)
    alice.inbox.clear()
    alice.send(invite)
    assert not stage.alpha.inbox
    assert [message.status for message in alice.inbox if isinstance(message, Response)] == [100]


# --- where requests and responses go --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE"])
def test_a_route_to_us_is_taken_off(method: str) -> None:
    """16.4: phones preload the route to their outbound proxy."""
    stage = Stage()
    alice = stage.phone("1001")
    assert not asked(stage, alice, method, route=f"<sip:{PROXY};lr>, <sip:{DOMAIN};lr>").has("route")


def test_a_route_to_us_is_taken_off_a_register() -> None:
    stage = Stage()
    alice = stage.client("1001")
    alice.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1001@{DOMAIN}>", route=f"<sip:{PROXY};lr>")
    assert finals(alice) == [200]
    sent = [message for message in stage.alpha.seen if isinstance(message, Request)]
    assert [message.method for message in sent] == ["REGISTER"]
    assert not sent[0].has("route")


def test_a_response_goes_to_the_source_port_with_rport() -> None:
    """RFC 3581: behind a NAT no other port works."""
    stage = Stage()
    alice = stage.client("1001")
    message = alice.new("MESSAGE", f"sip:1002@{DOMAIN}")
    message.set("via", "SIP/2.0/UDP 10.0.0.9:7777;branch=z9hG4bKnat;rport")
    alice.send(message)
    via = alice.take_response(407).top_via
    assert (via.received, via.rport, via.sent_by) == (alice.host, alice.flow.remote.port, "10.0.0.9:7777")


def test_a_response_is_marked_with_received_where_the_sender_asks_for_nothing() -> None:
    """18.2.1."""
    stage = Stage()
    alice = stage.client("1001")
    message = alice.new("MESSAGE", f"sip:1002@{DOMAIN}")
    message.set("via", "SIP/2.0/UDP 10.0.0.9:7777;branch=z9hG4bKnat")
    alice.send(message)
    via = alice.take_response(407).top_via
    assert (via.received, via.rport) == (alice.host, None)


# --- which responses may be passed on -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE", "OPTIONS"])
def test_a_503_of_a_backend_is_never_passed_on(method: str) -> None:
    """16.7 step 6: it would speak of all that is behind us."""
    stage = Stage()
    alice = stage.phone("1001")
    alice.request(method, f"sip:1002@{DOMAIN}", body=alice.offer() if method == "INVITE" else b"")
    for backend in stage.backends.values():
        for message in list(backend.inbox):
            if isinstance(message, Request) and message.method == method:
                backend.answer(message, 503, retry_after="3600")
    stage.pass_time(60)
    assert finals(alice) and 503 not in finals(alice)


def test_a_503_of_a_backend_is_never_passed_on_within_a_dialog() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    invite, ok, _, _ = answered(stage, alice)
    alice.send(alice.within(invite, ok, "INFO", 10))
    stage.alpha.answer(stage.alpha.take_request("INFO"), 503, retry_after="3600")
    assert finals(alice) == [500]


@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE", "OPTIONS", "LEVITATE"])
def test_no_408_answers_a_request_that_is_no_invite(method: str) -> None:
    """RFC 4320 section 4.2: it would come too late to be of use."""
    stage = Stage()
    alice = stage.phone("1001")
    asked(stage, alice, method)
    stage.pass_time(60)
    assert 408 not in finals(alice)


def test_no_408_answers_a_request_within_a_dialog_that_is_no_invite() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    invite, ok, _, _ = answered(stage, alice)
    alice.send(alice.within(invite, ok, "INFO", 10))
    stage.pass_time(60)
    assert 408 not in finals(alice)


def test_no_100_answers_a_request_that_is_no_invite() -> None:
    """RFC 4320 section 4.1."""
    stage = Stage()
    alice = stage.phone("1001")
    crossed = asked(stage, alice, "MESSAGE")
    stage.alpha.answer(crossed, 100, tag="x")
    assert not alice.inbox


# --- who may -------------------------------------------------------------------------------------------------------


def test_whoever_says_to_be_a_backend_is_challenged_unless_it_comes_from_there() -> None:
    stage = Stage()
    mallory = stage.client("1003")
    bob = stage.phone("1002")
    forged = mallory.new(
        "INVITE",
        f"sip:{stage.token_of('1002')}@{PROXY}",
        from_="<sip:pbx@alpha.test>;tag=x",
        contact="<sip:alpha.test>",
    )
    forged.set("via", "SIP/2.0/UDP alpha.test:5060;branch=z9hG4bKforged")
    mallory.send(forged)
    assert finals(mallory) == [407]
    assert not bob.inbox


def test_credentials_are_good_for_their_user_only() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    alice.request("INVITE", f"sip:1002@{DOMAIN}", from_=f"<sip:1003@{DOMAIN}>;tag=x")
    assert finals(alice) == [403]
    assert not stage.alpha.inbox


def test_nobody_registers_a_contact_for_another_user() -> None:
    stage = Stage()
    alice = stage.client("1001")
    alice.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1003@{DOMAIN}>")
    assert finals(alice) == [403]
    assert stage.node.bindings.of("1003") == []


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "MESSAGE"])
@pytest.mark.parametrize("host", ["other.test", f"not{DOMAIN}", "127.0.0.11", "192.0.2.7", "[2001:db8::1]"])
def test_other_domains_are_not_served(method: str, host: str) -> None:
    """21.4.5. The name before the @ may be one of ours, and another person."""
    stage = Stage()
    alice = stage.client("1001")
    alice.request(method, f"sip:1002@{host}", to=f"<sip:1001@{DOMAIN}>")
    assert finals(alice) == [404]
    assert not stage.alpha.seen


@pytest.mark.parametrize("host", [DOMAIN, DOMAIN.upper(), f"sip.{DOMAIN}", "127.0.0.10", "127.0.0.10:5060"])
def test_our_domain_what_is_below_it_and_our_addresses_are_served(host: str) -> None:
    stage = Stage()
    alice = stage.phone("1001")
    alice.request("MESSAGE", f"sip:1002@{host}")
    assert stage.alpha.take_request("MESSAGE").request_uri.user == "1002"


def test_any_address_may_be_ours_where_a_listener_has_them_all() -> None:
    listen = (Endpoint(Transport.UDP, PROXY._replace(host="0.0.0.0")),)
    stage = Stage(config(proxy=ProxyConfig(domain=DOMAIN, advertise=PROXY.host, sip=SipConfig(listen=listen))))
    alice = stage.phone("1001")
    alice.request("MESSAGE", "sip:1002@192.0.2.7")
    stage.alpha.take("MESSAGE")
    alice.request("MESSAGE", "sip:1002@other.test")
    assert finals(alice) == [404]


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "REGISTER"])
def test_a_backend_reaches_only_contacts_of_ours(method: str) -> None:
    stage = Stage()
    stage.phone("1002")
    stage.alpha.send(stage.alpha.new(method, f"sip:1002@{PROXY}"))
    assert finals(stage.alpha) == [404]


def test_a_client_cannot_use_the_contacts_we_give_to_backends() -> None:
    """Such a user part means nothing to a client's side: the backend is asked for it like for any name."""
    stage = Stage()
    bob, mallory = stage.phone("1002"), stage.phone("1003")
    token = stage.token_of("1002")
    mallory.request("INVITE", f"sip:{token}@{PROXY}", body=mallory.offer())
    assert stage.alpha.take_request("INVITE").request_uri.user == token
    assert not bob.inbox


def test_a_client_may_not_say_who_it_is_by_assertion() -> None:
    """RFC 3325 section 5."""
    stage = Stage()
    alice = stage.phone("1001")
    identity = {"p_asserted_identity": f"<sip:1003@{DOMAIN}>", "remote_party_id": f"<sip:1003@{DOMAIN}>;party=calling"}
    _, at_alpha = called(stage, alice, **identity)
    assert not at_alpha.has("p-asserted-identity") and not at_alpha.has("remote-party-id")


# --- what is for us ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uri", [f"sip:{DOMAIN}", f"sip:{PROXY}"])
def test_options_for_us_are_answered_by_us(uri: str) -> None:
    """RFC 3261 section 11.2."""
    stage = Stage()
    alice = stage.client("1001")
    alice.send(alice.new("OPTIONS", uri, max_forwards="0"))
    answer = alice.take_response(200)
    assert answer.to.tag and "INVITE" in answer.values("allow") and answer.values("supported")
    stage.alpha.send(stage.alpha.new("OPTIONS", uri))
    assert finals(stage.alpha) == [200]


def test_a_backend_that_qualifies_a_contact_is_answered_for_the_phone() -> None:
    """Each backend asks each contact every minute or so; the phone would be asked by all of them."""
    stage = Stage()
    bob = stage.phone("1002")
    stage.alpha.send(stage.alpha.new("OPTIONS", f"sip:{stage.token_of('1002')}@{PROXY}"))
    assert finals(stage.alpha) == [200]
    assert not bob.inbox


def test_a_call_to_nobody_in_particular_is_the_backends_to_refuse() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    alice.request("INVITE", f"sip:{DOMAIN}", body=alice.offer())
    crossed = stage.alpha.take_request("INVITE")
    assert crossed.uri == "sip:127.0.0.11:5060"
    stage.alpha.answer(crossed, 484)
    assert finals(alice) == [484]


def test_one_may_call_oneself() -> None:
    """By way of the backend, which rings all contacts: two calls of ours, and no loop."""
    stage = Stage()
    alice = stage.phone("1001")
    alice.request("INVITE", f"sip:1001@{DOMAIN}", body=alice.offer())
    stage.alpha.take("INVITE")
    stage.alpha.user = "1001"
    stage.alpha.send(stage.alpha.new("INVITE", f"sip:{stage.token_of('1001')}@{PROXY}", body=stage.alpha.offer(9000)))
    alice.answer(alice.take_request("INVITE"), 486)
    assert finals(stage.alpha) == [486]


# --- what must not be seen -----------------------------------------------------------------------------------------


def hidden_in(message: Request | Response, host: str) -> bool:
    return host.encode() not in message.encode()


def revealing(host: str) -> dict[str, str]:
    return {name.replace("-", "_"): value.format(host=host) for name, value in REVEALING.items()}


def test_no_request_of_a_client_shows_its_address_to_a_backend() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    crossed = asked(stage, alice, "MESSAGE", **revealing(alice.host))
    assert hidden_in(crossed, alice.host)
    assert [name for name in REVEALING if not crossed.has(name.lower())] == []


def test_no_response_of_a_backend_shows_its_address_to_a_client() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    _, at_alpha = called(stage, alice)
    stage.alpha.answer(at_alpha, 183, body=stage.alpha.offer(9000), **revealing(stage.alpha.host))
    assert hidden_in(alice.take_response(183), stage.alpha.host)
    stage.alpha.answer(at_alpha, 486, **revealing(stage.alpha.host))
    assert hidden_in(alice.take_response(486), stage.alpha.host)


def test_no_redirection_shows_where_a_backend_is() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    _, at_alpha = called(stage, alice)
    stage.alpha.answer(at_alpha, 302, contact=f"<sip:1003@{stage.alpha.host}:5060>")
    assert alice.take_response(302).contacts[0].uri.host == DOMAIN


def test_no_request_of_a_backend_shows_its_address_to_a_client() -> None:
    stage = Stage()
    bob = stage.phone("1002")
    notify = stage.alpha.new(
        "NOTIFY",
        f"sip:{stage.token_of('1002')}@{PROXY}",
        event="message-summary",
        content_type="application/simple-message-summary",
        body=f"Messages-Waiting: yes\r\nMessage-Account: sip:1002@{stage.alpha.host}:5060\r\n".encode(),
        **revealing(stage.alpha.host),
    )
    stage.alpha.send(notify)
    crossed = bob.take_request("NOTIFY")
    assert hidden_in(crossed, stage.alpha.host)
    assert crossed.body == f"Messages-Waiting: yes\r\nMessage-Account: sip:1002@{DOMAIN}\r\n".encode()


def test_no_session_description_shows_an_address_of_the_other_side() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    _, at_alpha = called(stage, alice)
    assert hidden_in(at_alpha, alice.host)
    stage.alpha.answer(at_alpha, 200, body=stage.alpha.offer(9000))
    assert hidden_in(alice.take_response(200), stage.alpha.host)


def test_credentials_for_us_never_reach_a_backend() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    crossed = asked(stage, alice, "MESSAGE")
    assert not crossed.has("proxy-authorization") and not crossed.has("authorization")
