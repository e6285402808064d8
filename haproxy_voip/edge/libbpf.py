"""BPF objects and maps through libbpf.so.1, bound with ctypes.

Functions of libbpf 1.x return a negative errno. Every failure is an OSError whose text names what was tried, and
`BpfUnavailable` where something is missing that an administrator can add.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator, Mapping
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p, sizeof
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

LIBRARY = "libbpf.so.1"
BPF_ANY, BPF_F_LOCK = 0, 4
# Elements read with one call into the kernel: enough that the calls do not count, and below 1 MB.
BATCH = 2048
# What BPF_PROG_TEST_RUN may return of a packet; it makes none longer than a page.
TEST_BYTES = 16_384

MISSING_RIGHTS = "the kernel does not permit it; it needs CAP_BPF and CAP_NET_ADMIN"
REASONS = {
    errno.EPERM: MISSING_RIGHTS,
    errno.ENOSYS: "this kernel has no bpf(2)",
}


class BpfUnavailable(Exception):
    """What is missing: the library, a capability, a kernel that knows of it."""


class TestRun(ctypes.Structure):
    """struct bpf_test_run_opts."""

    _fields_ = [
        ("sz", c_size_t),
        ("data_in", c_void_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_void_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
    ]


class Batch(ctypes.Structure):
    """struct bpf_map_batch_opts."""

    _fields_ = [("sz", c_size_t), ("elem_flags", c_uint64), ("flags", c_uint64)]


# Arguments and result of each function used. Pointers to what libbpf allocates are void here.
FUNCTIONS: Mapping[str, tuple[Any, ...]] = {
    "libbpf_set_print": (c_void_p, c_void_p),
    "bpf_object__open_mem": (c_void_p, c_char_p, c_size_t, c_void_p),
    "bpf_object__load": (c_int, c_void_p),
    "bpf_object__close": (None, c_void_p),
    "bpf_object__next_map": (c_void_p, c_void_p, c_void_p),
    "bpf_object__find_program_by_name": (c_void_p, c_void_p, c_char_p),
    "bpf_map__name": (c_char_p, c_void_p),
    "bpf_map__set_max_entries": (c_int, c_void_p, c_uint32),
    "bpf_map__set_pin_path": (c_int, c_void_p, c_char_p),
    "bpf_map__reuse_fd": (c_int, c_void_p, c_int),
    "bpf_program__fd": (c_int, c_void_p),
    "bpf_obj_pin": (c_int, c_int, c_char_p),
    "bpf_obj_get": (c_int, c_char_p),
    "bpf_obj_get_info_by_fd": (c_int, c_int, c_void_p, POINTER(c_uint32)),
    "bpf_map_create": (c_int, c_int, c_char_p, c_uint32, c_uint32, c_uint32, c_void_p),
    "bpf_map_update_elem": (c_int, c_int, c_char_p, c_char_p, c_uint64),
    "bpf_map_lookup_elem_flags": (c_int, c_int, c_char_p, c_void_p, c_uint64),
    "bpf_map_lookup_and_delete_elem_flags": (c_int, c_int, c_char_p, c_void_p, c_uint64),
    "bpf_map_lookup_batch": (
        *(c_int, c_int, c_void_p, c_void_p, c_void_p, c_void_p),
        *(POINTER(c_uint32), POINTER(Batch)),
    ),
    "bpf_prog_test_run_opts": (c_int, c_int, POINTER(TestRun)),
    "bpf_tc_hook_create": (c_int, c_void_p),
    "bpf_tc_hook_destroy": (c_int, c_void_p),
    "bpf_tc_attach": (c_int, c_void_p, c_void_p),
    "bpf_tc_detach": (c_int, c_void_p, c_void_p),
    "bpf_tc_query": (c_int, c_void_p, c_void_p),
}


@cache
def library() -> ctypes.CDLL:
    """libbpf, silent. Raises BpfUnavailable."""
    try:
        found = ctypes.CDLL(LIBRARY, use_errno=True)
        for name, (result, *arguments) in FUNCTIONS.items():
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except OSError:
        raise BpfUnavailable(f"{LIBRARY} is not installed (Debian: libbpf1)") from None
    except AttributeError as error:
        raise BpfUnavailable(f"{LIBRARY} is too old: {error}") from None
    found.libbpf_set_print(None)  # it would write to our standard error, also of what is none
    return found


def checked(result: int, what: str) -> int:
    """The result of a call that did not fail. Raises OSError and BpfUnavailable."""
    if result >= 0:
        return result
    if -result in REASONS:
        raise BpfUnavailable(f"{what}: {REASONS[-result]}")
    raise OSError(-result, f"{what}: {os.strerror(-result)}")


def load(code: bytes, program: str, pins: Path, sizes: Mapping[str, int]) -> None:
    """Load an object file's maps and one program and pin them all, each by its name, in the existing folder `pins`.

    Maps that are pinned there already are used as they are; those named in `sizes` are made with so many entries.
    A program that is pinned there already gives way. Raises OSError and BpfUnavailable.
    """
    bpf = library()
    opened = bpf.bpf_object__open_mem(code, len(code), None)
    if not opened:
        raise OSError(ctypes.get_errno(), f"reading the object file: {os.strerror(ctypes.get_errno())}")
    try:
        for each in _maps(opened):
            name = bpf.bpf_map__name(each).decode()
            _prepare(each, pins / name, sizes.get(name))
        _load(opened)
        found = bpf.bpf_object__find_program_by_name(opened, program.encode())
        assert found, f"the object file has no program {program}"
        (pins / program).unlink(missing_ok=True)
        checked(bpf.bpf_obj_pin(bpf.bpf_program__fd(found), bytes(pins / program)), f"pinning {pins / program}")
    finally:
        bpf.bpf_object__close(opened)


def _load(opened: int) -> None:
    try:
        checked(library().bpf_object__load(opened), "loading the BPF program")
    except OSError as error:  # an unknown helper, a verifier that knows less; or, from 4000, libbpf's own words for it
        raise BpfUnavailable(f"this kernel does not take the BPF program ({error.errno}); Linux 5.16 does") from None


def _maps(opened: int) -> Iterator[int]:
    each = library().bpf_object__next_map(opened, None)
    while each:
        yield each
        each = library().bpf_object__next_map(opened, each)


def _prepare(each: int, pin: Path, size: int | None) -> None:
    bpf = library()
    if pin.exists():
        known = get(pin)
        try:
            checked(bpf.bpf_map__reuse_fd(each, known), f"using {pin}")
        finally:
            os.close(known)
        return
    if size is not None:
        checked(bpf.bpf_map__set_max_entries(each, size), f"sizing {pin.name}")
    checked(bpf.bpf_map__set_pin_path(each, bytes(pin)), f"pinning {pin}")


def get(pin: Path) -> int:
    """A file descriptor for what is pinned there, the caller's to close. Raises OSError and BpfUnavailable."""
    return checked(library().bpf_obj_get(bytes(pin)), f"opening {pin}")


def program_id(program: int) -> int:
    """By what the kernel knows a program."""
    return _info(program)[1]  # struct bpf_prog_info: type, id


def entries(map_: int) -> int:
    """How many a map has room for; of a ring buffer, bytes."""
    return _info(map_)[4]  # struct bpf_map_info: type, id, key_size, value_size, max_entries


def _info(fd: int) -> list[int]:
    info = (c_uint32 * 5)()
    checked(library().bpf_obj_get_info_by_fd(fd, info, byref(c_uint32(sizeof(info)))), "asking for a BPF object")
    return list(info)


def run(program: int, packet: bytes) -> tuple[int, bytes]:
    """Let a program see an Ethernet frame as if it had come by loopback; what it returned, and the frame then."""
    out = ctypes.create_string_buffer(TEST_BYTES)
    asked = TestRun(sz=sizeof(TestRun), data_size_in=len(packet), data_size_out=len(out), repeat=1)
    asked.data_in = ctypes.cast(c_char_p(packet), c_void_p)
    asked.data_out = ctypes.cast(out, c_void_p)
    checked(library().bpf_prog_test_run_opts(program, byref(asked)), "BPF_PROG_TEST_RUN")
    return asked.retval, out.raw[: asked.data_size_out]


@dataclass(frozen=True, slots=True)
class HashMap:
    """A map of type BPF_MAP_TYPE_HASH whose values have a `struct bpf_spin_lock`."""

    fd: int
    key_bytes: int
    value_bytes: int

    def update(self, key: bytes, value: bytes) -> None:
        """Add or replace. Raises OSError, E2BIG when it is full."""
        assert len(key) == self.key_bytes and len(value) == self.value_bytes
        checked(library().bpf_map_update_elem(self.fd, key, value, BPF_ANY), "adding to a BPF map")

    def lookup(self, key: bytes) -> bytes | None:
        """The value of now, or None."""
        return self._read(library().bpf_map_lookup_elem_flags, key)

    def pop(self, key: bytes) -> bytes | None:
        """The last value, removed from the map; or None."""
        return self._read(library().bpf_map_lookup_and_delete_elem_flags, key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All that is there for as long as this goes on, read in batches."""
        keys = ctypes.create_string_buffer(BATCH * self.key_bytes)
        values = ctypes.create_string_buffer(BATCH * self.value_bytes)
        at, locked, more = c_uint64(), Batch(sizeof(Batch), BPF_F_LOCK, 0), True
        start = None
        while more:
            count = c_uint32(BATCH)
            result = library().bpf_map_lookup_batch(
                self.fd, start, byref(at), keys, values, byref(count), byref(locked)
            )
            more = result != -errno.ENOENT
            if more:
                checked(result, "reading a BPF map")
            read_keys, read_values = memoryview(keys), memoryview(values)
            for index in range(count.value):
                key = read_keys[index * self.key_bytes : (index + 1) * self.key_bytes]
                value = read_values[index * self.value_bytes : (index + 1) * self.value_bytes]
                yield bytes(key), bytes(value)
            start = byref(at)

    def _read(self, call: Any, key: bytes) -> bytes | None:
        assert len(key) == self.key_bytes
        value = ctypes.create_string_buffer(self.value_bytes)
        result = call(self.fd, key, value, BPF_F_LOCK)
        if result == -errno.ENOENT:
            return None
        checked(result, "reading a BPF map")
        return value.raw
