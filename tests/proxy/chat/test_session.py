"""One client, one server: logging in, binding, talking, leaving, coming back."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

from haproxy_voip.configuration.model import LimitsConfig, ProxyConfig, TlsConfig, XmppConfig
from haproxy_voip.core.address import Endpoint, Transport
from haproxy_voip.proxy.chat.arrivals import Arrivals
from haproxy_voip.proxy.chat.backend_leg import BackendLeg
from haproxy_voip.proxy.chat.client_leg import ClientLeg
from haproxy_voip.proxy.chat.entry import Entry
from haproxy_voip.proxy.chat.reserve import Reserve
from haproxy_voip.proxy.chat.residence import Residence
from haproxy_voip.proxy.chat.session import Session
from haproxy_voip.proxy.chat.traffic import Traffic
from haproxy_voip.proxy.chat_facts import ChatEnded, ChatLeft, ChatResumed, ChatStarted
from haproxy_voip.xmpp.client_stream import TlsPolicy
from haproxy_voip.xmpp.management import Resume
from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import PROXY, Stage, config


def with_tls(**changes: object) -> Stage:
    listen = (Endpoint(Transport.TCP, PROXY),)
    tls = TlsConfig(certificate=Path("c"), key=Path("k"))
    return Stage(config(proxy=ProxyConfig(domain=DOMAIN, tls=tls, xmpp=XmppConfig(listen=listen)), **changes))


def test_a_client_logs_in_and_is_bound_with_its_resource() -> None:
    stage = Stage()
    alice = stage.client("alice", "phone")
    assert alice.jid == "alice@chat.test/phone"
    assert "alice@chat.test/phone" in stage.alpha.sessions
    assert [fact.backend for fact in stage.facts if isinstance(fact, ChatStarted)] == ["alpha"]


def test_a_client_without_a_resource_gets_the_servers() -> None:
    stage = Stage()
    alice = stage.connect("alice", "")
    assert alice.jid in stage.alpha.sessions and stage.session(alice).resource == alice.jid.partition("/")[2]


def test_starttls_comes_first_where_it_is_required() -> None:
    stage = with_tls()
    alice = stage.connect("alice", tls=TlsPolicy.REQUIRED)
    assert alice.jid == "alice@chat.test/home"
    assert stage.connect("bob").failed is not None  # which does not want to


def test_messages_go_both_ways_as_they_were_written() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.send(f'<message  to="{bob.jid}" id=\'1\'><body>&lt;hello&#62;</body><x xmlns="urn:x"/></message>')
    [heard] = bob.take()
    assert heard.raw.endswith(b'<body>&lt;hello&#62;</body><x xmlns="urn:x"/></message>')


def test_whoever_speaks_for_another_is_thrown_out() -> None:
    """RFC 6120 section 8.1.2.1."""
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.send(f"<message from='{alice.jid}' to='{bob.jid}'><body>me</body></message>")
    alice.send(f"<message from='carol@chat.test' to='{bob.jid}'><body>not me</body></message>")
    assert bob.said() == ["me"]
    assert alice.error is not None and alice.error.condition == "invalid-from"
    assert [one.type for one in bob.take("presence")] == ["unavailable"]


@pytest.mark.parametrize("nonza", ["<r xmlns='urn:other'/>", "<enable xmlns='urn:xmpp:sm:9'/>"])
def test_what_is_neither_a_stanza_nor_known_ends_the_stream(nonza: str) -> None:
    stage = Stage()
    alice = stage.client("alice")
    alice.send(nonza)
    assert alice.error is not None and alice.error.condition == "unsupported-stanza-type"


def test_a_wrong_password_is_not_authorized_and_reaches_no_server() -> None:
    stage = Stage()
    alice = stage.connect("alice", password="guess")
    assert alice.failed is not None and alice.failed.condition == "not-authorized"
    assert stage.alpha.logins == 0


def test_a_password_of_a_user_we_do_not_know_is_the_servers_to_check() -> None:
    stage = with_tls(users=None)
    stage.node.replace_users(DOMAIN, {})
    alice = stage.connect("alice", tls=TlsPolicy.REQUIRED)
    assert alice.jid == "alice@chat.test/home"
    again = stage.connect("alice", "other", password="guess", tls=TlsPolicy.REQUIRED)
    assert again.failed is not None and again.failed.condition == "not-authorized"


def test_a_password_we_know_to_be_right_and_the_server_does_not_is_a_temporary_failure() -> None:
    """Clients forget a password that is called wrong."""
    stage = Stage()
    for server in stage.servers.values():
        server.passwords = {}
    alice = stage.connect("alice")
    assert alice.failed is not None and alice.failed.condition == "temporary-auth-failure"
    assert len(stage.chat.shared.sessions) == 0


def test_nothing_is_acknowledged_to_the_client_that_its_server_does_not_have() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    assert alice.acknowledged() == 1
    stage.freeze("alpha")
    alice.say(bob.jid, "1")
    assert alice.acknowledged() == 1
    stage.alpha.thaw(stage.now)
    stage.settle()
    assert alice.acknowledged() == 2  # also without being asked again: the request was still open


def test_nothing_is_acknowledged_to_the_server_that_its_client_does_not_have() -> None:
    """Whatever dies, somebody still has it."""
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    stage.alpha.ask()
    stage.settle()
    bob.acknowledges = False
    alice.say(bob.jid, "1")
    stage.alpha.ask()
    stage.settle()
    assert bob.said() == ["1"] and stage.alpha.unacknowledged(bob.jid) == 1
    bob.acknowledge()
    assert stage.alpha.unacknowledged(bob.jid) == 0


def test_a_client_without_stream_management_has_what_was_written() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob", management=False)
    alice.say(bob.jid, "1")
    stage.alpha.ask()
    stage.settle()
    assert bob.said() == ["1"] and stage.alpha.unacknowledged(bob.jid) == 0
    bob.break_off()
    assert bob.jid not in stage.alpha.sessions


def test_a_client_that_leaves_is_gone_for_everybody() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.send("</stream:stream>")
    assert alice.ended and alice.error is None
    assert [(one.from_, one.type) for one in bob.take()] == [(alice.jid, "unavailable")]
    assert alice.jid not in stage.alpha.sessions
    assert [fact.jid for fact in stage.facts if isinstance(fact, ChatEnded)] == [alice.jid]
    assert len(stage.chat.shared.sessions) == 1


def test_the_newer_of_two_with_one_resource_wins() -> None:
    """RFC 6120 section 7.7.2.2."""
    stage = Stage()
    first = stage.client("alice", "phone")
    second = stage.client("alice", "phone")
    assert first.error is not None and first.error.condition == "conflict"
    assert not second.ended
    stage.client("bob").say(second.jid, "you")
    assert second.said() == ["you"]


def test_a_client_that_lost_its_connection_comes_back_to_its_session() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.break_off()
    bob.say(alice.jid, "are you there?")
    stage.run(10.0)
    assert bob.inbox == []  # nobody noticed
    again = stage.come_back(alice)
    assert again.resumed and again.said() == ["are you there?"]
    again.say(bob.jid, "yes")
    assert bob.said() == ["yes"]
    assert [type(fact) for fact in stage.facts[-2:]] == [ChatLeft, ChatResumed]


def test_what_was_on_the_way_when_the_connection_broke_is_sent_again_both_ways() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.acknowledges = False
    bob.say(alice.jid, "heard")
    bob.say(alice.jid, "not heard")
    alice.inbox.pop()
    alice.received.count = alice.received.handled = alice.received.handled - 1
    alice.sent.push(b"<message to='bob@chat.test' id='lost'><body>into the void</body></message>", 1)
    alice.break_off()
    again = stage.come_back(alice)
    assert alice.said() == ["heard"] and again.said() == ["not heard"]
    assert bob.said() == ["into the void"]


def test_a_client_may_come_back_before_we_know_that_it_was_lost() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    again = stage.come_back(alice)
    assert again.resumed and alice.error is not None and alice.error.condition == "conflict"
    bob.say(alice.jid, "hello")
    assert again.said() == ["hello"] and alice.said() == []


def test_a_client_that_stays_away_too_long_is_gone_and_its_server_keeps_what_it_missed() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.break_off()
    bob.say(alice.jid, "too late")
    stage.run(299.0)
    assert bob.inbox == []
    stage.run(2.0)
    assert [(one.from_, one.type) for one in bob.take()] == [(alice.jid, "unavailable")]
    assert len(stage.alpha.offline["alice@chat.test"]) == 1
    assert not stage.come_back(alice).resumed


def test_nobody_comes_back_to_somebody_elses_session() -> None:
    stage = Stage()
    alice = stage.client("alice")
    alice.break_off()
    assert alice.resumable is not None
    bob = stage.connect("bob", resume=Resume(alice.resumable, 0))
    assert not bob.resumed and bob.jid == "bob@chat.test/home"
    assert stage.come_back(alice).resumed


def test_a_client_may_come_back_while_no_server_is_up() -> None:
    stage = Stage()
    alice = stage.client("alice")
    for name in stage.servers:
        stage.kill(name)
    alice.break_off()
    again = stage.come_back(alice)
    assert again.resumed
    stage.revive("alpha")
    stage.client("bob").say(alice.jid, "back again")
    assert again.said() == ["back again"]


def test_a_server_dies_while_the_client_is_away() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.break_off()
    bob.say(alice.jid, "1")
    stage.kill("alpha")
    bob.say(alice.jid, "2")
    stage.run(1.0)
    bob.say(alice.jid, "3")
    again = stage.come_back(alice)
    assert again.said() == ["1", "2", "3"]


def test_a_client_that_never_acknowledges_is_given_up_before_it_costs_too_much() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    bob.acknowledges = False
    for number in range(2010):
        alice.say(bob.jid, str(number))
    assert bob.error is not None and bob.error.condition == "policy-violation"


def test_one_more_than_may_chat_is_a_temporary_failure() -> None:
    stage = Stage(replace(config(), limits=LimitsConfig(max_chats=1)))
    stage.client("alice")
    bob = stage.connect("bob")
    assert bob.failed is not None and bob.failed.condition == "temporary-auth-failure"


def test_a_session_that_is_over_leaves_nothing_behind() -> None:
    """Nobody looks for cycles (commands/serve.py)."""
    kinds = (Session, Residence, Reserve, Traffic, Arrivals, BackendLeg, ClientLeg, Entry)
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.join("lobby"), bob.join("lobby")
    alice.say(bob.jid, "1")
    bob.say(alice.jid, "2")
    stage.run(1.0)
    stage.kill("alpha")
    alice.say(bob.jid, "3")
    stage.run(10.0)
    gc.collect()
    others = {id(one) for one in gc.get_objects() if isinstance(one, kinds)}
    others -= {id(one) for one in reachable(stage.chat) if isinstance(one, kinds)}
    gc.disable()
    try:
        alice.send("</stream:stream>")
        bob.send("</stream:stream>")
        stage.run(20.0)
        left = [one for one in gc.get_objects() if isinstance(one, kinds) and id(one) not in others]
        assert left == []
    finally:
        gc.enable()


def reachable(root: object) -> list[object]:
    """Everything that hangs on it."""
    found = {id(root): root}
    todo = [root]
    while todo:
        for one in gc.get_referents(todo.pop()):
            if id(one) not in found and not isinstance(one, type | ModuleType | FunctionType):
                found[id(one)] = one
                todo.append(one)
    return list(found.values())
