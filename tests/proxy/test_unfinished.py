"""Whoever begins a message on a connection ends it in time, or the connection ends."""

from __future__ import annotations

import pytest

from haproxy_voip.configuration.model import LimitsConfig
from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.effects import Close
from haproxy_voip.core.events import StreamClosed, StreamData, StreamOpened
from haproxy_voip.proxy.facts import MessageRefused
from haproxy_voip.proxy.limit_facts import SourceBanned
from haproxy_voip.proxy.unfinished import MESSAGE_SECONDS
from tests.proxy.servers import register
from tests.proxy.stage import PROXY, Peer, Stage, config

EVIL = "198.51.100.66"
OPTIONS = b"OPTIONS sip:voip.test SIP/2.0\r\nContent-Length: 0\r\n\r\n"
HUGE = b"INVITE sip:voip.test SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bK1\r\nContent-Length: 65535\r\n\r\nv"


class Watched(Stage):
    """Keeps which connections the node ends."""

    def __init__(self, failures: int) -> None:
        self.closed: list[int] = []
        super().__init__(config(limits=LimitsConfig(failures=failures)))

    def carry_out(self, outputs: list[object]) -> None:
        for output in outputs:
            if isinstance(output, Close):
                self.closed.append(output.flow.connection)
        super().carry_out([output for output in outputs if not isinstance(output, Close)])


def slow(stage: Stage, number: int, begun: bytes, host: str = EVIL) -> Peer:
    peer = stage.connected("1003", number, host)
    peer.send(begun)
    return peer


@pytest.mark.parametrize("begun", [b"I", b"INVITE sip:voip.test SIP/2.0\r\nX: ", HUGE, b"\r", OPTIONS + b"O"])
def test_a_message_that_does_not_end_costs_its_connection(begun: bytes) -> None:
    stage = Watched(100)
    slow(stage, 1, begun)
    stage.pass_time(MESSAGE_SECONDS - 0.1)
    assert stage.closed == []
    stage.pass_time(0.2)
    assert stage.closed == [1]
    [told] = [fact for fact in stage.facts if isinstance(fact, MessageRefused) and "did not end" in fact.reason]
    assert told.flow.remote.host == EVIL


def test_a_byte_now_and_then_gains_no_time() -> None:
    stage = Watched(100)
    peer = slow(stage, 1, HUGE)
    for _ in range(31):
        stage.pass_time(1.0)
        peer.send(b"v")
    assert stage.closed == []
    stage.pass_time(1.1)
    assert stage.closed == [1] and len(stage.node._unfinished) == 0


def test_each_message_has_its_own_time() -> None:
    stage = Watched(100)
    peer = slow(stage, 1, OPTIONS[:20])
    for _ in range(10):
        stage.pass_time(MESSAGE_SECONDS - 1.0)
        peer.send(OPTIONS[20:] + OPTIONS[:20])
    assert stage.closed == []
    peer.send(OPTIONS[20:])
    stage.pass_time(600.0)
    assert stage.closed == [] and len(stage.node._unfinished) == 0


def test_connections_that_wait_in_silence_between_messages_are_left_alone() -> None:
    stage = Watched(100)
    alice = stage.connected("1001", 1)
    register(alice)
    alice.send(b"\r\n\r\n")
    stage.pass_time(300.0)
    assert stage.closed == []


def test_the_first_that_began_is_the_first_to_go_and_who_left_is_forgotten() -> None:
    stage = Watched(100)
    for number in (1, 3, 5):
        slow(stage, number, b"I")
        stage.pass_time(10.0)
    stage.feed(StreamClosed(stage.streams[3].flow, "gone"))
    assert len(stage.node._unfinished) == 2
    stage.pass_time(5.0)
    assert stage.closed == [1]
    stage.pass_time(20.0)
    assert stage.closed == [1, 5]


def test_whoever_does_it_again_and_again_is_banned() -> None:
    stage = Watched(5)
    for number in range(6):
        slow(stage, 2 * number + 1, HUGE)
    stage.pass_time(MESSAGE_SECONDS + 0.1)
    assert [(fact.source, fact.reason) for fact in stage.facts if isinstance(fact, SourceBanned)] == [
        (EVIL, "malformed messages")
    ]


def test_a_users_own_connection_that_breaks_off_bans_nobody() -> None:
    stage = Watched(0)
    alice = stage.connected("1001", 1)
    register(alice)
    alice.send(b"BYE")
    stage.pass_time(MESSAGE_SECONDS + 0.1)
    assert stage.closed == [1] and not [fact for fact in stage.facts if isinstance(fact, SourceBanned)]


def test_a_backend_is_judged_by_its_health_alone() -> None:
    stage = Watched(100)
    flow = Flow(Transport.TCP, PROXY, Address(stage.alpha.host, 40_001), 1)
    stage.feed(StreamOpened(flow))
    stage.feed(StreamData(HUGE, flow))
    stage.pass_time(2 * MESSAGE_SECONDS)
    assert stage.closed == []
