"""Playing `relay_cases` to the kernel's program by BPF_PROG_TEST_RUN: every byte of the frame, no sockets."""

from haproxy_voip.core.address import Address
from haproxy_voip.edge.kernel_flow import FlowState
from haproxy_voip.edge.kernel_relay import KernelRelay
from haproxy_voip.edge.libbpf import run
from haproxy_voip.rtp.header import FIXED_BYTES
from tests.edge.kernel_scene import flow_of, frame
from tests.edge.relay_cases import Case, Fate

UNSPEC, SHOT = 0xFFFF_FFFF, 2  # TC_ACT_UNSPEC, TC_ACT_SHOT
# BPF_PROG_TEST_RUN has room for a page, less what a driver would have before and behind.
MAX_FRAME = 3400


def ways(host: str) -> list[Address]:
    """Arrives at, comes from, leaves by, goes to. Nobody is there."""
    return [Address(host, port) for port in (20_000, 31_001, 20_002, 31_003)]


def play(case: Case, host: str, relay: KernelRelay) -> None:
    """One case, without the packets that are too large for this."""
    local, peer, out_local, out_peer = ways(host)
    relay.install(flow_of(case, local, peer, out_local, out_peer))
    for came in case.packets:
        source = Address(peer.host, peer.port + 1) if came.fate is Fate.STRANGER else peer
        before = frame(source, local, came.data)
        if len(before) > MAX_FRAME:
            continue
        verdict, after = run(relay.program, before)
        assert verdict == (SHOT if came.fate in (Fate.LATE, Fate.STRANGER) else UNSPEC)
        if came.fate is Fate.SENT:
            assert came.out is not None and after == frame(out_local, out_peer, came.out)
        else:
            assert after == before
    state = relay.remove(local)
    assert state is not None
    if all(len(came.data) < MAX_FRAME for came in case.packets):
        check_counts(case, state)


def check_counts(case: Case, state: FlowState) -> None:
    """What the kernel has counted of a case."""
    counted = [came for came in case.packets if came.fate in (Fate.SENT, Fate.LATE)]
    sent = [came for came in counted if came.fate is Fate.SENT]
    assert (state.packets, state.bytes) == (len(counted), sum(len(came.data) for came in counted))
    assert (state.unsent, state.dropped) == (len(counted) - len(sent), strangers(case))
    assert max(0, state.reception.missing) == case.lost
    assert case.highest in (None, state.reception.highest)
    assert (state.last_arrival > 0) is bool(counted)
    if state.outgoing is not None:
        octets = sum(len(came.data) - FIXED_BYTES for came in sent)
        assert (state.outgoing.packets, state.outgoing.octets) == (8 + len(sent), 8 * 160 + octets)


def strangers(case: Case) -> int:
    """How many of its packets came from a third address."""
    return sum(came.fate is Fate.STRANGER for came in case.packets)
