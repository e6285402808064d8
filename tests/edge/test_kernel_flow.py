"""Flows as the kernel keeps them, and back."""

import errno
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haproxy_voip.core.address import Address
from haproxy_voip.edge.kernel_flow import (
    FLOW,
    PAYLOAD_TYPES,
    FlowState,
    KernelFlow,
    Place,
    address_of,
    decode,
    decode_state,
    encode,
    key_of,
    slot_of,
)
from haproxy_voip.edge.routes import Route
from haproxy_voip.rtp.continuity import OutgoingState
from haproxy_voip.rtp.sequence import ReceptionState
from tests.edge.kernel_scene import frame
from tests.edge.relay_cases import packet

PLACE = Place(Route(3, "10.0.0.254", 1500), 17)
PLACE_6 = Place(Route(3, "fe80::1", 1500), 17)

words, shorts, ports = st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1), st.integers(1, 65_535)
counts = st.integers(0, 2**40)
times = st.integers(0, 2**50).map(lambda at: at / 1e9)

receptions = st.builds(
    ReceptionState,
    ssrc=words,
    highest=words,
    missing=st.integers(-(2**31), 2**31 - 1),
    jitter=st.integers(0, 2**32 - 1).map(lambda jitter: jitter / 16),
    timestamp=words,
    timed_at=times,
    newest_timestamp=words,
    newest_at=times,
    step=st.integers(-(2**31), 2**31 - 1),
)


@st.composite
def flows(draw: st.DrawFn) -> KernelFlow:
    """Any flow, of either IP version."""
    hosts = draw(st.sampled_from([["10.1.2.3", "192.0.2.255", "127.0.0.1"], ["::1", "2001:db8::a", "fe80::1:2"]]))
    local, peer, out_local, out_peer = (Address(draw(st.sampled_from(hosts)), draw(ports)) for _ in range(4))
    reception = draw(receptions)
    outgoing = None
    if draw(st.booleans()):
        outgoing = OutgoingState(
            *(draw(words), reception.ssrc, draw(shorts), draw(words), draw(words), draw(words)),
            *(draw(words), draw(times), draw(words), draw(counts), draw(counts)),
        )
    return KernelFlow(
        stream=draw(st.integers(0, 2**63)),
        side=draw(st.sampled_from(["client", "backend"])),
        local=local,
        peer=peer,
        out_local=out_local,
        out_peer=out_peer,
        payload_types=draw(st.none() | st.binary(min_size=PAYLOAD_TYPES, max_size=PAYLOAD_TYPES)),
        mux=draw(st.booleans()),
        clock_hz=draw(st.sampled_from([8000, 48_000, 90_000])),
        prints=draw(st.booleans()),
        follows=draw(st.booleans()),
        state=FlowState(
            reception=reception,
            outgoing=outgoing,
            packets=draw(counts),
            bytes=draw(counts),
            unsent=draw(counts),
            dropped=draw(counts),
            last_arrival=draw(times),
        ),
    )


@given(flows())
def test_a_flow_is_read_as_it_was_written(flow: KernelFlow) -> None:
    key, value = key_of(flow.local), encode(flow, PLACE if flow.local.family == 4 else PLACE_6)
    assert decode(key, value) == flow
    assert (decode_state(value), slot_of(value), address_of(key)) == (flow.state, PLACE.slot, flow.local)


@given(flows())
def test_its_differences_turn_one_checksum_into_the_other(flow: KernelFlow) -> None:
    fields = FLOW.unpack(encode(flow, PLACE if flow.local.family == 4 else PLACE_6))
    before = frame(flow.peer, flow.local, packet(1))
    after = frame(flow.out_local, flow.out_peer, packet(1))
    at = 14 + (20 if flow.local.family == 4 else 40) + 6
    old, new = (struct.unpack_from("=H", each, at)[0] for each in (before, after))
    total = (old ^ 0xFFFF) + fields[6] + fields[7]
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    assert (total ^ 0xFFFF or 0xFFFF) == new


def plain() -> KernelFlow:
    return KernelFlow(
        stream=1,
        side="client",
        local=Address("10.0.0.1", 1000),
        peer=Address("10.0.0.2", 1000),
        out_local=Address("10.0.0.1", 1002),
        out_peer=Address("10.0.0.3", 1000),
        clock_hz=8000,
        state=FlowState(reception=ReceptionState(7, 1, 0, 0.0, 0, 0.0, 0, 0.0, 0), outgoing=None),
    )


def test_numbers_are_the_senders_unless_somebody_numbers_them_anew() -> None:
    flow = plain()
    assert (flow.ssrc, flow.out_ssrc, flow.sequence_offset, flow.timestamp_offset) == (7, 7, 0, 0)
    outgoing = OutgoingState(9, 7, 11, 13, 1, 1, 0, 0.0, 0, 0, 0)
    joined = replace(flow, state=replace(flow.state, outgoing=outgoing))
    assert (joined.ssrc, joined.out_ssrc, joined.sequence_offset, joined.timestamp_offset) == (7, 9, 11, 13)


def test_the_kernel_cannot_change_the_ip_version() -> None:
    with pytest.raises(OSError) as raised:
        encode(replace(plain(), out_local=Address("::1", 1), out_peer=Address("::1", 2)), PLACE)
    assert raised.value.errno == errno.EAFNOSUPPORT


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "224.0.0.1", "ff02::1"])
def test_nobody_sends_to_a_wildcard_and_no_flow_to_a_group(host: str) -> None:
    with pytest.raises(OSError, match="not the address of one host"):
        key_of(Address(host, 5004))


def test_a_timestamp_that_has_gone_round_makes_a_small_step() -> None:
    flow = plain()
    wrapped = replace(flow.state, reception=flow.state.reception._replace(step=160 - 2**32))
    assert decode_state(encode(replace(flow, state=wrapped), PLACE)).reception.step == 160
