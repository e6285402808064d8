"""How the INVITE of ours begins: who is called, in which words."""

from __future__ import annotations

import pytest

from haproxy_voip.configuration.model import BackendConfig, ProxyConfig, SipConfig
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from tests.proxy.stage import DOMAIN, Stage
from tests.proxy.talk import calm, incoming, leave_nothing, outgoing


@pytest.mark.parametrize("dialled", ["*72#", "%2372", "+4930123", "1002;isub=1", "o'hara", "a.b%20c"])
def test_what_was_dialled_reaches_the_backend_as_it_was_dialled(dialled: str) -> None:
    stage = calm()
    alice = stage.phone("1001")
    alice.request("INVITE", f"sip:{dialled}@{DOMAIN}", body=alice.offer())
    assert stage.alpha.take_request("INVITE").uri == f"sip:{dialled}@127.0.0.11:5060"


def test_a_tel_uri_is_called_by_its_number() -> None:
    stage = calm()
    alice = stage.phone("1001")
    alice.request("INVITE", "tel:+49-30-123;phone-context=x", to="<tel:+49-30-123>", body=alice.offer())
    invite = stage.alpha.take_request("INVITE")
    assert invite.uri == "sip:+49-30-123@127.0.0.11:5060;user=phone"
    assert invite.get("to") == "<tel:+49-30-123>"


def test_a_display_name_with_quotes_survives() -> None:
    stage = calm()
    alice = stage.phone("1001")
    name = '"Ann \\"A\\", Smith"'
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer(), from_=f"{name} <sip:1001@{DOMAIN}>;tag=1")
    assert (stage.alpha.take_request("INVITE").get("from") or "").startswith(f"{name} <sip:1001@{DOMAIN}>;tag=")


def test_the_address_of_a_phone_is_hidden_wherever_it_writes_it() -> None:
    stage: Stage = calm()
    talk = outgoing(stage, call_info="<http://127.0.1.1:80/me.png>;purpose=icon", subject="from 127.0.1.1")
    assert talk.invited.get("call-info") == f"<http://{DOMAIN}/me.png>;purpose=icon"
    assert talk.invited.get("subject") == f"from {DOMAIN}"
    talk.established().hang_up()
    leave_nothing(stage)


def test_a_call_in_sips_has_contacts_in_sips() -> None:
    """RFC 3261 section 12.1.1."""
    stage = calm()
    alice = stage.phone("1001")
    alice.request("INVITE", f"sips:1002@{DOMAIN}", body=alice.offer())
    stage.alpha.answer(stage.alpha.take_request("INVITE"), 180)
    assert alice.take_response(180).contacts[0].uri.scheme == "sips"


def test_a_call_without_anybody_in_it_is_for_the_backend_itself() -> None:
    stage = calm()
    alice = stage.phone("1001")
    alice.request("INVITE", f"sip:{DOMAIN}", body=alice.offer())
    assert stage.alpha.take_request("INVITE").uri == "sip:127.0.0.11:5060"


def test_a_phone_behind_a_proxy_of_its_own_is_called_along_its_path() -> None:
    """RFC 3327."""
    stage = calm()
    bob = stage.client("1002")
    path = "<sip:edge.example;lr>"
    bob.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1002@{DOMAIN}>", path=path, supported="path", expires="600")
    bob.take(200)
    talk = incoming(stage)
    assert talk.invited.get("route") == path
    assert talk.invited.uri == "sip:1002@127.0.1.2:5060"


def test_whom_the_caller_asked_for_is_told_to_the_phone_by_its_name() -> None:
    talk = incoming(calm())
    assert talk.invited.to.uri.user == "1002" and talk.invited.to.uri.host == DOMAIN
    assert talk.invited.max_forwards == 69


def test_backends_of_another_family_get_media_of_theirs() -> None:
    six = Address("2001:db8::10", 5060)
    listen = (Endpoint(Transport.UDP, Address("127.0.0.10", 5060)), Endpoint(Transport.UDP, six))
    backends = (BackendConfig(name="alpha", sip=Endpoint(Transport.UDP, Address("2001:db8::11", 5060))),)
    stage = calm(proxy=ProxyConfig(domain=DOMAIN, sip=SipConfig(listen=listen)), backends=backends)
    stage.alpha.flow = Flow(Transport.UDP, six, Address("2001:db8::11", 5060))
    talk = outgoing(stage)
    assert b"c=IN IP6 2001:db8::10" in talk.invited.body
    assert talk.invited.uri == "sip:1002@[2001:db8::11]:5060"
