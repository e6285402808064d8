"""One client's connection."""

from __future__ import annotations

from pathlib import Path

from haproxy_voip.configuration.model import ProxyConfig, TlsConfig, XmppConfig
from haproxy_voip.core.address import Endpoint, Flow, Transport
from haproxy_voip.core.events import StreamData, StreamOpened
from haproxy_voip.proxy.chat_facts import ChatRefused
from haproxy_voip.proxy.events import TlsStarted
from haproxy_voip.proxy.facts import AuthenticationFailed
from haproxy_voip.xmpp.client_stream import TlsPolicy
from tests.proxy.chat.server import DOMAIN
from tests.proxy.chat.stage import PROXY, Stage, config

HEADER = (
    b"<stream:stream to='chat.test' version='1.0' xmlns='jabber:client' "
    b"xmlns:stream='http://etherx.jabber.org/streams'>"
)


def test_a_client_that_says_nothing_useful_is_dropped_in_time() -> None:
    stage = Stage()
    alice = stage.connect("alice")
    assert not alice.ended
    flow = Flow(Transport.TCP, PROXY, alice.flow.remote, 99)
    stage.clients[99] = stage.clients[alice.flow.connection]
    stage.feed(StreamOpened(flow))
    stage.feed(StreamData(HEADER, flow))
    stage.run(61.0)
    assert 99 not in stage.chat.shared.legs
    assert any(isinstance(fact, ChatRefused) and fact.flow == flow for fact in stage.facts)


def test_a_client_that_begins_with_tls_is_greeted_once_the_certificates_hash_is_known() -> None:
    listen = (Endpoint(Transport.TLS, PROXY),)
    tls = TlsConfig(certificate=Path("c"), key=Path("k"))
    stage = Stage(config(proxy=ProxyConfig(domain=DOMAIN, tls=tls, xmpp=XmppConfig(listen=listen))))
    alice = stage.connect("alice", tls=TlsPolicy.REQUIRED)
    flow = alice.flow._replace(connection=101, transport=Transport.TLS)
    stage.clients[101] = alice
    stage.feed(StreamOpened(flow))
    leg = stage.chat.shared.legs[101]
    assert leg.stream is None  # type: ignore[attr-defined]
    stage.feed(TlsStarted(flow, b"hash", "chat.test"))
    assert leg.stream.tls.endpoint_hash == b"hash"  # type: ignore[attr-defined]


def test_a_wrong_password_is_told_to_whoever_reads_the_log() -> None:
    tls = TlsConfig(certificate=Path("c"), key=Path("k"))
    xmpp = XmppConfig(listen=(Endpoint(Transport.TCP, PROXY),), mechanisms=("PLAIN",))
    stage = Stage(config(proxy=ProxyConfig(domain=DOMAIN, tls=tls, xmpp=xmpp)))
    alice = stage.connect("alice", password="guess", tls=TlsPolicy.REQUIRED)
    assert alice.failed is not None and alice.failed.condition == "not-authorized"
    [wrong] = [fact for fact in stage.facts if isinstance(fact, AuthenticationFailed)]
    assert wrong.user == "alice" and "guess" not in str(wrong)


def test_bad_xml_ends_one_stream_and_no_other() -> None:
    stage = Stage()
    alice, bob = stage.client("alice"), stage.client("bob")
    alice.send("<message><body></message>")
    assert alice.error is not None and alice.error.condition == "not-well-formed"
    assert not bob.ended and [one.type for one in bob.take()] == ["unavailable"]


def test_more_acknowledgements_than_stanzas_end_the_stream() -> None:
    """XEP-0198 section 4."""
    stage = Stage()
    alice = stage.client("alice")
    alice.send("<a xmlns='urn:xmpp:sm:3' h='1000'/>")
    assert alice.error is not None and alice.error.condition == "undefined-condition"
    bob = stage.client("bob")
    bob.send("<a xmlns='urn:xmpp:sm:3' h='-1'/>")
    assert bob.error is not None and bob.error.condition == "bad-format"
