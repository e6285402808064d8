"""Real sockets around one direction of a relayed stream, for the tests that play `relay_cases`."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic, sleep

from haproxy_voip.core.address import Address
from haproxy_voip.edge.media_sockets import bind
from tests.edge.relay_cases import Came, Fate

WAIT = 2.0  # seconds; a packet that takes longer is lost
LARGEST = 65_536


class Places:
    """Who sends, where that arrives, where it leaves, who receives, and a third who does not belong there."""

    def __init__(self, stack: ExitStack, host: str) -> None:
        self.peer, self.local, self.out_local, self.out_peer, self.third = (
            stack.enter_context(bind(Address(host, 0))) for _ in range(5)
        )

    @property
    def ways(self) -> list[Address]:
        """As `kernel_scene.flow_of` wants them."""
        return [address_of(each) for each in (self.local, self.peer, self.out_local, self.out_peer)]

    def send(self, came: Came) -> None:
        """By loopback, which has delivered it then, or does so at once."""
        source = self.third if came.fate is Fate.STRANGER else self.peer
        source.sendto(came.data, address_of(self.local))


@contextmanager
def places(host: str) -> Iterator[Places]:
    with ExitStack() as stack:
        yield Places(stack, host)


def address_of(bound: socket.socket) -> Address:
    return Address(*bound.getsockname()[:2])


def heard(bound: socket.socket, count: int) -> list[tuple[bytes, Address]]:
    """So many datagrams, waited for; and all that came with them."""
    found: list[tuple[bytes, Address]] = []
    limit = monotonic() + WAIT
    while True:
        try:
            data, (host, port, *_) = bound.recvfrom(LARGEST)
        except BlockingIOError:
            if len(found) >= count or monotonic() > limit:
                return found
            sleep(0.001)
        else:
            found.append((data, Address(host, port)))
