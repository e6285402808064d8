"""The chat part of the node: which events are its own, what leaves together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from haproxy_voip.configuration.model import ChatDomainConfig, ProxyConfig, SipConfig, TlsConfig, XmppConfig
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.credential import Credential
from haproxy_voip.core.effects import Close, Send
from haproxy_voip.core.events import StreamClosed, StreamData, StreamOpened
from haproxy_voip.proxy.effects import Left, ProbeStream
from haproxy_voip.proxy.events import AskedToStop, CanaryOpened, ProbeRefused
from haproxy_voip.proxy.node import _callers
from haproxy_voip.xmpp.client_stream import TlsPolicy
from haproxy_voip.xmpp.errors import StreamCondition
from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import PROXY, Stage, config

PEER = Address("192.0.2.9", 40000)


def test_streams_of_its_listeners_and_those_it_opened_are_chats() -> None:
    stage = Stage()
    assert stage.chat.owns(Flow(Transport.TCP, PROXY, PEER, 7))
    assert not stage.chat.owns(Flow(Transport.TCP, Address(PROXY.host, 5060), PEER, 9))
    leg = stage.session(stage.client("alice")).residence.active
    assert leg is not None and stage.chat.owns(leg.flow)
    assert stage.chat.owns(leg.flow._replace(connection=1000))  # given up already
    assert not stage.chat.owns(Flow(Transport.TCP, Address("127.0.0.10", 5060), PEER, 1000))


def test_a_listener_on_every_address_has_those_of_each() -> None:
    listen = (Endpoint(Transport.TCP, Address("0.0.0.0", 5222)),)
    stage = Stage(config(proxy=ProxyConfig(domain=DOMAIN, sip=SipConfig(), xmpp=XmppConfig(listen=listen))))
    assert stage.chat.owns(Flow(Transport.TCP, Address("198.51.100.7", 5222), PEER, 7))


def test_bytes_for_one_connection_leave_as_one() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    sends: list[Send] = []
    carry_out = stage.carry_out
    stage.carry_out = lambda outputs: (  # type: ignore[assignment, method-assign]
        sends.extend(one for one in outputs if isinstance(one, Send)),
        carry_out(outputs),  # type: ignore[func-returns-value]
    )
    batch = b"".join(b"<message to='%b' id='%d'><body>x</body></message>" % (bob.jid.encode(), n) for n in range(5))
    stage.feed(StreamData(batch, alice.flow))
    assert [send.flow.connection % 2 for send in sends[:1]] == [0] and sends[0].data.count(b"<message") == 5
    assert sends[0].data.endswith(b"<r xmlns='urn:xmpp:sm:3'/>")
    assert len(bob.inbox) == 5


def test_a_connection_given_up_while_it_was_made_is_closed() -> None:
    stage = Stage()
    flow = Flow(Transport.TCP, Address("0.0.0.0", 0), Address("127.0.0.11", 5222), 1000)
    assert stage.chat.receive(StreamOpened(flow), stage.now) == [Close(flow)]
    assert stage.chat.receive(StreamClosed(flow, "gone"), stage.now) == []


def test_health_of_telephony_and_of_chat_are_two_things() -> None:
    stage = Stage()
    assert stage.chat.shared.backends.detectors["alpha"].up
    assert stage.node.backends.detectors == {}  # nobody telephones here
    outputs = stage.node.receive(ProbeRefused("alpha", "refused", "xmpp"), stage.now)
    assert stage.chat.shared.backends.detectors["alpha"].suspected_for is not None or outputs
    assert stage.node.receive(CanaryOpened("alpha", "xmpp"), stage.now) == []


def test_probes_begin_with_the_node() -> None:
    stage = Stage()
    stage.run(1.0)
    assert stage.node.deadline is not None
    assert any(isinstance(one, ProbeStream) for one in stage.chat.shared.backends._probe("beta", 9))


def test_users_that_are_read_again_may_log_in_and_those_who_are_there_stay() -> None:
    stage = Stage()
    alice = stage.client("alice")
    stage.node.replace_users(DOMAIN, {"bob": Credential("bob", DOMAIN, password=stage.passwords["bob"])})
    assert stage.client("bob").jid and not alice.ended
    assert stage.connect("alice", "other").failed is not None


def two_domains(users: bool) -> Stage:
    """The stage's servers are those of the second domain, which has users of its own or none."""
    plain = config()
    assert plain.proxy.xmpp is not None
    own = ChatDomainConfig(name=DOMAIN, users=Path("own.yaml") if users else None)
    xmpp = replace(plain.proxy.xmpp, domains=(ChatDomainConfig(name="main.test"), own))
    tls = TlsConfig(certificate=Path("x.crt"), key=Path("x.key"))
    stage = Stage(replace(plain, proxy=replace(plain.proxy, domain="main.test", xmpp=xmpp, tls=tls)), users=())
    known = {"alice": Credential("alice", "main.test", password="of another alice")}
    if users:
        known[f"alice@{DOMAIN}"] = Credential("alice", DOMAIN, password=stage.passwords["alice"])
    stage.node.replace_users("main.test", known)
    return stage


def test_users_of_another_domain_are_known_by_its_own_file() -> None:
    stage = two_domains(users=True)
    alice = stage.client("alice")
    assert "SCRAM-SHA-256" in alice.stream.mechanisms
    refused = stage.connect("alice", "elsewhere", password="of another alice")
    assert refused.failed is not None and refused.failed.condition == "not-authorized"
    assert stage.alpha.logins == 1


def test_users_of_a_domain_without_a_file_are_the_backends_to_judge_and_nothing_else_is_offered() -> None:
    """SCRAM could not be passed on."""
    stage = two_domains(users=False)
    alice = stage.client("alice", tls=TlsPolicy.REQUIRED)
    assert alice.stream.mechanisms == ("PLAIN",)
    refused = stage.connect("alice", "elsewhere", password="of another alice", tls=TlsPolicy.REQUIRED)
    assert refused.failed is not None and refused.failed.condition == "not-authorized"


def test_who_is_of_another_domain_may_not_telephone() -> None:
    users = {name: Credential("alice", "main.test", password="x") for name in ("alice", f"alice@{DOMAIN}")}
    assert list(_callers(users)) == ["alice"]


def test_a_proxy_that_stops_says_so_to_every_client_and_leaves_its_servers_in_peace() -> None:
    """RFC 6120 section 4.9.3.20."""
    stage = Stage()
    alice, bob, carol = (stage.client(name) for name in ("alice", "bob", "carol"))
    carol.acknowledges = False
    alice.say(carol.jid, "for later")
    carol.break_off()
    stage.feed(AskedToStop("SIGTERM"))
    stage.settle()
    for client in (alice, bob):
        assert client.error is not None and client.error.condition is StreamCondition.SYSTEM_SHUTDOWN
    assert sum(isinstance(fact, Left) for fact in stage.facts) == 1
    assert not stage.chat.shared.sessions.all and not stage.chat.shared.legs
    assert not any(server.sessions for server in stage.servers.values())
    assert len(stage.alpha.offline[carol.jid.partition("/")[0]]) == 1
