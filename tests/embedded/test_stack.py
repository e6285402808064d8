"""The stack under phone and PBX: what comes in by datagram and stream, and what is refused."""

from __future__ import annotations

import pytest

from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.core.events import Datagram, StreamClosed, StreamData, StreamOpened
from haproxy_voip.embedded import stack as module
from haproxy_voip.embedded.facts import Output
from haproxy_voip.embedded.pbx import Pbx
from haproxy_voip.embedded.settings import PbxSettings
from haproxy_voip.sip.message import Response, parse

HERE, PEER = Address("192.0.2.10", 5060), Address("192.0.2.99", 5070)
UDP = Flow(Transport.UDP, HERE, PEER)
TCP = Flow(Transport.TCP, HERE, PEER, 1)
OPTIONS = (
    "OPTIONS sip:pbx@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.99:5070;branch=z9hG4bK1;rport\r\n"
    "From: <sip:a@b.example>;tag=1\r\nTo: <sip:pbx@192.0.2.10>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n"
    "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


def pbx() -> Pbx:
    listen = (Endpoint(Transport.UDP, HERE), Endpoint(Transport.TCP, HERE))
    return Pbx(PbxSettings(listen=listen, users={"1001": "x"}), Chance.seeded(1))


def statuses(outputs: list[Output]) -> list[int]:
    answers = [parse(output.data) for output in outputs if isinstance(output, Send)]
    return [answer.status for answer in answers if isinstance(answer, Response)]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (("", ""), 200),
        (("CSeq: 1 OPTIONS", "CSeq: 1 INVITE"), 400),
        (("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"), 505),
        (("Max-Forwards: 70", "Max-Forwards: 0"), 483),
        (("Max-Forwards: 70", "Max-Forwards: 70\r\nRequire: rocket"), 420),
        (("To: <sip:pbx@192.0.2.10>", "To: <sip:pbx@192.0.2.10>;tag=old"), 481),
        (("OPTIONS", "DANCE"), 407),
        (("OPTIONS", "CANCEL"), 481),
    ],
)
def test_requests_outside_dialogs(change: tuple[str, str], status: int) -> None:
    text = OPTIONS.replace(*change) if change[0] else OPTIONS
    assert statuses(pbx().receive(Datagram(text.encode(), UDP), 0.0)) == [status]


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n", b"\0\0", b"noise", OPTIONS.encode()[:80]])
def test_keepalives_and_noise_are_not_answered(data: bytes) -> None:
    assert statuses(pbx().receive(Datagram(data, UDP), 0.0)) in ([], [400])


def test_every_prefix_of_a_message_does_no_harm() -> None:
    machine, data = pbx(), OPTIONS.encode()
    for end in range(len(data)):
        machine.receive(Datagram(data[:end], UDP), 0.0)
    assert statuses(machine.receive(Datagram(data, UDP), 0.0)) == [200]


def test_a_stream_is_framed_and_pings_are_answered() -> None:
    machine = pbx()
    machine.receive(StreamOpened(TCP), 0.0)
    data = OPTIONS.replace("UDP", "TCP").encode()
    assert machine.receive(StreamData(data[:50], TCP), 0.0) == []
    assert statuses(machine.receive(StreamData(data[50:], TCP), 0.0)) == [200]
    assert machine.receive(StreamData(b"\r\n\r\n", TCP), 0.0) == [Send(TCP, b"\r\n")]


def test_a_stream_that_cannot_be_framed_is_closed() -> None:
    machine = pbx()
    machine.receive(StreamOpened(TCP), 0.0)
    outputs = machine.receive(StreamData(b"GET / HTTP/1.1\r\n\r\n", TCP), 0.0)
    assert Close(TCP) in outputs
    machine.receive(StreamClosed(TCP, "closed by us"), 0.0)
    assert machine.receive(StreamData(b"late", TCP), 0.0) == []


def test_more_streams_than_the_limit_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STREAMS", 1)
    machine = pbx()
    assert machine.receive(StreamOpened(TCP), 0.0) == []
    other = TCP._replace(connection=3)
    assert machine.receive(StreamOpened(other), 0.0) == [Close(other)]


def test_a_server_on_tcp_is_reached_by_one_connection() -> None:
    stack = pbx().stack
    server = Endpoint(Transport.TCP, PEER)
    flow = stack.flow(server)
    assert stack.flow(server) is flow and stack.take() == [Open(flow)] and flow.connection % 2 == 0
    stack.receive(StreamClosed(flow, "gone"), 0.0)
    assert stack.flow(server).connection != flow.connection


@pytest.mark.parametrize(
    ("uri", "remote"),
    [
        ("sip:a@192.0.2.5", Address("192.0.2.5", 5060)),
        ("sip:a@192.0.2.5:5090", Address("192.0.2.5", 5090)),
        ("sip:a@name.example:5090", PEER),
    ],
)
def test_uris_become_flows_and_names_stay_where_they_were(uri: str, remote: Address) -> None:
    assert pbx().stack.flow_to(uri, UDP).remote == remote
    assert pbx().stack.flow_to(uri, TCP) is TCP
