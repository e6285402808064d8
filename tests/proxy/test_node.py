"""The node as a machine: bytes in, what is due, what is broken, and what it never does."""

import pytest

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.credential import Credential
from haproxy_voip.core.effects import Close, Send
from haproxy_voip.core.events import Datagram, StreamClosed, StreamData, StreamOpened
from haproxy_voip.proxy.events import (
    ProbeReply,
    RelayInUse,
)
from haproxy_voip.proxy.facts import MessageRefused, SessionFailed
from haproxy_voip.proxy.forward import Forward
from haproxy_voip.proxy.reception import Reception
from haproxy_voip.sip.message import Request, Response, parse
from tests.proxy.stage import DOMAIN, PROXY, Stage
from tests.proxy.talk import calm, outgoing

STRANGER = Flow(Transport.UDP, PROXY, Address("127.0.1.99", 5060))
STREAM = Flow(Transport.TCP, PROXY, Address("127.0.1.99", 40_001), 1)


def told(stage: Stage, event: object) -> list[object]:
    """What the node says to this event, not carried out."""
    return list(stage.node.receive(event, stage.now))  # type: ignore[arg-type]


def sent(outputs: list[object]) -> list[bytes]:
    return [output.data for output in outputs if isinstance(output, Send)]


# --- datagrams -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0", b" \r\n"])
def test_keepalives_over_udp_are_nothing(data: bytes) -> None:
    assert told(Stage(), Datagram(data, STRANGER)) == []


def test_bytes_that_are_no_message_are_a_fact_and_get_no_answer() -> None:
    [fact] = told(Stage(), Datagram(b"GET / HTTP/1.1\r\nHost: voip.test\r\n\r\n", STRANGER))
    assert isinstance(fact, MessageRefused) and fact.status == 0 and "127.0.1.99" in str(fact)


def test_a_bad_request_is_answered_where_it_came_from_even_if_its_via_cannot_be_read() -> None:
    """RFC 4475 section 3.1.2.1 wants a 400, and there is one place it can go."""
    data = (
        b"OPTIONS sip:voip.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.15;;,;,,\r\nFrom: <sip:a@b>;tag=1\r\n"
        b"To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\r\n"
    )
    outputs = told(Stage(), Datagram(data, STRANGER))
    assert sent(outputs)[0].startswith(b"SIP/2.0 400 ")
    assert [output.flow for output in outputs if isinstance(output, Send)] == [STRANGER]
    assert isinstance(outputs[-1], MessageRefused) and outputs[-1].status == 400


def test_a_bad_ack_gets_no_answer() -> None:
    """RFC 3261 section 17: there is no response to an ACK."""
    data = b"ACK sip:voip.test SIP/2.0\r\nVia: nonsense\r\nCall-ID: x\r\nCSeq: 1 ACK\r\n\r\n"
    assert sent(told(Stage(), Datagram(data, STRANGER))) == []


def test_a_nul_is_not_sent_back() -> None:
    data = b"OPTIONS sip:voip.test SIP/2.0\r\nVia: x\0y\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\r\n"
    assert sent(told(Stage(), Datagram(data, STRANGER))) == []


def test_a_response_to_nothing_is_dropped() -> None:
    data = (
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.10;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n"
        b"To: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n"
    )
    assert told(Stage(), Datagram(data, STRANGER)) == []


def test_a_mistake_with_a_request_is_answered_500(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    alice = stage.phone("1001")
    stage.mistakes_expected = True
    monkeypatch.setattr(Reception, "request", wrong)
    alice.send(alice.new("MESSAGE", f"sip:1002@{DOMAIN}"))
    alice.take(500)
    [fact] = [fact for fact in stage.facts if isinstance(fact, SessionFailed)]
    assert "a mistake" in fact.error


@pytest.mark.parametrize("response", [True, False])
def test_a_mistake_with_an_answer_or_its_absence_ends_the_session_it_belongs_to(
    monkeypatch: pytest.MonkeyPatch, response: bool
) -> None:
    stage = calm()
    talk = outgoing(stage).established()
    stage.mistakes_expected = True
    talk.by_caller("INFO")
    at_alpha = stage.alpha.take_request("INFO")
    monkeypatch.setattr(Forward, "response" if response else "failed", wrong)
    if response:
        stage.alpha.answer(at_alpha, 200)
        talk.caller.take(500)
    else:
        stage.pass_time(33)  # who asked has timed out as well
    talk.caller.take("BYE")
    stage.alpha.take("BYE")
    assert [fact.what for fact in stage.facts if isinstance(fact, SessionFailed)] == [
        "ResponseReceived" if response else "TimedOut"
    ]


def wrong(*arguments: object) -> list[object]:
    raise KeyError("a mistake")


# --- streams -------------------------------------------------------------------------------------------------------


def test_a_ping_on_a_stream_gets_its_pong() -> None:
    """RFC 5626 section 4.4.1."""
    stage = Stage()
    told(stage, StreamOpened(STREAM))
    assert told(stage, StreamData(b"\r\n\r\n", STREAM)) == [Send(STREAM, b"\r\n")]
    assert told(stage, StreamData(b"\r\n", STREAM)) == []


def test_a_stream_whose_borders_are_lost_is_closed() -> None:
    stage = Stage()
    told(stage, StreamOpened(STREAM))
    outputs = told(stage, StreamData(b"GET / HTTP/1.1\r\nHost: voip.test\r\n\r\n", STREAM))
    assert outputs[-1] == Close(STREAM)
    assert any(isinstance(output, MessageRefused) for output in outputs)


def test_a_bad_request_whose_end_is_known_does_not_end_its_stream() -> None:
    stage = Stage()
    alice = stage.connected("1001", 1)
    bad = alice.new("OPTIONS", f"sip:{DOMAIN}")
    bad.set("max-forwards", "many")
    good = alice.new("OPTIONS", f"sip:{DOMAIN}")
    alice.send(bad.encode() + good.encode())
    assert [message.status for message in alice.inbox if isinstance(message, Response)] == [400, 200]


def test_bytes_of_a_stream_nobody_opened_are_nothing() -> None:
    assert told(Stage(), StreamData(b"OPTIONS sip:voip.test SIP/2.0\r\n\r\n", STREAM)) == []
    assert told(Stage(), StreamClosed(STREAM, "reset")) == []


def test_what_waits_on_a_closed_stream_has_failed() -> None:
    stage = Stage()
    bob = stage.connected("1002", 1)
    bob.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:1002@{DOMAIN}>")
    token = stage.token_of("1002")
    stage.alpha.send(stage.alpha.new("MESSAGE", f"sip:{token}@{PROXY}"))
    bob.take("MESSAGE")
    stage.feed(StreamClosed(bob.flow, "reset"))
    stage.alpha.take(480)
    stage.alpha.send(stage.alpha.new("MESSAGE", f"sip:{token}@{PROXY}"))
    stage.alpha.take(480)


# --- time ----------------------------------------------------------------------------------------------------------


class Sleeper:
    """Ends others when it wakes."""

    def __init__(self, stage: Stage, others: "list[Sleeper]", again: float | None = None) -> None:
        self.alarms = stage.node._shared.alarms
        self.others = others
        self.again = again
        self.woken = 0

    def wake(self, now: float) -> list[object]:
        self.woken += 1
        for other in self.others:
            self.alarms.set(other, None)  # type: ignore[arg-type]
        self.alarms.set(self, self.again)  # type: ignore[arg-type]
        return []


class Failing:
    """Raises when it wakes."""

    ended = False

    def wake(self, now: float) -> list[object]:
        raise ZeroDivisionError

    def end(self, reason: str, now: float) -> list[object]:
        self.ended = True
        return []


def test_who_was_ended_by_another_is_not_woken_though_it_was_due_as_well() -> None:
    stage = Stage()
    second = Sleeper(stage, [])
    first = Sleeper(stage, [second])
    for sleeper in (first, second):
        stage.node._shared.alarms.set(sleeper, stage.now)  # type: ignore[arg-type]
    stage.node.wake(stage.now)
    assert (first.woken, second.woken) == (1, 0)


def test_who_is_always_due_does_not_keep_the_node() -> None:
    stage = Stage()
    restless = Sleeper(stage, [], again=stage.now)
    stage.node._shared.alarms.set(restless, stage.now)  # type: ignore[arg-type]
    stage.node.wake(stage.now)
    assert restless.woken == 1


def test_the_deadline_is_the_earliest_of_all_parts() -> None:
    stage = Stage()
    probe_at = stage.node.deadline
    assert probe_at is not None
    sleeper = Sleeper(stage, [])
    stage.node._shared.alarms.set(sleeper, probe_at - 0.01)  # type: ignore[arg-type]
    assert stage.node.deadline == probe_at - 0.01


def test_a_sleeper_that_fails_ends_and_keeps_nobody_else_from_waking() -> None:
    stage = Stage()
    second = Sleeper(stage, [])
    first = Failing()
    for sleeper in (first, second):
        stage.node._shared.alarms.set(sleeper, stage.now)  # type: ignore[arg-type]
    outputs = stage.node.wake(stage.now)
    assert [type(output) for output in outputs] == [SessionFailed]
    assert (first.ended, second.woken) == (True, 1)


def test_waking_too_early_does_nothing() -> None:
    stage = Stage()
    assert stage.node.deadline is not None
    assert stage.node.wake(stage.node.deadline - 0.001) == []


# --- the rest ------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes() -> None:
    def history(seed: int) -> list[bytes]:
        stage = Stage(seed=seed)
        alice = stage.phone("1001")
        alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
        return [message.encode() for peer in (alice, stage.alpha) for message in peer.seen]

    assert history(3) == history(3)
    assert history(3) != history(4)


def test_what_relays_media_is_shown() -> None:
    stage = Stage()
    assert stage.command("status")["media_relay"] == "userspace"
    assert told(stage, RelayInUse("kernel", 6)) == []
    status = stage.command("status")
    assert (status["media_relay"], status["kernel_flows"]) == ("kernel", 6)


@pytest.mark.parametrize("data", [b"", b"noise", b"OPTIONS sip:x SIP/2.0\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n"])
def test_noise_on_a_probe_socket_is_no_answer(data: bytes) -> None:
    assert told(Stage(), ProbeReply("alpha", data)) == []


def test_users_can_be_replaced_while_running() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    stage.credentials = {"1001": Credential("1001", DOMAIN, password="changed")}
    stage.node.replace_users(DOMAIN, stage.credentials)
    message = alice.request("MESSAGE", f"sip:1002@{DOMAIN}")
    assert message.has("proxy-authorization")
    stage.alpha.take("MESSAGE")
    assert len(stage.node.bindings.of("1001")) == 1


def test_every_message_of_a_backend_is_a_sign_of_life() -> None:
    stage = Stage()
    told(stage, Datagram(Request("OPTIONS", f"sip:{PROXY}").encode(), stage.alpha.flow))  # refused, and yet
    answer = told(stage, Datagram(stage.alpha.new("OPTIONS", f"sip:{PROXY}").encode(), stage.alpha.flow))
    assert parse(sent(answer)[0])
