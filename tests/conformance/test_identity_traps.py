"""Who may do what, and what is for the proxy itself (RFC 3261 sections 11, 21.4.5, 22; RFC 3325)."""

import pytest

from haproxy_voip.configuration.model import ProxyConfig, SipConfig
from haproxy_voip.core.address import Endpoint, Transport
from tests.conformance.exchanges import called, finals
from tests.proxy.stage import DOMAIN, PROXY, Stage, config

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
    assert stage.node.bindings.of("1003") == ()


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
