"""Attaching a BPF program where packets arrive: a `clsact` queueing discipline and a filter at its ingress (tc-bpf(8)).

Several instances of the program share one interface, each with a filter of its own: the priority is the same for all,
the handle says whose it is. A discipline that was made here goes when the last filter has gone. That one was made here
is written down as an empty folder in the BPF file system, which forgets it when the machine starts anew, as the kernel
forgets the discipline.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import struct
from ctypes import byref, c_int, c_size_t, c_uint32, sizeof
from pathlib import Path

from haproxy_voip.edge.libbpf import checked, library
from haproxy_voip.edge.netlink import Netlink
from haproxy_voip.edge.routes import namespace

# Filters are asked in the order of their priorities, those that were given none last (49152 and below).
PRIORITY = 1000
INGRESS, EGRESS = 1, 2
REPLACE = 1
GET_FILTER = 46  # RTM_GETTFILTER
MESSAGE = struct.Struct("=BxxxiIII")  # family, interface, handle, parent, info
CLSACT_INGRESS, CLSACT_EGRESS = 0xFFFF_FFF2, 0xFFFF_FFF3  # parents
# What libbpf answers where there is no such discipline, filter or interface.
ABSENT = (errno.ENOENT, errno.EINVAL, errno.ENODEV)


class Hook(ctypes.Structure):
    """struct bpf_tc_hook."""

    _fields_ = [("sz", c_size_t), ("ifindex", c_int), ("attach_point", c_int), ("parent", c_uint32)]


class Filter(ctypes.Structure):
    """struct bpf_tc_opts."""

    _fields_ = [
        ("sz", c_size_t),
        ("prog_fd", c_int),
        ("flags", c_uint32),
        ("prog_id", c_uint32),
        ("handle", c_uint32),
        ("priority", c_uint32),
    ]


class Attachment:
    """The filters of one instance in this network namespace. `made` is a folder of the BPF file system for all."""

    def __init__(self, handle: int, made: Path) -> None:
        self._handle = handle
        self._made = made

    def program(self, ifindex: int) -> int | None:
        """The kernel's number of the program that is attached there; None: none."""
        asked = self._filter()
        result = library().bpf_tc_query(byref(_hook(ifindex)), byref(asked))
        if -result in ABSENT:
            return None
        checked(result, "asking for a TC filter")
        found: int = asked.prog_id
        return found

    def attach(self, ifindex: int, program: int) -> None:
        """Attach this program (a file descriptor), or put it in the place of the one there, without a gap.

        Raises OSError and BpfUnavailable.
        """
        name = socket.if_indextoname(ifindex)
        made = library().bpf_tc_hook_create(byref(_hook(ifindex, INGRESS | EGRESS)))
        if made == 0:
            self._mark(ifindex).mkdir(parents=True, exist_ok=True)
        elif made != -errno.EEXIST:
            checked(made, f"adding clsact to {name}")
        filter_ = self._filter(flags=REPLACE, prog_fd=program)
        checked(library().bpf_tc_attach(byref(_hook(ifindex)), byref(filter_)), f"attaching to {name}")

    def detach(self, ifindex: int) -> None:
        """Leave nothing there that is of no use to anybody. It may be gone, with or without its interface."""
        result = library().bpf_tc_detach(byref(_hook(ifindex)), byref(self._filter()))
        if -result not in ABSENT:
            checked(result, "detaching a TC filter")
        mark = self._mark(ifindex)
        if mark.exists() and not _filters(ifindex):
            library().bpf_tc_hook_destroy(byref(_hook(ifindex, INGRESS | EGRESS)))
            mark.rmdir()
            with contextlib.suppress(OSError):
                mark.parent.rmdir()  # unless it has others

    def _filter(self, **values: int) -> Filter:
        return Filter(sz=sizeof(Filter), handle=self._handle, priority=PRIORITY, **values)

    def _mark(self, ifindex: int) -> Path:
        return self._made / f"{namespace()}_{ifindex}"


def _hook(ifindex: int, point: int = INGRESS) -> Hook:
    return Hook(sz=sizeof(Hook), ifindex=ifindex, attach_point=point)


def _filters(ifindex: int) -> bool:
    """Whether anybody's filters are there."""
    netlink = Netlink()
    try:
        return any(
            netlink.all(GET_FILTER, MESSAGE.pack(socket.AF_UNSPEC, ifindex, 0, parent, 0))
            for parent in (CLSACT_INGRESS, CLSACT_EGRESS)
        )
    except OSError:
        return False  # no such discipline, or no such interface any more
    finally:
        netlink.close()
