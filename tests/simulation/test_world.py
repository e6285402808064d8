"""The simulated network itself: what it promises to the machines in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.core.events import Datagram, StreamClosed, StreamData, StreamOpened
from tests.simulation.weather import CALM, Weather
from tests.simulation.world import World

HERE, THERE = Address("192.0.2.1", 5060), Address("192.0.2.2", 5060)
TO_THERE = Flow(Transport.UDP, HERE, THERE)
STREAM = Flow(Transport.TCP, HERE, THERE, 2)


@dataclass
class Listener:
    """Keeps what it gets, and wakes when told."""

    heard: list[tuple[float, Any]] = field(default_factory=list)
    deadline: float | None = None
    woken: list[float] = field(default_factory=list)

    def receive(self, event: Any, now: float) -> list[Any]:
        self.heard.append((now, event))
        return []

    def wake(self, now: float) -> list[Any]:
        self.woken.append(now)
        self.deadline = None
        return []

    def data(self) -> list[bytes]:
        return [event.data for _, event in self.heard if isinstance(event, (Datagram, StreamData))]


def two(seed: int = 1, weather: Weather = CALM) -> tuple[World, Listener, Listener]:
    world = World(seed, weather)
    for name, address in (("here", HERE), ("there", THERE)):
        listen = [Endpoint(Transport.UDP, address), Endpoint(Transport.TCP, address)]
        world.add(name, Listener(), listen)
    return world, world.machine("here"), world.machine("there")


def send(world: World, data: bytes, flow: Flow = TO_THERE) -> None:
    world.act("here", lambda now: [Send(flow, data)])


def test_a_datagram_arrives_with_the_flow_to_answer_on() -> None:
    world, _, there = two()
    send(world, b"hello")
    world.run(1)
    [(at, event)] = there.heard
    assert event == Datagram(b"hello", Flow(Transport.UDP, THERE, HERE)) and 0 < at < 0.001


def test_bad_weather_loses_doubles_and_reorders() -> None:
    world, _, there = two(weather=Weather(loss=0.2, duplicate=0.2, late=0.2))
    for number in range(300):
        send(world, b"%d" % number)
        world.run(0.001)
    world.run(1)
    numbers = [int(data) for data in there.data()]
    assert len(set(numbers)) < 300 and len(numbers) > len(set(numbers)) and numbers != sorted(numbers)


def test_a_deadline_is_kept_and_what_is_due_goes_first() -> None:
    world, here, _ = two()
    here.deadline = 5.0
    send(world, b"x")  # a step, after which the world looks at the deadline
    world.run(6)
    assert [round(at, 3) for at in here.woken] == [5.0]


def test_a_frozen_process_wakes_late_and_then_finds_its_mail() -> None:
    world, _, there = two()
    world.freeze("there")
    there.deadline = 1.0
    send(world, b"while frozen")
    world.run(3)
    assert not there.heard and not there.woken
    world.thaw("there")
    assert there.woken == [3.0] and there.data() == [b"while frozen"]


def test_streams_keep_their_order_and_end_once_at_each_end() -> None:
    world, here, there = two(weather=Weather(delay=(0.001, 0.1)))
    world.act("here", lambda now: [Open(STREAM), *(Send(STREAM, b"%d" % n) for n in range(20))])
    world.run(1)
    world.act("here", lambda now: [Close(STREAM)])
    world.run(1)
    assert [type(event) for _, event in here.heard] == [StreamOpened, StreamClosed]
    assert there.data() == [b"%d" % n for n in range(20)]
    assert isinstance(there.heard[0][1], StreamOpened) and there.heard[-1][1].reason == "closed by the peer"


def test_a_killed_process_refuses_connections_and_drops_those_it_had() -> None:
    world, here, _ = two()
    world.act("here", lambda now: [Open(STREAM)])
    world.run(1)
    world.kill("there")
    world.run(1)
    world.act("here", lambda now: [Open(STREAM._replace(connection=4))])
    world.run(1)
    assert [event.reason for _, event in here.heard if isinstance(event, StreamClosed)] == [
        "connection reset",
        "connection refused",
    ]


def test_a_partition_loses_datagrams_and_delays_streams_until_it_ends() -> None:
    world, _, there = two()
    world.act("here", lambda now: [Open(STREAM)])
    world.run(1)
    world.partition("here", "there")
    send(world, b"datagram")
    send(world, b"stream", STREAM)
    world.run(1)
    assert there.data() == []
    world.heal("here", "there")
    world.run(1)
    assert there.data() == [b"stream"]


def test_the_same_seed_gives_the_same_history_and_another_one_does_not() -> None:
    digests = []
    for seed in (1, 1, 2):
        world, _, _ = two(seed, Weather(loss=0.5, delay=(0.001, 0.1)))
        for _ in range(20):
            send(world, b"x")
            world.run(0.01)
        digests.append(world.digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_machine_that_is_always_due_is_found_out() -> None:
    world, here, _ = two()
    here.wake = lambda now: []  # type: ignore[method-assign]
    here.deadline = 0.0
    send(world, b"x")
    with pytest.raises(AssertionError, match="here is always due"):
        world.run(1)


def test_an_invariant_that_breaks_ends_the_run_at_that_event() -> None:
    world, _, there = two()

    def quiet() -> None:
        assert not there.heard

    world.invariants.append(quiet)
    send(world, b"x")
    with pytest.raises(AssertionError):
        world.run(1)
