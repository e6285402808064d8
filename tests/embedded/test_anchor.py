"""Media through the embedded PBX: what the SDP says, and where packets come from and go to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.effects import Send
from haproxy_voip.core.events import Datagram
from haproxy_voip.embedded import anchor
from haproxy_voip.embedded.anchor import AnchoredPbx
from haproxy_voip.embedded.facts import Output, PhoneRegistered
from haproxy_voip.embedded.pbx import Pbx
from haproxy_voip.embedded.phone import Phone
from haproxy_voip.embedded.settings import PbxSettings, PhoneSettings
from tests.embedded.conftest import Run

HOST = "127.0.0.1"
SERVER = Endpoint(Transport.UDP, Address(HOST, 5060))
ROUNDS = 20  # of messages, more than anything here needs


@contextmanager
def ear() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        sock.setblocking(False)
        yield sock


async def heard(sock: socket.socket) -> tuple[bytes, tuple[str, int]]:
    data, source = await asyncio.get_running_loop().run_in_executor(None, _receive, sock)
    return data, source


def _receive(sock: socket.socket) -> tuple[bytes, tuple[str, int]]:
    sock.settimeout(3)
    data, source = sock.recvfrom(100)
    return data, source


def phone(user: str, number: int, media: socket.socket) -> Phone:
    settings = PhoneSettings(
        user=user, password=user, domain="d.example", server=SERVER, address=Address(HOST, 6000 + number),
        media=Address(*media.getsockname()), answer_after=0.0,
    )  # fmt: skip
    return Phone(settings, Chance.seeded(number))


def deliver(pbx: AnchoredPbx, phones: list[Phone], outputs: list[Output], sender: Phone | AnchoredPbx) -> None:
    """Carry datagrams between the phones and the PBX until nobody says anything more."""
    by_port = {each.settings.address.port: each for each in phones}
    waiting: list[tuple[Output, Phone | AnchoredPbx]] = [(output, sender) for output in outputs]
    for _ in range(ROUNDS):
        due, waiting = waiting, []
        for output, _ in due:
            if isinstance(output, Send):
                flow = output.flow
                target = by_port.get(flow.remote.port, pbx)
                event = Datagram(output.data, Flow(Transport.UDP, flow.remote, flow.local))
                waiting += [(answer, target) for answer in target.receive(event, 1.0)]


def call(pbx: AnchoredPbx, phones: list[Phone]) -> None:
    """The first phone calls the second, which answers."""
    for each in phones:
        deliver(pbx, phones, each.register(1.0), each)
        assert any(isinstance(fact, PhoneRegistered) for _, fact in each.history)
    deliver(pbx, phones, phones[0].call(phones[1].settings.user, 1.0), phones[0])
    deliver(pbx, phones, phones[1].wake(1.0), phones[1])
    assert all(up.up for each in phones for up in each.calls.values())


def anchored() -> AnchoredPbx:
    chance = Chance.seeded(1)
    settings = PbxSettings(listen=(SERVER,), users={"1001": "1001", "1002": "1002"}, trust=True)
    return AnchoredPbx(Pbx(settings, chance), HOST, chance)


def test_packets_go_through_it_and_come_from_the_port_they_are_answered_to(run: Run) -> None:
    async def scene() -> None:
        pbx = anchored()
        with ear() as ours, ear() as theirs:
            phones = [phone("1001", 1, ours), phone("1002", 2, theirs)]
            call(pbx, phones)
            to_pbx = [each.calls[1].media.remote for each in phones]
            assert to_pbx[0] is not None and to_pbx[1] is not None and to_pbx[0] != to_pbx[1]
            assert to_pbx[0].port in range(anchor.FIRST_PORT, anchor.LAST_PORT + 1)
            ours.sendto(b"to them", to_pbx[0])
            assert await heard(theirs) == (b"to them", to_pbx[1])
            theirs.sendto(b"to us", to_pbx[1])
            assert await heard(ours) == (b"to us", to_pbx[0])
        pbx.close()

    run(scene)


def test_a_hold_keeps_the_ports_and_closing_frees_them(run: Run) -> None:
    async def scene() -> None:
        pbx = anchored()
        with ear() as ours, ear() as theirs:
            phones = [phone("1001", 1, ours), phone("1002", 2, theirs)]
            call(pbx, phones)
            before = [each.calls[1].media.remote for each in phones]
            deliver(pbx, phones, phones[0].hold(phones[0].calls[1], 1.0), phones[0])
            assert not phones[1].calls[1].media.sends
            assert [each.calls[1].media.remote for each in phones] == before
            assert pbx.deadline == pbx.pbx.deadline
            pbx.close()
            for address in before:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    assert address is not None
                    sock.bind(address)

    run(scene)


def test_of_too_many_legs_the_oldest_is_closed_and_nonsense_passes(run: Run) -> None:
    async def scene() -> None:
        pbx = anchored()
        for number in range(anchor.MAX_LEGS + 1):
            pbx._leg(str(number))
        assert len(pbx._legs) == anchor.MAX_LEGS and "0" not in pbx._legs
        pbx.close()
        assert not pbx._legs
        flow = Flow(Transport.UDP, SERVER.address, Address(HOST, 6001))
        assert pbx.receive(Datagram(b"application/sdp is no SIP", flow), 1.0) == []

    run(scene)
