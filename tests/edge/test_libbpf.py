"""libbpf as this program uses it: what is missing is told, maps are read as a whole and one by one."""

import ctypes.util
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from haproxy_voip.edge import libbpf
from haproxy_voip.edge.kernel_flow import FLOW, key_of
from haproxy_voip.edge.kernel_relay import OBJECT, KernelRelay, Sizes
from haproxy_voip.edge.libbpf import BpfUnavailable, HashMap, checked, entries, get, library, load, program_id, run
from tests.edge.kernel_scene import flow_of, frame, kernel_relay
from tests.edge.relay_cases import Case, packet
from tests.edge.relay_program import ways

ROOM = 5000


@pytest.fixture
def fresh() -> Iterator[None]:
    """The library is looked for anew, then and afterwards."""
    library.cache_clear()
    yield
    library.cache_clear()


def test_a_missing_library_is_named(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libbpf, "LIBRARY", "libbpf.so.77")
    with pytest.raises(BpfUnavailable, match=r"libbpf.so.77 is not installed \(Debian: libbpf1\)"):
        library()


def test_a_library_without_what_is_needed_is_too_old(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libbpf, "LIBRARY", ctypes.util.find_library("c") or "libc.so.6")
    with pytest.raises(BpfUnavailable, match="is too old"):
        library()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EPERM, "loading: the kernel does not permit it; it needs CAP_BPF and CAP_NET_ADMIN"),
        (errno.ENOSYS, r"loading: this kernel has no bpf\(2\)"),
    ],
)
def test_what_an_administrator_can_add_is_named(code: int, said: str) -> None:
    with pytest.raises(BpfUnavailable, match=said):
        checked(-code, "loading")


def test_everything_else_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match="loading: Argument list too long") as raised:
        checked(-errno.E2BIG, "loading")
    assert raised.value.errno == errno.E2BIG
    assert checked(7, "loading") == 7


# -- with the kernel -------------------------------------------------------------------------------------


@pytest.fixture
def relay() -> Iterator[KernelRelay]:
    with kernel_relay(sizes=Sizes(flows=ROOM)) as opened:
        yield opened


@pytest.fixture
def flows(relay: KernelRelay) -> HashMap:
    return relay._flows


def key(number: int) -> bytes:
    return number.to_bytes(20, "big")


def value(number: int) -> bytes:
    return bytes(16) + number.to_bytes(FLOW.size - 16, "big")  # the lock is the kernel's


@pytest.mark.interop
def test_a_map_is_read_whole_however_large_it_is(flows: HashMap) -> None:
    assert list(flows.items()) == []
    for number in range(ROOM):
        flows.update(key(number), value(number))
    assert dict(flows.items()) == {key(number): value(number) for number in range(ROOM)}


@pytest.mark.interop
def test_a_full_map_says_so(flows: HashMap) -> None:
    for number in range(ROOM):
        flows.update(key(number), value(number))
    with pytest.raises(OSError) as raised:
        flows.update(key(ROOM), value(0))
    assert raised.value.errno == errno.E2BIG
    flows.update(key(1), value(2))  # what is there can be replaced
    assert flows.lookup(key(1)) == value(2)


@pytest.mark.interop
def test_what_is_taken_out_is_gone(flows: HashMap) -> None:
    flows.update(key(1), value(1))
    assert (flows.lookup(key(1)), flows.pop(key(1)), flows.pop(key(1)), flows.lookup(key(1))) == (
        value(1),
        value(1),
        None,
        None,
    )


@pytest.mark.interop
def test_a_program_is_run_on_a_frame(relay: KernelRelay) -> None:
    local, peer, *_ = ways("127.0.0.1")
    unknown = frame(peer, local, packet(1))
    assert run(relay.program, unknown) == (0xFFFF_FFFF, unknown)
    relay.install(flow_of(Case("as it comes", []), *ways("127.0.0.1")))
    assert run(relay.program, frame(peer, local, packet(1001)))[1] != unknown
    assert program_id(relay.program) > 0


@pytest.mark.interop
def test_pinned_maps_are_used_and_a_pinned_program_gives_way(relay: KernelRelay) -> None:
    relay.install(flow_of(Case("as it comes", []), *ways("::1")))
    before = program_id(relay.program)
    load(OBJECT.read_bytes(), "relay", relay._pins, {"flows": 9})
    flows, program = get(relay._pins / "flows"), get(relay._pins / "relay")
    try:
        assert entries(flows) == ROOM and program_id(program) != before
        assert HashMap(flows, 20, FLOW.size).lookup(key_of(ways("::1")[0])) is not None
    finally:
        os.close(flows)
        os.close(program)


@pytest.mark.interop
def test_what_is_no_object_file_is_an_error(relay: KernelRelay) -> None:
    with pytest.raises(OSError, match="reading the object file"):
        load(b"\x7fELF nonsense", "relay", relay._pins, {})
    with pytest.raises(OSError, match="opening"):
        get(Path("/sys/fs/bpf/nothing_here"))


@pytest.mark.interop
def test_a_program_the_kernel_does_not_take_is_no_reason_to_fail(relay: KernelRelay) -> None:
    """Here because it calls a helper no kernel knows, as an old kernel would not know one of ours."""
    code = bytearray(OBJECT.read_bytes())
    get_time = b"\x85\x00\x00\x00\x05\x00\x00\x00"  # BPF_CALL bpf_ktime_get_ns
    at = code.index(get_time)
    code[at + 4 : at + 8] = (9999).to_bytes(4, "little")
    with pytest.raises(BpfUnavailable, match="this kernel does not take the BPF program"):
        load(bytes(code), "relay", relay._pins, {})
