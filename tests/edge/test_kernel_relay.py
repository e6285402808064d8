"""The relay in the kernel comes, is taken over, is seen through, and goes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from time import monotonic, sleep

import pytest

from haproxy_voip.core.address import Address
from haproxy_voip.edge import kernel_relay as module
from haproxy_voip.edge.kernel_flow import LAYOUT, PROGRAM
from haproxy_voip.edge.kernel_relay import FOLDER, KernelRelay, KernelRelayUnavailable, Sizes
from haproxy_voip.edge.libbpf import program_id, run
from haproxy_voip.rtp.fingerprint import PRINT_BYTES, sampled
from haproxy_voip.rtp.joint import payload_bounds
from haproxy_voip.rtp.sequence import Reception
from tests.edge.kernel_scene import CLOCK_HZ, NAME, begun, flow_of, frame, kernel_relay, skip_if_refused
from tests.edge.relay_cases import SSRC, Case, First, packet
from tests.edge.relay_places import Places, address_of, heard, places
from tests.edge.relay_program import SHOT, UNSPEC, ways

PLAIN, JOINED = Case("as it comes", []), Case("renumbered", [], renumbered=True)


@pytest.fixture
def relay() -> Iterator[KernelRelay]:
    with kernel_relay("lo") as opened:
        yield opened


def pins(name: str = NAME) -> list[str]:
    return sorted(pin.name for pin in (FOLDER / name).iterdir()) if (FOLDER / name).exists() else []


def test_a_name_that_the_file_system_would_not_take_is_refused() -> None:
    for name in ("", "a.b", "../other", "_clsact", "x" * 65):
        with pytest.raises(KernelRelayUnavailable, match="is no name"):
            KernelRelay.open(name, ["lo"])


# -- coming and going ------------------------------------------------------------------------------------


@pytest.mark.interop
def test_nothing_is_left_after_a_stop() -> None:
    with kernel_relay("lo"):
        assert pins() == ["arrivals", "flows", "prints", "relay", "settings"]
        with kernel_relay("lo", name=f"{NAME}_other"):
            pass
        assert len(pins()) == 5
    assert pins() == []


@pytest.mark.interop
def test_an_interface_that_is_not_there_is_told_and_nothing_is_left() -> None:
    skip_if_refused()
    with pytest.raises(KernelRelayUnavailable, match="no interface with this name"):
        KernelRelay.open(NAME, ["lo", "nowhere0"])
    assert pins() == []


@pytest.mark.interop
def test_without_names_it_is_attached_wherever_media_can_arrive() -> None:
    skip_if_refused()
    relay = KernelRelay.open(NAME, None)
    try:
        loopback = socket.if_nametoindex("lo")
        assert relay._attachment.program(loopback) == program_id(relay.program)
    finally:
        relay.close()
    assert relay._attachment.program(loopback) is None


@pytest.mark.interop
def test_a_missing_file_system_is_mounted_and_told_or_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    skip_if_refused()
    monkeypatch.setattr(module, "BPF_FILES", tmp_path / "nowhere")
    with pytest.raises(KernelRelayUnavailable, match=r"no BPF file system at .*nowhere, and mounting it failed"):
        KernelRelay.open(NAME, ["lo"])
    (tmp_path / "bpf").mkdir()
    monkeypatch.setattr(module, "BPF_FILES", tmp_path / "bpf")
    monkeypatch.setattr(module, "FOLDER", tmp_path / "bpf" / "haproxy_voip")
    try:
        relay = KernelRelay.open(NAME, [])
        assert relay.notes == (f"mounted the BPF file system at {tmp_path / 'bpf'}",)
        relay.close()
    finally:
        subprocess.run(["umount", tmp_path / "bpf"], check=True)


# -- successors ------------------------------------------------------------------------------------------


@pytest.mark.interop
@pytest.mark.parametrize("case", [PLAIN, JOINED], ids=str)
def test_a_successor_finds_what_there_was_and_goes_on_with_it(case: Case) -> None:
    with kernel_relay("lo") as relay, places("127.0.0.1") as around:
        flow = flow_of(case, *around.ways)
        relay.install(flow)
        relay.close(keep=True)
        around.peer.sendto(packet(First.sequence + 1), flow.local)
        assert len(heard(around.out_peer, 1)) == 1
        successor = KernelRelay.open(NAME, ["lo"])
        [found] = successor.inherited()
        assert (found.peer, found.out_peer, found.stream) == (flow.peer, flow.out_peer, flow.stream)
        assert (found.state.packets, found.out_ssrc) == (1, flow.out_ssrc)
        assert successor.last_arrival(flow.local) == found.state.last_arrival > 0
        around.peer.sendto(packet(First.sequence + 2), flow.local)
        assert len(heard(around.out_peer, 1)) == 1
        state = successor.remove(flow.local)
        assert state is not None and state.packets == 2
        successor.close()
    assert pins() == []


KILLED = """
import sys, time
from haproxy_voip.core.address import Address
from haproxy_voip.edge.kernel_relay import KernelRelay
from tests.edge.kernel_scene import flow_of
from tests.edge.relay_cases import Case
name, host, *ports = sys.argv[1:]
relay = KernelRelay.open(name, ["lo"])
relay.install(flow_of(Case("", [], renumbered=True), *(Address(host, int(port)) for port in ports)))
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.interop
def test_nothing_is_lost_when_the_process_is_killed_and_another_takes_over() -> None:
    skip_if_refused()
    count = 300
    with places("127.0.0.1") as around:
        ports = [str(each.port) for each in around.ways]
        asked = [sys.executable, "-c", KILLED, NAME, "127.0.0.1", *ports]
        with subprocess.Popen(asked, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as killed:
            assert killed.stdout is not None and killed.stdout.readline() == b"ready\n"
            local = address_of(around.local)
            successor, came = None, []
            for turn in range(1, count + 1):
                around.peer.sendto(packet(First.sequence + turn), local)
                came += heard(around.out_peer, 0)
                if turn == 100:
                    os.kill(killed.pid, signal.SIGKILL)
                    killed.wait()
                if turn == 200:
                    successor = KernelRelay.open(NAME, ["lo"])
        assert successor is not None
        came += heard(around.out_peer, count - len(came))
        sequences = [int.from_bytes(data[2:4], "big") for data, _ in came]
        assert sequences == [First.out_sequence + turn for turn in range(1, count + 1)]
        state = successor.remove(local)
        assert state is not None and (state.packets, state.reception.missing) == (count, 0)
        successor.close()
    assert pins() == []


@pytest.mark.interop
@pytest.mark.parametrize(("layout", "program"), [(LAYOUT, PROGRAM + 1), (LAYOUT + 1, PROGRAM)])
def test_another_version_brings_its_own_program_and_keeps_flows_it_can_read(
    monkeypatch: pytest.MonkeyPatch, layout: int, program: int
) -> None:
    with kernel_relay("lo") as relay:
        flow = flow_of(PLAIN, *ways("127.0.0.1"))
        relay.install(flow)
        before = program_id(relay.program)
        relay.close(keep=True)
        monkeypatch.setattr(module, "LAYOUT", layout)
        monkeypatch.setattr(module, "PROGRAM", program)
        successor = KernelRelay.open(NAME, ["lo"])
        ours = program_id(successor.program)
        assert ours != before and successor._attachment.program(1) == ours
        assert [each.local for each in successor.inherited()] == ([flow.local] if layout == LAYOUT else [])
        successor.close()
    assert pins() == []


@pytest.mark.interop
def test_what_a_crash_left_at_another_interface_or_half_done_goes() -> None:
    with kernel_relay("lo") as relay:
        relay.close(keep=True)
        (FOLDER / NAME / "relay").unlink()
        successor = KernelRelay.open(NAME, [])
        assert successor._attachment.program(1) is None
        successor.close(keep=True)
        (FOLDER / NAME / "settings").unlink()
        KernelRelay.open(NAME, ["lo"]).close(keep=True)
        KernelRelay.clear(NAME)
        assert pins() == [] and relay._attachment.program(1) is None
        KernelRelay.clear(NAME)


# -- flows -----------------------------------------------------------------------------------------------


@pytest.mark.interop
def test_a_full_map_is_an_error_and_has_room_again() -> None:
    with kernel_relay(sizes=Sizes(flows=50)) as relay:
        locals_ = [Address("127.0.0.1", 20_000 + 2 * number) for number in range(51)]
        others = ways("127.0.0.1")[1:]
        for local in locals_[:50]:
            relay.install(flow_of(PLAIN, local, *others))
        with pytest.raises(OSError):
            relay.install(flow_of(PLAIN, locals_[50], *others))
        relay.install(flow_of(PLAIN, locals_[7], *others))
        assert relay.remove(locals_[3]) is not None and relay.remove(locals_[3]) is None
        relay.install(flow_of(PLAIN, locals_[50], *others))
        for asked in (locals_, locals_[48:]):  # all in batches, few one by one
            assert set(relay.states(asked)) == set(asked) - {locals_[3]}


@pytest.mark.interop
def test_each_flow_has_its_own_last_arrival(relay: KernelRelay) -> None:
    with ExitStack() as stack:
        several = [Places(stack, "127.0.0.1") for _ in range(3)]
        for each in several:
            relay.install(flow_of(PLAIN, *each.ways))
        assert relay.last_arrival(address_of(several[1].local)) == 0.0
        before = monotonic()
        several[1].peer.sendto(packet(First.sequence + 1), address_of(several[1].local))
        heard(several[1].out_peer, 1)
        times = [relay.last_arrival(address_of(each.local)) for each in several]
        assert times[0] == times[2] == 0.0 and before <= times[1] <= monotonic()
        assert relay.last_arrival(Address("127.0.0.1", 9)) == 0.0


@pytest.mark.interop
def test_jitter_is_what_userspace_makes_of_the_same_arrivals(relay: KernelRelay) -> None:
    with places("127.0.0.1") as around:
        flow = flow_of(PLAIN, *around.ways)
        relay.install(flow)
        reception, _ = begun(PLAIN)
        random = Random(5)
        timestamp = First.timestamp
        for turn in range(1, 60):
            timestamp += random.randrange(-300, 500)
            around.peer.sendto(packet(First.sequence + turn, timestamp=timestamp), flow.local)
            heard(around.out_peer, 1)
            at = relay.last_arrival(flow.local)
            reception.arrived(First.sequence + turn, timestamp, SSRC, at)
            sleep(random.random() * 0.002)
        state = relay.remove(flow.local)
        assert state is not None
        assert state.reception.jitter / CLOCK_HZ == pytest.approx(reception.jitter, abs=1 / CLOCK_HZ)
        restored = Reception(CLOCK_HZ)
        restored.restore(state.reception)
        assert (restored.highest, restored.lost) == (reception.highest, reception.lost)
        assert reception.newest is not None
        assert restored.newest == pytest.approx(reception.newest, abs=2e-6)


@pytest.mark.interop
@pytest.mark.parametrize("case", [PLAIN, JOINED], ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_is_counted_and_numbered_as_in_userspace(relay: KernelRelay, case: Case, seed: int) -> None:
    """What the kernel takes leaves both alike; what it passes up it must not have counted."""
    random, (local, peer, *outward) = Random(seed), ways("127.0.0.1")
    relay.install(flow_of(case, local, peer, *outward))
    reception, outgoing = begun(case)
    sequence, passed_up = First.sequence, 0
    for _ in range(400):
        step = random.choice([1, 1, 1, 1, 2, 5, 0, -1, -7, -99, -100, 2999, 3000, 30_000])
        ssrc = SSRC if random.random() < 0.97 else random.getrandbits(32)
        data = packet(sequence + step, ssrc, timestamp=random.choice([80_000, random.getrandbits(32)]))
        verdict, after = run(relay.program, frame(peer, local, data))
        [state] = relay.states([local]).values()
        if verdict == UNSPEC and after == frame(peer, local, data):
            assert ssrc != SSRC or not -100 < step < 3000
            passed_up += 1
        else:
            sequence += max(0, step)
            reception.arrived(int.from_bytes(data[2:4], "big"), int.from_bytes(data[4:8], "big"), ssrc, monotonic())
            out = bytearray(data)
            goes = outgoing is None or outgoing.renumber(out, len(out), monotonic())
            assert (verdict, after) == (
                (UNSPEC, frame(*outward, bytes(out))) if goes else (SHOT, frame(peer, local, data))
            )
        assert (state.reception.highest, state.reception.missing) == (reception.highest, reception._missing)
        if outgoing is not None and outgoing.snapshot() is not None and state.outgoing is not None:
            expected = outgoing.snapshot()
            assert expected is not None
            assert state.outgoing._replace(sent_at=0.0) == expected._replace(sent_at=0.0)
    assert 30 < passed_up < 300
    assert relay.remove(local) is not None


# -- prints ----------------------------------------------------------------------------------------------


def payloads(seed: int, count: int) -> list[bytes]:
    random = Random(seed)
    return [random.randbytes(random.choice([15, 16, 20, 63, 64, 65, 160, 240])) for _ in range(count)]


def headers() -> list[bytes]:
    """Plain; with CSRC list, extension and padding; with an extension that is longer than the packet."""
    fixed = packet(0)[1:12]
    return [
        b"\x80" + fixed,
        b"\x82" + fixed + bytes(8),
        b"\x91" + fixed + bytes(4) + b"\xbe\xde\x00\x02" + bytes(8),
        b"\xa0" + fixed,
        b"\x90" + fixed + b"\xbe\xde\xff\xff",
    ]


@pytest.mark.interop
def test_the_kernel_tells_of_the_payloads_that_userspace_would_look_at() -> None:
    local, peer, *outward = ways("127.0.0.1")
    with kernel_relay() as relay:
        relay.install(replace(flow_of(PLAIN, local, peer, *outward), prints=True))
        expected = []
        for number, payload in enumerate(payloads(7, 1500)):
            header = headers()[number % 5]
            sequence = (First.sequence + 1 + number).to_bytes(2, "big")
            data = header[:2] + sequence + header[4:] + payload[:-1] + bytes([number % 9])
            run(relay.program, frame(peer, local, data))
            begin, end = payload_bounds(bytearray(data), len(data))
            if end - begin >= 16 and sampled(data[begin:end]):
                expected.append(data[begin:end][:PRINT_BYTES])
        told, complete = relay.prints()
        assert complete and [each.payload for each in told] == expected
        assert 0.05 * 1500 < len(expected) < 0.2 * 1500
        assert {(each.stream, each.side, each.payload_type) for each in told} == {(1 << 40, "backend", 0)}
        assert sorted(each.at for each in told) == [each.at for each in told]
        assert relay.prints() == ([], True)


@pytest.mark.interop
def test_a_full_ring_is_told_once() -> None:
    local, peer, *outward = ways("::1")
    with kernel_relay(sizes=Sizes(ring_bytes=4096)) as relay:
        relay.install(replace(flow_of(PLAIN, local, peer, *outward), prints=True))
        looked_at = next(each for each in payloads(8, 500) if len(each) == 160 and sampled(each))
        data = packet(First.sequence + 1)[:12] + looked_at
        for _ in range(100):
            run(relay.program, frame(peer, local, data))
        told, complete = relay.prints()
        assert not complete and 30 < len(told) < 60
        run(relay.program, frame(peer, local, data))
        told, complete = relay.prints()
        assert complete and len(told) == 1
