"""A network of a run's own: what else this machine runs, or a run that was killed has left, is not in it."""

import ctypes
import os
import subprocess
from collections.abc import Sequence
from functools import cache

CLONE_NEWNET = 0x4000_0000  # sched.h
ETHERNET = "127.254.0.1"  # nobody talks to it


class NetworkError(Exception):
    """The network could not be made."""


@cache
def leave() -> int:
    """From now on this thread, what it starts and what those start have a loopback interface and no way out.

    Returns a descriptor of the network that was left. Only the first call leaves. Raises NetworkError.
    """
    left = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise NetworkError(f"no network namespace of our own: {os.strerror(ctypes.get_errno())}")
    ip("link", "set", "lo", "up")
    # Asterisk is named after an Ethernet address, and complains in each of its answers where there is none.
    ip("link", "add", "ethernet", "type", "veth", "peer", "name", "nowhere")
    ip("address", "add", f"{ETHERNET}/32", "dev", "ethernet")
    ip("link", "set", "ethernet", "up")
    return left


def outside(command: Sequence[str]) -> list[str]:
    """This command, run in the network that was left: where packages come from."""
    return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{leave()}", *command]


def ip(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """What the tool of this name does. Raises NetworkError."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=10, check=False)
    if done.returncode != 0:
        raise NetworkError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done
