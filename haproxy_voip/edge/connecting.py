"""Making one outgoing TCP or TLS connection."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from haproxy_voip.configuration.model import WILDCARDS
from haproxy_voip.core.address import Address, Endpoint
from haproxy_voip.edge.listening import tune
from haproxy_voip.edge.tls import ClientTls


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to reach and how. `connect` makes a TCP connection there, whatever the endpoint's transport."""

    endpoint: Endpoint
    local_host: str  # the source address; a wildcard leaves the choice to the kernel
    tls: ClientTls | None = None
    timeout: float = 4.0  # seconds, for the TCP and the TLS handshake together

    @property
    def remote(self) -> Address:
        """Its address and port."""
        return self.endpoint.address

    @property
    def source(self) -> Address | None:
        """What to bind to before connecting; None leaves it to the kernel."""
        return None if self.local_host in WILDCARDS else Address(self.local_host, 0)


async def connect(factory: Callable[[], asyncio.Protocol], target: Target) -> asyncio.BaseTransport:
    """Connect. Raises OSError (ssl.SSLError and TimeoutError are such); then nothing is left open.

    The loop makes the socket: one of ours would be closed twice by uvloop when it is given up half-way, the second
    time perhaps under a number that has been given to another connection.
    """
    tls = target.tls
    host, port = target.remote
    async with asyncio.timeout(target.timeout):
        transport, _ = await asyncio.get_running_loop().create_connection(
            factory,
            host,
            port,
            local_addr=target.source,
            ssl=tls.context if tls else None,
            server_hostname=tls.name if tls else None,
            ssl_handshake_timeout=target.timeout if tls else None,
        )
    tune(transport.get_extra_info("socket"))
    return transport


def is_refusal(error: OSError) -> bool:
    """Whether the peer, or the last router before it, says that it is not there. Silence says no such thing."""
    return isinstance(error, (ConnectionRefusedError, ssl.SSLError)) or error.errno == errno.EHOSTUNREACH
