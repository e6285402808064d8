"""The transaction layer and what a bad network or a broken peer makes of messages."""

from __future__ import annotations

import heapq
from random import Random

import pytest

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, parse, response_to
from haproxy_voip.sip.transactions import (
    Outgoing,
    RequestReceived,
    ResponseReceived,
    StrayResponse,
    TimedOut,
)
from haproxy_voip.sip.validation import validate
from tests.sip.wire import UDP, Wire, ours, theirs


@pytest.mark.parametrize("status", [180, 200, 486])
def test_damaged_responses_never_break_the_layer(status: int) -> None:
    """Noise and truncation: whatever still parses as a response is delivered, stray or dropped."""
    random, wire = Random(status), Wire()
    transaction = wire.request()
    data = response_to(transaction.request, status, to_tag="t").encode()
    damaged = [data[:length] + b"\r\n\r\n" for length in range(len(data))]
    for _ in range(300):
        position = random.randrange(len(data))
        damaged.append(data[:position] + random.randbytes(2) + data[position + 1 :])
    for attempt in damaged:
        try:
            message = parse(attempt)
        except MessageError:
            continue
        wire.receive(message)
    assert {type(output) for output in wire.told} <= {ResponseReceived, StrayResponse}


def test_damaged_requests_are_refused_or_handled() -> None:
    random, wire = Random(1), Wire()
    data = theirs().encode()
    for _ in range(500):
        position = random.randrange(len(data))
        try:
            message = parse(data[:position] + random.randbytes(1) + data[position + 1 :])
            if isinstance(message, Request):
                validate(message)
        except MessageError as error:
            wire.take(wire.layer.refuse(error, UDP))
            continue
        wire.receive(message)
    wire.until(99)
    assert len(wire.layer) == sum(
        isinstance(output, RequestReceived) and output.transaction is not None and output.transaction.is_invite
        for output in wire.told
    )  # unanswered INVITEs are their user's to end


class Network:
    """Two layers that lose, repeat and reorder each other's messages."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.client, self.server = Wire(), Wire()
        self.queue: list[tuple[float, int, Wire, bytes]] = []

    def take_up(self) -> None:
        for source, target in ((self.client, self.server), (self.server, self.client)):
            for _, message in source.sent:
                for _ in range(self.random.choice([0, 1, 1, 1, 2])):
                    at = source.now + self.random.uniform(0.001, 0.9)
                    heapq.heappush(self.queue, (at, self.random.getrandbits(64), target, message.encode()))
            source.sent.clear()

    def step(self) -> bool:
        """Go on to what happens next; False when nothing ever will."""
        self.take_up()
        times = [wire.layer.deadline for wire in (self.client, self.server)] + [at for at, *_ in self.queue[:1]]
        due = [at for at in times if at is not None]
        if not due:
            return False
        self.client.until(min(due))
        self.server.until(min(due))
        if self.queue and self.queue[0][0] <= min(due):
            _, _, target, data = heapq.heappop(self.queue)
            known = len(self.server.told)
            target.receive(parse(data))
            for output in self.server.told[known:]:
                assert isinstance(output, RequestReceived) and output.transaction is not None
                # No 2xx to INVITE: to repeat that is the user's business.
                status = 486 if output.transaction.is_invite else 200
                self.server.respond(output.transaction, status)
        return True


@pytest.mark.parametrize("seed", range(20))
def test_over_a_bad_network_every_request_has_one_outcome_and_nothing_is_left(seed: int) -> None:
    """Each request is delivered at most once, and each has one final answer or time-out."""
    network = Network(seed)
    client, server = network.client, network.server
    requests = []
    for number in range(10):
        request = ours(network.random.choice(["INVITE", "OPTIONS"]))
        request.set("call-id", f"c{number}")
        transaction, outputs = client.layer.request(Outgoing(request, UDP, "192.0.2.1"), 0.0)
        client.take(outputs)
        requests.append(transaction)
    while network.step():
        pass
    outcomes = dict.fromkeys(requests, 0)
    for output in client.told:
        if isinstance(output, TimedOut) or (isinstance(output, ResponseReceived) and output.response.status >= 200):
            outcomes[output.transaction] += 1
    delivered = [output for output in server.told if isinstance(output, RequestReceived)]
    assert list(outcomes.values()) == [1] * 10
    assert len(delivered) <= 10
    assert len(client.layer) == len(server.layer) == 0
