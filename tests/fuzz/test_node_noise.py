"""Whatever reaches the node, in whatever order: it never raises, it sends nothing but whole messages, nothing is left
two minutes after all is over, and others can call as ever."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.core.events import Datagram, StreamData, StreamOpened
from haproxy_voip.sip.message import Request, Response
from tests.fuzz.noise import Noisy, mutated, stranger
from tests.proxy.stage import DOMAIN, Peer, Stage

STEPS = 120
ALL_OVER = 130.0  # seconds: 64*T1 for what was sent last, and once more for what that caused


def party(seed: int, share: float) -> tuple[Noisy, Peer]:
    """A stage with a backend's and a client's usual inhabitants, and a bystander who does everything right."""
    stage = Noisy(seed, 0.0)
    bystander = stage.phone("1003")
    for user in ("1001", "1002"):
        stage.phone(user)
    stage.connected("1001", 1)
    stranger(stage)
    stage.share = share
    return stage, bystander


def assert_calls_work(stage: Noisy, caller: Peer) -> None:
    """A whole call, by the book, from a phone that took no part."""
    stage.share = 0.0
    active = stage.command("status")["active"]
    assert isinstance(active, str)
    backend = stage.backends[active]
    for peer in (caller, backend):
        peer.inbox.clear()
    invite = caller.request("INVITE", f"sip:1002@{DOMAIN}", body=caller.offer())
    at_backend = backend.take_request("INVITE")
    backend.answer(at_backend, 180, tag="fresh")
    backend.answer(at_backend, 200, tag="fresh", body=backend.offer(9000))
    ok = caller.take_response(200)
    caller.ack(invite, ok)
    backend.take("ACK")
    caller.send(caller.within(invite, ok, "BYE", invite.cseq.number + 1))
    caller.take(200)
    backend.answer(backend.take_request("BYE"), 200)


def assert_nothing_is_left(stage: Noisy) -> None:
    """Once every backend is dead all calls are over; what is still kept then is kept for ever."""
    for name in stage.backends:
        stage.kill(name)
    stage.pass_time(ALL_OVER)
    status = stage.command("status")
    for what in ("calls", "dialogs", "transactions", "media_port_pairs"):
        assert status[what] == 0, what
    assert not stage.plans
    for name in stage.backends:
        stage.revive(name)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7])
@pytest.mark.parametrize("seed", range(4))
def test_anything_in_any_order(seed: int, share: float) -> None:
    stage, bystander = party(seed, share)
    for _ in range(STEPS):
        stage.act()
    for name in list(stage.dead):
        stage.revive(name)
    assert_calls_work(stage, bystander)
    assert_nothing_is_left(stage)
    assert_calls_work(stage, bystander)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes(data: bytes) -> None:
    stage = STAGE
    for peer in (stranger(stage), stage.alpha):
        stage.feed(Datagram(data, peer.flow))
        stage.feed(Datagram(b"OPTIONS sip:voip.test SIP/2.0\r\n" + data, peer.flow))
        stage.feed(Datagram(b"SIP/2.0 200 OK\r\n" + data, peer.flow))


STAGE = Noisy(0, 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_a_register_and_a_call_with_every_kind_of_damage(seed: int) -> None:
    """The same few messages again and again, each time broken in another way."""
    stage, bystander = party(seed, 0.0)
    alice = stage.phone("1001")
    alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    at_alpha = stage.alpha.take_request("INVITE")
    sent = [event for event in stage.history if isinstance(event, Datagram)]
    for _ in range(600):
        event = stage.random.choice(sent)
        stage.feed(Datagram(mutated(event.data, stage.random), event.flow))
    stage.alpha.answer(at_alpha, 486)
    assert_calls_work(stage, bystander)
    assert_nothing_is_left(stage)


@pytest.mark.parametrize("seed", range(3))
def test_a_streams_bytes_in_random_pieces_with_damage_now_and_then(seed: int) -> None:
    stage, bystander = party(seed, 0.0)
    for connection in range(11, 31, 2):
        client = stage.connected("1002", connection)
        request = client.new("MESSAGE", f"sip:1001@{DOMAIN}", body=b"x" * 50).encode()
        data = b"".join(mutated(request, stage.random) if stage.random.random() < 0.2 else request for _ in range(10))
        while data:
            size = stage.random.randrange(1, 200)
            stage.feed(StreamData(data[:size], client.flow))
            data = data[size:]
        stage.feed(StreamOpened(client.flow))
        assert [message for message in client.inbox if isinstance(message, Request)] == []
    assert_calls_work(stage, bystander)
    assert_nothing_is_left(stage)


def test_every_prefix_of_a_call_is_survived() -> None:
    """The truncation loop, with the node's own tables filled by what came before."""
    stage, bystander = party(1, 0.0)
    alice = stage.phone("1001")
    request = alice.request("INVITE", f"sip:1002@{DOMAIN}", body=alice.offer())
    stage.alpha.answer(stage.alpha.take_request("INVITE"), 200, body=stage.alpha.offer(9000))
    ok = alice.take_response(200)
    bye = alice.within(request, ok, "BYE", 50)
    for message in (request, bye):
        data = message.encode()
        for end in range(len(data)):
            stage.feed(Datagram(data[:end], alice.flow))
    assert isinstance(ok, Response)
    assert_calls_work(stage, bystander)


def test_the_noise_itself_comes_from_its_seed() -> None:
    def sent(seed: int) -> list[bytes]:
        stage, _ = party(seed, 0.5)
        for _ in range(30):
            stage.act()
        return [message.encode() for peer in stage.everybody() for message in peer.seen]

    assert sent(5) == sent(5)
    assert isinstance(STAGE, Stage)
