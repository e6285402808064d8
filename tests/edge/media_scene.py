"""Two phones in a conversation through servers that forward, each leg in numbers of its own, on real sockets."""

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from itertools import pairwise

from haproxy_voip.core.address import Address
from haproxy_voip.rtp.flow import Party, PayloadTypes, StreamPlan
from haproxy_voip.rtp.header import Header
from tests.edge.media_bench import Bench, Phone, free_pair

GAP = 0.004  # seconds between packets: five times as fast as speech, so that a test is short
STEP = 32  # timestamp units in that time at 8 kHz
LAWS: PayloadTypes = ((0, "pcmu/8000"), (8, "pcma/8000"), (101, "telephone-event/8000"))


def voiced(turn: int) -> bytes:
    """20 bytes that no other packet has, of either sign as sound is."""
    return turn.to_bytes(4, "big") + hashlib.blake2s(b"%d" % turn, digest_size=16).digest()


@dataclass
class Talker:
    """A phone that sends all the time and keeps what it hears."""

    phone: Phone
    ssrc: int
    first: int  # its sequence numbers begin here
    to: Address
    heard: list[tuple[Header, bytes]] = field(default_factory=list)
    sent: int = 0

    def speak(self) -> None:
        header = Header(
            0, (self.first + self.sent) & 0xFFFF, (7 * self.first + STEP * self.sent) & 0xFFFFFFFF, self.ssrc
        )
        self.phone.send(header.encode() + voiced(self.sent), self.to)
        self.sent += 1

    def listen(self) -> None:
        while True:
            try:
                packet = self.phone.rtp.recv(4096)
            except BlockingIOError:
                return
            self.heard.append((Header.parse(packet), packet[12:]))

    @property
    def turns(self) -> list[int]:
        """Which of the other's packets were heard."""
        return [int.from_bytes(payload[:4], "big") for _, payload in self.heard]

    def check_continuous(self) -> None:
        """One stream: what a receiver would call without loss, reordering or restart."""
        headers = [header for header, _ in self.heard]
        assert {header.ssrc for header in headers} == {headers[0].ssrc}
        for before, after in pairwise(headers):
            assert after.sequence == (before.sequence + 1) & 0xFFFF
            assert 0 < (after.timestamp - before.timestamp) & 0xFFFFFFFF < 8000
        assert all(before < after for before, after in pairwise(self.turns))  # nothing twice, nothing out of order


class Server:
    """Forwards what comes on one leg to the other, with its own SSRC, sequence numbers and timestamps."""

    def __init__(self, bench: Bench, number: int, delay: float = 0.0) -> None:
        self.legs = [Phone(bench.stack), Phone(bench.stack)]
        self.sent = [1000 * number, 30_000 + number]
        self.number = number
        self.loop = asyncio.get_running_loop()
        self.delay = delay
        self.deaf = False  # it takes what comes and sends nothing

    def run(self, first_to: Address, second_to: Address) -> None:
        for near, far, to in ((0, 1, second_to), (1, 0, first_to)):
            self.loop.add_reader(self.legs[near].rtp.fileno(), self._forward, near, far, to)

    def _forward(self, near: int, far: int, to: Address) -> None:
        while True:
            try:
                packet = self.legs[near].rtp.recv(4096)
            except BlockingIOError:
                return
            header = Header.parse(packet)
            self.sent[far] += 1
            mine = header._replace(
                ssrc=0x5E5E0000 + 16 * self.number + far,
                sequence=self.sent[far] & 0xFFFF,
                timestamp=(header.timestamp + 77_777 * self.number) & 0xFFFFFFFF,
            )
            if self.deaf:
                continue
            data = mine.encode() + packet[12:]
            if self.delay:
                self.loop.call_later(self.delay, self.legs[far].send, data, to)
            else:
                self.legs[far].send(data, to)

    def die(self) -> None:
        for leg in self.legs:
            self.loop.remove_reader(leg.rtp.fileno())
            leg.rtp.close()
            leg.rtcp.close()


class Conversation:
    """Streams 1 and 2 of the relay, each with a phone, and whatever server they go through."""

    def __init__(self, bench: Bench, second: PayloadTypes = LAWS) -> None:
        self.bench = bench
        self.phones = [Phone(bench.stack), Phone(bench.stack)]
        self.local = [free_pair() for _ in range(4)]  # to the phones, then to the servers
        self.talkers = [
            Talker(self.phones[0], 0xAAAA, 65_500, self.local[0]),
            Talker(self.phones[1], 0xBBBB, 100, self.local[1]),
        ]
        self.types = (LAWS, second)
        self.plans = [
            StreamPlan(
                index + 1,
                "rtp",
                Party(self.local[index], self.phones[index].address, signalling_host="203.0.113.1"),
                Party(self.local[index + 2], None, signalling_host="203.0.113.2"),
                generation=1,
            )
            for index in range(2)
        ]
        self.plans = [self._with_types(index) for index in range(2)]

    def _with_types(self, index: int) -> StreamPlan:
        plan, types = self.plans[index], self.types[index]
        client = replace(plan.client, payload_types=types)
        return replace(plan, client=client, backend=replace(plan.backend, payload_types=types))

    def through(self, server: Server, handover: bool = False) -> None:
        """Both calls lead to this server."""
        for index, plan in enumerate(self.plans):
            backend = replace(plan.backend, remote=server.legs[index].address)
            self.install(index, backend=backend, bridge=None, handover=handover)
        server.run(self.local[2], self.local[3])

    def join(self) -> None:
        """Cross-connect; their server is dead."""
        for index in range(2):
            self.install(index, bridge=2 - index, handover=False)

    def install(self, index: int, **changes: object) -> None:
        plan = replace(self.plans[index], generation=self.plans[index].generation + 1, **changes)
        self.plans[index] = plan
        self.bench.relay.install(plan)

    async def go_on(self, packets: int, gap: float = GAP) -> None:
        """Both phones send so many packets, and hear what comes."""
        for _ in range(packets):
            for talker in self.talkers:
                talker.speak()
            await asyncio.sleep(gap)
            for talker in self.talkers:
                talker.listen()

    async def settle(self) -> None:
        """Let what is under way arrive."""
        await asyncio.sleep(5 * GAP)
        for talker in self.talkers:
            talker.listen()
