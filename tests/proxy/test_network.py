"""Listeners, addresses of ours, and the connections to backends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from haproxy_voip.configuration.model import BackendConfig, Config, LimitsConfig, ProxyConfig, SipConfig
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.effects import Close, Open
from haproxy_voip.proxy.network import OWN_STREAMS, Network, NoListener
from haproxy_voip.sip.message import Request, header
from tests.proxy.servers import TCP_BACKENDS, Servers, register
from tests.proxy.stage import DOMAIN, Peer, config
from tests.proxy.trunking import trunk

ALPHA = "udp:127.0.0.11:5060"
PHONE = Address("192.0.2.7", 5060)


def listening(
    *texts: str, advertise: str | None = None, backends: tuple[str, ...] = ("udp:127.0.0.11:5060",)
) -> Config:
    listen = tuple(Endpoint.parse(text) for text in texts)
    made = tuple(BackendConfig(name=f"b{number}", sip=Endpoint.parse(text)) for number, text in enumerate(backends))
    return config(proxy=ProxyConfig(domain=DOMAIN, advertise=advertise, sip=SipConfig(listen=listen)), backends=made)


def udp(local: str, remote: Address = PHONE) -> Flow:
    return Flow(Transport.UDP, Address.parse(local), remote)


def large(size: int = 2000) -> Request:
    return Request("MESSAGE", "sip:x@y", [header("CSeq", "1 MESSAGE")], b"x" * size)


def test_sent_by_names_the_listener_the_flow_is_of() -> None:
    network = Network(listening("udp:192.0.2.1:5060", "udp:192.0.2.1:5080", "udp:192.0.2.2:5060"))
    assert network.sent_by(udp("192.0.2.1:5080")) == "192.0.2.1:5080"
    assert network.sent_by(udp("192.0.2.2:5060")) == "192.0.2.2:5060"
    assert network.contact("t", udp("192.0.2.1:5080")) == "<sip:t@192.0.2.1:5080>"


def test_a_connection_accepted_on_a_wildcard_listener_has_its_port() -> None:
    network = Network(listening("tcp:0.0.0.0:5070", "tcp:192.0.2.9:5060", advertise="203.0.113.5"))
    flow = Flow(Transport.TCP, Address("192.0.2.1", 5070), PHONE, 1)
    assert network.sent_by(flow) == "203.0.113.5:5070"
    assert network.contact("t", flow) == "<sip:t@203.0.113.5:5070;transport=tcp>"


def test_ipv6_has_brackets_and_is_not_advertised_as_ipv4() -> None:
    network = Network(
        listening(
            "udp:0.0.0.0:5060", "udp:[2001:db8::1]:5060", advertise="203.0.113.5", backends=("udp:[2001:db8::11]:5060",)
        )
    )
    assert network.sent_by(udp("[2001:db8::1]:5060", Address("2001:db8::7", 5060))) == "[2001:db8::1]:5060"
    assert network.to_backend("b0").local.host == "2001:db8::1"
    assert network.uri("b0") == "sip:[2001:db8::11]:5060"


def test_where_no_listener_fits_a_backend_cannot_be_reached() -> None:
    network = Network(listening("udp:192.0.2.1:5060", backends=("udp:[2001:db8::11]:5060",)))
    with pytest.raises(NoListener):
        network.to_backend("b0")
    with pytest.raises(NoListener):
        network.sent_by(Flow(Transport.TLS, Address("192.0.2.1", 5061), PHONE, 1))


def test_backends_on_one_host_are_told_apart_by_their_ports() -> None:
    network = Network(listening("udp:192.0.2.1:5060", backends=("udp:127.0.0.1:5061", "udp:127.0.0.1:5062")))
    assert network.backend_at(Address("127.0.0.1", 5062)) == "b1"
    assert network.backend_at(Address("127.0.0.1", 5063)) is None
    alone = Network(listening("udp:192.0.2.1:5060"))
    assert alone.backend_at(Address("127.0.0.11", 33000)) == "b0"


def test_a_backends_connection_is_opened_by_the_first_who_sends_and_kept() -> None:
    network = Network(listening("tcp:192.0.2.1:5060", backends=("tcp:127.0.0.11:5060",)))
    flow = network.to_backend("b0")
    assert network.to_backend("b0") is flow
    assert network.way(flow, large(), 0.0) == (flow, [Open(flow)])
    assert network.way(flow, large(), 0.0) == (flow, [])
    network.opened(flow)
    network.closed(flow)
    assert not network.never_opened(flow)
    again, opening = network.way(flow, large(), 0.0)
    assert again.connection != flow.connection and opening == [Open(again)]
    network.closed(again)
    assert network.never_opened(again)


def test_a_large_request_goes_to_a_udp_backend_by_tcp_and_small_ones_do_not() -> None:
    network = Network(listening("udp:192.0.2.1:5060", "tcp:192.0.2.1:5060"))
    flow = network.to_backend("b0")
    assert network.way(flow, large(500), 0.0) == (flow, [])
    way, _ = network.way(flow, large(), 0.0)
    assert way.transport is Transport.TCP
    assert network.backend_at(way.remote) == "b0"
    network.closed(way)
    assert network.no_tcp(way, 10.0) is flow
    assert network.way(flow, large(), 11.0) == (flow, [])
    assert network.way(flow, large(), 400.0)[0].transport is Transport.TCP


def test_without_a_tcp_listener_large_requests_stay_datagrams() -> None:
    network = Network(listening("udp:192.0.2.1:5060"))
    flow = network.to_backend("b0")
    assert network.way(flow, large(), 0.0) == (flow, [])


def test_clients_are_sent_to_on_their_flow_whatever_the_size() -> None:
    network = Network(listening("udp:192.0.2.1:5060", "tcp:192.0.2.1:5060"))
    flow = udp("192.0.2.1:5060")
    assert network.way(flow, large(), 0.0) == (flow, [])
    gone = Flow(Transport.TCP, Address("192.0.2.1", 5060), PHONE, 7)
    assert network.way(gone, large(), 0.0) == (gone, [])


def test_streams_beyond_the_configured_number_and_our_own_are_closed() -> None:
    config = replace(listening("tcp:192.0.2.1:5060"), limits=LimitsConfig(max_connections=3))
    network = Network(config)
    most = 3 + OWN_STREAMS * len(config.backends)
    flows = [Flow(Transport.TCP, Address("192.0.2.1", 5060), PHONE, 2 * number + 1) for number in range(most + 1)]
    assert [network.opened(flow) for flow in flows] == [[]] * most + [[Close(flows[-1])]]
    assert network.streams == most


# -- through a node -------------------------------------------------------------------------------------


def message(peer: Peer, size: int = 20) -> None:
    peer.request("MESSAGE", f"sip:1002@{DOMAIN}", body=b"x" * size, content_type="text/plain")


def test_a_large_message_goes_by_tcp_and_by_udp_where_nobody_listens() -> None:
    stage = Servers()
    alice = stage.phone("1001")
    message(alice, 3000)
    stage.pass_time(0.1)
    at_alpha = stage.alpha.take_request("MESSAGE")
    assert at_alpha.top_via.transport == "TCP"
    stage.alpha.answer(at_alpha, 200)
    alice.take(200)
    stage.assert_nothing_left()

    stage = Servers()
    stage.no_tcp.add("alpha")
    alice = stage.phone("1001")
    message(alice, 3000)
    stage.pass_time(0.1)
    at_alpha = stage.alpha.take_request("MESSAGE")
    assert at_alpha.top_via.transport == "UDP"
    stage.alpha.answer(at_alpha, 200)
    alice.take(200)
    message(alice, 3000)
    assert len(stage.opened) == 1
    stage.alpha.answer(stage.alpha.take_request("MESSAGE"), 200)
    stage.assert_nothing_left()


def test_a_large_invite_that_falls_back_to_udp_can_be_cancelled() -> None:
    stage = Servers()
    stage.no_tcp.add("alpha")
    alice = stage.phone("1001")
    invite = alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer() + b"a=x:" + b"y" * 1500 + b"\r\n")
    stage.pass_time(0.1)
    at_alpha = stage.alpha.take_request("INVITE")
    stage.alpha.answer(at_alpha, 180)
    alice.cancel(invite)
    cancel = stage.alpha.take_request("CANCEL")
    assert cancel.top_via.branch == at_alpha.top_via.branch
    stage.alpha.answer(cancel, 200)
    stage.alpha.answer(at_alpha, 487)
    stage.alpha.take("ACK")
    alice.take(487)


def test_requests_waiting_for_a_connection_that_fails_go_to_another_backend() -> None:
    stage = Servers(backends=TCP_BACKENDS)
    alice = stage.phone("1001")
    stage.pass_time(0.1)
    stage.no_tcp.add("alpha")
    stage.cut("alpha")
    message(alice)
    stage.pass_time(0.01)
    stage.beta.answer(stage.beta.take_request("MESSAGE"), 200)
    alice.take(200)
    stage.no_tcp.clear()
    stage.assert_nothing_left()


def test_a_response_to_a_backend_whose_connection_ended_goes_over_another() -> None:
    stage = Servers(backends=TCP_BACKENDS)
    bob = stage.phone("1002")
    stage.pass_time(0.1)
    stage.alpha.send(stage.alpha.new("MESSAGE", f"sip:{stage.token_of('1002')}@127.0.0.10:5060"))
    opened = len(stage.opened)
    stage.cut("alpha")
    bob.answer(bob.take_request("MESSAGE"), 200)
    assert len(stage.opened) == opened + 1
    stage.alpha.take(200)


def test_an_answer_comes_from_the_listener_that_was_asked() -> None:
    stage = Servers(
        proxy=ProxyConfig(
            domain=DOMAIN,
            sip=SipConfig(listen=tuple(Endpoint.parse(f"udp:127.0.0.10:{port}") for port in (5060, 5080))),
        )
    )
    alice = stage.client("1001")
    alice.flow = alice.flow._replace(local=Address("127.0.0.10", 5080))
    register(alice)
    stage.alpha.send(stage.alpha.new("MESSAGE", f"sip:{stage.token_of('1001')}@127.0.0.10:5060"))
    assert alice.take_request("MESSAGE").top_via.port == 5080


def test_a_call_waiting_for_a_connection_that_fails_is_placed_at_another_backend() -> None:
    stage = Servers(backends=TCP_BACKENDS)
    alice = stage.phone("1001")
    stage.pass_time(0.1)
    stage.no_tcp.add("alpha")
    stage.cut("alpha")
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    stage.pass_time(0.01)
    stage.beta.answer(stage.beta.take_request("INVITE"), 486)
    alice.take(486)


def test_a_dialog_outlives_the_connection_it_was_made_on() -> None:
    stage = Servers(backends=TCP_BACKENDS)
    alice = stage.phone("1001")
    invite = alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    stage.pass_time(0.1)
    at_alpha = stage.alpha.take_request("INVITE")
    stage.alpha.answer(at_alpha, 200, body=stage.alpha.offer(9000))
    ok = alice.take_response(200)
    alice.ack(invite, ok)
    stage.alpha.take("ACK")
    opened = len(stage.opened)
    stage.cut("alpha")
    alice.send(alice.within(invite, ok, "BYE", invite.cseq.number + 1))
    stage.pass_time(0.1)
    assert len(stage.opened) == opened + 1
    stage.alpha.answer(stage.alpha.take_request("BYE"), 200)
    alice.take(200)
    stage.assert_nothing_left()


# -- trunks ---------------------------------------------------------------------------------------------


def test_a_connection_to_a_trunk_that_ended_is_made_anew_whoever_made_the_first() -> None:
    tcp = trunk(address=Endpoint(Transport.TCP, Address("203.0.113.5", 5060)))
    network = Network(config(trunks=(tcp,)))
    assert network.backend_at(tcp.address.address) is None
    first = network.to_backend("carrier")
    assert network.way(first, large(), 0.0) == (first, [Open(first)])
    network.closed(first)
    [(second, opening)] = [network.way(first, large(), 0.0)]
    assert second.connection not in (0, first.connection) and opening == [Open(second)]
    theirs = Flow(Transport.TCP, first.local, Address("203.0.113.5", 40001), 1)
    assert network.opened(theirs) == [] and network.way(theirs, large(), 0.0) == (theirs, [])
    network.closed(theirs)
    assert network.way(theirs, large(), 0.0)[0] == second == network.way_back(theirs)[0]


def test_a_trunk_on_udp_is_sent_datagrams_however_large() -> None:
    network = Network(config(trunks=(trunk(),)))
    flow = network.to_backend("carrier")
    assert flow.connection == 0 and network.way(flow, large(), 0.0) == (flow, [])
