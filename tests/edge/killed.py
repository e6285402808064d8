"""A relay with one stream, in a process of its own that is to be killed: says `ready` when the kernel has both ways.

python -m tests.edge.killed NAME TO_RELAY CLIENT FROM_RELAY BACKEND
"""

import asyncio
import subprocess
import sys
import zlib

import uvloop

from haproxy_voip.core.address import Address
from haproxy_voip.edge.kernel_relay import FOLDER, KernelRelay
from haproxy_voip.edge.media_userspace import Listener, MediaRelay
from haproxy_voip.rtp.flow import Party, StreamPlan


async def main(name: str, *ports: str) -> None:
    to_relay, client, from_relay, backend = (Address("127.0.0.1", int(port)) for port in ports)
    kernel = KernelRelay.open(name, ["lo"])
    listener = Listener(lambda *what: None, lambda *what: None, lambda *what: None)
    relay = MediaRelay(asyncio.get_running_loop(), listener, kernel)
    relay.install(StreamPlan(1, "rtp", Party(to_relay, client), Party(from_relay, backend), prints=True))
    print("listening", flush=True)
    for _ in range(1000):
        if relay.kernel_flows == 2:
            print("ready", flush=True)
        await asyncio.sleep(0.01)


def in_kernel(name: str) -> list[str]:
    """What there is of a proxy of this name: its filter on the loopback, and its folder."""
    shown = subprocess.run(["tc", "filter", "show", "dev", "lo", "ingress"], capture_output=True, text=True, check=True)
    handle = f" {zlib.crc32(name.encode()) | 1:#x} "
    found = [line for line in shown.stdout.splitlines() if handle in line]
    return found + [str(path) for path in FOLDER.glob(name)]


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
