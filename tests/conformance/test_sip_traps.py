"""Where proxies go wrong with single messages: what they must say, where they go, what may be passed on (RFC 3261)."""

import pytest

from haproxy_voip.sip.message import Request
from tests.conformance.exchanges import answered, asked, finals
from tests.proxy.stage import DOMAIN, PROXY, Stage

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
