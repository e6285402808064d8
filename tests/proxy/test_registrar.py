"""REGISTER requests of clients."""

from __future__ import annotations

import pytest

from haproxy_voip.configuration.model import LimitsConfig
from haproxy_voip.core.events import StreamClosed
from haproxy_voip.proxy.facts import AuthenticationFailed, Registered, Unregistered
from haproxy_voip.sip.digest import AuthenticationSession
from tests.proxy.servers import Servers, register, unregister
from tests.proxy.stage import DOMAIN, Peer


def facts(stage: Servers, kind: type) -> list[object]:
    return [fact for fact in stage.facts if type(fact) is kind]


def traffic(stage: Servers) -> int:
    return sum(len(stage.server(name).asked) for name in stage.backends)


def test_a_contact_is_registered_with_all_backends_and_kept_by_them() -> None:
    stage = Servers()
    alice = stage.client("1001")
    ok = register(alice)
    assert ok.get("contact") == "<sip:1001@127.0.1.1:5060>;expires=600"
    stage.pass_time(0.1)
    for name in stage.backends:
        assert list(stage.server(name).contacts) == [stage.token_of("1001")]
    assert facts(stage, Registered)
    stage.assert_nothing_left()
    assert not stage.server("alpha").contacts


def test_a_refresh_ends_at_the_proxy() -> None:
    stage = Servers()
    alice = stage.client("1001")
    register(alice)
    stage.pass_time(1)
    before = traffic(stage)
    for _ in range(5):
        register(alice)
        stage.pass_time(60)
    assert traffic(stage) == before
    assert len(facts(stage, Registered)) == 1


def test_what_is_not_refreshed_is_taken_back_from_the_backends() -> None:
    stage = Servers()
    register(stage.client("1001"), expires="60")
    stage.pass_time(59)
    assert stage.server("beta").contacts
    stage.pass_time(2)
    assert not any(stage.server(name).contacts for name in stage.backends)
    assert [fact.reason for fact in facts(stage, Unregistered)] == ["expired"]  # type: ignore[attr-defined]
    stage.assert_nothing_left()


def test_contact_star_removes_all_and_several_contacts_are_told() -> None:
    stage = Servers()
    alice = stage.client("1001")
    ok = register(alice, contact="<sip:1001@127.0.1.1:5060>, <sip:1001@127.0.1.1:5062>")
    assert len(ok.contacts) == 2
    stage.pass_time(0.1)
    assert len(stage.server("alpha").contacts) == 2
    assert not unregister(alice).has("contact")
    stage.pass_time(0.1)
    assert not stage.server("alpha").contacts
    stage.assert_nothing_left()


def test_too_brief_is_423_with_min_expires() -> None:
    stage = Servers()
    refused = register(stage.client("1001"), status=423, expires="10")
    assert refused.get("min-expires") == "60"
    assert len(stage.node.bindings) == 0


def test_path_is_kept_and_told() -> None:
    stage = Servers()
    alice = stage.client("1001")
    path = "<sip:edge.example;lr>"
    assert register(alice, path=path, supported="path").get("path") == path
    binding = stage.node.bindings.of("1001")[0]
    assert binding.path == (path,)


def test_a_wrong_password_is_challenged_again_and_told() -> None:
    stage = Servers()
    alice = stage.client("1001")
    request = alice.new("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1001@{DOMAIN}>")
    alice.send(request)
    challenge = alice.take_response(401)
    algorithms = [value.partition("algorithm=")[2].partition(",")[0] for value in challenge.all("www-authenticate")]
    assert algorithms[0] == "SHA-256" and algorithms[-1] == "MD5"
    right = stage.credentials["1001"]
    stage.credentials["1001"] = type(right)("1001", DOMAIN, password="guessed")
    wrong = alice.authorized(request, challenge)
    stage.credentials["1001"] = right
    alice.send(wrong)
    alice.take(401)
    assert facts(stage, AuthenticationFailed)
    assert len(stage.node.bindings) == 0


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_either_algorithm_is_accepted(algorithm: str) -> None:
    stage = Servers()
    alice = stage.client("1001")
    request = alice.new("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1001@{DOMAIN}>", expires="60")
    alice.send(request)
    challenge = alice.take_response(401)
    values = [value for value in challenge.all("www-authenticate") if f"algorithm={algorithm}" in value]
    challenge.set("www-authenticate", values[0])
    alice.send(alice.authorized(request, challenge))
    alice.take(200)


def _again(alice: Peer, session: AuthenticationSession, cseq: int) -> int:
    request = alice.new("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1001@{DOMAIN}>", expires="60", cseq=str(cseq))
    request.add(*session.authorization("REGISTER", request.uri, "cnonce"))
    alice.send(request)
    answer = alice.inbox.pop()
    return int(getattr(answer, "status", 0))


def test_a_replayed_nonce_count_and_a_stale_nonce_are_challenged_again_as_stale() -> None:
    stage = Servers()
    alice = stage.client("1001")
    alice.send(alice.new("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1001@{DOMAIN}>"))
    session = AuthenticationSession.for_response(alice.take_response(401), stage.credentials["1001"])
    assert session is not None
    assert _again(alice, session, 1) == 200
    assert _again(alice, session, 2) == 200
    session.nonce_count -= 1
    assert _again(alice, session, 3) == 401
    stage.pass_time(400)
    request = alice.new("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1001@{DOMAIN}>", expires="60", cseq="4")
    request.add(*session.authorization("REGISTER", request.uri, "cnonce"))
    alice.send(request)
    assert "stale=true" in (alice.take_response(401).get("www-authenticate") or "")
    assert not facts(stage, AuthenticationFailed)


def test_nobody_registers_in_another_users_name() -> None:
    stage = Servers()
    alice = stage.client("1001")
    alice.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1002@{DOMAIN}>")
    alice.take(403)


def test_the_limit_counts_new_contacts_only() -> None:
    stage = Servers(limits=LimitsConfig(max_registrations=2))
    alice, bob, carol = (stage.client(user) for user in ("1001", "1002", "1003"))
    register(alice)
    register(bob)
    assert register(carol, status=503).has("retry-after")
    register(alice)
    register(alice, status=503, contact="<sip:1001@127.0.1.1:5070>")
    unregister(bob)
    register(carol)


def test_a_lost_connection_makes_calls_to_it_480_until_it_registers_from_a_new_one() -> None:
    stage = Servers()
    bob = stage.connected("1002", 1)
    contact = "<sip:1002@127.0.1.2:41000;transport=tcp>"
    register(bob, contact=contact)
    token = stage.token_of("1002")
    stage.feed(StreamClosed(bob.flow, "gone"))
    options = stage.alpha.new("OPTIONS", f"sip:{token}@127.0.0.10:5060")
    stage.alpha.send(options)
    stage.alpha.take(480)
    again = stage.connected("1002", 3)
    again.count = 10
    register(again, contact=contact)
    assert stage.token_of("1002") == token and len(stage.node.bindings) == 1
    stage.alpha.send(stage.alpha.new("MESSAGE", f"sip:{token}@127.0.0.10:5060"))
    again.take("MESSAGE")


def test_with_outbound_a_lost_connection_is_430_and_reg_id_replaces() -> None:
    stage = Servers()
    outbound = ';+sip.instance="<urn:uuid:00000000-0000-1000-8000-000000000001>";reg-id=1'
    bob = stage.connected("1002", 1)
    ok = register(bob, contact=f"<sip:1002@127.0.1.2:40001;transport=tcp>{outbound}", supported="path, outbound")
    assert ok.get("require") == "outbound"
    token = stage.token_of("1002")
    stage.feed(StreamClosed(bob.flow, "gone"))
    stage.alpha.send(stage.alpha.new("MESSAGE", f"sip:{token}@127.0.0.10:5060"))
    stage.alpha.take(430)
    again = stage.connected("1002", 3)
    again.count = 10
    register(again, contact=f"<sip:1002@127.0.1.2:40003;transport=tcp>{outbound}", supported="path, outbound")
    assert stage.token_of("1002") == token and len(stage.node.bindings) == 1
