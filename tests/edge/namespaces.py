"""Network namespaces joined by pairs of Ethernet interfaces, for tests that need more machines than there are."""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x4000_0000
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
RUN = Path("/run/netns")


class NetworkError(Exception):
    """What was asked of the network could not be done."""


def ip(*words: str) -> None:
    """What the tool of this name does. Raises NetworkError."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        raise NetworkError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def anew(name: str) -> None:
    """Make one. What a killed run left under that name is taken away."""
    if (RUN / name).exists():
        ip("netns", "del", name)
    ip("netns", "add", name)
    ip("-n", name, "link", "set", "lo", "up")


@contextmanager
def namespaces(*names: str) -> Iterator[None]:
    """Make them; everything in them goes with them."""
    made = []
    try:
        for name in names:
            anew(name)
            made.append(name)
        yield
    finally:
        for name in made:
            ip("netns", "del", name)


def unshare() -> None:
    """Take this thread, and what it starts from now on, to a new one without a name. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    ip("link", "set", "lo", "up")


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Be there: sockets opened meanwhile stay there."""
    with open("/proc/thread-self/ns/net", "rb") as home, open(RUN / name, "rb") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def cable(one: str, one_hosts: list[str], other: str, other_hosts: list[str]) -> None:
    """An interface in each, named after where it leads."""
    ip("-n", one, "link", "add", other, "type", "veth", "peer", "name", one, "netns", other)
    for here, there, hosts in ((one, other, one_hosts), (other, one, other_hosts)):
        for host in hosts:
            ip("-n", here, "address", "add", host, "dev", there, *(["nodad"] if ":" in host else []))
        ip("-n", here, "link", "set", there, "up")


def sum_in_software(interface: str) -> None:
    """Have checksums written before a packet leaves by it, so that the receiver checks them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        command = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_STXCSUM, 0))
        request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(command))
        fcntl.ioctl(any_socket, SIOCETHTOOL, request)
