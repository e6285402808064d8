"""Whether this machine has what is needed, and the promise that one run at a time has it."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from haproxy_voip.edge.kernel_relay import FOLDER, KernelRelay
from tests.interop import network, servers
from tests.interop.processes import stop_all

OURS = re.compile(r"_proxy\d+_control_sock_[0-9a-f]+$")  # edge/media_start.py
LOCK = Path("/run/lock/haproxy_voip_interop")
LOCK_SECONDS = 100.0  # for another run on this machine to end; less than a test's time limit
TOOLS = ("sipp", "sipsak", "svwar", "svcrack", "baresip", "kamailio", "kamcmd", "unshare", "setpriv", "ip", "nsenter")
CHAT_TOOLS = ("prosody", "ejabberdctl", "profanity", "script")


class Busy(Exception):
    """Another run goes on."""


def what_is_missing() -> str | None:
    """What keeps real servers from being run here, or None."""
    if os.geteuid() != 0:
        return "real servers need root (chroot, network namespaces)"
    missing = [tool for tool in (*TOOLS, *CHAT_TOOLS) if shutil.which(tool) is None]
    if not servers.suite_is_there("bullseye"):
        missing.append("Asterisk")
    return f"not installed: {', '.join(missing)}; run tests/interop/setup.sh" if missing else None


@contextmanager
def exclusive() -> Iterator[None]:
    """Nobody else on this machine has servers and relays like ours until the end. Raises Busy, NetworkError.

    We have a network of our own from then on, also after the end.
    """
    with LOCK.open("w") as lock:
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Busy(f"another run has held {LOCK} for {LOCK_SECONDS} s") from None
                time.sleep(0.2)
        clear_relays()
        network.leave()
        try:
            yield
        finally:
            stop_all()


def clear_relays() -> None:
    """Take away what proxies of a run that was killed have left in the kernel: nobody else does."""
    if FOLDER.is_dir():
        for pins in list(FOLDER.iterdir()):
            if OURS.search(pins.name) is not None:
                KernelRelay.clear(pins.name)
