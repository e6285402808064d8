"""Parties that do anything but what they should, from a seed; and a stage that checks whatever the node sends them."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from haproxy_voip.configuration.model import HealthConfig, TimersConfig
from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.events import Datagram, StreamData
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, header, response_to
from tests.proxy.stage import DOMAIN, PROXY, Peer, Stage, config

METHODS = (
    "INVITE", "INVITE", "INVITE", "ACK", "BYE", "CANCEL", "MESSAGE", "OPTIONS", "REGISTER", "SUBSCRIBE", "NOTIFY",
    "REFER", "INFO", "UPDATE", "PRACK", "PUBLISH", "LEVITATE",
)  # fmt: skip
STATUSES = (100, 180, 180, 183, 200, 200, 200, 202, 302, 401, 407, 408, 422, 480, 481, 486, 491, 500, 503, 603)
PIECES = (b"\r", b"\n", b"\r\n", b"\0", b"\t", b" ", b"<", b">", b'"', b",", b";", b"=", b"@", b"\\", b"\xff", b"%00")
KEPT = 200  # messages that may come again

NUMBER = re.compile(rb"\d+")

Mutation = Callable[[bytes, Random], bytes]


# --- mutations -----------------------------------------------------------------------------------------------------


def flipped(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def inserted(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + random.choice(PIECES) * random.choice((1, 1, 3, 300)) + data[at:]


def truncated(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


def cut(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + data[at + random.randrange(1, 40) :]


def with_huge_number(data: bytes, random: Random) -> bytes:
    found = list(NUMBER.finditer(data))
    if not found:
        return data
    one = random.choice(found)
    number = random.choice((b"0", b"-1", b"65536", b"2147483648", b"4294967296", b"9" * 40, b""))
    return data[: one.start()] + number + data[one.end() :]


def with_lines(data: bytes, random: Random) -> bytes:
    """A header line twice, or two that changed places, or one without its value."""
    lines = data.split(b"\r\n")
    here, there = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(3):
        case 0:
            lines.insert(there, lines[here])
        case 1:
            lines[here], lines[there] = lines[there], lines[here]
        case _:
            lines[here] = lines[here].partition(b":")[0] + b":"
    return b"\r\n".join(lines)


MUTATIONS: tuple[Mutation, ...] = (flipped, inserted, truncated, cut, with_huge_number, with_lines)


def mutated(data: bytes, random: Random) -> bytes:
    for _ in range(random.choice((1, 1, 2, 5))):
        if data:
            data = random.choice(MUTATIONS)(data, random)
    return data


# --- the stage -----------------------------------------------------------------------------------------------------


class Noisy(Stage):
    """Anybody may be sent something, and nothing but whole messages; `share` of what comes in is mutated."""

    def __init__(self, seed: int, share: float) -> None:
        self.random = Random(seed)
        self.share = share
        self.history: list[Datagram | StreamData] = []
        super().__init__(config(health=HealthConfig(inter=5.0), timers=TimersConfig(ring=10.0)), seed)

    def feed(self, event: object) -> None:
        if isinstance(event, Datagram | StreamData) and self.random.random() < self.share:
            event = type(event)(mutated(event.data, self.random), event.flow)
        if isinstance(event, Datagram | StreamData) and len(self.history) < KEPT:
            self.history.append(event)
        try:
            super().feed(event)
        except MessageError as error:
            raise AssertionError(f"{event} made the node raise, or send {error.partial}: {error}") from error

    def act(self) -> None:
        """Somebody does something."""
        try:
            self.random.choice(ACTIONS)(self.random.choice(self.everybody()), self.random)
        except MessageError:
            return  # it cannot read what it was sent, because of what it had sent

    def _deliver(self, flow: Flow, data: bytes) -> None:
        peer = self.streams.get(flow.connection) or self.peers.get(flow.remote)
        if peer is None:
            peer = self.peers[flow.remote] = Peer(self, flow)
        super()._deliver(flow, data)

    def _check_topology(self, peer: Peer, data: bytes) -> None:
        """Noise names whom it likes."""

    def everybody(self) -> list[Peer]:
        return [*self.peers.values(), *self.streams.values()]


# --- what parties do -----------------------------------------------------------------------------------------------


def something_new(peer: Peer, random: Random) -> None:
    """A request out of nowhere: from a client with credentials, from a backend to a contact."""
    method = random.choice(METHODS)
    bindings = peer.stage.node.bindings.of(random.choice(("1001", "1002")))
    token = bindings[0].key if bindings else "nobody"
    uri = random.choice((f"sip:1002@{DOMAIN}", f"sip:{DOMAIN}", f"sip:{token}@{PROXY}", "tel:+1555", "sip:x@y.test"))
    body = random.choice((b"", peer.offer(), b"hello"))
    to = random.choice((None, f"<sip:1001@{DOMAIN}>", f"<sip:1002@{DOMAIN}>;tag=x"))
    request = peer.new(method, uri, to=to, body=body, event="presence", expires=random.choice(("0", "60", "600")))
    peer.send(request)
    challenge = peer.inbox[-1] if peer.inbox else None
    if isinstance(challenge, Response) and challenge.status in (401, 407) and peer.user:
        peer.send(peer.authorized(request, challenge))


def an_answer(peer: Peer, random: Random) -> None:
    """Any answer to any request."""
    asked = [message for message in peer.inbox if isinstance(message, Request) and message.method != "ACK"]
    if asked:
        request, status = random.choice(asked), random.choice(STATUSES)
        body = random.choice((b"", peer.offer(9000), b"v=0\r\nnonsense"))
        more = {"rseq": "7", "require": "100rel"} if random.random() < 0.2 else {}
        peer.answer(request, status, tag=random.choice(("", "other")), body=body, **more)


def a_follow_up(peer: Peer, random: Random) -> None:
    """Anything in a dialog that there is or was: ACK, BYE, another INVITE."""
    responses = [message for message in peer.inbox if isinstance(message, Response) and message.contacts]
    requests = [message for message in peer.inbox if isinstance(message, Request) and message.contacts]
    if responses and random.random() < 0.7:
        response = random.choice(responses)
        made = Request("INVITE", f"sip:x@{PROXY}", list(response.headers))
        request = peer.within(made, response, random.choice(METHODS), random.choice((1, 2, 3, 9)))
    elif requests:
        asked = random.choice(requests)
        request = peer.within(response_to(asked, 200, None, f"to{peer.user}{peer.host}"), asked, "BYE", 1)
        request.method = random.choice(METHODS)
        request.set("cseq", f"{random.choice((1, 2, 9))} {request.method}")
    else:
        return
    request.add("Contact", peer.contact)
    request.body = random.choice((b"", peer.offer()))
    request.add("Content-Type", "application/sdp")
    peer.send(request)


def a_cancel(peer: Peer, random: Random) -> None:
    """Of a request that was answered provisionally, or not at all."""
    responses = [message for message in peer.inbox if isinstance(message, Response)]
    if responses:
        response = random.choice(responses)
        lines = [line for line in response.headers if line[0] in ("via", "from", "to", "call-id")]
        lines.append(header("CSeq", f"{response.cseq.number} CANCEL"))
        peer.send(Request("CANCEL", f"sip:1002@{DOMAIN}", lines))


def noise(peer: Peer, random: Random) -> None:
    """No message at all."""
    peer.send(random.randbytes(random.randrange(1, 400)))


def a_repeat(peer: Peer, random: Random) -> None:
    """Something that came before, from whomever."""
    stage = peer.stage
    assert isinstance(stage, Noisy)
    if stage.history:
        stage.feed(random.choice(stage.history))


def time(peer: Peer, random: Random) -> None:
    """Nothing, for a while."""
    peer.stage.pass_time(random.choice((0.01, 0.5, 2.0, 11.0)))


def a_death(peer: Peer, random: Random) -> None:
    """Of a backend, or its return."""
    name = random.choice(("alpha", "beta"))
    if random.random() < 0.3:
        (peer.stage.revive if name in peer.stage.dead else peer.stage.kill)(name)


ACTIONS = (something_new, something_new, an_answer, an_answer, a_follow_up, a_follow_up, a_cancel, noise, a_repeat,
           time, a_death)  # fmt: skip


def stranger(stage: Stage) -> Peer:
    flow = Flow(Transport.UDP, PROXY, Address("127.0.9.9", 9999))
    return stage.peers.setdefault(flow.remote, Peer(stage, flow, "1001"))
