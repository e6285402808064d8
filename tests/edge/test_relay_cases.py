"""One table of cases (`relay_cases`) on three ways: the kernel's program alone, the same on loopback, and userspace."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from time import monotonic

import pytest

from haproxy_voip.edge.kernel_flow import PASS_UP
from haproxy_voip.edge.kernel_relay import KernelRelay
from haproxy_voip.edge.media_leg import Leg, Surroundings
from haproxy_voip.edge.media_ports import Port
from haproxy_voip.edge.media_tally import Tally
from haproxy_voip.rtp.flow import Latch
from haproxy_voip.rtp.joint import Joint
from haproxy_voip.rtp.payload_types import Becomes
from tests.edge.kernel_scene import begun, flow_of, kernel_relay
from tests.edge.relay_cases import CASES, Came, Case, Fate
from tests.edge.relay_places import Places, address_of, heard, places
from tests.edge.relay_program import check_counts, play

BOTH = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
ALL = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture(scope="module")
def relay() -> Iterator[KernelRelay]:
    with kernel_relay("lo") as opened:
        yield opened


@pytest.mark.interop
@BOTH
@ALL
def test_the_program_alone(case: Case, host: str, relay: KernelRelay) -> None:
    play(case, host, relay)


@pytest.mark.interop
@BOTH
@ALL
def test_the_kernel_on_loopback(case: Case, host: str, relay: KernelRelay) -> None:
    with places(host) as around:
        flow = flow_of(case, *around.ways)
        relay.install(flow)
        for came in case.packets:
            around.send(came)
            expect(came, around)
        state = relay.remove(flow.local)
    assert state is not None
    check_counts(case, state)


def expect(came: Came, around: Places) -> None:
    """The packet is where it belongs and nowhere else, before the next one is sent."""
    passed_up = came.fate is Fate.PASSED_UP
    if came.fate is Fate.SENT:
        [(data, source)] = heard(around.out_peer, 1)
        assert (data, source) == (came.out, address_of(around.out_local))
    above = heard(around.local, int(passed_up))
    assert above == ([(came.data, address_of(around.peer))] if passed_up else [])
    assert heard(around.out_peer, 0) == []


@BOTH
@ALL
def test_userspace(case: Case, host: str) -> None:
    with places(host) as around, closing(asyncio.new_event_loop()) as loop:
        leg = leg_of(case, around, loop)
        for came in case.packets:
            around.send(came)
        for _ in range(len(case.packets) + 2):
            leg.drain()
        sent = [came.out for came in case.packets if came.out is not None]
        assert heard(around.out_peer, len(sent)) == [(data, address_of(around.out_local)) for data in sent]
        for sock in (around.local, around.out_local):
            loop.remove_reader(sock.fileno())
    relayed = [came for came in case.packets if came.fate in (Fate.SENT, Fate.LATE)]
    if Fate.PASSED_UP not in [came.fate for came in case.packets]:
        assert (leg.tally.packets, leg.tally.bytes) == (len(relayed), sum(len(came.data) for came in relayed))
    assert leg.tally.reception.lost == case.lost
    assert case.highest in (None, leg.tally.reception.highest)
    assert leg.tally.dropped == case.dropped  # strangers are turned away at the connected socket, unseen


def leg_of(case: Case, around: Places, loop: asyncio.AbstractEventLoop) -> Leg:
    """A leg that has latched, with a partner that may be sent to."""
    now, quiet = monotonic(), Surroundings(lambda source: None, lambda: None)
    reception, outgoing = begun(case)
    legs = []
    for sock, party in ((around.local, around.peer), (around.out_local, around.out_peer)):
        latch = Latch(address_of(party), "", now)
        latch.accept(address_of(party), 0, 0, now)
        legs.append(Leg(Port(loop, sock), latch, Tally(reception), quiet))
    leg, partner = legs
    leg.partner = leg.rtcp_partner = partner
    leg.mux = case.mux
    types = case.conversion
    if outgoing is not None or types is not None:
        changes = None if types is None else [None if each == PASS_UP else Becomes(each) for each in types]
        leg.joint = Joint(outgoing, changes)
    for each in legs:
        each.route(now)
    return leg
