"""The media relay in the kernel: `relay.bpf.c`, loaded, pinned and attached, and its flows.

Everything lives in the BPF file system, in a folder for each instance, and goes on when this process is gone. A
successor of the same name takes over maps, program and filters as they are, without a gap; it replaces the program
when its own is another version, and begins anew when its maps are laid out otherwise.

Calls into the kernel take microseconds and nothing here waits; `open` reads and writes a few small files.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import re
import socket
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from haproxy_voip.core.address import Address
from haproxy_voip.edge.interfaces import interfaces
from haproxy_voip.edge.kernel_flow import (
    FLOW,
    LAYOUT,
    NANOSECONDS,
    PROGRAM,
    SIDES,
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
from haproxy_voip.edge.libbpf import BpfUnavailable, HashMap, entries, get, load, program_id
from haproxy_voip.edge.ring_buffer import RingBuffer
from haproxy_voip.edge.routes import Routes
from haproxy_voip.edge.traffic_control import Attachment
from haproxy_voip.rtp.fingerprint import SAMPLING_KEY
from haproxy_voip.rtp.flow import Side

OBJECT = Path(__file__).with_name("relay.bpf.o")
BPF_FILES = Path("/sys/fs/bpf")
FOLDER = BPF_FILES / "haproxy_voip"
# Where it is written down which queueing disciplines are ours; no instance can be called so.
DISCIPLINES = FOLDER / "_clsact"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # no dots: the BPF file system allows none

MAX_FLOWS = 32_768  # relay.bpf.h: two for each stream of a relay
RING_BYTES = 1 << 22
KEY_BYTES = 20
SLOT = struct.Struct("=Q")
SETTINGS = struct.Struct("=IIQQ")  # layout, program, sampling key, payloads missed
MISSED_AT = 16
HEARD = struct.Struct("=QQIBB2x")  # stream, nanoseconds, side, payload type, size; the payload follows
# Above this share of all flows it is quicker to read every one of them in batches than those asked for one by one.
BATCH_SHARE = 0.2


class KernelRelayUnavailable(Exception):
    """The text says what is missing: library, file system, capability, kernel."""


class Heard(NamedTuple):
    """A sampled payload, at most `fingerprint.PRINT_BYTES` of it."""

    stream: int
    side: Side
    payload_type: int  # as it came, for `fingerprint.hash_of`
    payload: bytes
    at: float  # monotonic seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Of the maps, where they are made anew."""

    flows: int = MAX_FLOWS
    ring_bytes: int = RING_BYTES  # a power of two, whole pages


class KernelRelay:
    """The flows of one instance of the program, by `local`."""

    def __init__(self, name: str, sizes: Sizes) -> None:
        """For `open`: load or find what is pinned, and map it."""
        self.notes: tuple[str, ...] = _mount()  # what was done that an operator wants to know
        self._pins = FOLDER / name
        self._attachment = _attachment(name)
        self._closing = contextlib.ExitStack()
        self._slots: dict[Address, int] = {}
        self._free = list(reversed(range(MAX_FLOWS)))
        self._inherited: list[KernelFlow] = []
        self._missed = 0
        try:
            self._load(sizes)
            self._map()
            self._inherit()
        except BaseException:
            self._forget()
            raise

    @classmethod
    def open(cls, name: str, names: Iterable[str] | None, sizes: Sizes | None = None) -> KernelRelay:
        """Attach to interfaces of these names and no others; None: to all that are of a kind that media can arrive on.

        Raises KernelRelayUnavailable, having removed what an earlier process of that name may have left.
        """
        if NAME.fullmatch(name) is None:
            raise KernelRelayUnavailable(f"{name!r} is no name for it: letters, digits, - and _, 64 at most")
        try:
            relay = cls(name, sizes or Sizes())
        except (BpfUnavailable, OSError) as error:
            with contextlib.suppress(BpfUnavailable, OSError):
                cls.clear(name)
            raise KernelRelayUnavailable(str(error)) from error
        try:
            relay._attach(names)
        except (BpfUnavailable, OSError) as error:
            relay.close()
            raise KernelRelayUnavailable(str(error)) from error
        return relay

    @classmethod
    def clear(cls, name: str) -> None:
        """Remove what an earlier process of that name may have left, without a relay of our own."""
        if (FOLDER / name).is_dir():
            try:
                _detach(_attachment(name))
            finally:  # who may not do the one may be able to do the other
                _unpin(FOLDER / name)

    # -- flows ---------------------------------------------------------------------------------------

    def install(self, flow: KernelFlow) -> None:
        """Add or replace the flow of `flow.local`. Raises OSError: no room, no route, not possible in the kernel.

        What came before and is still queued in the socket must be read afterwards; it is late, not out of place.
        """
        key = key_of(flow.local)
        route = self._routes.find(flow.out_local.host, flow.out_peer.host, monotonic())
        slot = self._slots.get(flow.local)
        taken = self._take_slot() if slot is None else slot
        SLOT.pack_into(self._arrivals, taken * SLOT.size, round(flow.state.last_arrival * NANOSECONDS))
        try:
            self._flows.update(key, encode(flow, Place(route, taken)))
        except OSError:
            if slot is None:
                self._free.append(taken)
            raise
        self._slots[flow.local] = taken

    def remove(self, local: Address) -> FlowState | None:
        """None when there is none."""
        slot = self._slots.pop(local, None)
        if slot is None:
            return None
        self._free.append(slot)
        value = self._flows.pop(key_of(local))
        return None if value is None else decode_state(value)

    def states(self, locals_: Iterable[Address]) -> dict[Address, FlowState]:
        """Of those that are installed."""
        asked = {local for local in locals_ if local in self._slots}
        if len(asked) < BATCH_SHARE * len(self._slots):
            values = ((local, self._flows.lookup(key_of(local))) for local in asked)
            return {local: decode_state(value) for local, value in values if value is not None}
        wanted = {key_of(local): local for local in asked}
        return {wanted[key]: decode_state(value) for key, value in self._flows.items() if key in wanted}

    def last_arrival(self, local: Address) -> float:
        """Monotonic seconds of the last packet counted; 0.0 for an unknown flow. No call into the kernel."""
        slot = self._slots.get(local)
        if slot is None:
            return 0.0
        at: int = SLOT.unpack_from(self._arrivals, slot * SLOT.size)[0]
        return at / NANOSECONDS

    def inherited(self) -> list[KernelFlow]:
        """Flows found at takeover, as they were then. They are installed: remove or replace them."""
        return list(self._inherited)

    def prints(self) -> tuple[list[Heard], bool]:
        """Sampled payloads since the last call in the order of their times, and whether these are all."""
        found = []
        for record in self._prints.records():
            stream, at, side, payload_type, size = HEARD.unpack_from(record)
            payload = bytes(record[HEARD.size : HEARD.size + size])
            found.append(Heard(stream, SIDES[side], payload_type, payload, at / NANOSECONDS))
        found.sort(key=attrgetter("at"))  # processors write side by side
        missed: int = SLOT.unpack_from(self._settings, MISSED_AT)[0]
        complete, self._missed = missed == self._missed, missed
        return found, complete

    @property
    def program(self) -> int:
        """The file descriptor of the program."""
        return self._program

    def close(self, keep: bool = False) -> None:
        """Leave nothing behind; `keep`: everything, running."""
        try:
            if not keep:
                _detach(self._attachment)
                _unpin(self._pins)
        finally:
            self._forget()

    # ------------------------------------------------------------------------------------------------

    def _load(self, sizes: Sizes) -> None:
        """Have the program and all maps pinned, of our versions."""
        versions = _versions(self._pins)
        if versions is not None and versions[0] != LAYOUT:
            # Nothing of it can be read. Its filters are replaced when ours are attached.
            _unpin(self._pins)
            versions = None
        if versions == (LAYOUT, PROGRAM) and (self._pins / "relay").exists():
            return
        if versions is None:
            _unpin(self._pins)  # whoever began here did not come far
        self._pins.mkdir(parents=True, exist_ok=True)
        load(OBJECT.read_bytes(), "relay", self._pins, {"flows": sizes.flows, "prints": sizes.ring_bytes})

    def _map(self) -> None:
        self._program = self._get("relay")
        self._flows = HashMap(self._get("flows"), KEY_BYTES, FLOW.size)
        self._arrivals = self._mapped("arrivals", MAX_FLOWS * SLOT.size)
        self._settings = self._mapped("settings", SETTINGS.size)
        missed = SETTINGS.unpack_from(self._settings)[3]
        SETTINGS.pack_into(self._settings, 0, LAYOUT, PROGRAM, SAMPLING_KEY, missed)
        self._missed = missed
        prints = self._get("prints")
        self._prints = RingBuffer(prints, entries(prints))
        self._closing.callback(self._prints.close)
        self._routes = Routes()
        self._closing.callback(self._routes.close)

    def _inherit(self) -> None:
        for key, value in self._flows.items():
            self._slots[address_of(key)] = slot_of(value)
            self._inherited.append(decode(key, value))
        taken = set(self._slots.values())
        self._free = [slot for slot in self._free if slot not in taken]

    def _attach(self, names: Iterable[str] | None) -> None:
        """At these interfaces and at no others."""
        wanted = _suitable() if names is None else [socket.if_nametoindex(name) for name in names]
        ours = program_id(self._program)
        for ifindex in wanted:
            if self._attachment.program(ifindex) != ours:
                self._attachment.attach(ifindex, self._program)
        for ifindex, _ in socket.if_nameindex():
            if ifindex not in wanted:
                self._attachment.detach(ifindex)

    def _take_slot(self) -> int:
        if not self._free:
            raise OSError(f"{MAX_FLOWS} flows are in the kernel already")
        return self._free.pop()

    def _get(self, pin: str) -> int:
        fd = get(self._pins / pin)
        self._closing.callback(os.close, fd)
        return fd

    def _mapped(self, pin: str, size: int) -> mmap.mmap:
        pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        mapped = mmap.mmap(self._get(pin), pages, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._closing.callback(mapped.close)
        return mapped

    def _forget(self) -> None:
        """Free what this process holds of it."""
        self._closing.close()
        self._slots.clear()


def _attachment(name: str) -> Attachment:
    return Attachment(zlib.crc32(name.encode()) | 1, DISCIPLINES)


def _detach(attachment: Attachment) -> None:
    for ifindex, _ in socket.if_nameindex():
        attachment.detach(ifindex)


def _mount() -> tuple[str, ...]:
    """Have the BPF file system at its usual place. Raises KernelRelayUnavailable."""
    mounts = Path("/proc/thread-self/mounts").read_text(encoding="utf-8", errors="replace")
    if any(line.split()[1:3] == [str(BPF_FILES), "bpf"] for line in mounts.splitlines()):
        return ()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"bpf", bytes(BPF_FILES), b"bpf", 0, None) != 0:
        why = os.strerror(ctypes.get_errno())
        raise KernelRelayUnavailable(f"there is no BPF file system at {BPF_FILES}, and mounting it failed: {why}")
    return (f"mounted the BPF file system at {BPF_FILES}",)


def _versions(pins: Path) -> tuple[int, int] | None:
    """Layout and program of what is pinned there; None: nothing that could be used."""
    try:
        fd = get(pins / "settings")
    except OSError:
        return None
    try:
        with mmap.mmap(fd, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ) as settings:
            layout, program, *_ = SETTINGS.unpack_from(settings)
            return layout, program
    except OSError:
        return None
    finally:
        os.close(fd)


def _unpin(pins: Path) -> None:
    """Remove the folder and what is in it; the kernel frees what nobody uses."""
    if pins.is_dir():
        for pin in pins.iterdir():
            pin.unlink()
        pins.rmdir()
    with contextlib.suppress(OSError):
        pins.parent.rmdir()  # unless there are others


def _suitable() -> list[int]:
    """Interfaces that are up, are Ethernet or loopback, and whose packets no other interface takes."""
    return [socket.if_nametoindex(one.name) for one in interfaces() if one.usable]
