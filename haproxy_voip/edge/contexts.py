"""How TLS is spoken, and how backends are reached, as one configuration says."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Address, Transport
from haproxy_voip.edge.chat_tls import ChatTls, chat_tls
from haproxy_voip.edge.connecting import Target
from haproxy_voip.edge.listeners import Certificates
from haproxy_voip.edge.tls import ClientTls, client_tls, server_context, trunk_tls

# A probe's or a canary's connection to a host that drops packets; a SYN is sent again after 1 s (tcp(7)).
CONNECT_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class Contexts:
    """All TLS of one configuration."""

    server: ssl.SSLContext | None
    peers: dict[Address, ClientTls]
    chat: ChatTls | None
    files: Mapping[Path, bytes]  # that were read, and a digest of each

    @property
    def shown(self) -> Certificates:
        """What those who connect to us are shown."""
        chat = None if self.chat is None or self.chat.server is None else self.chat.server.context
        return Certificates(self.server, chat)


def contexts_of(config: Config) -> Contexts:
    """Reads files. Raises TlsError."""
    peers = {
        backend.sip.address: client_tls(backend)
        for backend in config.backends
        if backend.sip is not None and backend.sip.transport is Transport.TLS
    }
    peers |= {
        trunk.address.address: trunk_tls(trunk) for trunk in config.trunks if trunk.address.transport is Transport.TLS
    }
    tls = config.proxy.tls
    files = {file: hashlib.sha256(file.read_bytes()).digest() for file in _files(config)}
    return Contexts(server_context(tls) if tls is not None else None, peers, chat_tls(config), files)


def _files(config: Config) -> Iterator[Path]:
    sections = (config.proxy.tls, *(config.proxy.xmpp.domains if config.proxy.xmpp is not None else ()))
    named = [file for one in sections if one is not None for file in (one.certificate, one.key)]
    named += [backend.tls.ca for backend in config.backends] + [trunk.tls.ca for trunk in config.trunks]
    # One that cannot be read is told of by whoever needs it.
    return (file for file in named if file is not None and file.exists())


def targets_of(config: Config, peers: Mapping[Address, ClientTls]) -> dict[str, Target]:
    """How each backend that speaks SIP is reached."""
    targets = {}
    for name, endpoint in config.sip_endpoints.items():
        transport, address = endpoint
        fitting = (
            listener.address.host
            for listener in config.proxy.sip.listen
            if listener.transport is transport and listener.address.family == address.family
        )
        targets[name] = Target(endpoint, next(fitting, "0.0.0.0"), peers.get(address), CONNECT_TIMEOUT)
    return targets
