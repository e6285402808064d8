"""Backends authenticate the phones: what passes, and what a failover costs."""

from __future__ import annotations

import pytest

from haproxy_voip.configuration.model import TimersConfig
from haproxy_voip.core.credential import Credential
from haproxy_voip.proxy.facts import AuthenticationFailed
from haproxy_voip.proxy.guard_facts import BackendUnguarded
from haproxy_voip.sip.message import Request, Response, header, response_to
from tests.proxy.servers import Servers, register
from tests.proxy.stage import DOMAIN, Peer

CHALLENGE = header("WWW-Authenticate", 'Digest realm="pbx", nonce="n1", algorithm=MD5, qop="auth,auth-int", opaque="o"')


def stage_of(trusted: bool = False, **changes: object) -> Servers:
    stage = Servers(authentication="backend", registration="active", **changes)
    for name in ("alpha", "beta", "charlie"):
        stage.server(name).algorithms = () if trusted else ("MD5",)
    return stage


def phone(stage: Servers, user: str, **headers: str) -> Peer:
    """Registered by the backend's leave."""
    peer = stage.client(user)
    attempt(peer, **headers)
    return peer


def attempt(peer: Peer, status: int = 200, credentials: bool = True, **headers: str) -> Response:
    """A REGISTER; the answer to its challenge too."""
    peer.count += 1
    lines = {"expires": "600", "call_id": f"reg-{peer.host}", "cseq": str(2 * peer.count), **headers}
    request = peer.new("REGISTER", f"sip:{DOMAIN}", to=f"<sip:{peer.user}@{DOMAIN}>", **lines)
    peer.send(request)
    peer.stage.pass_time(0.01)
    if credentials:
        peer.send(peer.authorized(request, peer.take_response(401)))
        peer.stage.pass_time(0.01)
    return peer.take_response(status)


def challenged(backend: Peer, request: Request) -> None:
    backend.send(response_to(request, 401, None, "t", (CHALLENGE,)))


def verified(request: Request, uri: str) -> bool:
    """Whether a strict server, which compares the credentials' uri with the Request-URI, takes it."""
    value = request.get("authorization") or ""
    return request.uri == uri and f'uri="{uri}"' in value


# -- registrations ------------------------------------------------------------------------------------------


def test_a_register_is_challenged_by_the_backend_and_accepted_with_the_phones_own_credentials() -> None:
    stage = stage_of()
    alice = stage.client("1001")
    answer = attempt(alice)
    (first, second) = [request for _, request in stage.server("alpha").asked]
    assert not first.has("authorization")
    assert 'username="1001"' in (second.get("authorization") or "")
    assert verified(second, f"sip:{DOMAIN}")
    assert stage.server("alpha").statuses == [401, 200]
    assert list(stage.server("alpha").contacts) == [stage.token_of("1001")]
    assert not stage.server("beta").asked
    assert answer.get("contact") == "<sip:1001@127.0.1.1:5060>;expires=120"


def test_what_is_asked_of_a_backend_has_one_call_id_for_one_of_the_phones_and_rising_numbers() -> None:
    stage = stage_of()
    alice = phone(stage, "1001")
    attempt(alice)
    asked = [request for _, request in stage.server("alpha").asked]
    assert len({request.call_id for request in asked}) == 1
    assert "127.0.1.1" not in asked[0].call_id
    numbers = [request.cseq.number for request in asked]
    assert numbers == sorted(set(numbers))
    assert len(stage.server("alpha").contacts) == 1


def test_a_phone_is_granted_what_the_backend_grants_and_no_more_than_relayed_expires() -> None:
    stage = stage_of(timers=TimersConfig(relayed_expires=90.0))
    stage.server("alpha").granted = 70
    assert (attempt(stage.client("1001")).get("contact") or "").endswith(";expires=70")
    stage.server("alpha").granted = None
    assert (attempt(stage.client("1002")).get("contact") or "").endswith(";expires=90")
    stage.pass_time(75)
    assert not stage.node.bindings.of("1001")
    assert stage.node.bindings.of("1002")


def test_of_two_contacts_in_one_register_each_has_its_own_time() -> None:
    stage = stage_of()
    stage.registrar = False
    alice = stage.client("1001")
    contacts = "<sip:1001@127.0.1.1:5060>;expires=100, <sip:1001@127.0.1.1:5070>;expires=90"
    request = alice.new("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1001@{DOMAIN}>", contact=contacts)
    alice.send(alice.authorized(request, response_to(request, 401, None, "t", (CHALLENGE,))))
    at_alpha = stage.alpha.take_request("REGISTER")
    assert [contact.param("expires") for contact in at_alpha.contacts] == ["100", "90"]
    values = [f"<{contact.uri}>;expires={80 + number}" for number, contact in enumerate(at_alpha.contacts)]
    stage.alpha.answer(at_alpha, 200, contact=", ".join(values))
    granted = [contact.param("expires") for contact in alice.take_response(200).contacts]
    assert granted == ["80", "81"]


def test_a_wrong_password_registers_nobody_and_is_told() -> None:
    stage = stage_of()
    alice = stage.client("1001")
    stage.credentials["1001"] = Credential("1001", DOMAIN, password="guess")
    attempt(alice, status=401)
    assert not stage.node.bindings.of("1001")
    assert [fact for fact in stage.facts if isinstance(fact, AuthenticationFailed)]
    assert not stage.server("alpha").contacts


def test_a_phone_unregisters_at_the_backend() -> None:
    stage = stage_of()
    alice = phone(stage, "1001")
    attempt(alice, expires="0")
    assert not stage.node.bindings.of("1001")
    assert not stage.server("alpha").contacts
    stage.assert_nothing_left()


def test_all_contacts_are_taken_back_at_the_backend() -> None:
    stage = stage_of()
    alice = phone(stage, "1001")
    attempt(alice, expires="0", contact="*")
    request = stage.server("alpha").asked[-1][1]
    assert (request.get("contact"), request.get("expires")) == ("*", "0")
    assert not stage.node.bindings.of("1001")


def test_a_backend_that_grants_no_time_registers_nobody() -> None:
    stage = stage_of()
    stage.server("alpha").granted = 0
    alice = phone(stage, "1001")
    assert not stage.node.bindings.of("1001")
    assert alice


def test_a_refusal_passes() -> None:
    stage = stage_of()
    stage.server("alpha").least = 300
    answer = attempt(stage.client("1001"), status=423)
    assert answer.get("min-expires") == "300"
    assert not stage.node.bindings.of("1001")


def test_a_backend_that_takes_a_register_without_credentials_is_not_followed() -> None:
    stage = stage_of(trusted=True)
    attempt(stage.client("1001"), status=403, credentials=False)
    assert not stage.node.bindings.of("1001")
    assert [fact for fact in stage.facts if isinstance(fact, BackendUnguarded)] == [
        BackendUnguarded("alpha", "REGISTER")
    ]


def test_a_register_whose_backend_dies_is_asked_of_the_next() -> None:
    stage = stage_of()
    stage.server("alpha").silent = True
    alice = stage.client("1001")
    alice.send(alice.new("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1001@{DOMAIN}>", expires="600"))
    stage.kill("alpha")
    stage.pass_time(0.1)
    alice.take(401)
    assert stage.server("beta").statuses == [401]
    stage.assert_nothing_left()


def test_with_no_backend_up_a_register_is_refused_for_now() -> None:
    stage = stage_of()
    for name in ("alpha", "beta", "charlie"):
        stage.kill(name)
    answer = attempt(stage.client("1001"), status=503, credentials=False)
    assert answer.get("retry-after")


def test_there_is_a_most_of_what_may_be_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haproxy_voip.proxy.inquiry.MAX_INQUIRIES", 0)
    attempt(stage_of().client("1001"), status=503, credentials=False)


# -- after a failover ---------------------------------------------------------------------------------------


def test_after_a_failover_the_next_backend_knows_nobody_until_phones_register_there_with_a_stale_nonce_said_so() -> (
    None
):
    stage = stage_of()
    alice = phone(stage, "1001")
    bob = phone(stage, "1002")
    stage.kill("alpha")
    stage.pass_time(1)
    assert not stage.server("beta").asked  # we hold nothing to register with
    status = stage.command("status")
    assert status["unreachable"] == {"contacts": 2, "seconds": pytest.approx(119, abs=1.5)}
    # With the credentials that were good at alpha, as phones do.
    asked = stage.server("alpha").asked[1][1]
    again = alice.new("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1001@{DOMAIN}>", expires="600", cseq="50")
    again.headers.append(next(item for item in asked.headers if item[0] == "authorization"))
    alice.send(again)
    stage.pass_time(0.01)
    challenge = alice.take_response(401)
    assert "stale=true" in (challenge.get("www-authenticate") or "").lower()
    assert not [fact for fact in stage.facts if isinstance(fact, AuthenticationFailed)]
    again.headers.pop()
    alice.send(alice.authorized(again, challenge))
    stage.pass_time(0.01)
    alice.take(200)
    assert list(stage.server("beta").contacts) == [stage.token_of("1001")]
    assert stage.command("status")["unreachable"]["contacts"] == 1
    rows = {row["name"]: row["registrations"] for row in stage.command("status")["backends"]}
    assert (rows["alpha"], rows["beta"]) == (0, 1)
    assert bob


def test_while_the_proxy_authenticates_status_has_no_such_count() -> None:
    stage = Servers()
    register(stage.client("1001"))
    status = stage.command("status")
    assert (status["authentication"], status["unreachable"]) == ("proxy", None)


# -- calls --------------------------------------------------------------------------------------------------


def test_an_invite_is_challenged_by_the_backend_and_verified_there() -> None:
    stage = stage_of()
    alice, bob = phone(stage, "1001"), phone(stage, "1002")
    uri = f"sip:1002@{DOMAIN}"
    invite = alice.new("INVITE", uri, body=alice.offer())
    alice.send(invite)
    challenged(stage.alpha, stage.alpha.take_request("INVITE"))
    challenge = alice.take_response(401)
    assert challenge.get("www-authenticate") == CHALLENGE[1].replace(",auth-int", "")
    alice.send(alice.ack_failure(invite, challenge))
    invite = alice.authorized(invite, challenge)
    alice.send(invite)
    at_alpha = [one for one in stage.alpha.inbox if isinstance(one, Request) and one.method == "INVITE"][-1]
    assert verified(at_alpha, uri)
    stage.alpha.answer(at_alpha, 200, body=stage.alpha.offer())
    answer = alice.take_response(200)
    alice.ack(invite, answer)
    assert 'username="1001"' in (stage.alpha.inbox[-1].get("authorization") or "")
    # In the dialog too, and its challenge comes back.
    again = alice.within(invite, answer, "INFO", 10)
    again.headers.append(next(item for item in invite.headers if item[0] == "authorization"))
    alice.send(again)
    info = stage.alpha.take_request("INFO")
    assert info.has("authorization")
    challenged(stage.alpha, info)
    assert alice.take_response(401).has("www-authenticate")
    alice.send(alice.within(invite, answer, "BYE", 11))
    stage.alpha.answer(stage.alpha.take_request("BYE"), 200)
    assert bob


def test_a_call_comes_to_a_phone_by_the_contact_the_backend_was_told() -> None:
    stage = stage_of()
    bob = phone(stage, "1002")
    stage.alpha.send(
        stage.alpha.new("INVITE", f"sip:{stage.token_of('1002')}@127.0.0.10:5060", body=stage.alpha.offer())
    )
    bob.answer(bob.take_request("INVITE"), 486)
    stage.alpha.take(486)


@pytest.mark.parametrize("status", [180, 200])
def test_a_backend_that_takes_a_call_without_credentials_is_left_and_the_call_refused(status: int) -> None:
    stage = stage_of()
    alice = stage.client("1001")
    alice.send(alice.new("INVITE", "sip:+44900@" + DOMAIN, body=alice.offer()))
    invite = stage.alpha.take_request("INVITE")
    stage.alpha.answer(invite, status, body=stage.alpha.offer() if status == 200 else b"")
    alice.take(403)
    if status == 200:
        stage.alpha.take("ACK")
        stage.alpha.answer(stage.alpha.take_request("BYE"), 200)
    else:
        cancel = stage.alpha.take_request("CANCEL")
        stage.alpha.answer(cancel, 200)
        stage.alpha.answer(invite, 487)
    assert BackendUnguarded("alpha", "INVITE") in stage.facts
    stage.assert_nothing_left()


def test_a_call_in_progress_when_its_backend_dies_has_its_caller_challenged_by_the_next() -> None:
    stage = stage_of()
    alice = stage.client("1001")
    invite = alice.new("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    alice.send(invite)
    challenged(stage.alpha, stage.alpha.take_request("INVITE"))
    challenge = alice.take_response(401)
    alice.send(alice.ack_failure(invite, challenge))
    invite = alice.authorized(invite, challenge)
    alice.send(invite)
    stage.kill("alpha")
    challenged(stage.beta, stage.beta.take_request("INVITE"))
    assert "stale=true" in (alice.take_response(401).get("www-authenticate") or "")


def test_who_talks_to_the_backend_itself_is_hung_up_as_nobody_can_prove_the_call_at_the_next() -> None:
    stage = stage_of()
    alice = stage.client("1001")
    invite = alice.new("INVITE", f"sip:600@{DOMAIN}", body=alice.offer())
    invite = alice.authorized(invite, response_to(invite, 401, None, "t", (CHALLENGE,)))
    alice.send(invite)
    stage.alpha.answer(stage.alpha.take_request("INVITE"), 200, body=stage.alpha.offer())
    alice.ack(invite, alice.take_response(200))
    stage.kill("alpha")
    rebuilt = stage.beta.take_request("INVITE")
    assert not rebuilt.has("authorization")  # what the phone proved was an answer to alpha
    challenged(stage.beta, rebuilt)
    alice.answer(alice.take_request("BYE"), 200)
    stage.assert_nothing_left()


# -- other requests -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["MESSAGE", "PUBLISH", "SUBSCRIBE", "REFER"])
def test_other_requests_are_challenged_by_the_backend_and_go_with_the_phones_credentials(method: str) -> None:
    stage = stage_of()
    alice = phone(stage, "1001")
    uri = f"sip:1002@{DOMAIN}"
    request = alice.new(method, uri, event="presence", refer_to=f"<sip:1003@{DOMAIN}>", expires="60")
    alice.send(request)
    challenged(stage.alpha, stage.alpha.take_request(method))
    alice.send(alice.authorized(request, alice.take_response(401)))
    at_alpha = stage.alpha.take_request(method)
    assert verified(at_alpha, uri)
    stage.alpha.answer(at_alpha, 202, authentication_info='nextnonce="n2"')
    assert alice.take_response(202)


@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE"])
def test_what_a_backend_takes_without_credentials_is_refused(method: str) -> None:
    stage = stage_of()
    alice = stage.client("1001")
    alice.send(alice.new(method, f"sip:1002@{DOMAIN}", event="presence", expires="60"))
    stage.alpha.answer(stage.alpha.take_request(method), 200, expires="60")
    alice.take(403)
    stage.assert_nothing_left()


def test_a_subscription_ends_with_its_backend_and_its_phone_is_told_to_subscribe_again() -> None:
    stage = stage_of()
    alice = phone(stage, "1001")
    request = alice.new("SUBSCRIBE", f"sip:1002@{DOMAIN}", event="presence", expires="60")
    alice.send(request)
    challenged(stage.alpha, stage.alpha.take_request("SUBSCRIBE"))
    alice.send(alice.authorized(request, alice.take_response(401)))
    stage.alpha.answer(stage.alpha.take_request("SUBSCRIBE"), 200, expires="60")
    alice.take(200)
    stage.kill("alpha")
    stage.pass_time(1)
    challenged(stage.beta, stage.beta.take_request("SUBSCRIBE"))
    notify = alice.take_request("NOTIFY")
    assert notify.get("subscription-state") == "terminated;reason=deactivated"
    alice.answer(notify, 200)


def test_a_request_that_names_no_user_is_refused() -> None:
    stage = stage_of()
    alice = stage.client("1001")
    alice.send(alice.new("MESSAGE", f"sip:1002@{DOMAIN}", from_=f"<sip:{DOMAIN}>;tag=t"))
    alice.take(403)
    assert not [one for one in stage.alpha.inbox if isinstance(one, Request) and one.method == "MESSAGE"]
