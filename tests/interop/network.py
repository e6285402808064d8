"""A network of a run's own: what else this machine runs, or a run that was killed has left, is not in it."""

import os
from collections.abc import Sequence
from functools import cache

from tests.edge import namespaces
from tests.edge.namespaces import NetworkError, ip

ETHERNET = "127.254.0.1"  # nobody talks to it


@cache
def leave() -> int:
    """From now on this thread, what it starts and what those start have a loopback interface and no way out.

    Returns a descriptor of the network that was left. Only the first call leaves. Raises NetworkError.
    """
    left = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        namespaces.unshare()
    except OSError as error:
        raise NetworkError(f"no network namespace of our own (CAP_SYS_ADMIN is needed): {error.strerror}") from None
    # Asterisk is named after an Ethernet address, and complains in each of its answers where there is none.
    ip("link", "add", "ethernet", "type", "veth", "peer", "name", "nowhere")
    ip("address", "add", f"{ETHERNET}/32", "dev", "ethernet")
    ip("link", "set", "ethernet", "up")
    return left


def outside(command: Sequence[str]) -> list[str]:
    """This command, run in the network that was left: where packages come from."""
    return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{leave()}", *command]
